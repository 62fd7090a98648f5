/* SPDX-License-Identifier: Apache-2.0
 * Asking once for a lease: one command, and what its answer means.
 *
 * Home of the client's part of invariants 5 (an id is used once) and 6 (who is busy), and with
 * index.h of 9. A duplicate-key error is contention: two first inserts met; it is asked again, and
 * says who holds it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/key.h"
#include "base/name.h"
#include "base/options.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_handle.h"
#include "lease/lease_held.h"
#include "lease/lease_look.h"
#include "lease/lease_note.h"
#include "lease/lease_run.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "store/index.h"
#include "store/store.h"
#include "store/store_refused.h"

#define RACES_MAX          8 /* lost races for a fresh key before it is an error */
#define RETRY_AFTER_CAP_MS 5000
#define CLAIM_MIN_MS       1000
#define CLAIM_MAX_MS       60000

int lh_request_check(lh_request *r, const lh_acquire_options *options)
{
    int outcome = lh_store_check(r->store, r->error);
    if (outcome == LH_OK)
        outcome = lh_key_check(r->key, r->key ? strlen(r->key) : 0, r->error);
    if (outcome == LH_OK)
        outcome = lh_acquire_options_take(&r->o, options, r->error);
    if (outcome == LH_OK)
        outcome = lh_lease_check_ttl(r->o.ttl_ms, r->error);
    if (outcome != LH_OK)
        return outcome;
    if (r->o.mode != LH_EXCLUSIVE && r->o.mode != LH_SHARED)
        return lh_fail(r->error, LH_INVALID, "mode is %d: it must be LH_EXCLUSIVE or LH_SHARED",
                       r->o.mode);
    if (r->o.wait_ms < 0)
        return lh_fail(r->error, LH_INVALID, "wait_ms is negative");
    if (r->o.claim_ms < CLAIM_MIN_MS || r->o.claim_ms > CLAIM_MAX_MS)
        return lh_fail(r->error, LH_INVALID, "claim_ms is %lld: it must be 1,000 to 60,000",
                       (long long)r->o.claim_ms);
    if (r->o.timeout_ms < 0)
        return lh_fail(r->error, LH_INVALID, "timeout_ms is negative");
    bool named = r->o.owner != NULL;
    if (!named)
        r->o.owner = r->store->owner;
    outcome = lh_owner_check("owner", r->o.owner, r->error);
    if (outcome == LH_OK && r->o.purpose)
        outcome =
            lh_text_check("purpose", r->o.purpose, strlen(r->o.purpose), 0, LH_TEXT_MAX, r->error);
    if (outcome == LH_OK && r->o.lease_id)
        outcome = lh_lease_id_check(r->o.lease_id, r->error);
    if (outcome == LH_OK && r->o.path)
        outcome = lh_path_check(r->key, r->error);
    if (outcome == LH_OK && r->o.path && r->o.lease_id && r->o.wait_ms > 0)
        outcome = lh_fail(r->error, LH_INVALID,
                          "a wait for a path may need several lease ids: leave lease_id NULL, or "
                          "set wait_ms to 0");
    if (outcome == LH_OK && r->o.resume && r->o.mode != LH_EXCLUSIVE)
        outcome = lh_fail(r->error, LH_INVALID,
                          "resume is for exclusive leases: a shared lease can have many owners");
    if (outcome == LH_OK && r->o.resume && !named)
        outcome =
            lh_fail(r->error, LH_INVALID,
                    "resume needs an owner in these options: a name that no other instance has");
    int64_t now = lh_clock_ms();
    r->began_us = lh_clock_us();
    r->until = r->o.wait_ms > INT64_MAX - now ? INT64_MAX : now + r->o.wait_ms;
    r->checked = outcome == LH_OK;
    return outcome;
}

int lh_request_draw_id(lh_request *r)
{
    if (r->o.lease_id)
        memcpy(r->id, r->o.lease_id, LH_LEASE_ID_ROOM);
    else
        return lh_lease_id_new(r->id, r->error);
    return LH_OK;
}

/* Not believed: give it back, never ask with this id again. A caller's own id leaves nothing else
 * to ask with. */
static lh_next give_back(lh_request *r, int *ret_outcome, const char *why)
{
    lh_lease_release_id(r->store, r->key, r->id, r->o.ttl_ms, r->context);
    if (!r->o.lease_id && lh_clock_ms() < r->context.deadline)
        return LH_NEXT_NEW_ID;
    *ret_outcome = lh_fail(r->error, LH_REASON_TOO_LATE, "%s", why);
    return LH_NEXT_DONE;
}

static int hand_out(lh_request *r, const lh_mine *mine, int64_t deadline)
{
    lh_assert(atomic_load(&r->store->index_seen) != 0); /* invariant 9 */
    lh_assert(mine->holds && mine->written && mine->mode == r->o.mode);
    int outcome = lh_lease_believe(&(lh_granted){.store = r->store,
                                                 .key = r->key,
                                                 .id = r->id,
                                                 .o = &r->o,
                                                 .deadline = deadline,
                                                 .token = mine->token,
                                                 .expires_at_ms = mine->expires_at_ms,
                                                 .crowded = r->waiting > 0},
                                   &r->lease, r->error);
    if (outcome == LH_MEMORY)
        lh_lease_release_id(r->store, r->key, r->id, r->o.ttl_ms, r->context);
    return outcome;
}

/* The document says that it is mine, by this command or, if its answer was lost, by an earlier
 * attempt. */
static lh_next take(lh_request *r, const bson_t *document, const lh_mine *mine, bool inserted,
                    int64_t sent, int *ret_outcome)
{
    int64_t ttl_ms = mine->ttl_ms < r->o.ttl_ms ? mine->ttl_ms : r->o.ttl_ms;
    int64_t now = lh_clock_ms(), deadline = lh_lease_deadline(sent, lh_lease_lasts(mine, ttl_ms));
    /* Who has a predecessor was not inserted; readers see another reader's. (Who was queued may
     * have been: its document was cleaned away.) */
    bool fresh = mine->first || mine->mode == LH_SHARED;
    bool earlier = !inserted && fresh && (r->asked || mine->acquired_at_ms != mine->now_ms);
    int64_t took_ms = (now - sent) + (mine->now_ms - mine->acquired_at_ms) +
                      (earlier ? r->store->clock_skew_ms : 0);
    if (now >= deadline)
        return give_back(r, ret_outcome,
                         "the reply to the grant came after the lease had ended: try again, or "
                         "with a longer ttl");
    if ((inserted || earlier) && took_ms >= LH_INSERT_BELIEVED_MS)
        return give_back(r, ret_outcome,
                         "the reply to a first grant came too late to be relied on: try again");
    if (inserted || earlier) {
        int64_t age_ms = lh_doc_has_text(document, "_id", r->key) ? LH_INDEX_AGE_MS : 0;
        *ret_outcome = lh_index_require(r->store, age_ms, r->context.deadline, r->error);
        if (*ret_outcome != LH_OK) {
            lh_lease_release_id(r->store, r->key, r->id, r->o.ttl_ms,
                                (lh_context){lh_store_deadline(r->store, 0), r->context.client});
            return LH_NEXT_DONE;
        }
    }
    *ret_outcome = hand_out(r, mine, deadline);
    return LH_NEXT_DONE;
}

static int why_busy(const lh_request *r, const lh_record *record)
{
    const lh_holder *holder = lh_record_holder(record, 0);
    if (record->state == LH_MALFORMED)
        return LH_WHY_MALFORMED;
    if (r->queue && r->place < 0)
        return LH_WHY_FULL_QUEUE;
    if (!holder)
        return LH_WHY_QUEUE;
    if (r->o.mode == LH_EXCLUSIVE || holder->mode == LH_EXCLUSIVE)
        return LH_WHY_HELD;
    return record->holders >= r->store->max_shared ? LH_WHY_FULL : LH_WHY_QUEUE;
}

static int64_t retry_after_ms(const lh_request *r, const lh_holder *holder)
{
    if (!holder || holder->remaining_ms > RETRY_AFTER_CAP_MS)
        return RETRY_AFTER_CAP_MS;
    int64_t ms = holder->remaining_ms + (holder->kept ? 0 : r->store->clock_skew_ms);
    return ms < 10 ? 10 : ms;
}

const char *lh_request_holder_name(const lh_record *record)
{
    const lh_holder *holder = record ? lh_record_holder(record, 0) : NULL;
    if (!holder)
        return "nobody";
    return *holder->owner ? holder->owner : "somebody unnamed";
}

int lh_request_busy(lh_request *r, lh_record *record, int why)
{
    static const char *const sentences[] = {
        [LH_WHY_HELD] = "is held by",
        [LH_WHY_QUEUE] = "has waiters; it is held by",
        [LH_WHY_MALFORMED] = "has a document that cannot be read, which counts as held by",
        [LH_WHY_FULL] = "has as many shared holders as are allowed; one is",
        [LH_WHY_RACE] = "has many callers at once; it is held by",
        [LH_WHY_FULL_QUEUE] = "has as many waiters as are allowed; it is held by",
        [LH_WHY_PATH] = "is excluded by a lease above or below it, of"};
    if (!record)
        return lh_fail_memory(r->error);
    const lh_holder *holder = lh_record_holder(record, 0);
    record->why = why;
    record->retry_after_ms = retry_after_ms(r, holder);
    lh_record_free(r->busy);
    r->busy = record;
    return lh_fail(r->error, LH_REASON_HELD - LH_WHY_HELD + why, "\"%s\" %s %s", r->key,
                   sentences[why], lh_request_holder_name(record));
}

static lh_next judge_reply(lh_request *r, const lh_reply *reply, int *ret_outcome)
{
    const bson_t *document = &reply->document;
    const lh_mine *mine = &reply->mine;
    bson_iter_t top, existing;
    bool inserted = bson_iter_init(&top, &reply->bson) &&
                    bson_iter_find_descendant(&top, "lastErrorObject.updatedExisting", &existing) &&
                    !bson_iter_bool(&existing);
    if (mine->holds && mine->mode != r->o.mode) {
        *ret_outcome = lh_fail(
            r->error, LH_INVALID,
            "this lease id already holds the key as %s, which cannot be changed: release it first",
            mine->mode == LH_SHARED ? "one of several that share it" : "its exclusive holder");
        return LH_NEXT_DONE;
    }
    r->place = lh_doc_place(document);
    r->waiting = lh_doc_waiting(document);
    if (mine->holds && mine->written) {
        lh_next then = take(r, document, mine, inserted, reply->sent, ret_outcome);
        if (r->lease)
            lh_lease_hear_note(r->lease, document);
        return then;
    }
    if (mine->holds || mine->lapsed) /* granted by an attempt whose answer was lost long ago */
        return give_back(
            r, ret_outcome,
            "the lease ended before the reply to its grant came: try again, or with a longer ttl");
    if (mine->released) {
        *ret_outcome = lh_fail(r->error, LH_REASON_ID_USED,
                               "this lease id was used before: use each id for one lease only");
        return r->o.lease_id ? LH_NEXT_DONE : LH_NEXT_NEW_ID;
    }
    lh_record *record = lh_doc_reply_record(document, r->store->clock_skew_ms);
    *ret_outcome = lh_request_busy(r, record, record ? why_busy(r, record) : 0);
    return LH_NEXT_DONE;
}

/* The field that E11000 is about; "workspace_id" where the server does not say. */
static const char *duplicate_field(const bson_t *reply)
{
    bson_iter_t pattern, field;
    if (!bson_iter_init_find(&pattern, reply, "keyPattern") ||
        !BSON_ITER_HOLDS_DOCUMENT(&pattern) || !bson_iter_recurse(&pattern, &field) ||
        !bson_iter_next(&field))
        return "workspace_id";
    return bson_iter_key(&field);
}

/* On the key, or on _id (which is the key), somebody else inserted first: *ret_by_id says which. On
 * anything else the collection has a unique index of its own. */
static lh_next judge_failure(lh_request *r, int outcome, int server_code, const bson_t *reply,
                             bool *ret_by_id, int *ret_outcome)
{
    *ret_outcome = outcome;
    if (outcome == LH_UNKNOWN && !r->queue) { /* who waits asks again with this id, or leaves */
        lh_held_doubt(r->store, r->key, r->id, r->o.ttl_ms, false);
        if (r->error)
            memcpy(r->error->lease_id, r->id, LH_LEASE_ID_ROOM);
    }
    if (outcome != LH_SERVER || server_code != LH_MONGO_DUPLICATE_KEY)
        return LH_NEXT_DONE;
    const char *field = duplicate_field(reply);
    *ret_by_id = strcmp(field, "_id") == 0;
    if (*ret_by_id || strcmp(field, "workspace_id") == 0)
        return LH_NEXT_RACE;
    *ret_outcome = lh_fail(r->error, LH_REASON_OTHER_INDEX,
                           "%s.%s has a unique index on other fields than workspace_id, which "
                           "prevents new leases: drop that index",
                           r->store->db, r->store->collection);
    return LH_NEXT_DONE;
}

/* One command; `doc_id` NULL: a document that it inserts has the key for its _id. *ret_by_id: it
 * lost a race for that _id. */
static lh_next ask(lh_request *r, const bson_oid_t *doc_id, bool *ret_by_id, int *ret_outcome)
{
    lh_reply reply;
    lh_error mine = LH_ERROR_INIT;
    lh_vars vars = lh_lease_vars(r->store, r->key, r->id);
    vars.owner = r->o.owner;
    vars.purpose = r->o.purpose;
    vars.ttl_ms = r->o.ttl_ms;
    vars.doc_id = doc_id;
    if (r->o.lease_id) { /* whoever recorded it may go on with it when this process has died */
        vars.proc[0] = '\0';
        vars.foreign = true;
    }
    lh_op op = r->o.mode == LH_SHARED ? LH_OP_ACQUIRE_SHARED
               : r->o.resume          ? LH_OP_RESUME
                                      : LH_OP_ACQUIRE_EXCLUSIVE;
    if (r->queue) {
        op = r->o.mode == LH_SHARED ? LH_OP_WAIT_SHARED : LH_OP_WAIT_EXCLUSIVE;
        vars.claim_ms = lh_request_claim_ms(&r->o);
        vars.beat = r->beat;
        vars.max_waiters = r->store->max_waiters;
    }
    int outcome = lh_lease_run(r->store, &(lh_operation){op, doc_id != NULL, &vars, r->context},
                               &reply, &mine);
    r->maybe |= reply.maybe || outcome == LH_UNKNOWN;
    r->asked |= r->maybe;
    lh_next then = LH_NEXT_DONE;
    if (outcome == LH_OK && reply.there) {
        then = judge_reply(r, &reply, ret_outcome);
    } else if (outcome == LH_OK) {
        *ret_outcome = lh_fail(r->error, LH_BUG, "the server's reply to an upsert has no document");
    } else {
        lh_error_give(r->error, &mine);
        then = judge_failure(r, outcome, mine.server_code, &reply.bson, ret_by_id, ret_outcome);
    }
    bson_destroy(&reply.bson);
    return then;
}

/* Does another key's document have this key for its _id? (A workspace was renamed in place.) Then
 * no insert with it can ever succeed. */
static bool is_id_taken(lh_request *r)
{
    lh_record *other;
    bool taken = lh_lease_look_other(r->store, r->key, r->context, &other, NULL) == LH_OK && other;
    lh_record_free(other);
    return taken;
}

lh_next lh_request_ask(lh_request *r, int *ret_outcome)
{
    bool by_id = false;
    bson_oid_t doc_id;
    lh_assert(strlen(r->id) == LH_LEASE_ID_LEN && !r->lease && r->o.owner);
    r->maybe = false;
    lh_next then = ask(r, NULL, &by_id, ret_outcome);
    if (then != LH_NEXT_RACE || !by_id || !is_id_taken(r))
        return then;
    bson_oid_init(&doc_id, NULL);
    return ask(r, &doc_id, &by_id, ret_outcome);
}

/* Lost every race for a fresh key: say who holds it now. */
static int tell_race(lh_request *r)
{
    lh_record *record;
    if (r->asked) /* an attempt that was not answered may win one still */
        lh_held_doubt(r->store, r->key, r->id, r->o.ttl_ms, false);
    int outcome = lh_status(r->store, r->key, &record, r->error);
    return outcome == LH_OK ? lh_request_busy(r, record, LH_WHY_RACE) : outcome;
}

int64_t lh_request_claim_ms(const lh_acquire_options *o)
{
    return o->claim_ms < o->ttl_ms ? o->claim_ms : o->ttl_ms;
}

int lh_request_run(lh_request *r)
{
    lh_assert(r->checked && !r->queue && r->context.deadline != 0);
    int outcome = lh_index_require(r->store, INT64_MAX, r->context.deadline, r->error);
    if (outcome == LH_OK)
        outcome = lh_request_draw_id(r);
    if (outcome != LH_OK)
        return outcome;
    lh_backoff pause = lh_backoff_from(2, 50, (uint64_t)lh_clock_ms() ^ (uintptr_t)r);
    for (int races = 0;;) {
        switch (lh_request_ask(r, &outcome)) {
        case LH_NEXT_DONE:
            return outcome;
        case LH_NEXT_NEW_ID:
            r->asked = false;
            if ((outcome = lh_request_draw_id(r)) != LH_OK)
                return outcome;
            break;
        case LH_NEXT_RACE:
            if (++races == RACES_MAX)
                return tell_race(r);
            lh_clock_sleep(lh_backoff_next(&pause));
            break;
        }
    }
}
