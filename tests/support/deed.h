/* SPDX-License-Identifier: Apache-2.0
 * What the tests of guard and fence share: an application beside the store, with a client and a
 * collection of its own. */
#ifndef DEED_H
#define DEED_H

#include <leasehold/mongo.h>

#include "live.h"

typedef struct app {
    mongoc_client_t *client;
    mongoc_collection_t *data;
    mongoc_client_session_t *session;
    lh_error error;
} app;

/* Failpoints that are aimed at the ground's store meet it too. */
app app_on(const char *uri, const char *db, const char *name);

app app_of(const ground *g);

void app_end(app *a);

/* The test's own. */
extern app us;

int app_ground(void **state);

int app_gone(void **state);

#define app_test(name) cmocka_unit_test_setup_teardown(name, app_ground, app_gone)

/* The key goes to somebody else, by the server's account; the one before does not know. */
lh_lease *take_over(ground *g, const char *key);

void begin(app *a);

bool commit(app *a);

void rollback(app *a);

void guard(ground *g, app *who, lh_lease *lease);

/* In the transaction, if one is open: document `id` gets `n`. */
bool set_n(app *a, const char *id, int n, bson_t *ret_reply);

/* The observer's view of one document of the collection; NULL: there is none. */
bson_t *document_in(ground *g, const char *collection, const char *id);

/* -1: there is none. */
int64_t n_of(ground *g, const char *collection, const char *id, const char *field);

#endif
