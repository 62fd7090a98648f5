/* SPDX-License-Identifier: Apache-2.0
 * While a call waits: a signal ends the call, and a line on the terminal can be updated. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <leasehold/leasehold.h>
#include <pthread.h>
#include <signal.h>

struct interrupt {
    const sigset_t
        *signals;      /* those that end it; blocked by the caller, before other threads exist */
    lh_cancel *cancel; /* is told then */
    void (*tick)(void *arg);    /* ten times a second; NULL: nothing is to be done */
    void (*give_up)(void *arg); /* a second after the signal, where the call has not ended: the
                                   process ends then */
    void *arg;                  /* of both */
    /* its own */
    pthread_t thread;
    int signal_fd, done_fd;
    int signal; /* that came; 0: none */
};

/* For a command that only reads, before the store's threads exist: SIGINT, SIGTERM and SIGHUP end
 * the command, with nothing to undo. A pipe that nobody reads any more ends it too, as in other
 * programs. `signals` must outlive `interrupt`. */
void interrupt_init_reader(struct interrupt *interrupt, sigset_t *signals);

/* Begins to listen. LH_OK, or LH_MEMORY: the system has no thread or descriptor left. */
int interrupt_start(struct interrupt *interrupt, lh_error *error);

/* The call has ended. Returns the signal that came, 0 without one. */
int interrupt_stop(struct interrupt *interrupt);

#endif
