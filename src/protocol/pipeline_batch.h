/* SPDX-License-Identifier: Apache-2.0
 * Commands on many keys at once, for what a store's own threads do: renew, beat, release. Pure.
 *
 * They say how many documents they matched; which ones, a poll tells (lh_pipeline_poll). */
#ifndef LH_PIPELINE_BATCH_H
#define LH_PIPELINE_BATCH_H

#include "protocol/pipeline.h"

typedef struct lh_batch_lease {
    const char *key, *id;
    int64_t ttl_ms; /* of a renewal; 0 in all others */
    bool shared;
    int64_t token; /* as it was granted: for renewing */
} lh_batch_lease;

/* An update that extends those of `leases` that still hold and have not ended, each to the later of
 * its end and now + its ttl: a statement for each reader, and for the others with one ttl. `n` of
 * the answer: how many. */
void lh_batch_renew(const char *collection, const lh_batch_lease *leases, size_t n,
                    bson_t *command);

/* An update that releases those of `leases` that are exclusive, and on whose keys nobody else
 * waits. `n`: how many. */
void lh_batch_release(const char *collection, const lh_batch_lease *leases, size_t n,
                      bson_t *command);

typedef struct lh_batch_beat {
    const char *key, *id;
    int64_t beat;
} lh_batch_beat;

/* An update with a statement for each run of equal keys in `beats`, which beats for all of the run
 * or, where one of it is no longer queued, for none. *ret_statements: how many; `n` of the answer:
 * how many of them matched. */
void lh_batch_beats(const char *collection, const lh_batch_beat *beats, size_t n,
                    size_t *ret_statements, bson_t *command);

/* An update that takes the lease ids out of the queues of their keys. */
void lh_batch_unqueue(const char *collection, const lh_batch_beat *beats, size_t n,
                      bson_t *command);

#endif
