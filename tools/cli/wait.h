/* SPDX-License-Identifier: Apache-2.0
 * Acquires and waits in the key's queue, until the lease is granted, the time is over, or a signal
 * comes. On a terminal, a line shows the current holder, the time remaining, and the number of
 * waiters ahead. */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <leasehold/leasehold.h>
#include <signal.h>

#include "common/out.h"

struct wait {
    /* what is wanted */
    const struct out *out;
    lh_store *store;
    const char *const *keys; /* one, or several, of which all are granted or none */
    size_t n_keys;
    lh_acquire_options options; /* but for cancel and feedback */
    const sigset_t *signals;    /* those that end it; the caller has blocked them */
    /* what came of it */
    lh_lease **leases; /* room for n_keys, NULLs; LH_OK: one for each key */
    lh_record *busy; /* LH_BUSY; may be NULL */
    int signal;      /* LH_CANCELLED: which */
    lh_error error;  /* all others */
};

/* LH_OK: the lease has its full ttl, also after a wait. LH_BUSY, LH_CANCELLED (a signal came;
 * nothing is held), or what lh_acquire() returned. Does not return if a signal came and the server
 * does not reply within a second. Then the process ends. A lease that was granted ends with its
 * ttl, and a place in the queue ends sooner. */
int wait_acquire(struct wait *wait);

#endif
