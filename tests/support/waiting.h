/* SPDX-License-Identifier: Apache-2.0
 * What the tests of waiting share besides live.h: more stores, and patience for conditions. */
#ifndef WAITING_H
#define WAITING_H

#include <sys/select.h>

#include "live.h"

lh_store *open_on(ground *p, const char *uri, const char *app, int64_t timeout_ms,
                  void (*on_lost)(void *, const char *, const char *), void *arg);

lh_store *another(ground *p);

/* The store is closed before the test is over: its threads are counted. */
int quiet_ground(void **state);

#define wait_test(name) cmocka_unit_test_setup_teardown(name, new_ground, quiet_ground)

/* The key's document as relaxed JSON, "" without one; to be freed with bson_free. */
char *stored(ground *p, const char *key);

bool stored_has(ground *p, const char *key, const char *what);

/* How many wait for the key, dead ones too. */
int queued(ground *p, const char *key);

lh_lease *take_on(ground *p, lh_store *store, const char *key, int mode, int64_t ttl_ms);

lh_waiting *await(ground *p, lh_store *store, const char *key, int mode, int64_t wait_ms);

bool is_settled(lh_waiting *waiting, int ms);

int threads(void);

/* Kills every cursor that the place's stores have; how many. */
int kill_cursors(ground *p);

#endif
