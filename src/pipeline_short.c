/* SPDX-License-Identifier: Apache-2.0
 * The short forms.
 *
 * Nearly every command meets a document that is simple: a date for an end, no readers, nobody waiting. What a server spends on
 * our commands is mostly the parsing of their expressions (measured: 0.7 ms for the whole acquire, 0.1 ms for this one), so
 * these decide the simple documents and leave all others untouched; lease.c then asks with the whole form. They may refuse
 * what the whole form grants, never the other way round: a test holds them together. (But a renewal does not look at the maps:
 * a holder keeps its lease where somebody spoilt its queue.) */
#include "pipeline_terms.h"
#include "pipeline_text.h"

// clang-format off
#define SHORT_ACQUIRE                                                                                                  \
    "[{'$replaceWith':{'$cond':[{'$or':[" FRESH ",{'$and':[{'$eq':['$workspace_id','$$key']}," NONE("$shared") "," NONE("$waiters") "," TOKEN_OK ","       \
    IS_TYPE("$expires_at", "date") ",{'$ne':['$id','$$me']},{'$ne':['$released.id','$$me']},"                          \
    "{'$or':[{'$lte':['$expires_at'," CUT "]}," FREED("$expires_at") "]}]}]},"                                                         \
    "{'$mergeObjects':['$$ROOT','$$mine',{" KEEP_ID ",'expires_at':{'$add':['$$NOW','$$ttl']},'acquired_at':'$$NOW',"   \
    "'renewed_at':'$$NOW','token':" NEXT_TOKEN ",'released':{'$cond':[{'$or':[" FRESH "," FREED("$expires_at") "]},'$released',"        \
    RELEASED("'$id'", "expire", "null", "null") "]}}]},'$$ROOT']}}]"
#define SHORT_RENEW                                                                                                    \
    "[{'$replaceWith':{'$cond':[{'$and':[{'$eq':['$id','$$me']},{'$ne':['$released.id','$$me']},"                      \
    "{'$in':['$$token',[" ZERO ",'$token']]}," TOKEN_OK ",{'$gt':['$expires_at','$$NOW']}," IS_TYPE("$expires_at", "date") "]},"     \
    LET("'ttl':" TTL_OR("$ttl_ms"),                                                                                    \
    "{'$mergeObjects':['$$ROOT',{'expires_at':" LATER("$expires_at", "'$$ttl'") ",'renewed_at':'$$NOW','ttl_ms':'$$ttl'}]}")  \
    ",'$$ROOT']}}]"
#define SHORT_LEAVE                                                                                                    \
    "[{'$replaceWith':{'$cond':[{'$and':[{'$eq':['$id','$$me']},{'$ne':['$released.id','$$me']}," NONE("$shared") ","   \
    NONE("$waiters") "," TOKEN_OK "," IS_TYPE("$expires_at", "date") "]},"                                             \
    "{'$mergeObjects':['$$ROOT',{'expires_at':{'$min':['$expires_at','$$NOW']},"                                       \
    "'released':{'id':'$$me','owner':" OLD_OWNER ",'how':'release','by':null,'reason':null,'at':'$$NOW'}}]},'$$ROOT']}}]"
// clang-format on

const char *const lh_texts_short[LH_DO_COUNT] = {
    [LH_DO_ACQUIRE_EXCLUSIVE] = SHORT_ACQUIRE,
    [LH_DO_RENEW] = SHORT_RENEW,
    [LH_DO_LEAVE] = SHORT_LEAVE,
};

bool lh_pipeline_has_short(lh_do what)
{
    return lh_texts_short[what] != NULL;
}

void lh_let_short(lh_do what, const lh_vars *vars, bson_t *command)
{
    bson_t let, literal, mine;
    BSON_APPEND_DOCUMENT_BEGIN(command, "let", &let);
    lh_let_string(&let, "me", vars->me);
    if (what != LH_DO_LEAVE)
        BSON_APPEND_INT64(&let, "ttl", vars->ttl_ms);
    if (what == LH_DO_RENEW)
        BSON_APPEND_INT64(&let, "token", vars->token);
    if (what == LH_DO_ACQUIRE_EXCLUSIVE) {
        lh_let_string(&let, "key", vars->key);
        lh_let_clock(&let, "clock", vars->set, 0);
        BSON_APPEND_INT64(&let, "grace", vars->grace_ms);
        BSON_APPEND_DOCUMENT_BEGIN(&let, "mine", &literal);
        BSON_APPEND_DOCUMENT_BEGIN(&literal, "$literal", &mine);
        BSON_APPEND_UTF8(&mine, "id", vars->me);
        BSON_APPEND_UTF8(&mine, "owner", vars->owner);
        BSON_APPEND_UTF8(&mine, "mode", "exclusive");
        BSON_APPEND_UTF8(&mine, "host", vars->host);
        BSON_APPEND_INT64(&mine, "pid", vars->pid);
        if (vars->purpose)
            BSON_APPEND_UTF8(&mine, "purpose", vars->purpose);
        else
            BSON_APPEND_NULL(&mine, "purpose");
        BSON_APPEND_INT64(&mine, "ttl_ms", vars->ttl_ms);
        BSON_APPEND_INT64(&mine, "beat", 0);
        BSON_APPEND_INT32(&mine, "v", 1);
        bson_append_document_end(&literal, &mine);
        bson_append_document_end(&let, &literal);
    }
    bson_append_document_end(command, &let);
}
