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

#define ASKS_AT_ONCE  32  /* before the keeper looks after the beats again */
#define RETRY_MS      250 /* when the server did not answer */
#define RACE_MS       10
#define ASK_LATEST_MS 30000 /* other programs end locks in ways that no event tells */
#define STAGGER_MS    25    /* between those who ask when the holder has ended, by their place */
#define STAGGER_MAX   40

void lh_wait_set_timer(lh_waiting *w, int64_t in_ms)
{
    int64_t place = w->place < 0 ? 0 : w->place < STAGGER_MAX ? w->place : STAGGER_MAX;
    int64_t ms = in_ms < ASK_LATEST_MS ? in_ms : ASK_LATEST_MS;
    ms += w->store->clock_skew_ms + 5 + place * STAGGER_MS +
          lh_waits_jitter(w->store->waits, STAGGER_MS);
    if (ms < RACE_MS) /* an end that is past for long: at once, but never as fast as it goes */
        ms = RACE_MS;
    if (w->spot)
        lh_due_set(&w->store->waits->ends, &w->spot->end, lh_clock_ms() + ms);
}

static void draw_new_id(lh_waiting *w)
{
    char id[LH_LEASE_ID_ROOM];
    if (w->own_id || lh_lease_id_new(id, NULL) != LH_OK) {
        (void)lh_fail(
            &w->error, LH_REASON_TOO_LATE,
            "the grant came too late to be believed, and its lease id is good for one only");
        lh_wait_settle(w, LH_LOST);
        return;
    }
    lh_waits_rename(w->store->waits, w, id);
    w->beats = (lh_beats){0};
    w->place = -1;
    w->burnt = w->stored = false;
    lh_wait_ask_at(w, lh_clock_ms());
}

static void take_answer(lh_waiting *w, lh_request *r, lh_next then, int outcome,
                        struct _mongoc_client_t *client)
{
    int64_t now = lh_clock_ms();
    lh_wait_ask_at(w, INT64_MAX);
    if (then == LH_NEXT_RACE) {
        lh_wait_ask_at(w, now + RACE_MS);
    } else if (then == LH_NEXT_NEW_ID) {
        draw_new_id(w);
    } else if (outcome == LH_OK) {
        w->lease = r->lease;
        r->lease = NULL;
        int64_t first = r->o.by_hand ? INT64_MAX : lh_keeper_renewal(now, r->o.ttl_ms, w->lease);
        lh_wait_settle(w, lh_keeper_take(w->lease, first, &w->error));
    } else if (outcome == LH_BUSY) {
        lh_record_free(w->record);
        w->record = r->busy;
        r->busy = NULL;
        w->place = r->place;
        w->waiting = r->waiting;
        w->news = true;
        const lh_holder *holder = lh_record_holder(w->record, 0);
        if (r->place < 0) /* full, or unreadable */
            lh_wait_settle(w, LH_BUSY);
        else
            lh_wait_set_timer(w, holder ? holder->remaining_ms : 0);
        if (w->burnt) /* meanwhile: this answer is older */
            lh_wait_ask_at(w, now);
    } else if (outcome == LH_UNKNOWN || outcome == LH_UNREACHABLE) {
        lh_wait_ask_at(w, now + RETRY_MS + lh_waits_jitter(w->store->waits, RETRY_MS));
    } else if (
        /* refused, or there is no memory for the answer: by now it is queued, perhaps */
        w->stored) {
        lh_wait_leave(w, outcome, client);
    } else {
        lh_wait_settle(w, outcome);
    }
}

/* May an ask that ended so have been applied? What failed otherwise surely was not, or was given
 * back. */
static bool is_stored(int outcome)
{
    return outcome == LH_OK || outcome == LH_BUSY || outcome == LH_UNKNOWN || outcome == LH_MEMORY;
}

/* It was settled by another's grant while it was asked for. Did the question arrive after that
 * grant had ended, and others had the key? Then the id was new to the server, and holds or is
 * queued for nobody. */
static bool is_stray(const lh_waiting *w, const lh_request *r)
{
    if (w->state != LH_SETTLED || w->token == 0)
        return false;
    return r->lease ? lh_lease_token(r->lease) > w->token
                    : r->busy && r->place >= 0 && r->busy->token >= w->token;
}

void lh_wait_ask(lh_waiting *w, struct _mongoc_client_t *client)
{
    lh_store *store = w->store;
    struct lh_waits *waits = store->waits;
    lh_error error = LH_ERROR_INIT;
    int64_t patience =
        client && w->claim_ms / 2 < store->timeout_ms ? w->claim_ms / 2 : store->timeout_ms;
    lh_request r = {.store = store, .key = w->key, .queue = true, .error = &error, .o = w->o};
    r.way = (lh_way){lh_clock_ms() + patience, client};
    lh_next then = LH_NEXT_DONE;
    int outcome = LH_OK;

    pthread_mutex_lock(&waits->lock);
    bool burnt = w->burnt;
    memcpy(r.id, w->id, LH_LEASE_ID_ROOM);
    if (!burnt) {
        int64_t now = lh_clock_ms();
        r.beat = lh_beats_add(&w->beats, now);
        r.asked = r.beat > 0 || w->own_id; /* which was asked for without waiting first */
        if (r.beat == 0)
            lh_wait_beat_at(w, now + w->claim_ms / 3);
    }
    pthread_mutex_unlock(&waits->lock);

    if (burnt) {
        outcome = lh_lease_leave_queue(store, w->key, r.id, r.way, NULL, &error);
        then = outcome == LH_OK ? LH_NEXT_NEW_ID : LH_NEXT_DONE;
    } else {
        then = lh_request_ask(&r, &outcome);
    }

    pthread_mutex_lock(&waits->lock);
    w->busy = false;
    w->stored = w->stored || (!burnt && is_stored(outcome));
    if (r.maybe)
        w->sure_at = lh_clock_ms() + store->socket_timeout_ms;
    lh_wait_plan(w);
    if (w->state == LH_WAITS) {
        w->error = error;
        take_answer(w, &r, then, outcome, client);
        lh_keeper_poke(store, w->ask_at);
    }
    bool stray = is_stray(w, &r);
    pthread_cond_broadcast(&waits->changed);
    pthread_mutex_unlock(&waits->lock);
    if (r.beat == 0 && outcome == LH_BUSY && r.place >= 0)
        lh_log(store, &(lh_log_event){.event = LH_LOG_QUEUED, .key = w->key, .lease = r.id}, NULL);
    if (stray)
        lh_held_doubt(store, w->key, r.id, w->o.ttl_ms, true);
    /* it was settled, or leaves: the grant is heard of twice, or given back */
    lh_lease_free(r.lease);
    lh_record_free(r.busy);
}

void lh_wait_leave(lh_waiting *w, int outcome, struct _mongoc_client_t *client)
{
    lh_store *store = w->store;
    struct lh_waits *waits = store->waits;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_waits_remove(waits, w);
    w->state = LH_LEAVES;
    waits->leaving++;
    while (w->busy) /* what is asked after the leaving would queue again */
        pthread_cond_wait(&waits->changed, &waits->lock);
    bool late = lh_clock_ms() < w->sure_at;
    pthread_mutex_unlock(&waits->lock);
    int left = lh_lease_leave_queue(store, w->key, w->id,
                                    (lh_way){lh_store_deadline(store, w->o.timeout_ms), client},
                                    &record, &error);
    if (left != LH_OK || late)
        lh_held_doubt(store, w->key, w->id, w->o.ttl_ms, true);
    pthread_mutex_lock(&waits->lock);
    waits->leaving--;
    if (record && (lh_record_holder(record, 0) || !w->record)) {
        record->why = LH_WHY_HELD;
        record->retry_after_ms = w->record ? w->record->retry_after_ms : 0;
        lh_record_free(w->record);
        w->record = record;
        record = NULL;
    }
    lh_record_free(record);
    if (left == LH_UNREACHABLE && w->stored) {
        outcome = lh_fail(&w->error, LH_REASON_NO_REPLY,
                          "the wait for \"%s\" is over and no server answers: it may be queued or "
                          "granted still, and is "
                          "released as soon as one does",
                          w->key);
    } else if (left != LH_OK) {
        w->error = error;
        outcome = left;
    } else if (outcome == LH_BUSY && !w->record) {
        outcome = lh_fail_memory(&w->error);
    }
    lh_wait_settle(w, outcome);
}

/* Somebody for whom a command is due; NULL: nobody. *ret_next: when the next one is. */
static lh_waiting *find_due(struct lh_waits *waits, int64_t now, int64_t *ret_next)
{
    while (lh_due_next(waits->ends) <= now) {
        lh_spot *spot = lh_due_of(waits->ends, lh_spot, end);
        lh_due_set(&waits->ends, &spot->end, now + ASK_LATEST_MS); /* the answer says better */
        lh_wait_ask_at(spot->first, now);
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
        if (w && over) {
            (void)lh_fail(&w->error, LH_REASON_TIMEOUT, "the wait is over: \"%s\" is still held",
                          w->key);
            lh_wait_leave(w, LH_BUSY, client);
        } else if (w) {
            w->busy = true;
            lh_wait_plan(w);
        }
        pthread_mutex_unlock(&waits->lock);
        if (!w)
            return next;
        if (!over)
            lh_wait_ask(w, client);
        lh_wait_unref(w);
    }
    return next;
}
