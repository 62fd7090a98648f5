/* SPDX-License-Identifier: Apache-2.0
 * Renews the store's leases: up to 1,000 in a command, at a third of the ttl.
 *
 * The reply to a batch has the number of matches. If all matched, each lease is extended from
 * before the send. If not, one majority read shows which leases hold. A lease that holds and has
 * not ended was matched, because no command extends a lease that had ended when the batch arrived.
 * Leases with short and long ttls travel in separate commands: a command may take no longer than a
 * third of the ttl. */
#include "acquire/keeper_renew.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/keeper.h"
#include "base/clock.h"
#include "base/due.h"
#include "lease/lease.h"
#include "lease/lease_handle.h"
#include "lease/lease_look.h"
#include "protocol/doc.h"
#include "protocol/pipeline_batch.h"
#include "store/store_run.h"

#define BATCH_MAX    1000
#define SHORT_TTL_MS 6000
#define PATIENCE_MS  1000 /* the least time for a command: a large batch needs it */
#define RETRY_MS     1000

typedef struct {
    lh_lease *leases[BATCH_MAX];
    lh_batch_lease what[BATCH_MAX];
    int64_t ends[BATCH_MAX]; /* as the look found it; 0: it does not hold */
    size_t n;
    int64_t shortest_ttl_ms;
} batch;

int64_t lh_keeper_renewal(int64_t sent, int64_t ttl_ms, const void *salt)
{
    int64_t spread = ttl_ms / 15 + 1;
    return sent + ttl_ms / 3 -
           (int64_t)(((uintptr_t)salt >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 33) % spread;
}

/* With the lock of `held`. The lease is not due again before this batch is over. */
static void add_locked(batch *b, lh_lease *lease)
{
    pthread_mutex_lock(&lease->lock);
    bool over = lease->over;
    int64_t ttl_ms = lease->ttl_ms, token = lease->token;
    pthread_mutex_unlock(&lease->lock);
    lh_due_set(&lease->store->held->renewals[lease->hurried], &lease->renewal, INT64_MAX);
    if (over)
        return;
    if (b->n == 0 || ttl_ms < b->shortest_ttl_ms)
        b->shortest_ttl_ms = ttl_ms;
    b->ends[b->n] = 0;
    b->what[b->n] = (lh_batch_lease){.key = lease->key,
                                     .id = lease->id,
                                     .ttl_ms = ttl_ms,
                                     .shared = lease->mode == LH_SHARED,
                                     .token = token};
    b->leases[b->n++] = lh_lease_ref(lease);
}

/* The class of ttls that is due first. With the lock of `held`. */
static lh_due **first_locked(lh_store *store)
{
    return &store->held->renewals[lh_due_next(store->held->renewals[1]) <
                                  lh_due_next(store->held->renewals[0])];
}

/* The leases that are due, and those that soon are, so that they need no command of their own.
 * NULL: none is due, or there is no memory. *ret_next: when the next one is due. */
static batch *collect(lh_store *store, int64_t now, int64_t *ret_next)
{
    batch *b = NULL;
    pthread_mutex_lock(&store->held->lock);
    lh_due **heap = first_locked(store);
    bool due = lh_due_next(*heap) <= now;
    if (due && (b = malloc(sizeof *b)))
        for (b->n = 0, b->shortest_ttl_ms = 0;
             b->n < BATCH_MAX && lh_due_next(*heap) <= now + b->shortest_ttl_ms / 20;)
            add_locked(b, lh_due_of(*heap, lh_lease, renewal));
    *ret_next = due && !b ? now + RETRY_MS : lh_due_next(*first_locked(store));
    pthread_mutex_unlock(&store->held->lock);
    return b;
}

void lh_keeper_plan(lh_lease *lease, int64_t at)
{
    lh_store *store = lease->store;
    int64_t ttl_ms = lh_lease_ttl_ms(lease);
    pthread_mutex_lock(&store->held->lock);
    /* while the batch was under way it may have become due sooner */
    if (lease->held && at < lease->renewal.at) {
        lh_due_set(&store->held->renewals[lease->hurried], &lease->renewal, INT64_MAX);
        lease->hurried = ttl_ms < SHORT_TTL_MS;
        lh_due_set(&store->held->renewals[lease->hurried], &lease->renewal, at);
    }
    pthread_mutex_unlock(&store->held->lock);
}

static void note_holder(void *arg, const lh_grant *grant, int64_t now_ms)
{
    batch *b = arg;
    for (size_t i = 0; i < b->n; i++)
        if (memcmp(b->what[i].id, grant->id, LH_LEASE_ID_LEN) == 0)
            b->ends[i] = grant->expires_at_ms > now_ms && grant->token == b->what[i].token
                             ? grant->expires_at_ms
                             : 0;
}

/* Looks at the leases from `from` to `to`. */
static int look(lh_store *store, batch *b, size_t from, size_t to, lh_context context)
{
    bson_t keys = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    uint32_t n_keys = 0, n_ids = 0;
    for (size_t i = from; i < to; i++) {
        lh_doc_append_text(&keys, &n_keys, b->what[i].key, strlen(b->what[i].key));
        lh_doc_append_text(&ids, &n_ids, b->what[i].id, LH_LEASE_ID_LEN);
    }
    int outcome = lh_lease_look(store, &keys, &ids, &(lh_look){.granted = note_holder, .arg = b},
                                context, NULL);
    bson_destroy(&keys);
    bson_destroy(&ids);
    return outcome;
}

/* Applies the reply to one lease. Its ttl may have changed since; it was extended by the ttl
 * that was sent. */
static void apply(lh_lease *lease, const lh_batch_lease *asked, int64_t end, bool all, int64_t sent)
{
    int64_t ttl_ms = lh_lease_ttl_ms(lease);
    if (ttl_ms > asked->ttl_ms)
        sent -= ttl_ms - asked->ttl_ms;
    if (!all && end == 0) {
        lh_lease_lose(lease);
        return;
    }
    if (end == 0)
        end = lh_lease_expires_after(lease->store, ttl_ms, sent);
    lh_renewed renewed = {.sent = sent,
                          .lasts_ms = ttl_ms,
                          .token = asked->token,
                          .ttl_ms = ttl_ms,
                          .expires_at_ms = end};
    if (!lh_lease_extend(lease, &renewed)) {
        lh_lease_lose(lease);
        return;
    }
    atomic_store(&lease->unclaimed, false);
    if (!lease->by_hand)
        lh_keeper_plan(lease, lh_keeper_renewal(sent, ttl_ms, lease));
}

/* Applies the reply to the leases from `from` to `to`. */
static void hear(batch *b, size_t from, size_t to, int outcome, bool all, int64_t sent)
{
    for (size_t i = from; i < to; i++) {
        int64_t retry = b->what[i].ttl_ms / 10;
        if (outcome == LH_OK)
            apply(b->leases[i], &b->what[i], b->ends[i], all, sent);
        else if (lh_lease_believed(b->leases[i]))
            lh_keeper_plan(b->leases[i], lh_clock_ms() + (retry < RETRY_MS ? retry : RETRY_MS));
        else
            lh_lease_lose(b->leases[i]);
        lh_lease_unref(b->leases[i]);
    }
}

/* If the server refuses the change of one document (a validator that came later), its statement
 * ends, and the documents behind it are not extended. A document that cannot be read prevents
 * the whole command from being sent again. So the batch is halved until that document stands
 * alone. */
static void renew(lh_store *store, batch *b, size_t from, size_t to,
                  struct _mongoc_client_t *client)
{
    int64_t third = b->shortest_ttl_ms / 3;
    lh_context context = {.deadline = lh_clock_ms() + (third > PATIENCE_MS ? third : PATIENCE_MS),
                          .client = client};
    bson_t command = BSON_INITIALIZER, reply;
    /* of the first attempt, which is not later than the answered one */
    int64_t sent = lh_clock_ms(), began_us = lh_clock_us();
    lh_batch_renew(store->collection, b->what + from, to - from, &command);
    lh_error why = LH_ERROR_INIT;
    lh_call call = {.what = "renew the leases",
                    .operation = LH_OPERATION_RENEW,
                    .command = &command,
                    .deadline = context.deadline,
                    .client = client};
    int outcome = lh_store_run(store, &call, &reply, NULL, store->log.fn ? &why : NULL);
    int64_t n = outcome == LH_OK ? lh_reply_n(&reply) : -1;
    bson_destroy(&command);
    bson_destroy(&reply);
    if (((outcome == LH_OK && n < 0) || outcome == LH_DATA) && to - from > 1) {
        renew(store, b, from, from + (to - from) / 2, client);
        renew(store, b, from + (to - from) / 2, to, client);
        return;
    }
    bool all = n == (int64_t)(to - from);
    if (outcome == LH_OK && !all)
        outcome = n < 0 ? LH_SERVER : look(store, b, from, to, context);
    lh_log(store,
           &(lh_log_event){.event = LH_LOG_RENEW,
                           .outcome = outcome,
                           .duration_us = lh_clock_us() - began_us,
                           .count = (uint64_t)(outcome == LH_OK ? n : (int64_t)(to - from)),
                           .key = b->leases[from]->key,
                           .lease = b->leases[from]->id},
           &why);
    hear(b, from, to, outcome, all, sent);
}

int64_t lh_keeper_renew(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    int64_t next;
    batch *b = collect(store, now, &next);
    if (!b)
        return next;
    if (b->n > 0)
        renew(store, b, 0, b->n, client);
    free(b);
    return now; /* other leases may have become due during the batch */
}
