/* SPDX-License-Identifier: Apache-2.0
 * How long it takes to get many free keys: one after another, and all at once. Median of some
 * rounds, in turns.
 *
 * Usage: bench_many URI */
#include "bench.h"

#define MOST   1000
#define ROUNDS 9

static void release_all(lh_lease **leases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)lh_lease_release(leases[i], NULL);
        lh_lease_free(leases[i]);
    }
}

static double take(lh_store *store, const char *const *keys, size_t n, bool at_once)
{
    static lh_lease *leases[MOST];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    o.by_hand = true;
    double start = now();
    int outcome = LH_OK;
    if (at_once)
        outcome = lh_acquire_many(store, keys, n, &o, leases, NULL, &error);
    for (size_t i = 0; !at_once && outcome == LH_OK && i < n; i++)
        outcome = lh_acquire(store, keys[i], &o, &leases[i], NULL, &error);
    double took = now() - start;
    if (outcome != LH_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    release_all(leases, n);
    return took;
}

int main(int argc, char **argv)
{
    static char texts[MOST][32];
    static const char *keys[MOST];
    static const size_t sizes[] = {2, 10, 50, 200, MOST};
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = argc > 1 ? argv[1] : "mongodb://127.0.0.1/";
    options.db = "leasehold_bench_many";
    options.at_open = LH_AT_OPEN_MIGRATE;
    lh_store *store;
    lh_error error = LH_ERROR_INIT;
    if (lh_store_open(&options, &store, &error) != LH_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (size_t i = 0; i < MOST; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "key-%zu", i);
        keys[i] = texts[i];
    }
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double took[2][ROUNDS];
        size_t rounds = sizes[s] > 100 ? 3 : ROUNDS;
        for (size_t i = 0; i < rounds; i++)
            for (int at_once = 0; at_once < 2; at_once++)
                took[at_once][i] = take(store, keys, sizes[s], at_once);
        for (int at_once = 0; at_once < 2; at_once++)
            qsort(took[at_once], rounds, sizeof(double), by_size);
        printf("%4zu keys: %8.1f ms one after another, %7.1f ms at once\n", sizes[s],
               took[0][rounds / 2], took[1][rounds / 2]);
    }
    lh_store_close(store);
    return 0;
}
