/* SPDX-License-Identifier: Apache-2.0
 * The parts of `leasehold run`: a child in a process group of its own, and the loop that watches it
 * and its lease. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <leasehold/leasehold.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/out.h"

/* ---- the guard: a process that ends the group when leasehold itself was killed ---- */
struct guard {
    pid_t pid;
    int fd; /* what it listens to */
};

/* Starts the guard. Call it while there is only one thread. False: the system has no process
 * left. */
bool guard_start(struct guard *guard);
/* From now on it guards that group. */
void guard_watch(const struct guard *guard, pid_t group);
/* Ends the guard. */
void guard_stop(struct guard *guard);

/* ---- the child ---- */
struct child {
    pid_t pid;        /* also its process group */
    bool on_terminal; /* the terminal was handed over to it */
    bool ended;
    int status; /* once ended: as in a shell */
};

/* Starts argv with the given environment and signal mask. Returns 0, or the errno of the
 * failure. */
int child_start(struct child *child, char *const *argv, char *const *environment,
                const sigset_t *mask);
/* To the whole group; a stopped one is woken for it. */
void child_signal(const struct child *child, int signal);
/* Whether a process of the group still exists. */
bool child_group_exists(const struct child *child);
/* Checks whether the child ended or stopped. Returns true if it was stopped from the terminal. */
bool child_look(struct child *child);
/* Stops this process as the child was stopped, and wakes the child when a shell has woken this
 * one. */
void child_stop_with(const struct child *child);
/* Takes the terminal back. */
void child_leave_terminal(struct child *child);

/* ---- the loop ---- */
enum { RUN_KEYS = 100 }; /* at most */

struct run {
    const struct out *out;
    struct child child;
    lh_lease **leases; /* the library renews them */
    size_t n_leases;
    int signal_fd;
    int64_t grace_ms;
    bool lost; /* of a child that was ended: a lease was lost; else it could not be renewed */
};

/* Signals that are passed on to the child. */
extern const int run_forwarded[];
enum { RUN_FORWARDED = 6 };

/* Runs until the child has ended. False: the loop ended it because the lease was lost, or was about
 * to end. */
bool run_watch(struct run *run);

#endif
