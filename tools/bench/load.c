/* SPDX-License-Identifier: Apache-2.0
 * leasehold bench: many at once. Threads that acquire and release keys of their own, in turn with
 * threads that send as many plain writes as they can. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

enum { SLICES = 4 };

typedef struct worker {
    pthread_t thread;
    struct bench *bench;
    struct bench_floor *floor;
    int index, code;
    bool leases; /* else plain writes */
    double until_ms;
    unsigned done;
} worker;

static int cycle(worker *w, const char *key)
{
    lh_acquire_options options = bench_by_hand();
    lh_lease *lease = NULL;
    int code = lh_acquire(w->bench->store, key, &options, &lease, NULL, NULL);
    if (code == LH_OK)
        code = lh_lease_release(lease, NULL);
    lh_lease_free(lease);
    return code;
}

static void *work(void *arg)
{
    worker *w = arg;
    char key[32];
    (void)snprintf(key, sizeof key, "%s:%d", w->leases ? "load" : "load-floor", w->index);
    while (w->code == LH_OK && bench_goes_on(w->until_ms)) {
        w->code = w->leases ? cycle(w, key) : bench_floor_write(w->floor, key, NULL);
        w->done++;
    }
    return NULL;
}

/* How many a second, over all threads; negative: bench->error is filled. */
static double run_slice(struct bench *bench, worker *workers, int threads, bool leases, double ms)
{
    double start_ms = bench_now_ms();
    unsigned done = 0;
    int started = 0, code = LH_OK;
    for (; started < threads && code == LH_OK; started++) {
        worker *w = &workers[started];
        w->leases = leases;
        w->until_ms = start_ms + ms;
        w->done = 0;
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            code = out_fail(&bench->error, LH_MEMORY, "cannot start a thread");
            break;
        }
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
        if (workers[i].code != LH_OK && code == LH_OK)
            code = out_fail(&bench->error, workers[i].code, "one of %d threads failed: %s", threads,
                            lh_outcome_sentence(workers[i].code));
    }
    return code == LH_OK ? done * 1000 / (bench_now_ms() - start_ms) : -1;
}

static int run_load(struct bench *bench, struct bench_load *load, int threads, worker *workers,
                    double ms)
{
    *load = (struct bench_load){.threads = threads};
    for (int slice = -2; slice < SLICES;
         slice++) { /* the first two warm up: connections, first grants */
        bool leases = slice & 1;
        double per_s = run_slice(bench, workers, threads, leases, slice < 0 ? ms / 8 : ms / SLICES);
        if (per_s < 0)
            return bench->error.code;
        if (slice >= 0 && leases)
            load->cycles_per_s += per_s * 2 / SLICES;
        else if (slice >= 0)
            load->floor_per_s += per_s * 2 / SLICES;
    }
    return LH_OK;
}

int bench_threads(struct bench *bench, double ms)
{
    static const int threads[LOADS] = {1, 4, 16, BENCH_THREADS_MAX};
    worker *workers = calloc(BENCH_THREADS_MAX, sizeof *workers);
    int code = LH_OK;
    if (!workers)
        return out_fail(&bench->error, LH_MEMORY, "out of memory");
    for (int i = 0; code == LH_OK && i < BENCH_THREADS_MAX; i++) {
        workers[i].bench = bench;
        workers[i].index = i;
        workers[i].floor = bench_floor_open(&bench->options, &bench->error);
        if (!workers[i].floor)
            code = bench->error.code;
    }
    for (int i = 0; i < LOADS && code == LH_OK && !atomic_load(&bench_signal); i++)
        code = run_load(bench, &bench->loads[i], threads[i], workers, ms / LOADS);
    for (int i = 0; i < BENCH_THREADS_MAX; i++)
        bench_floor_close(workers[i].floor);
    free(workers);
    return code;
}
