/* SPDX-License-Identifier: Apache-2.0
 * --cleanup-every: what `leasehold cleanup` does, from time to time. */
#ifndef SERVE_CLEANING_H
#define SERVE_CLEANING_H

#include "serve/server.h"

struct cleaning;

int cleaning_new(struct server *server, struct cleaning **ret_cleaning, lh_error *error);
/* Begins one when it is due, by a worker. */
void cleaning_tick(struct cleaning *cleaning);
/* One that runs ends at its next batch. */
void cleaning_stop(struct cleaning *cleaning);
/* How many ended well, and not; how many keys they removed. */
void cleaning_counts(struct cleaning *cleaning, uint64_t *ret_done, uint64_t *ret_failed,
                     uint64_t *ret_removed);
void cleaning_free(struct cleaning *cleaning);

#endif
