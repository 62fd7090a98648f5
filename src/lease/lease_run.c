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

static const char *what_in_words(lh_do what)
{
    switch (what) {
    case LH_DO_ACQUIRE_EXCLUSIVE:
    case LH_DO_ACQUIRE_SHARED:
    case LH_DO_RESUME:
    case LH_DO_WAIT_EXCLUSIVE:
    case LH_DO_WAIT_SHARED:
        return "acquire the lease";
    case LH_DO_RENEW:
        return "renew the lease";
    case LH_DO_LEAVE:
        return "release the lease";
    case LH_DO_TRANSFER:
        return "transfer the lease";
    default:
        return "change the lease";
    }
}

static int operation_of(lh_do what)
{
    switch (what) {
    case LH_DO_ACQUIRE_EXCLUSIVE:
    case LH_DO_ACQUIRE_SHARED:
    case LH_DO_RESUME:
        return LH_OPERATION_ACQUIRE;
    case LH_DO_WAIT_EXCLUSIVE:
    case LH_DO_WAIT_SHARED:
        return LH_OPERATION_WAIT;
    case LH_DO_RENEW:
        return LH_OPERATION_RENEW;
    case LH_DO_LEAVE:
        return LH_OPERATION_RELEASE;
    case LH_DO_TRANSFER:
        return LH_OPERATION_TRANSFER;
    default:
        return LH_OPERATION_OTHER;
    }
}

/* The reply to a findAndModify has the document. That to an update has the numbers of found and
 * changed documents, and the error of its one statement. */
static void read_answer(lh_answer *answer, bool good)
{
    bson_iter_t field;
    answer->there = answer->wrote = answer->found = false;
    for (bool more = good && bson_iter_init(&field, &answer->reply);
         more && bson_iter_next(&field);) {
        const char *name = bson_iter_key(&field);
        if (strcmp(name, "value") == 0 && BSON_ITER_HOLDS_DOCUMENT(&field)) {
            const uint8_t *data;
            uint32_t len;
            bson_iter_document(&field, &len, &data);
            answer->there = answer->found = bson_init_static(&answer->document, data, len);
        } else if (strcmp(name, "n") == 0) {
            answer->found = bson_iter_as_int64(&field) > 0;
        } else if (strcmp(name, "nModified") == 0) {
            answer->wrote = bson_iter_as_int64(&field) > 0;
        } else if (strcmp(name, "writeErrors") == 0) {
            lh_refusal why;
            answer->maybe |= lh_store_write_error(&answer->reply, 0, &why) &&
                             lh_store_code_kind(why.code) == LH_CODE_OPEN;
        }
    }
}

static int run_form(lh_store *store, lh_do what, bool whole, const lh_vars *vars, lh_way way,
                    lh_answer *answer, lh_error *error)
{
    bson_t command = BSON_INITIALIZER;
    lh_pipeline_command(store->pipelines, what, whole, store->collection, vars, &command);
    lh_call call = {.what = what_in_words(what),
                    .operation = operation_of(what),
                    .key = vars->by_id ? NULL : vars->key,
                    .command = &command,
                    .deadline = way.deadline,
                    .client = way.client,
                    .maybe = answer->maybe};
    bson_destroy(&answer->reply);
    int outcome = lh_store_run(store, &call, &answer->reply, &answer->sent, error);
    answer->maybe = call.maybe;
    bson_destroy(&command);
    read_answer(answer, outcome == LH_OK);
    if (answer->there)
        lh_doc_mine(&answer->document, vars->me, &answer->mine);
    else
        answer->mine = (lh_mine){0};
    return outcome;
}

/* True if the short form's reply settles the operation: it did what was asked, or the whole form
 * would not do it either. */
static bool is_settled(lh_do what, const lh_vars *vars, lh_answer *answer)
{
    const lh_mine *mine = &answer->mine;
    if (what != LH_DO_ACQUIRE_EXCLUSIVE)
        return answer->wrote;
    if (!answer->there)
        return true;
    /* an earlier attempt may have been applied: the whole form has to confirm that */
    answer->maybe |= mine->holds && !mine->written;
    return mine->holds ? mine->written : lh_doc_is_held_alone(&answer->document, vars->grace_ms);
}

/* The short form; by the _id first if the key is known to be the _id. */
static int run_short(lh_store *store, lh_do what, lh_vars *vars, lh_way way, lh_answer *answer,
                     lh_error *error)
{
    vars->own = lh_known_has(store->held->known, vars->key);
    int outcome = run_form(store, what, false, vars, way, answer, error);
    if (outcome != LH_OK || !vars->own)
        return outcome;
    if (answer->found &&
        (!answer->there || lh_doc_has_text(&answer->document, "workspace_id", vars->key)))
        return outcome;
    lh_known_note(store->held->known, vars->key, false);
    vars->own = answer->there = false;
    return what == LH_DO_ACQUIRE_EXCLUSIVE ? run_form(store, what, false, vars, way, answer, error)
                                           : outcome;
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
static void note_document(lh_store *store, const char *key, const lh_answer *answer)
{
    if (!answer->there)
        return;
    lh_known_note(store->held->known, key, lh_doc_has_text(&answer->document, "_id", key));
    lh_lease_hear_time(store, &answer->document, answer->sent);
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

int lh_lease_run(lh_store *store, lh_do what, bool whole, const lh_vars *vars, lh_way way,
                 lh_answer *answer, lh_error *error)
{
    lh_assert(strlen(vars->me) == LH_LEASE_ID_LEN && (vars->by_id || *vars->key));
    *answer = (lh_answer){0};
    bson_init(&answer->reply);
    int outcome = LH_OK;
    /* the first contact tells which clock tokens come from */
    if (atomic_load(&store->topology) == LH_TOPOLOGY_UNKNOWN)
        outcome = lh_store_contact(store, way.deadline, error);
    if (outcome != LH_OK)
        return outcome;
    lh_vars all = *vars;
    all.set = atomic_load(&store->topology) == LH_TOPOLOGY_SET;
    if (!whole && lh_pipeline_has_short(what, &all)) {
        outcome = run_short(store, what, &all, way, answer, error);
        if (outcome != LH_OK || is_settled(what, &all, answer)) {
            note_document(store, vars->key, answer);
            return outcome;
        }
    }
    outcome = run_form(store, what, true, &all, way, answer, error);
    /* a reply is only read if it has a document and nothing failed */
    lh_assert(outcome == LH_OK ? answer->there || !answer->mine.holds : !answer->there);
    if (!vars->by_id)
        note_document(store, vars->key, answer);
    if (outcome == LH_OK && answer->there)
        lh_doc_each_grant(&answer->document, tell_granted, &(granting){store, vars->me});
    return outcome;
}
