/* SPDX-License-Identifier: Apache-2.0
 * The description of a run, for its processes. */
#ifndef TORTURE_TORTURE_H
#define TORTURE_TORTURE_H

#include <leasehold/leasehold.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What is done to it. */
enum {
    FAULT_PAUSE =
        1, /* a process is stopped past its leases' ends; some stop themselves, where it matters */
    FAULT_KILL = 2,      /* a process is killed, and another one started */
    FAULT_OLD = 4,       /* a lock of older code, without an end, appears and goes */
    FAULT_STEPDOWN = 8,  /* the primary steps down */
    FAULT_LAG = 16,      /* the secondaries stop replicating for a second: no majority */
    FAULT_ROLLBACK = 32, /* the same, and then one of them becomes primary */
    FAULT_ERRORS =
        64, /* commands of ours meet errors, lost connections, delays, failed write concerns */
    FAULT_KILLOPS = 128, /* operations and cursors of ours are killed */
};

/* The suffix after `app` in the names of clients that write data. */
#define TORTURE_DATA "-data"

struct torture {
    const char *uri, *db, *app;
    const char *history; /* a file */
    const char *mail;    /* a folder: lease ids that were handed on */
    uint64_t seed;
    int processes, keys;
    int64_t until; /* CLOCK_BOOTTIME in ns */
    unsigned faults;
    bool is_set;
    bool insecure_tls; /* as the option of that name */
};

/* A process that stops itself uses this signal, and is continued after this time. (Others may stop
 * and continue it by SIGSTOP and SIGCONT too.) */
#define TORTURE_STOP_SIGNAL SIGTSTP
#define TORTURE_STOP_MIN_MS 2000
#define TORTURE_STOP_MAX_MS 4000

/* A number from 0 to n - 1; `state` is not 0. */
static inline uint32_t torture_dice(uint64_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state * UINT64_C(0x2545F4914F6CDD1D)) >> 32) % n;
}

static inline uint64_t torture_seed(uint64_t seed, int which, int life)
{
    uint64_t state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)which * 1000003 +
                     (uint64_t)life * 7919;
    state = state ? state : 1;
    for (int i = 0; i < 8; i++)
        (void)torture_dice(&state, 2);
    return state;
}

/* A signal ends it sooner. */
static inline void torture_nap(int64_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

#endif
