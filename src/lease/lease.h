/* SPDX-License-Identifier: Apache-2.0
 * Leases: acquire once, renew, release; a command each. */
#ifndef LH_LEASE_H
#define LH_LEASE_H

#include "protocol/pipeline.h"
#include "store/store.h"

/* 128 bits from the system. False: it has none to give. */
bool lh_lease_id_new(char ret_id[LH_LEASE_ID_ROOM]);

/* The variables that every command needs. */
lh_vars lh_lease_vars(const lh_store *store, const char *key, const char *lease_id);

/* What came back: `document` is a view into `reply`, if `there` is one. The short forms of a renewal and a release have none: `wrote`
 * says that they did it, and then all is settled. `sent`: lh_clock_ms() before the send. */
typedef struct lh_answer {
    bson_t reply, document;
    bool there, found, wrote; /* found: there was a document to look at */
    bool maybe;               /* an earlier attempt may have been applied, and its answer was lost */
    int64_t sent;
} lh_answer;

/* (lease_run.c) Runs `what` on the document of vars->key: with the short form first unless `whole`, and with the whole form where the short
 * one did not settle it. Whom it granted besides the asker is told to the store's waiters. answer->reply is always
 * initialised, and the caller's to destroy. */
int lh_lease_run(lh_store *store, lh_do what, bool whole, const lh_vars *vars, lh_way way, lh_answer *answer,
                 lh_error *error);

/* (lease_run.c) The server's time in an answer (0: it has none), from which the store knows how far that clock is ahead. The command was
 * sent at `sent`, or later. */
int64_t lh_lease_hear_time(lh_store *store, const bson_t *document, int64_t sent);

#endif
