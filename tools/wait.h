/* SPDX-License-Identifier: Apache-2.0
 * Acquiring with patience: asks again until granted, until the time is over, or until a signal. */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <leasehold/leasehold.h>
#include <signal.h>

#include "out.h"

struct wait {
    /* what is wanted */
    const struct out *out;
    lh_store *store;
    const char *key;
    const lh_acquire_options *options;
    int64_t wait_ms;         /* 0: ask once; INT64_MAX: for ever */
    const sigset_t *signals; /* those that end it; the caller has blocked them */
    /* what came of it */
    lh_lease *lease; /* LH_OK */
    lh_record *busy; /* LH_BUSY; may be NULL */
    int signal;      /* LH_STOPPED: which */
    lh_error error;  /* all others */
};

/* LH_OK, LH_BUSY, LH_STOPPED (a signal came; nothing is held), or what lh_acquire() returned. Does not return when a signal
 * came and the server does not answer within a second: the process ends, and the lease, if it was granted, with its ttl. */
int wait_acquire(struct wait *wait);

#endif
