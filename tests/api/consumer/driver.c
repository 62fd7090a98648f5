/* SPDX-License-Identifier: Apache-2.0
 * Uses the driver and Leasehold together: driver URI DB. A document is written under a lease's
 * fence. */
#include <leasehold/mongo.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    lh_store *store;
    lh_lease *lease;
    lh_error error = LH_ERROR_INIT;
    if (argc != 3)
        return 2;
    options.uri = argv[1];
    options.db = argv[2];
    options.at_open = LH_AT_OPEN_MIGRATE;
    if (lh_store_open(&options, &store, &error) != LH_OK ||
        lh_acquire(store, "consumer", NULL, &lease, NULL, &error) != LH_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    mongoc_client_t *client = mongoc_client_new(argv[1]);
    mongoc_collection_t *accounts = mongoc_client_get_collection(client, argv[2], "accounts");
    bson_t *id = BCON_NEW("_id", "ann"),
           *update = BCON_NEW("$set", "{", "balance", BCON_INT32(7), "}");
    int outcome = lh_fenced_read(lease, accounts, id, LH_FENCED_CREATE, NULL, &error);
    if (outcome == LH_OK)
        outcome = lh_fenced_write(lease, accounts, id, update, NULL, &error);
    if (outcome != LH_OK)
        fprintf(stderr, "%s\n", error.message);
    else
        printf("%lld\n", (long long)lh_lease_token(lease));
    bson_destroy(id);
    bson_destroy(update);
    mongoc_collection_destroy(accounts);
    mongoc_client_destroy(client);
    (void)lh_lease_release(lease, NULL);
    lh_lease_free(lease);
    lh_store_close(store);
    return outcome;
}
