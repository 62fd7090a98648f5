/* SPDX-License-Identifier: Apache-2.0
 * leasehold bench: one command at a time. Each round runs all of them, so that what disturbs one
 * disturbs the others. */
#include <stdio.h>

#include "bench/bench.h"

/* Runs it and keeps how long it took; LH_BUSY is what an acquire of a held key should say. */
#define MEASURE(row, wanted, call)                                                                 \
    do {                                                                                           \
        double start_ms = bench_now_ms();                                                          \
        int code_ = (call);                                                                        \
        samples_add(&bench->rows[row], bench_now_ms() - start_ms);                                 \
        if (code_ != (wanted))                                                                     \
            return code_;                                                                          \
    } while (0)

static int count_one(void *arg, const lh_record *record)
{
    (void)record;
    ++*(unsigned *)arg;
    return 0;
}

static int list(struct bench *bench)
{
    unsigned n = 0;
    lh_list_options options = LH_LIST_OPTIONS_INIT;
    options.free_too = true;
    return lh_list(bench->store, &options, count_one, &n, &bench->error);
}

/* A key of the round's own, so that there are first grants and later ones; `held` is somebody's. */
static int play_round(struct bench *bench, unsigned round)
{
    char key[32];
    lh_acquire_options options = bench_by_hand();
    lh_lease *lease = NULL, *none = NULL;
    lh_record *record = NULL;
    lh_error *error = &bench->error;
    (void)snprintf(key, sizeof key, "single:%u", round % 32);
    MEASURE(ROW_PING, LH_OK, bench_floor_ping(bench->floor, error));
    MEASURE(ROW_FLOOR, LH_OK, bench_floor_write(bench->floor, "floor", error));
    MEASURE(ROW_ACQUIRE, LH_OK, lh_acquire(bench->store, key, &options, &lease, NULL, error));
    MEASURE(ROW_RENEW, LH_OK, lh_lease_renew(lease, options.ttl_ms, NULL, error));
    MEASURE(ROW_BUSY, LH_BUSY, lh_acquire(bench->store, key, &options, &none, NULL, error));
    MEASURE(ROW_STATUS, LH_OK, lh_status(bench->store, key, &record, error));
    lh_record_free(record);
    MEASURE(ROW_RELEASE, LH_OK, lh_lease_release(lease, error));
    lh_lease_free(lease);
    if (round % 16 == 15)
        MEASURE(ROW_LIST, LH_OK, list(bench));
    return LH_OK;
}

int bench_single(struct bench *bench, double ms)
{
    double until_ms = bench_now_ms() + ms;
    int code = LH_OK;
    for (unsigned round = 0; code == LH_OK && (bench_goes_on(until_ms) || round < 20); round++) {
        code = play_round(bench, round);
        if (round == 3) /* what was new to the server and to us is not what it costs */
            for (int row = 0; row < ROWS; row++)
                bench->rows[row].n = 0;
        if (atomic_load(&bench_signal))
            break;
    }
    return code;
}
