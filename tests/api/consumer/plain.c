/* SPDX-License-Identifier: Apache-2.0
 * Opens a store, holds a lease, finds it busy for others: plain URI DB. Includes what it needs, and
 * nothing of the driver. */
#include <leasehold/leasehold.h>
#include <stdio.h>
#include <string.h>

#ifdef MONGOC_INSIDE
#error leasehold.h must not need the driver
#endif

static int fail(const char *what, const lh_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    return 1;
}

int main(int argc, char **argv)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    lh_acquire_options acquire = LH_ACQUIRE_OPTIONS_INIT;
    lh_store *store;
    lh_lease *lease, *second;
    lh_error error = LH_ERROR_INIT;
    if (argc != 3 || strcmp(lh_version(), LH_VERSION) != 0)
        return 2;
    options.uri = argv[1];
    options.db = argv[2];
    options.at_open = LH_AT_OPEN_MIGRATE;
    if (lh_store_open(&options, &store, &error) != LH_OK)
        return fail("open", &error);
    acquire.purpose = "to be built elsewhere";
    if (lh_acquire(store, "consumer", &acquire, &lease, NULL, &error) != LH_OK)
        return fail("acquire", &error);
    if (lh_acquire(store, "consumer", NULL, &second, NULL, &error) != LH_BUSY)
        return fail("not busy", &error);
    printf("%lld\n", (long long)lh_lease_token(lease));
    if (lh_lease_release(lease, &error) != LH_OK)
        return fail("release", &error);
    lh_lease_free(lease);
    lh_store_close(store);
    return 0;
}
