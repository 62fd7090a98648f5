/* SPDX-License-Identifier: Apache-2.0
 * leasehold bench: between its files. All measurements use one separate collection, which is
 * dropped at the end. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <bson/bson.h>
#include <leasehold/leasehold.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "common/cli.h"

enum { BENCH_CLIENTS = 16, BENCH_THREADS_MAX = 64 };

/* ---- Samples ---- */

struct samples {
    double *ms;
    size_t n, room;
};

double bench_now_ms(void);
void samples_add(struct samples *samples, double ms); /* out of memory: it is not kept */
void samples_sort(struct samples *samples);
double samples_at(const struct samples *samples,
                  double part); /* of sorted ones: 0.5 is the median */
void samples_free(struct samples *samples);

/* ---- What is measured ---- */

/* The order of the table that is printed. */
enum bench_row {
    ROW_PING,
    ROW_FLOOR,
    ROW_ACQUIRE,
    ROW_RENEW,
    ROW_RELEASE,
    ROW_BUSY,
    ROW_STATUS,
    ROW_LIST,
    ROW_HANDOFF,
    ROW_HANDOFF_LOCAL,
    ROWS
};

enum { LOADS = 4 }; /* 1, 4, 16, 64 threads */

struct bench_load {
    int threads;
    double floor_per_s, cycles_per_s;
};

struct bench_hot {
    int clients;
    double grants_per_s;
    unsigned fewest, most;
};

struct bench_floor;

struct bench {
    lh_store_options options; /* how to open a store */
    lh_store *store;
    struct bench_floor *floor;
    struct samples rows[ROWS];
    struct bench_load loads[LOADS];
    struct bench_hot hot;
    int go, told; /* pipes to and from the other process */
    pid_t partner;
    const struct out *out;
    lh_error error;
};

/* Ctrl-C, or a signal like it: everything ends soon, and the collection is dropped. */
extern atomic_int bench_signal;
void bench_catch_signals(void);
bool bench_goes_on(double until_ms);

/* The options of a bench's leases: nobody renews them. */
lh_acquire_options bench_by_hand(void);

/* Each part: LH_OK, or bench->error is filled. `ms`: how long it may take, about. */
int bench_single(struct bench *bench,
                 double ms); /* bench_single.c: one command at a time, in turn with the floor */
int bench_handoff(struct bench *bench, double ms); /* bench_handoff.c */
int bench_hot_key(struct bench *bench, double ms);
int bench_threads(struct bench *bench, double ms); /* bench_load.c */

/* The other process of a hand-off: before any thread or connection is there. Does not return in the
 * child. */
int bench_partner_start(struct bench *bench);
void bench_partner_stop(struct bench *bench);

/* ---- The floor: the driver alone (bench_floor.c) ---- */

/* A connection of the same deployment, for one thread. NULL: `error` says why. */
struct bench_floor *bench_floor_open(const lh_store_options *options, lh_error *error);
void bench_floor_close(struct bench_floor *floor);
/* One command each; LH_OK, or LH_UNREACHABLE. */
int bench_floor_ping(struct bench_floor *floor, lh_error *error);
int bench_floor_write(struct bench_floor *floor, const char *key, lh_error *error);
/* The command of bench_floor_write(), for programs that send it otherwise. To be destroyed. */
bson_t *bench_floor_command(const char *collection, const char *key, unsigned round);
int bench_floor_drop(struct bench_floor *floor, lh_error *error);

/* ---- Telling (bench_print.c) ---- */

void bench_print(struct bench *bench);

#endif
