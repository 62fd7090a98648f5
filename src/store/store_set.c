/* SPDX-License-Identifier: Apache-2.0
 * The replica set that is reached. The driver's monitor calls note_hello() from its own threads. */
#include "store/store_set.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store_unanswered.h"

#define MOMENT_MS 400

struct lh_other_set {
    char wanted[129]; /* the set that the URI names. Constant, as `seeds` */
    size_t seeds;     /* hosts of the URI */
    pthread_mutex_t lock;
    /* servers of another set: their number, and the last of them */
    size_t seen;
    char host[280], name[129];
    bool is_mongos;
};

static const char *text_in(const bson_t *document, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, document, field) && BSON_ITER_HOLDS_UTF8(&value)
               ? bson_iter_utf8(&value, NULL)
               : NULL;
}

static void note_hello(const mongoc_apm_server_heartbeat_succeeded_t *event)
{
    struct lh_other_set *other = mongoc_apm_server_heartbeat_succeeded_get_context(event);
    const bson_t *hello = mongoc_apm_server_heartbeat_succeeded_get_reply(event);
    const char *set = text_in(hello, "setName"), *kind = text_in(hello, "msg");
    if ((set && strcmp(set, other->wanted) == 0) || bson_has_field(hello, "isreplicaset"))
        return; /* the right set, or one that is not initiated yet */
    pthread_mutex_lock(&other->lock);
    (void)snprintf(other->host, sizeof other->host, "%s",
                   mongoc_apm_server_heartbeat_succeeded_get_host(event)->host_and_port);
    (void)snprintf(other->name, sizeof other->name, "%s", set ? set : "");
    other->seen++;
    other->is_mongos = kind && strcmp(kind, "isdbgrid") == 0;
    pthread_mutex_unlock(&other->lock);
}

/* 0: the hosts come from DNS (SRV). */
static size_t count_seeds(const mongoc_uri_t *uri)
{
    size_t n = 0;
    for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri); host; host = host->next)
        n++;
    return mongoc_uri_get_srv_hostname(uri) ? 0 : n;
}

int lh_store_note_sets(lh_store *store, const mongoc_uri_t *uri, lh_error *error)
{
    const char *wanted = mongoc_uri_get_replica_set(uri);
    if (!wanted)
        return LH_OK;
    struct lh_other_set *other = calloc(1, sizeof *other);
    if (!other)
        return lh_fail_memory(error);
    (void)snprintf(other->wanted, sizeof other->wanted, "%s", wanted);
    other->seeds = count_seeds(uri);
    pthread_mutex_init(&other->lock, NULL);
    store->other_set = other;
    mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();
    mongoc_apm_set_server_heartbeat_succeeded_cb(callbacks, note_hello);
    mongoc_client_pool_set_apm_callbacks(store->pool, callbacks, other);
    mongoc_apm_callbacks_destroy(callbacks);
    return LH_OK;
}

void lh_store_forget_sets(lh_store *store)
{
    if (!store->other_set)
        return;
    pthread_mutex_destroy(&store->other_set->lock);
    free(store->other_set);
    store->other_set = NULL;
}

int lh_store_judge_sets(lh_store *store, lh_error *error)
{
    int outcome = LH_OK;
    struct lh_other_set *other = store->other_set;
    if (!other)
        return LH_OK;
    pthread_mutex_lock(&other->lock);
    const char *wanted = other->wanted, *host = other->host, *name = other->name;
    if (*host && *name)
        outcome = lh_fail(error, LH_REASON_SET_NAME,
                          "the connection string has replicaSet=%s, but %s belongs to the set %s: "
                          "write replicaSet=%s, or name the hosts of %s",
                          wanted, host, name, name, wanted);
    else if (*host)
        outcome = lh_fail(error, LH_REASON_SET_NAME,
                          "the connection string has replicaSet=%s, but %s is %s: %s", wanted, host,
                          other->is_mongos ? "a mongos" : "a standalone server, in no set",
                          other->is_mongos ? "connect to a replica set" : "leave replicaSet out");
    pthread_mutex_unlock(&other->lock);
    return outcome;
}

static bool has_primary(mongoc_client_t *client)
{
    size_t n, primaries = 0;
    mongoc_server_description_t **servers = mongoc_client_get_server_descriptions(client, &n);
    for (size_t i = 0; i < n; i++)
        primaries += strcmp(mongoc_server_description_type(servers[i]), "RSPrimary") == 0;
    mongoc_server_descriptions_destroy_all(servers, n);
    return primaries > 0;
}

/* The driver asks a server of another set once, and then drops it. */
static bool all_are_other(struct lh_other_set *other)
{
    pthread_mutex_lock(&other->lock);
    bool all = other->seeds > 0 && other->seen >= other->seeds;
    pthread_mutex_unlock(&other->lock);
    return all;
}

mongoc_server_description_t *lh_store_choose(lh_store *store, mongoc_client_t *client,
                                             bson_error_t *why)
{
    struct lh_other_set *other = store->other_set;
    int64_t until = other ? lh_clock_ms() + MOMENT_MS : 0;
    while (lh_clock_ms() < until && !has_primary(client)) {
        if (all_are_other(other))
            return NULL;
        lh_clock_sleep(2);
    }
    return lh_store_select(client, why);
}

bool lh_store_is_direct(const mongoc_uri_t *uri)
{
    const mongoc_host_list_t *hosts = mongoc_uri_get_hosts(uri);
    bool one = hosts && !hosts->next && !mongoc_uri_get_replica_set(uri) &&
               !mongoc_uri_get_srv_hostname(uri);
    return mongoc_uri_get_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, one);
}

static void add_hosts(const bson_t *hello, const char *field, char *list, size_t size, size_t *n)
{
    bson_iter_t hosts, host;
    if (!bson_iter_init_find(&hosts, hello, field) || !bson_iter_recurse(&hosts, &host))
        return;
    for (; bson_iter_next(&host) && BSON_ITER_HOLDS_UTF8(&host); ++*n) {
        size_t len = strlen(list);
        (void)snprintf(list + len, size - len, "%s%s", len ? "," : "", bson_iter_utf8(&host, NULL));
    }
}

size_t lh_store_list_set(const bson_t *hello, char *list, size_t size)
{
    size_t n = 0;
    *list = '\0';
    add_hosts(hello, "hosts", list, size, &n);
    add_hosts(hello, "passives", list, size, &n);
    return n;
}

int lh_store_judge_direct(const mongoc_server_description_t *server, lh_error *error)
{
    const char *type = mongoc_server_description_type(server);
    const bson_t *hello = mongoc_server_description_hello_response(server);
    char hosts[256];
    if (strcmp(type, "RSGhost") == 0)
        return lh_fail(error, LH_REASON_SET_NAME,
                       "the server was started as a member of a set, and the set is not initiated: "
                       "rs.initiate()");
    if (strncmp(type, "RS", 2) != 0 || strcmp(type, "RSPrimary") == 0)
        return LH_OK;
    size_t n = lh_store_list_set(hello, hosts, sizeof hosts);
    if (n < 2)
        return lh_fail(error, LH_REASON_NO_PRIMARY,
                       "the only member of the set is not primary yet");
    const char *set = text_in(hello, "setName");
    return lh_fail(error, LH_REASON_SET_NAME,
                   "the connection string names one member of a set, which is not the primary, and "
                   "so does not follow elections. Name the members and the set instead: "
                   "mongodb://%s/?replicaSet=%s (without directConnection=true)",
                   hosts, set ? set : "");
}

int lh_store_reach(lh_store *store, lh_reach *ret_reach, lh_error *error)
{
    bson_error_t why = {0};
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    mongoc_server_description_t *server = client ? lh_store_select(client, &why) : NULL;
    lh_reach reach = {0};
    if (!client)
        lh_store_set_no_connection(&why);
    if (server) {
        const bson_t *hello = mongoc_server_description_hello_response(server);
        const mongoc_uri_t *uri = mongoc_client_get_uri(client);
        const char *set = text_in(hello, "setName");
        reach.direct = lh_store_is_direct(uri);
        reach.seeds = count_seeds(uri);
        reach.members = lh_store_list_set(hello, reach.hosts, sizeof reach.hosts);
        (void)snprintf(reach.set, sizeof reach.set, "%s", set ? set : "");
        *ret_reach = reach;
    }
    mongoc_server_description_destroy(server);
    if (client)
        mongoc_client_pool_push(store->pool, client);
    return server ? LH_OK
                  : lh_fail(error, lh_store_why_unreachable(&why), "no primary can be reached: %s",
                            why.message);
}
