/* SPDX-License-Identifier: Apache-2.0
 * The variables of a command: the values that differ from call to call, separate from the constant
 * texts.
 *
 * Home of invariant 8: a caller's string is never part of an expression. */
#include "protocol/pipeline_let.h"

#include "protocol/pipeline_text.h"

void lh_append_literal(bson_t *to, const char *name, const char *value)
{
    bson_t literal;
    BSON_APPEND_DOCUMENT_BEGIN(to, name, &literal);
    if (value)
        BSON_APPEND_UTF8(&literal, "$literal", value);
    else
        BSON_APPEND_NULL(&literal, "$literal");
    bson_append_document_end(to, &literal);
}

static void let_value(bson_t *let, const char *name, const bson_value_t *value)
{
    bson_t literal;
    BSON_APPEND_DOCUMENT_BEGIN(let, name, &literal);
    if (value && value->value_type != BSON_TYPE_UNDEFINED) /* undefined is null to the server */
        BSON_APPEND_VALUE(&literal, "$literal", value);
    else
        BSON_APPEND_NULL(&literal, "$literal");
    bson_append_document_end(let, &literal);
}

void lh_let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms)
{
    int64_t scale = INT64_C(1) << 22;
    bson_t *clock =
        set ? BCON_NEW("$add", "[", "{", "$multiply", "[", "{", "$tsSecond", "$$CLUSTER_TIME", "}",
                       BCON_INT64(scale), "]", "}", "{", "$tsIncrement", "$$CLUSTER_TIME", "}", "]")
        : ago_ms == 0
            ? BCON_NEW("$toLong", "{", "$multiply", "[", "{", "$toLong", "$$NOW", "}",
                       BCON_DOUBLE(4194.304), "]", "}")
            : BCON_NEW("$toLong", "{", "$multiply", "[", "{", "$subtract", "[", "{", "$toLong",
                       "$$NOW", "}", BCON_INT64(ago_ms), "]", "}", BCON_DOUBLE(4194.304), "]", "}");
    BSON_APPEND_DOCUMENT(let, name, clock);
    bson_destroy(clock);
}

void lh_pipeline_let(const lh_vars *vars, bson_t *command)
{
    bson_t let;
    BSON_APPEND_DOCUMENT_BEGIN(command, "let", &let);
    if (vars->doc_id)
        BSON_APPEND_OID(&let, "doc_id", vars->doc_id);
    else
        lh_append_literal(&let, "doc_id", vars->key);
    lh_append_literal(&let, "me", vars->me);
    lh_append_literal(&let, "owner", vars->owner);
    lh_append_literal(&let, "host", vars->host);
    lh_append_literal(&let, "purpose", vars->purpose);
    BSON_APPEND_INT64(&let, "pid", vars->pid);
    lh_append_literal(&let, "proc", *vars->proc ? vars->proc : NULL);
    BSON_APPEND_BOOL(&let, "foreign", vars->foreign);
    BSON_APPEND_INT64(&let, "ttl", vars->ttl_ms);
    BSON_APPEND_INT64(&let, "grace", vars->grace_ms);
    BSON_APPEND_INT64(&let, "token", vars->token);
    BSON_APPEND_INT64(&let, "max_shared", vars->max_shared);
    lh_let_clock(&let, "clock", vars->set, 0);
    if (vars->claim_ms > 0) {
        BSON_APPEND_INT64(&let, "claim", vars->claim_ms);
        BSON_APPEND_INT64(&let, "beat", vars->beat);
        BSON_APPEND_INT64(&let, "max_waiters", vars->max_waiters);
    }
    if (vars->to) {
        lh_append_literal(&let, "to", vars->to);
        lh_append_literal(&let, "to_owner", vars->to_owner);
    }
    if (vars->note)
        lh_append_literal(&let, "note", vars->note);
    if (vars->keep_ms > 0)
        BSON_APPEND_INT64(&let, "keep", vars->keep_ms);
    if (vars->judging)
        lh_let_clock(&let, "behind", vars->set, vars->set ? 0 : vars->ttl_ms);
    if (vars->by) {
        lh_append_literal(&let, "by", vars->by);
        lh_append_literal(&let, "reason", vars->reason);
    }
    if (vars->dead)
        lh_append_literal(&let, "dead", vars->dead);
    if (vars->seen_doc_id) {
        let_value(&let, "seen_doc_id", vars->seen_doc_id);
        let_value(&let, "seen_id", vars->seen_id);
        let_value(&let, "seen_token", vars->seen_token);
    }
    bson_append_document_end(command, &let);
}
