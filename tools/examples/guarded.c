/* SPDX-License-Identifier: Apache-2.0
 * Moves money between two accounts while it holds the lease on them, so that it is right even when
 * this process is stopped in the middle, and goes on after somebody else took over.
 *
 *     cc -std=c17 guarded.c -o guarded $(pkg-config --cflags --libs libmongoc-1.0) -lleasehold
 *     LEASEHOLD_URI='mongodb://db0,db1,db2/?replicaSet=rs' ./guarded [DATABASE]
 *
 * Prints what it did. Exit status: 0 done, 75 somebody else holds the lease, 76 it was lost, 1
 * anything else. */
#include <leasehold/mongo.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    mongoc_collection_t *accounts;
    int amount;
} transfer;

/* Adds to one account within the transaction. */
static bool add(mongoc_collection_t *accounts, mongoc_client_session_t *session, const char *name,
                int amount, bson_t **reply, bson_error_t *why)
{
    bson_t *id = BCON_NEW("_id", BCON_UTF8(name)), *options = BCON_NEW("upsert", BCON_BOOL(true));
    bson_t *update = BCON_NEW("$inc", "{", "balance", BCON_INT32(amount), "}"), said;
    mongoc_client_session_append(session, options, NULL);
    bool good = mongoc_collection_update_one(accounts, id, update, options, &said, why);
    if (!good)
        *reply =
            bson_copy(&said); /* its labels say whether the transaction is worth another attempt */
    bson_destroy(&said);
    bson_destroy(update);
    bson_destroy(options);
    bson_destroy(id);
    return good;
}

/* May be called several times, each in a transaction of its own: nothing in it may be done outside
 * of the database. */
static bool move_money(mongoc_client_session_t *session, void *arg, bson_t **reply,
                       bson_error_t *why)
{
    transfer *t = arg;
    return add(t->accounts, session, "savings", -t->amount, reply, why) &&
           add(t->accounts, session, "checking", t->amount, reply, why);
}

static int work(lh_store *store, mongoc_client_t *client, const char *db, lh_error *error)
{
    lh_lease *lease;
    int outcome = lh_acquire(store, "accounts:ann", NULL, &lease, NULL, error);
    if (outcome != LH_OK)
        return outcome;
    bson_error_t why = {0};
    mongoc_client_session_t *session = mongoc_client_start_session(client, NULL, &why);
    transfer t = {.accounts = mongoc_client_get_collection(client, db, "accounts"), .amount = 100};
    if (session) {
        outcome = lh_with_guard(lease, session, move_money, &t, error);
        mongoc_client_session_destroy(session);
    } else {
        (void)snprintf(error->message, sizeof error->message, "no session: %.400s", why.message);
        outcome = LH_UNREACHABLE;
    }
    mongoc_collection_destroy(t.accounts);
    if (outcome == LH_OK)
        printf("moved %d, with token %lld\n", t.amount, (long long)lh_lease_token(lease));
    (void)lh_lease_release(lease, NULL);
    lh_lease_free(lease);
    return outcome;
}

int main(int argc, char **argv)
{
    const char *uri = getenv("LEASEHOLD_URI"), *db = argc > 1 ? argv[1] : "example";
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = uri;
    options.db = db;
    options.at_open = LH_AT_OPEN_MIGRATE;
    lh_store *store;
    lh_error error = LH_ERROR_INIT;
    int outcome = lh_store_open(&options, &store, &error);
    if (outcome == LH_OK) {
        mongoc_client_t *client = mongoc_client_new(uri); /* the application's own */
        outcome = work(store, client, db, &error);
        mongoc_client_destroy(client);
        lh_store_close(store);
    }
    if (outcome != LH_OK)
        (void)fprintf(stderr, "%s: %s\n", lh_outcome_word(outcome), error.message);
    return outcome == LH_OK ? 0 : outcome == LH_BUSY ? 75 : outcome == LH_LOST ? 76 : 1;
}
