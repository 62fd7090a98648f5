/* SPDX-License-Identifier: Apache-2.0
 * A process of a run: its store, its leases, and its operations, each of which writes two lines. */
#ifndef TORTURE_WORKER_H
#define TORTURE_WORKER_H

#include "torture/history.h"
#include "torture/torture.h"
#include "torture/writes.h"

enum { HANDS = 3, REMEMBERED = 6 };

/* A lease that it released, transferred or lost, for commands that come too late. */
struct old_lease {
    char key[16], id[LH_LEASE_ID_LEN + 1];
};

struct worker {
    const struct torture *torture;
    struct history history;
    lh_store *store;
    struct writes *writes;
    uint64_t dice;
    int64_t n;             /* calls so far */
    lh_lease *hand[HANDS]; /* NULL: empty */
    struct old_lease old[REMEMBERED];
    size_t n_old;
};

uint32_t worker_dice(struct worker *worker, uint32_t n);
/* Sleeps, and records its beliefs meanwhile. */
void worker_doze(struct worker *worker, int64_t ms);
/* Records whether one lease is valid, or all leases. */
void worker_believe(struct worker *worker, lh_lease *lease);
void worker_believe_all(struct worker *worker);
/* The lease's handle is done with. */
void worker_forget(struct worker *worker, size_t hand);

void worker_acquire(struct worker *worker);
void worker_renew(struct worker *worker);
void worker_release(struct worker *worker);
void worker_transfer(struct worker *worker);
void worker_take_mail(struct worker *worker);
void worker_come_late(struct worker *worker);
void worker_break(struct worker *worker);
void worker_cleanup(struct worker *worker);
void worker_write(struct worker *worker);

/* The process with a store: random operations until the time is over. Returns an exit code. */
int worker_run(const struct torture *torture, int p, int life);

#endif
