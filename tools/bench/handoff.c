/* SPDX-License-Identifier: Apache-2.0
 * leasehold bench: from hand to hand. From the start of a release to the return of the acquire that
 * waited for it, between two processes and within one; and many clients that compete for the same
 * key.
 *
 * The other process is forked before there is any thread, opens a store of its own, and ends when
 * its pipe does. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define KEY "hand-off"
#define PAUSE_MS                                                                                   \
    3 /* between the waiter's place in the queue and the release: nothing else is on its way then  \
       */

static void nap(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static int wait_for(lh_store *store, const char *key, lh_lease **ret_lease, lh_error *error)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.wait_ms = 30000;
    return lh_acquire(store, key, &options, ret_lease, NULL, error);
}

/* Acquires after each byte, and writes when it had. */
static void play_partner(const struct bench *bench, int go, int told)
{
    lh_store *store = NULL;
    char byte;
    (void)signal(SIGINT, SIG_IGN); /* the terminal's Ctrl-C is the parent's matter */
    int code = lh_store_open(&bench->options, &store, NULL);
    while (code == LH_OK && read(go, &byte, 1) == 1) {
        lh_lease *lease = NULL;
        code = wait_for(store, KEY, &lease, NULL);
        double at_ms = code == LH_OK ? bench_now_ms() : -1;
        if (code == LH_OK)
            code = lh_lease_release(lease, NULL);
        lh_lease_free(lease);
        if (write(told, &at_ms, sizeof at_ms) != sizeof at_ms)
            break;
    }
    lh_store_close(store);
    _exit(0);
}

int bench_partner_start(struct bench *bench)
{
    int go[2], told[2];
    if (pipe(go) != 0)
        return out_fail(&bench->error, LH_BUG, "cannot create a pipe");
    if (pipe(told) != 0) {
        (void)close(go[0]);
        (void)close(go[1]);
        return out_fail(&bench->error, LH_BUG, "cannot create a pipe");
    }
    bench->partner = fork();
    if (bench->partner == 0) {
        (void)close(go[1]);
        (void)close(told[0]);
        play_partner(bench, go[0], told[1]);
    }
    (void)close(go[0]);
    (void)close(told[1]);
    bench->go = go[1];
    bench->told = told[0];
    return bench->partner > 0
               ? LH_OK
               : out_fail(&bench->error, LH_BUG, "the other process cannot be started");
}

void bench_partner_stop(struct bench *bench)
{
    if (bench->partner <= 0)
        return;
    (void)close(bench->go);
    (void)close(bench->told);
    (void)waitpid(bench->partner, NULL, 0);
}

static int wait_queued(struct bench *bench)
{
    for (double until_ms = bench_now_ms() + 10000; bench_now_ms() < until_ms; nap(1)) {
        lh_record *record = NULL;
        int code = lh_status(bench->store, KEY, &record, &bench->error);
        size_t waiters = code == LH_OK ? record->waiters : 0;
        lh_record_free(record);
        if (code != LH_OK || waiters > 0)
            return code;
    }
    return out_fail(&bench->error, LH_UNREACHABLE,
                    "the other process did not queue within ten seconds");
}

static int between_processes(struct bench *bench)
{
    lh_lease *lease = NULL;
    double at_ms = 0;
    int code = wait_for(bench->store, KEY, &lease, &bench->error);
    if (code == LH_OK && write(bench->go, "x", 1) != 1)
        code = out_fail(&bench->error, LH_BUG, "the other process has ended");
    if (code == LH_OK)
        code = wait_queued(bench);
    nap(PAUSE_MS);
    double start_ms = bench_now_ms();
    if (code == LH_OK)
        code = lh_lease_release(lease, &bench->error);
    lh_lease_free(lease);
    if (code == LH_OK && (read(bench->told, &at_ms, sizeof at_ms) != sizeof at_ms || at_ms < 0))
        code = out_fail(&bench->error, LH_BUG, "the other process was granted nothing");
    if (code == LH_OK)
        samples_add(&bench->rows[ROW_HANDOFF], at_ms - start_ms);
    return code;
}

static int within_one(struct bench *bench)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    lh_lease *lease = NULL, *next = NULL;
    lh_waiting *waiting = NULL;
    options.wait_ms = 30000;
    int code = wait_for(bench->store, KEY, &lease, &bench->error);
    if (code == LH_OK)
        code = lh_acquire_start(bench->store, KEY, &options, &waiting, &bench->error);
    nap(PAUSE_MS);
    double start_ms = bench_now_ms();
    if (code == LH_OK)
        code = lh_lease_release(lease, &bench->error);
    if (waiting) {
        int got = lh_waiting_finish(waiting, &next, NULL, &bench->error);
        code = code == LH_OK ? got : code;
    }
    if (code == LH_OK)
        samples_add(&bench->rows[ROW_HANDOFF_LOCAL], bench_now_ms() - start_ms);
    if (code == LH_OK)
        code = lh_lease_release(next, &bench->error);
    lh_lease_free(lease);
    lh_lease_free(next);
    return code;
}

int bench_handoff(struct bench *bench, double ms)
{
    double until_ms = bench_now_ms() + ms;
    int code = LH_OK;
    for (int round = 0; code == LH_OK && (bench_goes_on(until_ms) || round < 5); round++) {
        code = between_processes(bench);
        if (code == LH_OK)
            code = within_one(bench);
        if (round == 0) /* the change stream was opened */
            bench->rows[ROW_HANDOFF].n = bench->rows[ROW_HANDOFF_LOCAL].n = 0;
        if (atomic_load(&bench_signal))
            break;
    }
    return code;
}

/* ---- Many who want the same key ---- */

typedef struct client {
    pthread_t thread;
    const struct bench *bench;
    lh_store *store;
    double until_ms; /* at its end: when it was done */
    unsigned grants;
    int code;
} client;

static void *want_the_key(void *arg)
{
    client *c = arg;
    while (c->code == LH_OK && bench_goes_on(c->until_ms)) {
        lh_lease *lease = NULL;
        c->code = wait_for(c->store, "hot", &lease, NULL);
        if (c->code == LH_OK) {
            c->grants++;
            c->code = lh_lease_release(lease, NULL);
        }
        lh_lease_free(lease);
    }
    c->until_ms = bench_now_ms();
    lh_store_close(c->store); /* here, all at once: the driver waits for its threads */
    c->store = NULL;
    return NULL;
}

static void tell_hot(struct bench *bench, const client *clients, int n, double ms)
{
    unsigned all = 0, fewest = clients[0].grants, most = 0;
    for (int i = 0; i < n; i++) {
        all += clients[i].grants;
        fewest = clients[i].grants < fewest ? clients[i].grants : fewest;
        most = clients[i].grants > most ? clients[i].grants : most;
    }
    bench->hot = (struct bench_hot){
        .clients = n, .grants_per_s = all * 1000 / ms, .fewest = fewest, .most = most};
}

int bench_hot_key(struct bench *bench, double ms)
{
    client clients[BENCH_CLIENTS] = {0};
    int n = 0, code = LH_OK;
    lh_store_options options = bench->options;
    options.pool_size = 2;
    while (code == LH_OK && n < BENCH_CLIENTS) {
        clients[n].bench = bench;
        code = lh_store_open(&options, &clients[n].store, &bench->error);
        n += code == LH_OK;
    }
    double start_ms = bench_now_ms(), end_ms = start_ms + ms;
    int started = 0;
    while (code == LH_OK && started < n) {
        clients[started].until_ms = start_ms + ms;
        if (pthread_create(&clients[started].thread, NULL, want_the_key, &clients[started]) != 0)
            code = out_fail(&bench->error, LH_MEMORY, "cannot start a thread");
        else
            started++;
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        end_ms = clients[i].until_ms > end_ms ? clients[i].until_ms : end_ms;
    }
    if (code == LH_OK)
        tell_hot(bench, clients, n, end_ms - start_ms);
    for (int i = 0; i < n; i++) {
        if (code == LH_OK && clients[i].code != LH_OK)
            code = out_fail(&bench->error, clients[i].code, "a client of the hot key failed: %s",
                            lh_outcome_sentence(clients[i].code));
        lh_store_close(clients[i].store);
    }
    return code;
}
