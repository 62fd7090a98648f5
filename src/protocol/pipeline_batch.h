/* SPDX-License-Identifier: Apache-2.0
 * Commands on many keys at once, for a store's own threads: renew, beat, release. Pure.
 *
 * A reply has only the number of documents that matched; a poll shows which ones
 * (lh_pipeline_poll). */
#ifndef LH_PIPELINE_BATCH_H
#define LH_PIPELINE_BATCH_H

#include "protocol/pipeline.h"

typedef struct lh_batch_lease {
    const char *key, *id;
    int64_t ttl_ms; /* for a renewal; 0 in all others */
    bool shared;
    int64_t token; /* as granted; for a renewal */
} lh_batch_lease;

/* An update that extends those of `leases` that still hold and have not ended, each to the later of
 * its end and now + its ttl. It has a statement for each reader, and one for all exclusive leases
 * with the same ttl. `n` of the reply: the number of extended leases. */
void lh_batch_renew(const char *collection, const lh_batch_lease *leases, size_t n,
                    bson_t *command);

/* An update that releases those of `leases` that are exclusive and on whose keys no other process
 * waits. `n` of the reply: the number of released leases. */
void lh_batch_release(const char *collection, const lh_batch_lease *leases, size_t n,
                      bson_t *command);

typedef struct lh_batch_beat {
    const char *key, *id;
    int64_t beat;
} lh_batch_beat;

/* An update with a statement for each run of equal keys in `beats`. A statement beats for all
 * waiters of the run, or for none if one of them is no longer queued. *ret_statements: the number
 * of statements. `n` of the reply: the number that matched. */
void lh_batch_beats(const char *collection, const lh_batch_beat *beats, size_t n,
                    size_t *ret_statements, bson_t *command);

/* An update that removes the lease ids from the queues of their keys. */
void lh_batch_unqueue(const char *collection, const lh_batch_beat *beats, size_t n,
                      bson_t *command);

#endif
