/* SPDX-License-Identifier: Apache-2.0
 * Acquires a path. Home of this rule: of two leases, one above the other and at least one
 * exclusive, only one is returned to a caller.
 *
 * An acquire of a path takes its own key first, like any key. Then it looks at the keys above and
 * below, with a linearizable read, which sees every grant acknowledged before the read was sent. Of
 * two such acquires, at least one has its grant acknowledged before the other looks. So at least
 * one sees the other, and returns no lease. For this each grant must stand from its write until
 * after its look: the lease is returned only if its deadline has not passed by then.
 *
 * Two acquires that see each other must not both yield for ever. The upper one keeps its key and
 * waits until the leases below have ended; meanwhile no new lease below is returned. The lower one
 * releases its key before it waits. So an acquire that holds a key while it waits, waits only for
 * keys below, and no circle forms. */
#include "acquire/path.h"

#include <string.h>

#include "acquire/acquire_key.h"
#include "acquire/wait.h"
#include "base/assert.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "protocol/pipeline.h"
#include "store/store.h"
#include "store/store_run.h"

/* keys in one look: the server's planning time grows faster than their number */
#define LOOK_MAX       25
#define PAUSE_FIRST_MS 10
#define PAUSE_CAP_MS   250

/* ---- Looking ----------------------------------------------------------------------------------*/

/* workspace_id: {$in: [what is above each key]}: org and org/project of org/project/file. */
static void append_above(bson_t *branches, const char *const *keys, size_t n)
{
    bson_t branch, in, array;
    uint32_t count = 0;
    BSON_APPEND_DOCUMENT_BEGIN(branches, "0", &branch);
    BSON_APPEND_DOCUMENT_BEGIN(&branch, "workspace_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &array);
    for (size_t i = 0; i < n; i++)
        for (const char *slash = strchr(keys[i], '/'); slash; slash = strchr(slash + 1, '/'))
            lh_doc_append_text(&array, &count, keys[i], (size_t)(slash - keys[i]));
    bson_append_array_end(&in, &array);
    bson_append_document_end(&branch, &in);
    bson_append_document_end(branches, &branch);
}

/* workspace_id: {$gte: "org/", $lt: "org0"}: '0' comes behind '/'. */
static void append_below(bson_t *branches, uint32_t at, const char *key)
{
    char room[16], from[LH_KEY_MAX + 2], to[LH_KEY_MAX + 2];
    const char *index;
    size_t len = strlen(key);
    memcpy(from, key, len);
    memcpy(from + len, "/", 2);
    memcpy(to, key, len);
    memcpy(to + len, "0", 2);
    bson_t branch, range;
    bson_uint32_to_string(at, &index, room, sizeof room);
    BSON_APPEND_DOCUMENT_BEGIN(branches, index, &branch);
    BSON_APPEND_DOCUMENT_BEGIN(&branch, "workspace_id", &range);
    BSON_APPEND_UTF8(&range, "$gte", from);
    BSON_APPEND_UTF8(&range, "$lt", to);
    bson_append_document_end(&branch, &range);
    bson_append_document_end(branches, &branch);
}

static void append_not_mine(bson_t *where, const char *const *keys, size_t n)
{
    bson_t nin, array;
    uint32_t count = 0;
    BSON_APPEND_DOCUMENT_BEGIN(where, "workspace_id", &nin);
    BSON_APPEND_ARRAY_BEGIN(&nin, "$nin", &array);
    for (size_t i = 0; i < n; i++)
        lh_doc_append_text(&array, &count, keys[i], strlen(keys[i]));
    bson_append_array_end(&nin, &array);
    bson_append_document_end(where, &nin);
}

/* `where`: above or below one of `keys`. */
static int look_at(lh_store *store, const lh_path_query *query, const bson_t *where,
                   lh_record **ret_conflict, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, reply, document;
    lh_vars vars = lh_lease_vars(store, "", "");
    lh_pipeline_conflict(store->pipelines, store->collection, &vars, query->mode == LH_SHARED,
                         where, &command);
    lh_call call = {.what = "read the keys above and below",
                    .command = &command,
                    .deadline = query->deadline,
                    .kind = query->surely ? LH_CALL_READ_SURELY : LH_CALL_READ};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    if (outcome == LH_OK && lh_reply_first(&reply, &document)) {
        *ret_conflict = lh_doc_reply_record(&document, store->clock_skew_ms);
        if (!*ret_conflict)
            outcome = lh_fail_memory(error);
    }
    bson_destroy(&reply);
    bson_destroy(&command);
    return outcome;
}

int lh_path_look(lh_store *store, const lh_path_query *query, lh_record **ret_conflict,
                 lh_error *error)
{
    const char *const *keys = query->keys;
    size_t n = query->n;
    int outcome = LH_OK;
    lh_record *conflict = NULL;
    for (size_t from = 0; outcome == LH_OK && !conflict && from < n; from += LOOK_MAX) {
        size_t len = n - from < LOOK_MAX ? n - from : LOOK_MAX;
        bson_t where = BSON_INITIALIZER, branches;
        BSON_APPEND_ARRAY_BEGIN(&where, "$or", &branches);
        append_above(&branches, keys + from, len);
        for (size_t i = 0; i < len; i++)
            append_below(&branches, (uint32_t)i + 1, keys[from + i]);
        bson_append_array_end(&where, &branches);
        if (n > 1) /* one is neither above nor below itself */
            append_not_mine(&where, keys, n);
        outcome = look_at(store, query, &where, &conflict, error);
        bson_destroy(&where);
    }
    if (outcome == LH_OK)
        *ret_conflict = conflict;
    return outcome;
}

int lh_path_busy(lh_request *r, lh_record *conflict)
{
    int outcome = lh_request_busy(r, conflict, LH_WHY_PATH);
    return lh_fail(r->error, outcome == LH_BUSY ? LH_REASON_PATH : outcome,
                   "\"%s\" is excluded by the lease on \"%s\", which %s holds", r->key,
                   conflict->key, lh_request_holder_name(conflict));
}

/* ---- Acquiring --------------------------------------------------------------------------------*/

typedef struct {
    lh_request *r;   /* its `busy` is the last conflict seen */
    lh_lease *lease; /* on the own key, not returned to the caller yet */
} climb;

static int64_t left_ms(const climb *c)
{
    int64_t now = lh_clock_ms(), until = c->r->until;
    return until == INT64_MAX ? LH_FOREVER : until > now ? until - now : 0;
}

static bool is_above(const climb *c)
{
    return c->r->busy && strlen(c->r->busy->key) < strlen(c->r->key);
}

/* LH_OK: it is no longer held. */
static int let_go(climb *c)
{
    lh_request *r = c->r;
    if (!c->lease)
        return LH_OK;
    int left = lh_lease_give_back(c->lease, r->o.timeout_ms);
    memcpy(r->id, c->lease->id, LH_LEASE_ID_ROOM);
    lh_lease_free(c->lease);
    c->lease = NULL;
    return left;
}

static int take_own(climb *c)
{
    lh_request *r = c->r;
    lh_record *busy = NULL;
    lh_request own = {.store = r->store,
                      .key = r->key,
                      .o = r->o,
                      .checked = r->checked,
                      .until = r->until,
                      .error = r->error};
    own.o.path = false;
    own.o.wait_ms = r->o.wait_ms > 0 ? left_ms(c) : 0;
    if (r->o.wait_ms > 0)
        own.o.by_hand = false; /* until it is returned to the caller */
    int outcome = lh_acquire_key(&own, &c->lease, &busy);
    r->o.resume = false;
    if (outcome == LH_BUSY) {
        lh_record_free(r->busy);
        r->busy = busy;
    }
    return outcome;
}

/* r->busy: the conflict, or NULL. */
static int look(climb *c, bool surely)
{
    lh_request *r = c->r;
    lh_record *conflict = NULL;
    lh_path_query query = {.keys = &r->key,
                           .n = 1,
                           .mode = r->o.mode,
                           .surely = surely,
                           .deadline = lh_store_deadline(r->store, r->o.timeout_ms)};
    int outcome = lh_path_look(r->store, &query, &conflict, r->error);
    lh_record_free(r->busy);
    r->busy = NULL;
    if (outcome != LH_OK || !conflict)
        return outcome;
    return lh_path_busy(r, conflict);
}

/* Looks again until there is no conflict (LH_OK), or, with a key in hand, until there is one
 * above. */
static int await_clear(climb *c)
{
    lh_request *r = c->r;
    lh_backoff pause =
        lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)c);
    for (;;) {
        int64_t ms = lh_backoff_next(&pause), left = left_ms(c);
        if (left == 0)
            return lh_fail(r->error, LH_REASON_TIMEOUT,
                           "the wait is over: a path above or below \"%s\" is still held", r->key);
        int outcome = lh_wait_pause(r->store, r->o.cancel, ms < left ? ms : left, r->error);
        if (outcome != LH_OK)
            return outcome;
        outcome = look(c, false);
        if (outcome != LH_BUSY || (c->lease && (is_above(c) || !lh_lease_believed(c->lease))))
            return outcome == LH_BUSY ? LH_OK : outcome;
    }
}

/* The own key is in hand. LH_OK with c->lease: no conflict. LH_OK without: the key was released,
 * and may be asked for again. */
static int settle(climb *c)
{
    lh_request *r = c->r;
    for (;;) {
        int outcome = look(c, true);
        bool valid = lh_lease_believed(c->lease);
        if (outcome == LH_OK && valid)
            return LH_OK;
        if (outcome == LH_OK && r->o.wait_ms == 0)
            return lh_fail(r->error, LH_REASON_TOO_LATE,
                           "the lease ended before the keys above and below were read: try again, "
                           "or with a longer ttl");
        if (outcome != LH_OK && (outcome != LH_BUSY || r->o.wait_ms == 0))
            return outcome;
        if (outcome == LH_BUSY && r->o.feedback)
            r->o.feedback(r->o.feedback_arg, r->busy, 0);
        bool yield = !valid || is_above(c);
        if (yield)
            (void)let_go(c);
        if (outcome == LH_BUSY)
            outcome = await_clear(c);
        if (outcome != LH_OK || yield)
            return outcome;
    }
}

static int take_path(climb *c)
{
    int outcome = LH_OK;
    while (outcome == LH_OK && !c->lease) {
        outcome = take_own(c);
        if (outcome == LH_OK)
            outcome = settle(c);
    }
    return outcome;
}

int lh_path_acquire(lh_request *r, lh_lease **ret_lease, lh_record **ret_busy)
{
    climb c = {.r = r};
    lh_assert(r->checked && r->o.path && r->until > 0);
    int outcome = lh_held_enter(r->store, r->error);
    if (outcome != LH_OK)
        return outcome;
    outcome = take_path(&c);
    if (outcome == LH_OK) {
        if (r->o.by_hand)
            lh_held_by_hand(c.lease);
        *ret_lease = c.lease;
    } else if (let_go(&c) != LH_OK &&
               /* it was granted, and its release is not confirmed */
               outcome == LH_UNREACHABLE) {
        outcome = lh_fail(r->error, LH_REASON_NOT_GIVEN_BACK,
                          "the server did not reply when the keys above and below \"%s\" were read",
                          r->key);
        if (r->error)
            memcpy(r->error->lease_id, r->id, LH_LEASE_ID_ROOM);
    }
    lh_assert((outcome == LH_OK) == (c.lease != NULL) && (outcome != LH_OK || !r->busy));
    if (outcome == LH_BUSY && ret_busy) {
        *ret_busy = r->busy;
        r->busy = NULL;
    }
    lh_record_free(r->busy);
    lh_held_exit(r->store);
    return outcome;
}
