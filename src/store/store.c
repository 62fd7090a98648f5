/* SPDX-License-Identifier: Apache-2.0
 * The store's life: its options, its pool, its references. Running commands is in store_run.c.
 *
 * Threads: everything in lh_store is set before lh_store_open() returns and constant from then on,
 * but for the atomics; a part that changes has a lock of its own. The pool is the driver's own,
 * thread-safe. */
#include "store/store.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/key.h"
#include "base/name.h"
#include "base/options.h"
#include "base/proc.h"
#include "store/store_set.h"
#include "store/store_uri.h"
#include "store/store_uri_options.h"

static pthread_once_t driver_once = PTHREAD_ONCE_INIT;

/* What lh_driver_log() was given: the driver's log is process-wide, and so is this. */
static struct {
    void (*fn)(void *arg, int level, const char *line);
    void *arg;
    void (*arg_free)(void *arg);
} driver_log;

static void start_driver(void)
{
    /* never undone: the application may use the driver too, and it cannot be started twice */
    mongoc_init();
}

static void forward_log(mongoc_log_level_t level, const char *domain, const char *message,
                        void *unused)
{
    (void)unused;
    (void)domain;
    if (lh_store_uri_is_parsing())
        message = "the driver's message about a part of the connection string is not shown, "
                  "because it may quote a password";
    if (driver_log.fn)
        driver_log.fn(driver_log.arg, (int)level, message);
}

void lh_driver_log(void (*fn)(void *arg, int level, const char *line), void *arg,
                   void (*arg_free)(void *arg))
{
    void (*former_free)(void *) = driver_log.arg_free;
    void *former = driver_log.arg;
    driver_log.fn = fn;
    driver_log.arg = arg;
    driver_log.arg_free = arg_free;
    mongoc_log_set_handler(forward_log, NULL);
    if (former_free)
        former_free(former);
}

/* "user@host"; a user without a name is shown by number. */
static char *default_owner(const char *host)
{
    struct passwd entry, *found = NULL;
    char names[4096], owner[LH_OWNER_MAX + 1];
    if (getpwuid_r(geteuid(), &entry, names, sizeof names, &found) == 0 && found)
        (void)snprintf(owner, sizeof owner, "%s@%s", found->pw_name, host);
    else
        (void)snprintf(owner, sizeof owner, "uid%u@%s", (unsigned)geteuid(), host);
    return strdup(owner);
}

static int check_range(const char *name, int64_t value, int64_t min, int64_t max, lh_error *error)
{
    if (value >= min && value <= max)
        return LH_OK;
    return lh_fail(error, LH_INVALID, "%s is %lld: it must be %lld to %lld", name, (long long)value,
                   (long long)min, (long long)max);
}

#define NOWHERE "mongodb://off.invalid/" /* nobody is asked */

static int find_rollout(lh_store_options *o, lh_error *error)
{
    static const char *const words[] = {
        [LH_ENFORCE] = "enforce", [LH_OBSERVE] = "observe", [LH_OFF] = "off"};
    if (o->rollout == LH_BY_ENVIRONMENT) {
        const char *word = getenv("LEASEHOLD_MODE");
        size_t len = 0;
        o->rollout = LH_ENFORCE;
        if (word)
            word = lh_trim(word, &len);
        if (len == 0)
            return LH_OK;
        while (o->rollout <= LH_OFF &&
               (strlen(words[o->rollout]) != len || memcmp(words[o->rollout], word, len) != 0))
            o->rollout++;
        if (o->rollout > LH_OFF)
            return lh_fail(error, LH_INVALID, "LEASEHOLD_MODE must be enforce, observe or off");
    }
    int outcome = check_range("rollout", o->rollout, LH_ENFORCE, LH_OFF, error);
    if (outcome == LH_OK && o->rollout == LH_OFF && !(o->uri && *o->uri))
        o->uri = NOWHERE;
    if (outcome == LH_OK && o->rollout == LH_OBSERVE && o->timeout_ms > LH_OBSERVE_MS)
        o->timeout_ms = LH_OBSERVE_MS;
    return outcome;
}

static int check_options(const lh_store_options *o, lh_error *error)
{
    if (!o->uri || !*o->uri)
        return lh_fail(error, LH_INVALID, "no connection string was given");
    int outcome = check_range("timeout_ms", o->timeout_ms, 100, 600000, error);
    if (outcome == LH_OK)
        outcome = check_range("clock_skew_ms", o->clock_skew_ms, 0, 60000, error);
    if (outcome == LH_OK)
        outcome = check_range("max_waiters", o->max_waiters, 1, 10000, error);
    if (outcome == LH_OK)
        outcome = check_range("max_shared", o->max_shared, 1, 1000, error);
    if (outcome == LH_OK)
        outcome = check_range("pool_size", o->pool_size, 1, 1000, error);
    if (outcome == LH_OK)
        outcome = check_range("at_open", o->at_open, LH_AT_OPEN_NOTHING, LH_AT_OPEN_MIGRATE, error);
    if (outcome == LH_OK)
        outcome = check_range("log_level", o->log_level, 0, LH_LEVEL_DEBUG, error);
    if (outcome == LH_OK && o->owner)
        outcome = lh_owner_check("owner", o->owner, error);
    if (outcome == LH_OK && o->app_name)
        outcome = lh_name_check("app_name", o->app_name, MONGOC_HANDSHAKE_APPNAME_MAX, error);
    return outcome;
}

#define COLLECTION_MAX 120 /* bytes; what is named after it is longer */

/* Is it one of ours? The trail's old lines are removed by their `at`, which an archive has too. */
static bool is_taken(const lh_store *store, const char *name)
{
    static const char *const suffixes[] = {"", "_archive", "_migration", ".fences"};
    size_t len = strlen(store->collection);
    bool taken = strcmp(name, "workspace_fences") == 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        taken |= strncmp(name, store->collection, len) == 0 && strcmp(name + len, suffixes[i]) == 0;
    return taken;
}

static int check_names(const lh_store *store, lh_error *error)
{
    int outcome = lh_database_check("database name", store->db, error);
    if (outcome == LH_OK)
        outcome = lh_collection_check("collection name", store->collection, COLLECTION_MAX, error);
    if (outcome == LH_OK && store->audit)
        outcome = lh_collection_check("name of the audit", store->audit, COLLECTION_MAX, error);
    if (outcome == LH_OK && store->audit && is_taken(store, store->audit))
        outcome = lh_fail(error, LH_INVALID,
                          "the audit trail must be in another collection than %s, its archive, "
                          "migration and fences",
                          store->collection);
    return outcome;
}

static int name_store(lh_store *store, const lh_store_options *o, mongoc_uri_t *uri,
                      lh_error *error)
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !*host)
        memcpy(host, "localhost", 10);
    const char *named = mongoc_uri_get_database(uri);
    store->db = strdup(o->db ? o->db : named && *named ? named : "leasehold");
    store->collection = strdup(o->collection ? o->collection : "workspace_locks");
    store->host = strdup(host);
    store->for_others = o->for_others;
    lh_proc_self(store->proc);
    store->owner = o->owner ? strdup(o->owner) : default_owner(host);
    if (!store->db || !store->collection || !store->host || !store->owner)
        return lh_fail_memory(error);
    if (o->audit && asprintf(&store->audit, "%s%s", *o->audit ? o->audit : store->collection,
                             *o->audit ? "" : "_audit") < 0) {
        store->audit = NULL;
        return lh_fail_memory(error);
    }
    return check_names(store, error);
}

/* Off needs no server, and no name service either: where a mongodb+srv name is not known now, what
 * is asked for by name fails later. */
static mongoc_client_pool_t *new_pool(const mongoc_uri_t *uri, int rollout, bson_error_t *why)
{
    mongoc_client_pool_t *pool = mongoc_client_pool_new_with_error(uri, why);
    mongoc_uri_t *nowhere = !pool && rollout == LH_OFF ? mongoc_uri_new(NOWHERE) : NULL;
    if (nowhere)
        pool = mongoc_client_pool_new_with_error(nowhere, why);
    mongoc_uri_destroy(nowhere);
    return pool;
}

int lh_store_new(const lh_store_options *options, lh_store **ret_store, lh_error *error)
{
    lh_store_options o = *options;
    lh_migrate_options migrate;
    /* needed or not: none is ignored */
    int outcome = lh_migrate_options_take(&migrate, o.migrate, error);
    if (outcome == LH_OK)
        outcome = find_rollout(&o, error);
    if (outcome == LH_OK)
        outcome = check_options(&o, error);
    if (outcome != LH_OK)
        return outcome;
    pthread_once(&driver_once, start_driver);

    /* Half the time for one attempt: what fails in one way can be asked again in the other half. */
    int64_t socket_timeout_ms = o.timeout_ms / 2;
    mongoc_uri_t *uri = NULL;
    lh_store *store = NULL;
    lh_remarks remarks = {0};
    outcome = lh_store_uri_parse(&o, socket_timeout_ms, &uri, &remarks, error);
    if (outcome == LH_OK && !(store = calloc(1, sizeof *store)))
        outcome = lh_fail_memory(error);
    if (outcome != LH_OK) {
        lh_remarks_free(&remarks);
        goto out;
    }
    store->remarks = remarks;
    store->pid = getpid();
    store->timeout_ms = o.timeout_ms;
    store->clock_skew_ms = o.clock_skew_ms;
    store->socket_timeout_ms =
        mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, (int32_t)socket_timeout_ms);
    store->max_waiters = o.max_waiters;
    store->max_shared = o.max_shared;
    store->rollout = o.rollout;
    atomic_init(&store->refs, 1);
    outcome = name_store(store, &o, uri, error);
    if (outcome != LH_OK)
        goto out;
    bson_error_t why;
    store->pool = new_pool(uri, o.rollout, &why);
    if (!store->pool) {
        outcome = lh_fail(error, LH_REASON_URI, "the driver refuses the connection string: %s",
                          why.message);
        goto out;
    }
    mongoc_client_pool_set_error_api(store->pool, MONGOC_ERROR_API_VERSION_2);
    outcome = lh_store_note_sets(store, uri, error);
    if (outcome != LH_OK)
        goto out;
    for (size_t i = 0; i < remarks.n; i++)
        mongoc_log(MONGOC_LOG_LEVEL_WARNING, "leasehold", "%s", remarks.list[i]);
    *ret_store = store;
out:
    mongoc_uri_destroy(uri);
    if (outcome != LH_OK)
        lh_store_unref(store);
    return outcome;
}

lh_store *lh_store_ref(lh_store *store)
{
    atomic_fetch_add(&store->refs, 1);
    return store;
}

void lh_store_shut(lh_store *store)
{
    atomic_store(&store->closed, true);
    if (store->pool && store->pid == getpid()) /* in a forked child its sockets are the parent's */
        mongoc_client_pool_destroy(store->pool);
    store->pool = NULL;
}

void lh_store_unref(lh_store *store)
{
    if (!store || atomic_fetch_sub(&store->refs, 1) != 1)
        return;
    lh_store_shut(store);
    if (store->hooks)
        store->hooks->last(store);
    lh_store_forget_sets(store);
    free(store->db);
    free(store->collection);
    free(store->owner);
    free(store->host);
    free(store->audit);
    lh_remarks_free(&store->remarks);
    free(store);
}

const char *lh_store_warning(const lh_store *store, size_t i)
{
    return store && i < store->remarks.n ? store->remarks.list[i] : NULL;
}

int lh_store_check(const lh_store *store, lh_error *error)
{
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (!store)
        return lh_fail(error, LH_INVALID, "no store was given");
    if (atomic_load(&store->closed))
        return lh_fail(error, LH_REASON_STORE_CLOSED, "the store is closed");
    if (store->pid != getpid())
        return lh_fail(error, LH_FORKED,
                       "the store was opened before a fork(): open another store in the child");
    if (lh_log_is_inside(store))
        return lh_fail(error, LH_INVALID, "a log callback must not make calls on its own store");
    return LH_OK;
}

int64_t lh_store_deadline(const lh_store *store, int64_t timeout_ms)
{
    int64_t now = lh_clock_ms(), ms = timeout_ms > 0 ? timeout_ms : store->timeout_ms;
    return ms > INT64_MAX - now ? INT64_MAX : now + ms;
}
