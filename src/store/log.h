/* SPDX-License-Identifier: Apache-2.0
 * The events of a store: each is counted (metrics.h), and given to the program's callback. */
#ifndef LH_LOG_H
#define LH_LOG_H

#include <leasehold/leasehold.h>
#include <stdatomic.h>

/* Constant from the opening on, but for the atomics. */
typedef struct lh_log_to {
    void (*fn)(void *arg, const lh_log_event *event); /* NULL: nobody reads the log */
    void *arg;
    void (*arg_free)(void *arg);
    int level;        /* events above it are not given away */
    atomic_bool over; /* … and none any more: the store was closed */
    atomic_int calls; /* threads that are in the callback, or about to look at `over` */
} lh_log_to;

void lh_log_init(lh_store *store, const lh_store_options *options);

/* For a thread that holds no lock. Counts the event, and gives it to the callback: with its size
 * and level, and with what `error` (may be NULL) says of a failure. event->lease is a whole lease
 * id here. */
void lh_log(lh_store *store, const lh_log_event *event, const lh_error *error);

/* Whether this thread is in the callback of the store. */
bool lh_log_is_inside(const lh_store *store);

/* For closing: waits until no thread of this process is in the callback, and frees its argument.
 * From then on events are only counted: a thread whose wait was ended by the closing may still have
 * one. */
void lh_log_fini(lh_store *store);

#endif
