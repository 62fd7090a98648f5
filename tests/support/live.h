/* SPDX-License-Identifier: Apache-2.0
 * What the tests on a real server share: a ground of its own for each test (a random database,
 * dropped at the end; a store; an observer's connection that shares nothing with the store), and
 * words to look at it and to break it. */
#ifndef LIVE_H
#define LIVE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <leasehold/leasehold.h>
#include <mongoc/mongoc.h>

#include "dice.h"
#include "turn.h"

#define LOCKS     "workspace_locks"
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   INT64_C(3600000)

typedef struct ground {
    mongoc_client_t *client; /* the observer's */
    mongoc_collection_t *locks;
    char db[40], app[40]; /* failpoints are aimed at `app`: the store, not the observer */
    const char *uri;
    char quick_uri[512]; /* with which the driver finds out soon that a server is well again */
    bool set, failing;
    int turn; /* the file whose lock says whose turn it is to use failpoints; 0: not ours */
    lh_store *store;
    lh_error error;
} ground;

/* The library's own sentence is part of every complaint. */
void expect_at(int wanted, int got, const lh_error *error, const char *call, const char *file,
               int line);
#define expect(g, wanted, call) expect_at((wanted), (call), &(g)->error, #call, __FILE__, __LINE__)

/* The sentence says `what`. */
#define expect_says(g, what)                                                                       \
    do {                                                                                           \
        if (!strstr((g)->error.message, (what))) {                                                 \
            print_error("\"%s\" is not in: %s\n", (what), (g)->error.message);                     \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

int64_t now_ms(void);

/* Until `condition` holds, at most `ms`. It may do something: once it held, it is not asked
 * again. */
#define within(ms, condition)                                                                      \
    do {                                                                                           \
        int64_t until_ = now_ms() + (ms);                                                          \
        bool holds_; /* asked for once: it may do something */                                     \
        while (!(holds_ = (condition)) && now_ms() < until_)                                       \
            usleep(2000);                                                                          \
        if (!holds_) {                                                                             \
            print_error("not within %d ms: %s\n", (int)(ms), #condition);                          \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* ---- BSON, from JSON with ' for " -------------------------------------------------------------*/
bson_t *json(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool find_at(const bson_t *document, const char *path, bson_iter_t *ret_value);

bool has(const bson_t *document, const char *path);

int64_t number_at(const bson_t *document, const char *path);

/* "" where there is no string. */
const char *text_at(const bson_t *document, const char *path);

void expect_same(const bson_t *before, const bson_t *after);

/* ---- The observer -----------------------------------------------------------------------------*/

/* Runs a command and destroys it. NULL: it failed. */
bson_t *run_command(ground *g, const char *db, bson_t *command);

void do_command(ground *g, const char *db, bson_t *command);

int64_t server_ms(ground *g);

/* The key's document, NULL when there is none. */
bson_t *document_of(ground *g, const char *key);

int64_t count_documents(ground *g);

/* Takes the document. */
void put(ground *g, bson_t *document);

/* Applies an update (a pipeline when it is an array) to the key's document. Takes it. */
void change(ground *g, const char *key, bson_t *update);

/* The holder's end was this long ago (with a negative number: will be), by the server's clock. */
void end_it(ground *g, const char *key, int64_t ago_ms);

void delete_key(ground *g, const char *field, const char *value);

/* ---- Faults, aimed at the ground's own store --------------------------------------------------*/

/* Until the test's end. */
void await_turn(ground *g);

/* The next `times` (0: all) of the named commands, like "'findAndModify','find'", meet `what`, like
 * "'errorCode': 91". */
void break_commands(ground *g, int times, const char *commands, const char *what);

void mend_commands(ground *g);

/* ---- The store --------------------------------------------------------------------------------*/
/* Closing takes the driver up to half a second (its monitor wakes up so often): tests that do not
 * look at what closing does leave it to a thread, joined when the program ends. */

void close_later(lh_store *store);

lh_store_options store_options(const ground *g);

lh_store *open_store_with(ground *g, const lh_store_options *options);

lh_store *open_store(ground *g);

void reopen_store(ground *g, const lh_store_options *options);

lh_lease *take_as(ground *g, const char *key, int mode, int64_t ttl_ms, const char *owner);

lh_lease *take(ground *g, const char *key);

/* Acquires, and gives the token; the lease stays. */
int64_t take_token(ground *g, const char *key);

/* On LH_OK the message is of the trail's line, or empty; whatever stood there before. */
void give(ground *g, lh_lease *lease);

/* It is busy, with this reason. */
void expect_busy(ground *g, const char *key, int mode, int why);

lh_record *status_of(ground *g, const char *key);

int state_of(ground *g, const char *key);

/* A lease id that nobody else has. */
void random_id(char ret_id[LH_LEASE_ID_LEN + 1]);

/* ---- The ground -------------------------------------------------------------------------------*/
int ground_on(void **state, const char *uri);

/* A ground without a store. */
int bare_ground(void **state);

int new_ground(void **state);

int old_ground(void **state);

#define live_test(name) cmocka_unit_test_setup_teardown(name, new_ground, old_ground)
#define bare_test(name) cmocka_unit_test_setup_teardown(name, bare_ground, old_ground)

#endif
