/* SPDX-License-Identifier: Apache-2.0
 * Renewing what a store holds: up to 1,000 leases a command, at a third of the ttl.
 *
 * A batch says how many it matched. When that is all, each of them goes on from before the send; when it is short, one read at
 * majority says which hold: what holds and has not ended was matched, because a lease that had ended when the batch came is
 * extended by nobody. Short and long ttls travel apart: a command may take no longer than a third of the ttl allows. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "keeper.h"
#include "lease_look.h"
#include "pipeline_batch.h"

#define BATCH_MAX    1000
#define SHORT_TTL_MS 6000
#define PATIENCE_MS  1000 /* for a command, at least: a batch takes its time */
#define RETRY_MS     1000

typedef struct {
    lh_lease *leases[BATCH_MAX];
    lh_batch_lease what[BATCH_MAX];
    int64_t tokens[BATCH_MAX];
    int64_t ends[BATCH_MAX]; /* as looked up; 0: it does not hold */
    size_t n;
    int64_t shortest_ttl_ms;
} batch;

/* With the store's lock. */
static void add_locked(batch *b, lh_lease *lease)
{
    pthread_mutex_lock(&lease->lock);
    bool over = lease->over;
    int64_t ttl_ms = lease->ttl_ms, token = lease->token;
    pthread_mutex_unlock(&lease->lock);
    if (over || (b->n > 0 && (ttl_ms < SHORT_TTL_MS) != (b->shortest_ttl_ms < SHORT_TTL_MS)))
        return;
    if (b->n == 0 || ttl_ms < b->shortest_ttl_ms)
        b->shortest_ttl_ms = ttl_ms;
    b->tokens[b->n] = token;
    b->ends[b->n] = 0;
    b->what[b->n] =
        (lh_batch_lease){.key = lease->key, .id = lease->id, .ttl_ms = ttl_ms, .shared = lease->mode == LH_SHARED};
    b->leases[b->n++] = lh_lease_ref(lease);
    lease->renew_at = INT64_MAX; /* until this batch says when */
}

/* What is due, and what is nearly so, so that it needs no command of its own. Returns when the next is due. */
static int64_t collect(lh_store *store, int64_t now, batch *b)
{
    int64_t next = INT64_MAX;
    b->n = 0;
    pthread_mutex_lock(&store->lock);
    for (lh_lease *lease = store->held; lease && b->n < BATCH_MAX; lease = lease->next)
        if (lease->renew_at <= now)
            add_locked(b, lease);
    for (lh_lease *lease = store->held; lease; lease = lease->next) {
        if (b->n > 0 && b->n < BATCH_MAX && lease->renew_at != INT64_MAX &&
            lease->renew_at <= now + b->shortest_ttl_ms / 20)
            add_locked(b, lease);
        if (lease->renew_at < next)
            next = lease->renew_at;
    }
    pthread_mutex_unlock(&store->lock);
    return next;
}

static int64_t set_next(lh_lease *lease, int64_t at)
{
    pthread_mutex_lock(&lease->store->lock);
    if (at < lease->renew_at)
        lease->renew_at = at;
    pthread_mutex_unlock(&lease->store->lock);
    return at;
}

static void note_holder(void *arg, const lh_grant *grant, int64_t now_ms)
{
    batch *b = arg;
    for (size_t i = 0; i < b->n; i++)
        if (memcmp(b->what[i].id, grant->id, LH_LEASE_ID_LEN) == 0)
            b->ends[i] = grant->expires_at_ms > now_ms && grant->token == b->tokens[i] ? grant->expires_at_ms : 0;
}

static int look(lh_store *store, batch *b, lh_way way)
{
    bson_t keys = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    char room[16];
    const char *index;
    for (size_t i = 0; i < b->n; i++) {
        bson_uint32_to_string((uint32_t)i, &index, room, sizeof room);
        BSON_APPEND_UTF8(&keys, index, b->what[i].key);
        BSON_APPEND_UTF8(&ids, index, b->what[i].id);
    }
    int outcome = lh_lease_look(store, &keys, &ids, &(lh_look){.granted = note_holder, .arg = b}, way, NULL);
    bson_destroy(&keys);
    bson_destroy(&ids);
    return outcome;
}

/* The batch's answer, for one lease; returns when it is due again. */
static int64_t apply(lh_lease *lease, int64_t token, int64_t end, bool all, int64_t sent)
{
    int64_t ttl_ms = lh_lease_ttl_ms(lease);
    if (!all && end == 0) {
        lh_lease_lose(lease);
        return INT64_MAX;
    }
    /* Not told by the batch: as much later as this command was sent. It is for people. */
    if (end == 0)
        end = lh_lease_expires_at_ms(lease) + ttl_ms - lh_lease_remaining_ms(lease) - LH_DRIFT_MS(ttl_ms);
    if (!lh_lease_extend(lease, token, ttl_ms, end, sent)) {
        lh_lease_lose(lease);
        return INT64_MAX;
    }
    return lease->by_hand ? INT64_MAX : set_next(lease, lh_keeper_renewal(sent, ttl_ms, lease));
}

static int64_t renew(lh_store *store, batch *b, struct _mongoc_client_t *client)
{
    int64_t next = INT64_MAX, third = b->shortest_ttl_ms / 3;
    lh_way way = {.deadline = lh_clock_ms() + (third > PATIENCE_MS ? third : PATIENCE_MS), .client = client};
    bson_t command = BSON_INITIALIZER, reply;
    int64_t sent = lh_clock_ms(); /* of the first attempt: not later than that of the answered one */
    lh_batch_renew(store->collection, b->what, b->n, &command);
    lh_call call = {.what = "renew the leases", .command = &command, .deadline = way.deadline, .client = client};
    int outcome = lh_store_run(store, &call, &reply, NULL, NULL);
    bool all = outcome == LH_OK && lh_reply_n(&reply) == (int64_t)b->n;
    bool refused = outcome == LH_OK && lh_reply_n(&reply) < 0;
    if (outcome == LH_OK && !all)
        outcome = refused ? LH_SERVER : look(store, b, way);
    for (size_t i = 0; i < b->n; i++) {
        int64_t retry = b->what[i].ttl_ms / 10, at;
        if (outcome == LH_OK)
            at = apply(b->leases[i], b->tokens[i], b->ends[i], all, sent);
        else if (lh_lease_valid(b->leases[i]))
            at = set_next(b->leases[i], lh_clock_ms() + (retry < RETRY_MS ? retry : RETRY_MS));
        else
            lh_lease_lose(b->leases[i]), at = INT64_MAX;
        if (at < next)
            next = at;
        lh_lease_unref(b->leases[i]);
    }
    bson_destroy(&command);
    bson_destroy(&reply);
    return next;
}

int64_t lh_keeper_renew(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    batch *b = malloc(sizeof *b);
    if (!b)
        return now + 100; /* soon: the shortest ttl is a second */
    int64_t next = collect(store, now, b);
    if (b->n > 0) {
        int64_t again = renew(store, b, client);
        if (again < next)
            next = again;
    }
    free(b);
    return next;
}
