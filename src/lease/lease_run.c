/* SPDX-License-Identifier: Apache-2.0
 * One operation on one key: the short form of its command, then the whole form if the short one did
 * not settle it.
 *
 * The short forms find a document that we inserted by its _id. That needs no query plan, and costs
 * the server half of a lookup by the key's index. The keys with such a document are remembered
 * (known.h) as a hint: a form that looks for the _id also compares the key, and if it finds
 * nothing, the key's index is used. */
#include "lease/lease_run.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/known.h"
#include "lease/lease.h"
#include "protocol/doc.h"
#include "protocol/pipeline.h"
#include "protocol/pipeline_short.h"
#include "store/store_contact.h"
#include "store/store_refused.h"
#include "store/store_run.h"

static const char *what_in_words(lh_op op)
{
    switch (op) {
    case LH_OP_ACQUIRE_EXCLUSIVE:
    case LH_OP_ACQUIRE_SHARED:
    case LH_OP_RESUME:
    case LH_OP_WAIT_EXCLUSIVE:
    case LH_OP_WAIT_SHARED:
        return "acquire the lease";
    case LH_OP_RENEW:
        return "renew the lease";
    case LH_OP_RELEASE:
        return "release the lease";
    case LH_OP_TRANSFER:
        return "transfer the lease";
    default:
        return "change the lease";
    }
}

static int metric_of(lh_op op)
{
    switch (op) {
    case LH_OP_ACQUIRE_EXCLUSIVE:
    case LH_OP_ACQUIRE_SHARED:
    case LH_OP_RESUME:
        return LH_OPERATION_ACQUIRE;
    case LH_OP_WAIT_EXCLUSIVE:
    case LH_OP_WAIT_SHARED:
        return LH_OPERATION_WAIT;
    case LH_OP_RENEW:
        return LH_OPERATION_RENEW;
    case LH_OP_RELEASE:
        return LH_OPERATION_RELEASE;
    case LH_OP_TRANSFER:
        return LH_OPERATION_TRANSFER;
    default:
        return LH_OPERATION_OTHER;
    }
}

/* The reply to a findAndModify has the document. That to an update has the numbers of found and
 * changed documents, and the error of its one statement. */
static void read_reply(lh_reply *reply, bool good)
{
    bson_iter_t field;
    reply->there = reply->wrote = reply->found = false;
    for (bool more = good && bson_iter_init(&field, &reply->bson);
         more && bson_iter_next(&field);) {
        const char *name = bson_iter_key(&field);
        if (strcmp(name, "value") == 0 && BSON_ITER_HOLDS_DOCUMENT(&field)) {
            const uint8_t *data;
            uint32_t len;
            bson_iter_document(&field, &len, &data);
            reply->there = reply->found = bson_init_static(&reply->document, data, len);
        } else if (strcmp(name, "n") == 0) {
            reply->found = bson_iter_as_int64(&field) > 0;
        } else if (strcmp(name, "nModified") == 0) {
            reply->wrote = bson_iter_as_int64(&field) > 0;
        } else if (strcmp(name, "writeErrors") == 0) {
            lh_refusal why;
            reply->maybe |= lh_store_write_error(&reply->bson, 0, &why) &&
                            lh_store_code_kind(why.code) == LH_CODE_OPEN;
        }
    }
}

static int run_form(lh_store *store, const lh_operation *o, bool whole, lh_reply *reply,
                    lh_error *error)
{
    bson_t command = BSON_INITIALIZER;
    lh_pipeline_command(store->pipelines, o->op, whole, store->collection, o->vars, &command);
    lh_call call = {.what = what_in_words(o->op),
                    .operation = metric_of(o->op),
                    .key = o->vars->by_id ? NULL : o->vars->key,
                    .command = &command,
                    .deadline = o->context.deadline,
                    .client = o->context.client,
                    .maybe = reply->maybe};
    bson_destroy(&reply->bson);
    int outcome = lh_store_run(store, &call, &reply->bson, &reply->sent, error);
    reply->maybe = call.maybe;
    bson_destroy(&command);
    read_reply(reply, outcome == LH_OK);
    if (reply->there)
        lh_doc_mine(&reply->document, o->vars->me, &reply->mine);
    else
        reply->mine = (lh_mine){0};
    return outcome;
}

/* True if the short form's reply settles the operation: it did what was asked, or the whole form
 * would not do it either. */
static bool is_settled(const lh_operation *o, lh_reply *reply)
{
    const lh_mine *mine = &reply->mine;
    if (o->op != LH_OP_ACQUIRE_EXCLUSIVE)
        return reply->wrote;
    if (!reply->there)
        return true;
    /* an earlier attempt may have been applied: the whole form has to confirm that */
    reply->maybe |= mine->holds && !mine->written;
    return mine->holds ? mine->written : lh_doc_is_held_alone(&reply->document, o->vars->grace_ms);
}

/* The short form; by the _id first if the key is known to be the _id. `vars` are those of `o`. */
static int run_short(lh_store *store, const lh_operation *o, lh_vars *vars, lh_reply *reply,
                     lh_error *error)
{
    vars->own = lh_known_has(store->held->known, vars->key);
    int outcome = run_form(store, o, false, reply, error);
    if (outcome != LH_OK || !vars->own)
        return outcome;
    if (reply->found &&
        (!reply->there || lh_doc_has_text(&reply->document, "workspace_id", vars->key)))
        return outcome;
    lh_known_note(store->held->known, vars->key, false);
    vars->own = reply->there = false;
    return o->op == LH_OP_ACQUIRE_EXCLUSIVE ? run_form(store, o, false, reply, error) : outcome;
}

typedef struct {
    lh_store *store;
    const char *me;
} granting;

static void tell_granted(void *arg, const lh_grant *grant)
{
    granting *g = arg;
    if (strcmp(grant->id, g->me) != 0) /* the caller handles the asker's own grant */
        g->store->hooks->granted(g->store, grant);
}

/* Notes the _id of the reply's document, and the server's time. */
static void note_document(lh_store *store, const char *key, const lh_reply *reply)
{
    if (!reply->there)
        return;
    lh_known_note(store->held->known, key, lh_doc_has_text(&reply->document, "_id", key));
    lh_lease_hear_time(store, &reply->document, reply->sent);
}

int64_t lh_lease_hear_time(lh_store *store, const bson_t *document, int64_t sent)
{
    bson_iter_t now;
    if (!bson_iter_init_find(&now, document, "now") || !BSON_ITER_HOLDS_DATE_TIME(&now))
        return 0;
    int64_t now_ms = bson_iter_date_time(&now);
    atomic_store(&store->held->clock_ahead, lh_clock_ahead(atomic_load(&store->held->clock_ahead),
                                                           now_ms, sent, lh_clock_ms()));
    return now_ms;
}

int lh_lease_run(lh_store *store, const lh_operation *operation, lh_reply *reply, lh_error *error)
{
    lh_operation o = *operation;
    lh_vars vars = *o.vars;
    o.vars = &vars;
    lh_assert(strlen(vars.me) == LH_LEASE_ID_LEN && (vars.by_id || *vars.key));
    *reply = (lh_reply){0};
    bson_init(&reply->bson);
    int outcome = LH_OK;
    /* the first contact tells which clock tokens come from */
    if (atomic_load(&store->topology) == LH_TOPOLOGY_UNKNOWN)
        outcome = lh_store_contact(store, o.context.deadline, error);
    if (outcome != LH_OK)
        return outcome;
    vars.set = atomic_load(&store->topology) == LH_TOPOLOGY_SET;
    if (!o.whole && lh_pipeline_has_short(o.op, &vars)) {
        outcome = run_short(store, &o, &vars, reply, error);
        if (outcome != LH_OK || is_settled(&o, reply)) {
            note_document(store, vars.key, reply);
            return outcome;
        }
    }
    outcome = run_form(store, &o, true, reply, error);
    /* a reply is only read if it has a document and nothing failed */
    lh_assert(outcome == LH_OK ? reply->there || !reply->mine.holds : !reply->there);
    if (!vars.by_id)
        note_document(store, vars.key, reply);
    if (outcome == LH_OK && reply->there)
        lh_doc_each_grant(&reply->document, tell_granted, &(granting){store, vars.me});
    return outcome;
}
