/* SPDX-License-Identifier: Apache-2.0
 * Idempotency-Keys: the results of POST requests, so that the same request of the same client gets
 * the same reply again. In memory, for this process's life: grants for REPEAT_MS, at most
 * MOST_REPEATS of them. All functions with the waits locked. */
#ifndef SERVE_REPEAT_H
#define SERVE_REPEAT_H

#include "serve/table.h"
#include "serve/waits.h"

struct repeats;

/* While it is asked for, `ask` is set; after a grant the lease; anything else is not remembered:
 * nothing came of it, so it may be asked again. */
struct repeat {
    struct entry entry;
    struct repeat *older, *newer; /* grants of this client, in their order */
    struct client *client;        /* a reference */
    char *name;                   /* which key, which Idempotency-Key */
    uint64_t fingerprint;         /* of the body */
    struct ask *ask;
    char lease_id[LH_LEASE_ID_LEN + 1], owner[LH_OWNER_MAX + 1]; /* "" until it is granted */
    int64_t ttl_ms, until_ms;
};

int repeats_new(struct clients *clients, struct repeats **ret_repeats, lh_error *error);
void repeats_free(struct repeats *repeats);

/* The entry of this request, a new one (neither ask nor lease) if there is none. NULL: memory is
 * out. */
struct repeat *repeats_enter(struct repeats *repeats, const struct request *request,
                             const char *idempotency_key);
/* Whether this request has the same body as the previous request. */
bool repeats_same(const struct repeat *repeat, const struct request *request);
/* It was granted to its ask, and is remembered. If there are too many, the client with the most
 * grants loses its oldest. */
void repeats_grant(struct repeats *repeats, struct repeat *repeat, const char *lease_id);
void repeats_forget(struct repeats *repeats, struct repeat *repeat);
/* Forgets what was granted to clients whose token was taken away. */
void repeats_revoke(struct repeats *repeats);

#endif
