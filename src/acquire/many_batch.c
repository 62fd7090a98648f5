/* SPDX-License-Identifier: Apache-2.0
 * The commands for a batch of keys: one update and one read to take them, one update to give them
 * back.
 *
 * The reply to an update has no documents, so it proves no grant. The majority read that follows
 * shows my lease id on a key. The id was drawn for this call, and only this update writes it. So
 * the grant was made after the first send of the update, and is in the majority's history,
 * whichever member answered. Nobody takes over before that send + ttl. A stale read, from a deposed
 * primary, shows the id late or not at all; a key without it is asked for again. The age of the
 * read's reply does not matter: as any grant, this one is believed until its deadline. */
#include "acquire/many_batch.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/keeper.h"
#include "acquire/keeper_renew.h"
#include "acquire/many.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_handle.h"
#include "lease/lease_held.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/pipeline_many.h"
#include "protocol/pipeline_short.h"
#include "store/index.h"
#include "store/store.h"
#include "store/store_run.h"

#define BATCH_MAX 100

typedef struct {
    lh_many *many;
    lh_many_entry *entries;
    size_t n;       /* asked for */
    size_t granted; /* from the first one on, according to the update's reply */
    /* some may be first grants; an earlier attempt may still arrive */
    bool inserted, maybe;
    int64_t sent, answered; /* before the first send */
    struct {
        bool shown;
        int64_t token, expires_at_ms;
    } seen[BATCH_MAX];
} batch;

static int64_t deadline_of(const lh_many *many)
{
    return lh_store_deadline(many->store, many->o.timeout_ms);
}

static lh_vars vars_of(const lh_many *many, const lh_many_entry *entry)
{
    lh_vars vars = lh_lease_vars(many->store, entry->key, entry->id);
    vars.owner = many->o.owner;
    vars.purpose = many->o.purpose;
    vars.ttl_ms = many->o.ttl_ms;
    return vars;
}

typedef struct {
    lh_op op; /* LH_OP_RELEASE, or one that acquires */
    const lh_many_entry *entries;
    size_t n;
    int64_t deadline;
    bool maybe; /* out: an attempt may have been applied, and was not answered */
    lh_error *error;
} sending;

static int send(const lh_many *many, sending *s, bson_t *reply)
{
    lh_store *store = many->store;
    bool acquires = s->op != LH_OP_RELEASE;
    lh_vars vars[BATCH_MAX];
    bson_t command = BSON_INITIALIZER;
    for (size_t i = 0; i < s->n; i++)
        vars[i] = vars_of(many, &s->entries[i]);
    lh_many_command(store->pipelines,
                    &(lh_many_form){.op = s->op,
                                    .whole = !acquires || !lh_pipeline_has_short(s->op, vars),
                                    .stop = acquires,
                                    .collection = store->collection,
                                    .vars = vars,
                                    .n = s->n},
                    &command);
    lh_call call = {.what = acquires ? "acquire the leases" : "release the leases",
                    .operation = acquires ? LH_OPERATION_ACQUIRE : LH_OPERATION_RELEASE,
                    .command = &command,
                    .deadline = s->deadline,
                    .several = s->n > 1};
    int outcome = lh_store_run(store, &call, reply, NULL, s->error);
    s->maybe = call.maybe;
    bson_destroy(&command);
    return outcome;
}

/* LH_OK: none of these lease ids holds a key. (A late command of an earlier attempt may still
 * grant one; nobody believes in it.) Else they are doubts. */
static int leave(const lh_many *many, const lh_many_entry *entries, size_t n, bool maybe,
                 int64_t deadline)
{
    bson_t reply = BSON_INITIALIZER;
    sending s = {.op = LH_OP_RELEASE, .entries = entries, .n = n, .deadline = deadline};
    int outcome = lh_clock_ms() >= deadline ? LH_UNREACHABLE : send(many, &s, &reply);
    if (outcome == LH_OK && lh_reply_n(&reply) < 0)
        outcome = LH_SERVER;
    for (size_t i = 0; (outcome != LH_OK || maybe) && i < n; i++)
        lh_held_doubt(many->store, entries[i].key, entries[i].id, many->o.ttl_ms, true);
    bson_destroy(&reply);
    return outcome;
}

/* The number of grants: all keys, or those before the first writeError. */
static size_t read_granted(const bson_t *reply, size_t n)
{
    bson_iter_t top, index;
    if (!bson_iter_init_find(&top, reply, "writeErrors"))
        return n;
    bool told = bson_iter_init(&top, reply) &&
                bson_iter_find_descendant(&top, "writeErrors.0.index", &index);
    int64_t at = told ? bson_iter_as_int64(&index) : 0;
    return at < 0 || (uint64_t)at > n ? 0 : (size_t)at;
}

static void note_grant(void *arg, const lh_grant *grant, int64_t now_ms)
{
    batch *b = arg;
    for (size_t i = 0; i < b->granted; i++)
        if (grant->expires_at_ms > now_ms &&
            memcmp(b->entries[i].id, grant->id, LH_LEASE_ID_LEN) == 0) {
            b->seen[i].shown = true;
            b->seen[i].token = grant->token;
            b->seen[i].expires_at_ms = grant->expires_at_ms;
        }
}

static int look(batch *b)
{
    bson_t keys = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    uint32_t n_keys = 0, n_ids = 0;
    for (size_t i = 0; i < b->granted; i++) {
        lh_doc_append_text(&keys, &n_keys, b->entries[i].key, strlen(b->entries[i].key));
        lh_doc_append_text(&ids, &n_ids, b->entries[i].id, LH_LEASE_ID_LEN);
    }
    int outcome =
        lh_lease_look(b->many->store, &keys, &ids, &(lh_look){.granted = note_grant, .arg = b},
                      (lh_context){deadline_of(b->many), NULL}, b->many->error);
    bson_destroy(&keys);
    bson_destroy(&ids);
    return outcome;
}

/* True if all of them may be believed. */
static bool is_good(const batch *b)
{
    for (size_t i = 0; i < b->granted; i++)
        if (!b->seen[i].shown)
            return false;
    return b->answered - b->sent < LH_INSERT_BELIEVED_MS || !b->inserted;
}

static int take_in_hand(batch *b, size_t i)
{
    lh_many *many = b->many;
    lh_many_entry *entry = &b->entries[i];
    int64_t ttl_ms = many->o.ttl_ms;
    int outcome = lh_lease_believe(&(lh_granted){.store = many->store,
                                                 .key = entry->key,
                                                 .id = entry->id,
                                                 .o = &many->o,
                                                 .deadline = lh_lease_deadline(b->sent, ttl_ms),
                                                 .token = b->seen[i].token,
                                                 .expires_at_ms = b->seen[i].expires_at_ms},
                                   &entry->lease, many->error);
    if (outcome != LH_OK)
        return outcome;
    lh_lease *lease = entry->lease;
    return lh_keeper_take(
        lease, lease->by_hand ? INT64_MAX : lh_keeper_renewal(b->sent, ttl_ms, lease), many->error);
}

static int send_batch(batch *b)
{
    bson_t reply;
    lh_many *many = b->many;
    lh_op op = many->o.mode == LH_SHARED ? LH_OP_ACQUIRE_SHARED
               : many->o.resume          ? LH_OP_RESUME
                                         : LH_OP_ACQUIRE_EXCLUSIVE;
    b->sent = lh_clock_ms();
    sending s = {.op = op,
                 .entries = b->entries,
                 .n = b->n,
                 .deadline = deadline_of(many),
                 .error = many->error};
    int outcome = send(many, &s, &reply);
    b->answered = lh_clock_ms();
    /* either the whole command was refused, or the statement at which it ended */
    b->maybe = s.maybe || (outcome == LH_SERVER && b->n > 1);
    bson_iter_t upserted;
    b->inserted = b->maybe || bson_iter_init_find(&upserted, &reply, "upserted");
    b->granted = outcome == LH_OK ? read_granted(&reply, b->n) : 0;
    bson_destroy(&reply);
    return outcome;
}

/* Gives back every lease that was, or may have been, granted. None is in hand. */
static int give_back(batch *b, int outcome)
{
    lh_many *many = b->many;
    if (outcome == LH_UNKNOWN) { /* a server that did not answer does not answer a release either */
        for (size_t i = 0; i < b->n; i++)
            lh_held_doubt(many->store, b->entries[i].key, b->entries[i].id, many->o.ttl_ms, false);
        return outcome;
    }
    if (b->granted == 0 && !b->maybe)
        return outcome;
    int left = leave(many, b->entries, b->maybe ? b->n : b->granted, b->maybe, deadline_of(many));
    if (left != LH_OK && (outcome == LH_OK || outcome == LH_UNREACHABLE))
        outcome =
            lh_fail(many->error, LH_REASON_NOT_GIVEN_BACK,
                    "the server may have granted some of the leases, and then stopped responding");
    return outcome;
}

int lh_many_take(lh_many *many, size_t from, size_t *ret_got, size_t *ret_tried)
{
    batch b = {.many = many, .entries = &many->entries[from], .n = many->n - from};
    if (b.n > BATCH_MAX)
        b.n = BATCH_MAX;
    *ret_got = 0;
    *ret_tried = b.n;
    int outcome = LH_OK;
    for (size_t i = 0; i < b.n && outcome == LH_OK; i++)
        outcome = lh_lease_id_new(b.entries[i].id, many->error);
    if (outcome != LH_OK)
        return outcome;
    outcome = send_batch(&b);
    if (outcome == LH_OK && b.granted > 0)
        outcome = look(&b);
    if (outcome == LH_OK && b.granted > 0 && b.inserted)
        outcome = lh_index_require(many->store, LH_INDEX_AGE_MS, deadline_of(many), many->error);
    bool good = outcome == LH_OK && is_good(&b);
    if (outcome == LH_OK && !good) /* ordinary acquires give a better error */
        many->singly = true;
    if (!good)
        return give_back(&b, outcome);
    for (size_t i = 0; outcome == LH_OK && i < b.granted; i++)
        outcome = take_in_hand(&b, i);
    /* the keys behind are asked for again, with other ids */
    if (outcome == LH_OK && b.maybe && b.granted < b.n)
        (void)leave(many, b.entries + b.granted, b.n - b.granted, true, deadline_of(many));
    if (outcome == LH_OK)
        *ret_got = b.granted;
    lh_assert(*ret_got <= *ret_tried && *ret_tried <= many->n - from);
    return outcome == LH_OK ? LH_OK : give_back(&b, outcome);
}

bool lh_many_let_go(lh_many *many)
{
    bool all = true;
    /* for all batches together; leases beyond it become doubts */
    int64_t deadline = deadline_of(many);
    lh_many_entry batch_of[BATCH_MAX];
    size_t n = 0;
    for (size_t i = 0; i < many->n; i++) {
        lh_many_entry *entry = &many->entries[i];
        if (entry->lease) {
            (void)lh_lease_end(entry->lease);
            batch_of[n] = *entry;
            memcpy(batch_of[n++].id, entry->lease->id, LH_LEASE_ID_ROOM);
            lh_lease_free(entry->lease);
            entry->lease = NULL;
        }
        if (n == BATCH_MAX || (i + 1 == many->n && n > 0)) {
            all &= leave(many, batch_of, n, false, deadline) == LH_OK;
            n = 0;
        }
    }
    return all;
}
