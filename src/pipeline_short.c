/* SPDX-License-Identifier: Apache-2.0
 * The short forms.
 *
 * Nearly every command meets a document that is simple: a date for an end, no readers, nobody waiting. What a server spends on our commands is mostly the parsing of their expressions (a microsecond
 * or two for each), so these decide the simple documents and leave all others untouched; lease.c then asks with the whole form.
 * They may refuse what the whole form grants, never the other way round: a test holds them together. (But a renewal does not
 * look at the maps: a holder keeps its lease where somebody spoilt its queue.)
 *
 * What differs from call to call stands in them as $literal, or as a number: a variable in `let` costs more. Types are compared
 * all at once, as an array with a constant one. */
#include "pipeline_terms.h"
#include "pipeline_text.h"

// clang-format off
#define SAME_ID "{'$eq':['$id','$released.id']}"
const char lh_text_simple[] = SIMPLE;
/* Of such a one: released. Where the ids differ it is the end that counts; where they are the same and this is false, the whole
 * form has to say. */
const char lh_text_released[] =
    "{'$and':[" IS_TYPE("$id", "string") ",{'$lte':['$expires_at','$released.at']}]}";
/* How the last one ended: as it is noted, or by its end. A first grant has nothing to note. */
const char lh_text_ended[] =
    "{'$cond':[" SAME_ID ",'$released'," RELEASED("'$id'", "expire", "null", "null") "]}";
// clang-format on

/* What a grant writes that the caller gives. */
static void append_mine(bson_t *merged, const char *index, const lh_vars *vars)
{
    bson_t literal, mine;
    BSON_APPEND_DOCUMENT_BEGIN(merged, index, &literal);
    BSON_APPEND_DOCUMENT_BEGIN(&literal, "$literal", &mine);
    BSON_APPEND_UTF8(&mine, "id", vars->me);
    BSON_APPEND_UTF8(&mine, "owner", vars->owner);
    BSON_APPEND_UTF8(&mine, "mode", "exclusive");
    BSON_APPEND_UTF8(&mine, "host", vars->host);
    BSON_APPEND_INT64(&mine, "pid", vars->pid);
    if (*vars->proc)
        BSON_APPEND_UTF8(&mine, "proc", vars->proc);
    else
        BSON_APPEND_NULL(&mine, "proc");
    if (vars->purpose)
        BSON_APPEND_UTF8(&mine, "purpose", vars->purpose);
    else
        BSON_APPEND_NULL(&mine, "purpose");
    BSON_APPEND_INT64(&mine, "ttl_ms", vars->ttl_ms);
    BSON_APPEND_INT64(&mine, "beat", 0);
    BSON_APPEND_INT32(&mine, "v", 1);
    bson_append_document_end(&literal, &mine);
    bson_append_document_end(merged, &literal);
}

/* expires_at: now + ttl, or the later of that and the present end. */
static void append_end(bson_t *set, bool later, int64_t ttl_ms)
{
    if (later)
        BCON_APPEND(set, "expires_at", "{", "$max", "[", "$expires_at", "{", "$add", "[", "$$NOW", BCON_INT64(ttl_ms),
                    "]", "}", "]", "}");
    else
        BCON_APPEND(set, "expires_at", "{", "$add", "[", "$$NOW", BCON_INT64(ttl_ms), "]", "}");
}

/* Never granted, or simple and released, or simple and past its end + grace; and neither mine nor released by me, which never
 * acquires again (the whole form says what it is then). */
static void append_is_free(bson_t *cond, const lh_terms *terms, const lh_vars *vars)
{
    BCON_APPEND(cond, "0", "{", "$and", "[", "{", "$not", "[", "{", "$in", "[", "{", "$literal", BCON_UTF8(vars->me),
                "}", "[", "$id", "$released.id", "]", "]", "}", "]", "}", "{", "$or", "[", "{", "$eq", "[", "{",
                "$type", "$_id", "}", "missing", "]", "}", "{", "$and", "[", BCON_DOCUMENT(terms->simple), "{", "$cond",
                "[", "{", "$eq", "[", "$id", "$released.id", "]", "}", BCON_DOCUMENT(terms->released), "{", "$lte", "[",
                "$expires_at", "{", "$subtract", "[", "$$NOW", BCON_INT64(vars->grace_ms), "]", "}", "]", "}", "]", "}",
                "]", "}", "]", "}", "]", "}");
}

/* [condition, what becomes of the document]: the parts of a $cond. An own _id, if there is one, overrides the key. */
static void append_acquire(bson_t *cond, const lh_terms *terms, const lh_vars *vars)
{
    bson_t part, list, set, token, next;
    append_is_free(cond, terms, vars);
    BSON_APPEND_DOCUMENT_BEGIN(cond, "1", &part);
    BSON_APPEND_ARRAY_BEGIN(&part, "$mergeObjects", &list);
    BCON_APPEND(&list, "0", "{", "$literal", "{", "_id", BCON_UTF8(vars->key), "}", "}", "1", "$$ROOT");
    append_mine(&list, "2", vars);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "3", &set);
    append_end(&set, false, vars->ttl_ms);
    BCON_APPEND(&set, "acquired_at", "$$NOW", "renewed_at", "$$NOW", "released", BCON_DOCUMENT(terms->ended));
    BSON_APPEND_DOCUMENT_BEGIN(&set, "token", &token);
    BSON_APPEND_ARRAY_BEGIN(&token, "$max", &next);
    BCON_APPEND(&next, "0", "{", "$add", "[", "$token", BCON_INT32(1), "]",
                "}"); /* null where there is none: no maximum */
    lh_let_clock(&next, "1", vars->set, 0);
    bson_append_array_end(&token, &next);
    bson_append_document_end(&set, &token);
    bson_append_document_end(&list, &set);
    bson_append_array_end(&part, &list);
    bson_append_document_end(cond, &part);
}

/* The lease id is mine and not the one that was released, the rest is simple, and the token is mine (0: any that there may be).
 * A renewal does not look at the maps; its end must be to come. */
static void append_is_mine(bson_t *cond, bool renewal, const lh_vars *vars)
{
    bson_t part, list;
    BSON_APPEND_DOCUMENT_BEGIN(cond, "0", &part);
    BSON_APPEND_ARRAY_BEGIN(&part, "$and", &list);
    BCON_APPEND(&list, "0", "{", "$ne", "[", "$released.id", "{", "$literal", BCON_UTF8(vars->me), "}", "]", "}");
    if (renewal)
        BCON_APPEND(&list, "1", "{", "$eq", "[", "[", "$id", "{", "$type", "$token", "}", "{", "$type", "$expires_at",
                    "}", "]", "{", "$literal", "[", BCON_UTF8(vars->me), "long", "date", "]", "}", "]", "}", "2", "{",
                    "$gt", "[", "$expires_at", "$$NOW", "]", "}");
    else
        BCON_APPEND(&list, "1", "{", "$eq", "[", "[", "$id", "{", "$type", "$token", "}", "{", "$type", "$expires_at",
                    "}", "{", "$type", "$owner", "}", "{", "$type", "$shared", "}", "{", "$type", "$waiters", "}", "]",
                    "{", "$literal", "[", BCON_UTF8(vars->me), "long", "date", "string", "missing", "missing", "]", "}",
                    "]", "}");
    if (vars->token != 0)
        BCON_APPEND(&list, "3", "{", "$eq", "[", "$token", BCON_INT64(vars->token), "]", "}");
    else
        BCON_APPEND(&list, "3", "{", "$gte", "[", "$token", BCON_INT64(0), "]", "}", "4", "{", "$lt", "[", "$token",
                    BCON_INT64(INT64_C(1) << 62), "]", "}");
    bson_append_array_end(&part, &list);
    bson_append_document_end(cond, &part);
}

static void append_renew(bson_t *cond, const lh_vars *vars)
{
    bson_t part, list, set;
    append_is_mine(cond, true, vars);
    BSON_APPEND_DOCUMENT_BEGIN(cond, "1", &part);
    BSON_APPEND_ARRAY_BEGIN(&part, "$mergeObjects", &list);
    BSON_APPEND_UTF8(&list, "0", "$$ROOT");
    BSON_APPEND_DOCUMENT_BEGIN(&list, "1", &set);
    append_end(&set, true, vars->ttl_ms);
    BCON_APPEND(&set, "renewed_at", "$$NOW", "ttl_ms", BCON_INT64(vars->ttl_ms));
    if (vars->foreign)
        BSON_APPEND_NULL(&set, "proc");
    bson_append_document_end(&list, &set);
    bson_append_array_end(&part, &list);
    bson_append_document_end(cond, &part);
}

static void append_leave(bson_t *cond, const lh_vars *vars)
{
    bson_t part, list, set, released;
    append_is_mine(cond, false, vars);
    BSON_APPEND_DOCUMENT_BEGIN(cond, "1", &part);
    BSON_APPEND_ARRAY_BEGIN(&part, "$mergeObjects", &list);
    BSON_APPEND_UTF8(&list, "0", "$$ROOT");
    BSON_APPEND_DOCUMENT_BEGIN(&list, "1", &set);
    BCON_APPEND(&set, "expires_at", "{", "$min", "[", "$expires_at", "$$NOW", "]", "}");
    BSON_APPEND_DOCUMENT_BEGIN(&set, "released", &released);
    BCON_APPEND(&released, "id", "{", "$literal", BCON_UTF8(vars->me), "}", "owner", "$owner", "how", "release", "by",
                BCON_NULL, "reason", BCON_NULL, "at", "$$NOW");
    if (vars->note && *vars->note)
        BCON_APPEND(&released, "note", "{", "text", "{", "$literal", BCON_UTF8(vars->note), "}", "token", "$token",
                    "at", "$$NOW", "}");
    bson_append_document_end(&set, &released);
    bson_append_document_end(&list, &set);
    bson_append_array_end(&part, &list);
    bson_append_document_end(cond, &part);
}

bool lh_pipeline_has_short(lh_do what, const lh_vars *vars)
{
    return what == LH_DO_ACQUIRE_EXCLUSIVE || what == LH_DO_LEAVE || (what == LH_DO_RENEW && vars->ttl_ms != 0);
}

void lh_short_update(lh_do what, const lh_terms *terms, const lh_vars *vars, bson_t *command)
{
    bson_t stages, stage, decided, cond;
    BSON_APPEND_ARRAY_BEGIN(command, "update", &stages);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$replaceWith", &decided);
    BSON_APPEND_ARRAY_BEGIN(&decided, "$cond", &cond);
    if (what == LH_DO_ACQUIRE_EXCLUSIVE)
        append_acquire(&cond, terms, vars);
    else if (what == LH_DO_RENEW)
        append_renew(&cond, vars);
    else
        append_leave(&cond, vars);
    BSON_APPEND_UTF8(&cond, "2", "$$ROOT");
    bson_append_array_end(&decided, &cond);
    bson_append_document_end(&stage, &decided);
    bson_append_document_end(&stages, &stage);
    bson_append_array_end(command, &stages);
}
