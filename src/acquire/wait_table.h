/* SPDX-License-Identifier: Apache-2.0
 * The table of a store's waiters, by lease id and by key; and the effect of a grant by another
 * client's command. */
#ifndef LH_WAIT_TABLE_H
#define LH_WAIT_TABLE_H

#include "acquire/wait.h"

/* With the lock of the waiters held. */
/* LH_OK, LH_CLOSED, LH_MEMORY */
int lh_waits_add(struct lh_waits *waits, lh_waiting *w, lh_error *error);
void lh_waits_remove(struct lh_waits *waits, lh_waiting *w);
void lh_waits_rename(struct lh_waits *waits, lh_waiting *w, const char *id);
lh_waiting *lh_waits_find(struct lh_waits *waits, const char *id);
lh_spot *lh_waits_spot(struct lh_waits *waits, const char *key); /* NULL: nobody waits there */
/* A step (wait_step.h), and what follows from it for the table and for whoever waits for the
 * outcome. Returns the actions: those that send are the caller's to do. */
unsigned lh_wait_apply(lh_waiting *w, const lh_wait_event *event);
void lh_wait_settle(lh_waiting *w, int outcome);
void lh_wait_plan(lh_waiting *w); /* its turn is when state, ask_at, attended and until say */
void lh_wait_beat_at(lh_waiting *w, int64_t at);
int64_t lh_waits_jitter(struct lh_waits *waits, int64_t max); /* 0 … max */

/* Without that lock. */
void lh_wait_unref(lh_waiting *w);
void lh_wait_granted(lh_store *store, const lh_grant *grant);

/* The same, for a look (lease_look.h) whose `arg` begins with the store. */
void lh_wait_note_granted(void *arg, const lh_grant *grant, int64_t now_ms);

#endif
