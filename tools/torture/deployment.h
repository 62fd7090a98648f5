/* SPDX-License-Identifier: Apache-2.0
 * The actions of torture on a deployment without the library: faults, and its own database. */
#ifndef TORTURE_DEPLOYMENT_H
#define TORTURE_DEPLOYMENT_H

#include "torture/history.h"
#include "torture/torture.h"

struct deployment;

/* NULL: `error` says why. `app` is the name under which the processes connect: faults are aimed at
 * it. */
struct deployment *deployment_open(const char *uri, const char *db, const char *app,
                                   lh_error *error);
void deployment_close(struct deployment *deployment);

bool deployment_is_set(const struct deployment *deployment);
/* The FAULT_… that are possible on this deployment: they depend on the set, privileges and test
 * commands. */
unsigned deployment_allows(struct deployment *deployment);

/* Begins a fault, which is over after *ret_ms at the latest, or when deployment_mend() is called.
 * False: the server refused. */
bool deployment_fault(struct deployment *deployment, unsigned fault, uint64_t *dice,
                      int64_t *ret_ms);
/* Ends what goes on by itself (failpoints). */
void deployment_mend(struct deployment *deployment);

/* The document that older code would write, without an end, and its deletion by its id. */
bool deployment_put_old(struct deployment *deployment, const char *key, const char *id);
bool deployment_delete_old(struct deployment *deployment, const char *id);

/* How often was there an election? */
int64_t deployment_term(struct deployment *deployment);

bool deployment_drop(struct deployment *deployment);

#endif
