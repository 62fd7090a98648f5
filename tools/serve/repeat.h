/* SPDX-License-Identifier: Apache-2.0
 * Idempotency-Keys: what a POST came to, so that the same request again is told the same. In memory, for this process's life:
 * at most MOST_REPEATS, each for REPEAT_MS. All functions with the waits locked. */
#ifndef SERVE_REPEAT_H
#define SERVE_REPEAT_H

#include "waits.h"

struct repeats;

/* While it is asked for, `ask` is set; after a grant the lease; anything else is not remembered: nothing came of it, so
 * it may be asked again. */
struct repeat {
    struct repeat *next;          /* with the same hash */
    struct repeat *older, *newer; /* in the order in which they came */
    char *name;                   /* who, which key, which Idempotency-Key */
    uint64_t fingerprint;         /* of the body */
    struct ask *ask;
    char lease_id[LH_LEASE_ID_LEN + 1], owner[LH_OWNER_MAX + 1];
    int64_t ttl_ms, until_ms;
};

int repeats_new(struct repeats **ret_repeats, lh_error *error);
void repeats_free(struct repeats *repeats);

/* The entry of this request, a new one (neither ask nor lease) if there is none. NULL: all that may are in use, or memory is out. */
struct repeat *repeats_enter(struct repeats *repeats, const struct request *request, const char *idempotency_key);
/* Does this request say the same as the one before? */
bool repeats_same(const struct repeat *repeat, const struct request *request);
void repeats_forget(struct repeats *repeats, struct repeat *repeat);

#endif
