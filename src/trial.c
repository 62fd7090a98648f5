/* SPDX-License-Identifier: Apache-2.0
 * Trying leases: public calls alone, on a key that nobody can guess, but for the removal of its
 * document.
 *
 * A trial that is killed leaves a document that ends within seconds; the next one removes it. Only
 * what has exactly the form of such a key, and ended a minute ago, is removed. */
#include "trial.h"

#include <stdio.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "lease/lease.h"
#include "store/store.h"
#include "store/store_run.h"

#define TTL_MS         10000
#define WAIT_MS        5000
#define LEFTOVER_MS    60000
#define PAUSE_FIRST_MS 2
#define PAUSE_CAP_MS   50
#define PURPOSE        "a trial: leasehold doctor --trial"
#define KEY_PREFIX     "leasehold:trial:"

typedef struct {
    lh_store *store;
    const char *key;
    lh_lease *first, *second;
    lh_waiting *waiting;
    const char *doing; /* the step, for the sentence */
    lh_error *error;
} trial;

static lh_acquire_options ask(int64_t wait_ms)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.ttl_ms = TTL_MS;
    options.purpose = PURPOSE;
    options.by_hand = true;
    options.wait_ms = wait_ms;
    return options;
}

static int be_refused(trial *t)
{
    lh_acquire_options options = ask(0);
    int outcome = lh_acquire(t->store, t->key, &options, &t->second, NULL, t->error);
    if (outcome == LH_BUSY)
        return LH_OK;
    return outcome == LH_OK ? lh_fail(t->error, LH_CONFIG, "a key that is held was granted again")
                            : outcome;
}

/* Until the server shows it in the queue: a release before that would hand nothing over. */
static int wait_in_queue(trial *t)
{
    lh_acquire_options options = ask(WAIT_MS);
    int64_t deadline = lh_clock_ms() + WAIT_MS;
    lh_backoff pause = lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms());
    int outcome = lh_acquire_start(t->store, t->key, &options, &t->waiting, t->error);
    for (bool queued = false; outcome == LH_OK && !queued;) {
        lh_record *record = NULL;
        outcome = lh_status(t->store, t->key, &record, t->error);
        queued = outcome == LH_OK && lh_record_waiter(record, 0) != NULL;
        lh_record_free(record);
        if (outcome == LH_OK && !queued && lh_clock_ms() > deadline)
            return lh_fail(t->error, LH_CONFIG, "a waiter did not enter the queue");
        if (outcome == LH_OK && !queued)
            lh_clock_sleep(lh_backoff_next(&pause));
    }
    return outcome;
}

static int be_granted(trial *t)
{
    int outcome = lh_waiting_finish(t->waiting, &t->second, NULL, t->error);
    t->waiting = NULL;
    if (outcome == LH_OK && lh_lease_token(t->second) <= lh_lease_token(t->first))
        return lh_fail(t->error, LH_CONFIG,
                       "the second lease of a key has no higher token than the first");
    return outcome == LH_BUSY
               ? lh_fail(t->error, LH_CONFIG,
                         "the key was released, but the waiter was not granted the key")
               : outcome;
}

static int go_through(trial *t)
{
    lh_acquire_options options = ask(0);
    t->doing = "acquire";
    int outcome = lh_acquire(t->store, t->key, &options, &t->first, NULL, t->error);
    if (outcome == LH_OK) {
        t->doing = "be refused a held key";
        outcome = be_refused(t);
    }
    if (outcome == LH_OK) {
        t->doing = "renew";
        outcome = lh_lease_renew(t->first, 0, NULL, t->error);
    }
    if (outcome == LH_OK) {
        t->doing = "wait";
        outcome = wait_in_queue(t);
    }
    if (outcome == LH_OK) {
        t->doing = "release";
        outcome = lh_lease_release(t->first, t->error);
    }
    if (outcome == LH_OK) {
        t->doing = "be granted by a release";
        outcome = be_granted(t);
    }
    if (outcome == LH_OK) {
        t->doing = "release a lease that a release granted";
        outcome = lh_lease_release(t->second, t->error);
    }
    return outcome;
}

/* Whatever is held or waited for: given back. */
static void end(trial *t)
{
    if (t->waiting)
        (void)lh_waiting_cancel(t->waiting, NULL);
    for (size_t i = 0; i < 2; i++) {
        lh_lease *lease = i ? t->second : t->first;
        if (lease && lh_lease_valid(lease))
            (void)lh_lease_release(lease, NULL);
        lh_lease_free(lease);
    }
}

/* False: it is still there, free. */
static bool clear_away(lh_store *store, const char *key)
{
    bson_t reply,
        *command = BCON_NEW(
            "delete", BCON_UTF8(store->collection), "deletes", "[", "{", "q", "{", "workspace_id",
            BCON_UTF8(key), "}", "limit", BCON_INT32(0), "}", "{", "q", "{", "workspace_id", "{",
            "$regex", BCON_UTF8("^" KEY_PREFIX "[0-9a-f]{32}$"), "}", "purpose", BCON_UTF8(PURPOSE),
            "expires_at", "{", "$type", BCON_UTF8("date"), "}", "$expr", "{", "$lt", "[",
            BCON_UTF8("$expires_at"), "{", "$subtract", "[", BCON_UTF8("$$NOW"),
            BCON_INT32(LEFTOVER_MS), "]", "}", "]", "}", "}", "limit", BCON_INT32(0), "}", "]");
    lh_call call = {.what = "remove the trial's document",
                    .command = command,
                    .deadline = lh_store_deadline(store, 0),
                    .several = true};
    int outcome = lh_store_run(store, &call, &reply, NULL, NULL);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome == LH_OK;
}

int lh_trial(lh_store *store, lh_tried *ret_tried, lh_error *error)
{
    char id[LH_LEASE_ID_ROOM], why[sizeof error->message];
    lh_error mine = LH_ERROR_INIT;
    *ret_tried = (lh_tried){0};
    if (store->rollout != LH_ENFORCE)
        return LH_OK;
    int outcome = lh_lease_id_new(id, error);
    if (outcome != LH_OK)
        return outcome;
    (void)snprintf(ret_tried->key, sizeof ret_tried->key, "%s%s", KEY_PREFIX, id);
    trial t = {.store = store, .key = ret_tried->key, .error = &mine};
    outcome = go_through(&t);
    (void)snprintf(why, sizeof why, "%s", mine.message);
    end(&t);
    ret_tried->left =
        (t.first || t.second || outcome != LH_DENIED) && !clear_away(store, ret_tried->key);
    ret_tried->tried = outcome == LH_OK;
    if (outcome == LH_OK)
        return LH_OK;
    /* the trial's own lease: not the caller's */
    if (outcome == LH_BUSY || outcome == LH_LOST || outcome == LH_UNKNOWN)
        outcome = LH_UNREACHABLE;
    int code = mine.server_code;
    outcome = lh_fail(error, lh_error_reason(&mine, outcome),
                      "the trial on a key of its own could not %s: %s", t.doing, why);
    if (error)
        error->server_code = code;
    return outcome;
}
