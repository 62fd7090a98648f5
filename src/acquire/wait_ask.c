/* SPDX-License-Identifier: Apache-2.0
 * Asking again, and leaving: the waiters' commands that are sent one by one. */
#include "acquire/wait_ask.h"

#include <string.h>

#include "acquire/keeper.h"
#include "acquire/keeper_renew.h"
#include "acquire/wait.h"
#include "acquire/wait_belief.h"
#include "acquire/wait_table.h"
#include "base/clock.h"
#include "base/due.h"
#include "base/error.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "store/store.h"

#define ASKS_AT_ONCE  32    /* before the keeper looks after the beats again */
#define ASK_LATEST_MS 30000 /* other programs end locks in ways that no event tells */
#define STAGGER_MS    25    /* between those who ask when the holder has ended, by their place */
#define STAGGER_MAX   40

void lh_wait_set_timer(lh_waiting *w, int64_t in_ms)
{
    int64_t place = w->core.place < 0             ? 0
                    : w->core.place < STAGGER_MAX ? w->core.place
                                                  : STAGGER_MAX;
    int64_t ms = in_ms < ASK_LATEST_MS ? in_ms : ASK_LATEST_MS;
    ms += w->store->clock_skew_ms + 5 + place * STAGGER_MS +
          lh_waits_jitter(w->store->waits, STAGGER_MS);
    if (ms < LH_WAIT_RACE_MS) /* an end that is past for long: at once, but not without a pause */
        ms = LH_WAIT_RACE_MS;
    if (w->spot)
        lh_due_set(&w->store->waits->ends, &w->spot->end, lh_clock_ms() + ms);
}

/* ---- Leaving ----------------------------------------------------------------------------------*/

static void note_left(lh_waiting *w, lh_record *record)
{
    if (record && (lh_record_holder(record, 0) || !w->record)) {
        record->why = LH_WHY_HELD;
        record->retry_after_ms = w->record ? w->record->retry_after_ms : 0;
        lh_record_free(w->record);
        w->record = record;
    } else {
        lh_record_free(record);
    }
}

static void explain_left(lh_waiting *w, int left, const lh_error *error)
{
    if (left != LH_OK)
        w->error = *error;
    if (left == LH_UNREACHABLE && w->core.outcome == LH_UNKNOWN)
        (void)lh_fail(&w->error, LH_UNKNOWN,
                      "the wait for \"%s\" is over, and no server responds. The waiter may still "
                      "be queued, or granted the key; it is released as soon as a server responds",
                      w->key);
    else if (left == LH_OK && w->core.outcome == LH_MEMORY && !w->record)
        (void)lh_fail_memory(&w->error);
}

/* The command that leaves for good, of a waiter that is LEAVING. With the lock; releases it
 * meanwhile. */
static void leave(lh_waiting *w, struct _mongoc_client_t *client)
{
    lh_store *store = w->store;
    struct lh_waits *waits = store->waits;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    int64_t sent = lh_clock_ms();
    waits->leaving++;
    pthread_mutex_unlock(&waits->lock);
    int left = lh_lease_leave_queue(store, w->key, w->id,
                                    (lh_context){lh_store_deadline(store, w->o.timeout_ms), client},
                                    &record, &error);
    pthread_mutex_lock(&waits->lock);
    waits->leaving--;
    note_left(w, record);
    unsigned actions = lh_wait_apply(w, &(lh_wait_event){.kind = LH_WAIT_LEFT,
                                                         .now = sent,
                                                         .outcome = left,
                                                         .has_record = w->record != NULL});
    explain_left(w, left, &error);
    if (actions & LH_WAIT_DO_DOUBT)
        lh_held_doubt(store, w->key, w->id, w->o.ttl_ms, true);
}

void lh_wait_leave(lh_waiting *w, int outcome, struct _mongoc_client_t *client)
{
    struct lh_waits *waits = w->store->waits;
    unsigned actions = lh_wait_apply(w, &(lh_wait_event){.kind = LH_WAIT_STOP, .outcome = outcome});
    if (!(actions & LH_WAIT_DO_LEAVE))
        return;
    waits->leaving++;
    while (w->core.state == LH_WAIT_STOPPING)
        pthread_cond_wait(&waits->changed, &waits->lock);
    waits->leaving--;
    leave(w, client);
}

void lh_wait_time_out(lh_waiting *w, struct _mongoc_client_t *client)
{
    (void)lh_fail(&w->error, LH_REASON_TIMEOUT, "the wait is over: \"%s\" is still held by %s",
                  w->key, lh_request_holder_name(w->record));
    lh_wait_leave(w, LH_BUSY, client);
}

/* ---- Asking -----------------------------------------------------------------------------------*/

static void draw_new_id(lh_waiting *w)
{
    char id[LH_LEASE_ID_ROOM];
    if (lh_lease_id_new(id, NULL) != LH_OK) {
        lh_wait_settle(w, LH_LOST);
        return;
    }
    lh_waits_rename(w->store->waits, w, id);
    w->beats = (lh_beats){0};
}

static void note_holder(lh_waiting *w, lh_request *r)
{
    lh_record_free(w->record);
    w->record = r->busy;
    r->busy = NULL;
    w->waiting = r->waiting;
    w->news = true;
    const lh_holder *holder = lh_record_holder(w->record, 0);
    int64_t grace_ms = w->store->clock_skew_ms; /* the timer adds it: a kept key has none */
    lh_wait_set_timer(w, !holder        ? 0
                         : holder->kept ? holder->remaining_ms - grace_ms
                                        : holder->remaining_ms);
}

/* The keeper has it from here on, or it is released by whoever waits for it. */
static int keep(lh_waiting *w, lh_request *r, int64_t now)
{
    w->lease = r->lease;
    r->lease = NULL;
    int64_t first = r->o.by_hand ? INT64_MAX : lh_keeper_renewal(now, r->o.ttl_ms, w->lease);
    return lh_keeper_take(w->lease, first, &w->error);
}

/* The beat that the question is; the first one begins the beating. */
static void count_beat(lh_waiting *w, lh_request *r)
{
    int64_t now = lh_clock_ms();
    r->beat = lh_beats_add(&w->beats, now);
    r->asked = r->beat > 0 || w->core.own_id; /* which was asked for without waiting first */
    if (r->beat == 0)
        lh_wait_beat_at(w, now + w->claim_ms / 3);
}

/* What the answer says, as an event. With the lock. */
static lh_wait_event read_reply(lh_waiting *w, lh_request *r, lh_next next, int outcome)
{
    int64_t now = lh_clock_ms();
    lh_wait_event event = {.kind = LH_WAIT_REPLIED,
                           .now = now,
                           .outcome = outcome,
                           .next = next,
                           .granted = r->lease != NULL,
                           .unsure = r->maybe,
                           .sure_at = now + w->store->socket_timeout_ms,
                           .place = r->place,
                           .token = r->lease  ? lh_lease_token(r->lease)
                                    : r->busy ? r->busy->token
                                              : 0,
                           .jitter_ms = lh_waits_jitter(w->store->waits, LH_WAIT_RETRY_MS)};
    if (event.granted && lh_wait_is_waiting(w->core.state))
        event.outcome = keep(w, r, now);
    return event;
}

/* With the lock; releases it while it leaves. */
static void take_reply(lh_waiting *w, lh_request *r, const lh_wait_event *answer,
                       struct _mongoc_client_t *client)
{
    lh_store *store = w->store;
    unsigned actions = lh_wait_apply(w, answer);
    if (actions & LH_WAIT_DO_DRAW)
        draw_new_id(w);
    if (actions & LH_WAIT_DO_NOTE)
        note_holder(w, r);
    if (actions & LH_WAIT_DO_DOUBT)
        lh_held_doubt(store, w->key, r->id, w->o.ttl_ms, true);
    if (actions & LH_WAIT_DO_LEAVE)
        leave(w, client);
    lh_keeper_poke(store, w->core.ask_at);
    pthread_cond_broadcast(&store->waits->changed);
}

/* Which command is due? 0: none, since another thread stopped the waiter meanwhile. */
static unsigned begin(lh_waiting *w, lh_request *r)
{
    struct lh_waits *waits = w->store->waits;
    pthread_mutex_lock(&waits->lock);
    unsigned actions = lh_wait_apply(w, &(lh_wait_event){.kind = LH_WAIT_DUE});
    memcpy(r->id, w->id, LH_LEASE_ID_ROOM);
    if (actions & LH_WAIT_DO_ASK)
        count_beat(w, r);
    pthread_mutex_unlock(&waits->lock);
    return actions;
}

static void finish(lh_waiting *w, lh_request *r, lh_next next, int outcome)
{
    lh_store *store = w->store;
    bool queued = r->beat == 0 && outcome == LH_BUSY && r->place >= 0;
    pthread_mutex_lock(&store->waits->lock);
    if (lh_wait_is_waiting(w->core.state)) {
        w->error = *r->error;
        if (next == LH_NEXT_NEW_ID)
            (void)lh_fail(
                &w->error, LH_REASON_TOO_LATE,
                "the grant came too late to be relied on, and its lease id cannot be used again");
    }
    lh_wait_event answer = read_reply(w, r, next, outcome);
    take_reply(w, r, &answer, r->context.client);
    pthread_mutex_unlock(&store->waits->lock);
    if (queued)
        lh_log(store, &(lh_log_event){.event = LH_LOG_QUEUED, .key = w->key, .lease = r->id}, NULL);
    /* it was settled, or leaves: the grant is heard of twice, or given back */
    lh_lease_free(r->lease);
    lh_record_free(r->busy);
}

void lh_wait_ask(lh_waiting *w, struct _mongoc_client_t *client)
{
    lh_store *store = w->store;
    lh_error error = LH_ERROR_INIT;
    int64_t patience =
        client && w->claim_ms / 2 < store->timeout_ms ? w->claim_ms / 2 : store->timeout_ms;
    lh_request r = {.store = store, .key = w->key, .queue = true, .error = &error, .o = w->o};
    r.context = (lh_context){lh_clock_ms() + patience, client};
    lh_next next = LH_NEXT_DONE;
    int outcome = LH_OK;
    unsigned actions = begin(w, &r);
    if (actions & LH_WAIT_DO_ASK) {
        next = lh_request_ask(&r, &outcome);
    } else if (actions & LH_WAIT_DO_RETIRE) {
        outcome = lh_lease_leave_queue(store, w->key, r.id, r.context, NULL, &error);
        next = outcome == LH_OK ? LH_NEXT_NEW_ID : LH_NEXT_DONE;
    } else {
        return;
    }
    finish(w, &r, next, outcome);
}

/* Somebody for whom a command is due; NULL: nobody. *ret_next: when the next one is. */
static lh_waiting *find_due(struct lh_waits *waits, int64_t now, int64_t *ret_next)
{
    while (lh_due_next(waits->ends) <= now) {
        lh_spot *spot = lh_due_of(waits->ends, lh_spot, end);
        lh_due_set(&waits->ends, &spot->end, now + ASK_LATEST_MS); /* the answer says better */
        (void)lh_wait_apply(spot->first, &(lh_wait_event){.kind = LH_WAIT_ENDED, .now = now});
    }
    int64_t turn = lh_due_next(waits->turns), end = lh_due_next(waits->ends);
    *ret_next = turn < end ? turn : end;
    return turn <= now ? lh_due_of(waits->turns, lh_waiting, turn) : NULL;
}

int64_t lh_wait_asks(lh_store *store, struct _mongoc_client_t *client, int64_t now)
{
    struct lh_waits *waits = store->waits;
    int64_t next = now;
    for (int i = 0; i < ASKS_AT_ONCE && !atomic_load(&store->stopping); i++) {
        bool over = false;
        pthread_mutex_lock(&waits->lock);
        lh_waiting *w = find_due(waits, now, &next);
        if (w) {
            w->refs++;
            over = !w->attended && w->until <= now;
        }
        if (w && over)
            lh_wait_time_out(w, client);
        pthread_mutex_unlock(&waits->lock);
        if (!w)
            return next;
        if (!over)
            lh_wait_ask(w, client);
        lh_wait_unref(w);
    }
    return next;
}
