/* SPDX-License-Identifier: Apache-2.0
 * Acquires many keys, all or none. It takes them in sorted order, so a caller that waits for a key
 * holds only smaller keys, and no circle of waiters forms. Of several callers that ask at once
 * without waiting, the one that gets furthest gets all.
 *
 * Keys are taken in batches (many_batch.c). A batch ends at the first key that is not granted at
 * once. An ordinary acquire asks and waits for that key, while the keeper renews the leases in
 * hand. So a hundred free keys cost two round trips, and the rules for unusual documents, races and
 * queues are written once. */
#include "acquire/many.h"

#include <stdlib.h>
#include <string.h>

#include "acquire/acquire.h"
#include "acquire/acquire_key.h"
#include "acquire/many_batch.h"
#include "acquire/path.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/key.h"
#include "lease/audit.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "lease/lease_held.h"
#include "store/index.h"
#include "store/store.h"
#include "store/store_contact.h"
#include "store/store_run.h"

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const lh_many_entry *)a)->key, ((const lh_many_entry *)b)->key);
}

static int check_key(const lh_many *many, const char *const *keys, size_t i)
{
    lh_error why = LH_ERROR_INIT;
    int outcome = lh_key_check(keys[i], keys[i] ? strlen(keys[i]) : 0, &why);
    if (outcome == LH_OK && many->o.path)
        outcome = lh_path_check(keys[i], &why);
    return outcome == LH_OK ? LH_OK
                            : lh_fail(many->error, lh_error_reason(&why, outcome),
                                      "key %zu of %zu: %s", i + 1, many->n, why.message);
}

static int check(lh_many *many, const char *const *keys, const lh_acquire_options *options)
{
    if (!keys || many->n == 0 || many->n > LH_MANY_MAX)
        return lh_fail(many->error, LH_INVALID, "%zu keys were given: it must be 1 to %d",
                       keys ? many->n : 0, LH_MANY_MAX);
    lh_request r = {.store = many->store, .key = "key", .error = many->error};
    int outcome = lh_request_check(&r, options);
    many->o = r.o;
    many->began_us = r.began_us;
    many->until = r.until;
    for (size_t i = 0; outcome == LH_OK && i < many->n; i++)
        outcome = check_key(many, keys, i);
    if (outcome == LH_OK && many->o.lease_id)
        outcome =
            lh_fail(many->error, LH_INVALID, "a lease id is for one key only: leave lease_id NULL");
    if (outcome == LH_OK && many->o.path && many->o.wait_ms > 0)
        outcome =
            lh_fail(many->error, LH_INVALID,
                    "it is not possible to wait for many paths: leave wait_ms 0, and try again");
    return outcome;
}

static int sort(lh_many *many, const char *const *keys)
{
    many->entries = calloc(many->n, sizeof *many->entries);
    if (!many->entries)
        return lh_fail_memory(many->error);
    for (size_t i = 0; i < many->n; i++)
        many->entries[i] = (lh_many_entry){.key = keys[i], .at = i};
    qsort(many->entries, many->n, sizeof *many->entries, compare_keys);
    for (size_t i = 1; i < many->n; i++)
        if (strcmp(many->entries[i].key, many->entries[i - 1].key) == 0)
            return lh_fail(many->error, LH_INVALID, "the key \"%s\" is given twice",
                           many->entries[i].key);
    return LH_OK;
}

int lh_many_prepare(lh_many *many, const char *const *keys, const lh_acquire_options *options)
{
    int outcome = check(many, keys, options);
    return outcome == LH_OK ? sort(many, keys) : outcome;
}

void lh_many_finish(lh_many *many)
{
    lh_record_free(many->busy);
    free(many->entries);
}

static int take_one(lh_many *many, lh_many_entry *entry)
{
    lh_request r = {.store = many->store,
                    .key = entry->key,
                    .o = many->o,
                    .checked = true,
                    .until = many->until,
                    .error = many->error};
    r.o.path = false;
    if (many->until != INT64_MAX && many->until <= lh_clock_ms())
        r.o.wait_ms = 0;
    bool late = r.o.wait_ms == 0 && many->o.wait_ms > 0;
    int outcome = lh_acquire_key(&r, &entry->lease, &many->busy);
    return outcome == LH_BUSY && late ? lh_fail(many->error, LH_REASON_TIMEOUT,
                                                "the wait is over: \"%s\" is still held by %s",
                                                entry->key, lh_request_holder_name(many->busy))
                                      : outcome;
}

static int take_all(lh_many *many)
{
    int outcome = lh_index_require(many->store, INT64_MAX,
                                   lh_store_deadline(many->store, many->o.timeout_ms), many->error);
    if (outcome == LH_OK)
        outcome = lh_store_contact(many->store, lh_store_deadline(many->store, many->o.timeout_ms),
                                   many->error);
    for (size_t i = 0; outcome == LH_OK && i < many->n;) {
        size_t got = 0, tried = 0;
        if (many->n - i > 1 && !many->singly)
            outcome = lh_many_take(many, i, &got, &tried);
        i += got;
        if (outcome == LH_OK && i < many->n && (got < tried || tried == 0))
            outcome = take_one(many, &many->entries[i++]);
    }
    return outcome;
}

/* The keys of one call do not shut each other out; a key above or below them does. */
static int look_around(lh_many *many)
{
    const char *keys[LH_MANY_MAX];
    for (size_t i = 0; i < many->n; i++)
        keys[many->entries[i].at] = many->entries[i].key; /* in the order of the caller */
    lh_record *conflict = NULL;
    lh_path_query query = {.keys = keys,
                           .n = many->n,
                           .mode = many->o.mode,
                           .surely = true,
                           .deadline = lh_store_deadline(many->store, many->o.timeout_ms)};
    int outcome = lh_path_look(many->store, &query, &conflict, many->error);
    if (outcome != LH_OK || !conflict)
        return outcome;
    lh_request r = {
        .store = many->store, .key = "one of the keys", .o = many->o, .error = many->error};
    outcome = lh_path_busy(&r, conflict);
    many->busy = r.busy;
    return outcome;
}

static int check_valid(const lh_many *many)
{
    for (size_t i = 0; i < many->n; i++)
        if (!lh_lease_believed(many->entries[i].lease))
            return lh_fail(many->error, LH_REASON_TOO_LATE,
                           "the lease on \"%s\" ended before all others were granted: try again, "
                           "or with a longer ttl",
                           many->entries[i].key);
    return LH_OK;
}

/* Writes one entry for each key, in one command. */
static int acknowledge(const lh_many *many)
{
    lh_audit_grant *grants = many->store->audit ? calloc(many->n, sizeof *grants) : NULL;
    if (!grants)
        return many->store->audit ? lh_fail_memory(many->error) : LH_OK;
    for (size_t i = 0; i < many->n; i++) {
        const lh_lease *lease = many->entries[i].lease;
        grants[i] = (lh_audit_grant){.key = lease->key,
                                     .owner = lease->owner,
                                     .purpose = many->o.purpose,
                                     .token = lh_lease_token(lease),
                                     .mode = lease->mode};
    }
    lh_error why = LH_ERROR_INIT;
    int outcome = lh_audit_granted(many->store, grants, many->n, &why);
    free(grants);
    for (size_t i = 0; outcome == LH_OK && i < many->n; i++)
        many->entries[i].lease->in_trail = true;
    return outcome == LH_OK ? LH_OK
                            : lh_fail(many->error,
                                      outcome == LH_UNKNOWN ? LH_REASON_TIMED_OUT
                                                            : lh_error_reason(&why, outcome),
                                      "the leases were released, because their audit entries could "
                                      "not be written: %.400s",
                                      why.message);
}

static int take(lh_many *many)
{
    bool by_hand = many->o.by_hand;
    if (many->o.wait_ms > 0)
        many->o.by_hand = false; /* until they are returned to the caller */
    int outcome = take_all(many);
    if (outcome == LH_OK && many->o.path)
        outcome = look_around(many);
    if (outcome == LH_OK)
        outcome = acknowledge(many);
    if (outcome == LH_OK)
        outcome = check_valid(many);
    for (size_t i = 0; outcome == LH_OK && by_hand && i < many->n; i++)
        lh_held_by_hand(many->entries[i].lease);
    if (outcome != LH_OK && !lh_many_let_go(many) && outcome == LH_UNREACHABLE)
        outcome = lh_fail(many->error, LH_REASON_NOT_GIVEN_BACK,
                          "some of the leases were granted, and then the server stopped "
                          "responding: those leases end with their ttl");
    return outcome;
}

static int acquire_many(lh_many *many, lh_lease **ret_leases, lh_record **ret_busy)
{
    lh_assert(many->n > 0 && many->entries && many->o.owner);
    int outcome = lh_held_enter(many->store, many->error);
    if (outcome != LH_OK)
        return outcome;
    outcome = take(many);
    for (size_t i = 0; i < many->n; i++) /* all or nothing */
        lh_assert((outcome == LH_OK) == (many->entries[i].lease != NULL));
    for (size_t i = 0; outcome == LH_OK && i < many->n; i++)
        ret_leases[many->entries[i].at] = many->entries[i].lease;
    lh_held_exit(many->store);
    if (outcome == LH_BUSY && ret_busy) {
        *ret_busy = many->busy;
        many->busy = NULL;
    }
    return outcome;
}

int lh_core_acquire_many(lh_many *many, lh_lease **ret_leases, lh_record **ret_busy)
{
    lh_store *store = lh_store_ref(many->store); /* as lh_core_acquire() */
    lh_error mine = LH_ERROR_INIT, *error = many->error;
    many->error = error ? error : &mine;
    int outcome = acquire_many(many, ret_leases, ret_busy);
    if (outcome != LH_OK)
        (void)lh_acquire_log(store, NULL, NULL, many->began_us, outcome, many->error);
    for (size_t i = 0; outcome == LH_OK && i < many->n; i++)
        (void)lh_acquire_log(store, NULL, ret_leases[i], many->began_us, outcome, NULL);
    lh_store_unref(store);
    many->error = error;
    return outcome;
}
