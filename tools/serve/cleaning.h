/* SPDX-License-Identifier: Apache-2.0
 * --cleanup-every: does the work of `leasehold cleanup`, at intervals. */
#ifndef SERVE_CLEANING_H
#define SERVE_CLEANING_H

#include "serve/server.h"

struct cleaning;

int cleaning_new(struct server *server, struct cleaning **ret_cleaning, lh_error *error);
/* Starts a cleanup when it is due, in a worker. */
void cleaning_tick(struct cleaning *cleaning);
/* A running cleanup ends at its next batch. */
void cleaning_stop(struct cleaning *cleaning);
/* The numbers of successful and failed cleanups, and of removed keys. */
void cleaning_counts(struct cleaning *cleaning, uint64_t *ret_done, uint64_t *ret_failed,
                     uint64_t *ret_removed);
void cleaning_free(struct cleaning *cleaning);

#endif
