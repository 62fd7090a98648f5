/* SPDX-License-Identifier: Apache-2.0
 * Asks each member separately for its clock and its version. For the doctor. */
#include "store/store_members.h"

#include <mongoc/mongoc.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store_contact.h"
#include "store/store_run.h"
#include "store/store_set.h"
#include "store/store_unanswered.h"

#define SAMPLES   5    /* the sample with the shortest round trip is taken */
#define MOMENT_MS 1500 /* for members that have not answered yet */

static bool ask(mongoc_client_t *client, uint32_t server, const char *name, bson_t *reply)
{
    bson_t *command = BCON_NEW(name, BCON_INT32(1)), options = BSON_INITIALIZER;
    bson_error_t ignored;
    BSON_APPEND_INT32(&options, "serverId", (int32_t)server);
    bool good =
        mongoc_client_command_with_opts(client, "admin", command, NULL, &options, reply, &ignored);
    bson_destroy(command);
    bson_destroy(&options);
    return good;
}

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool says(const bson_t *hello, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, hello, field) && bson_iter_as_bool(&value);
}

/* The member reads its clock between the sending and the reply. The middle is taken; half of the
 * round trip is the uncertainty. */
static bool ask_hello(mongoc_client_t *client, uint32_t server, lh_member *member)
{
    bson_t reply;
    bson_iter_t time;
    int64_t sent = lh_clock_ms(), at = wall_ms();
    bool good = ask(client, server, "hello", &reply);
    int64_t trip = lh_clock_ms() - sent;
    if (good && (!member->answers || trip / 2 + 1 < member->doubt_ms) &&
        bson_iter_init_find(&time, &reply, "localTime") && BSON_ITER_HOLDS_DATE_TIME(&time)) {
        member->answers = true;
        member->bears_data = says(&reply, "isWritablePrimary") || says(&reply, "secondary");
        member->is_arbiter = says(&reply, "arbiterOnly");
        member->offset_ms = bson_iter_date_time(&time) - (at + trip / 2);
        member->doubt_ms = trip / 2 + 1;
    }
    bson_destroy(&reply);
    return good;
}

/* The driver's view of a member may be old or empty, so the member is asked now. */
static void look_at(mongoc_client_t *client, const mongoc_server_description_t *server,
                    void (*each)(void *arg, const lh_member *member), void *arg)
{
    uint32_t id = mongoc_server_description_id(server);
    lh_member member = {
        .host = mongoc_server_description_host((mongoc_server_description_t *)(uintptr_t)server)
                    ->host_and_port,
        .version = ""};
    bson_t reply;
    bson_iter_t version;
    for (int i = 0; i < SAMPLES && ask_hello(client, id, &member); i++)
        ;
    bool told = member.answers && ask(client, id, "buildInfo", &reply);
    if (!member.answers)
        bson_init(&reply);
    if (told && bson_iter_init_find(&version, &reply, "version") && BSON_ITER_HOLDS_UTF8(&version))
        member.version = bson_iter_utf8(&version, NULL);
    each(arg, &member);
    bson_destroy(&reply);
}

static bool is_described(mongoc_server_description_t **servers, size_t n, const char *host)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(mongoc_server_description_host(servers[i])->host_and_port, host) == 0)
            return true;
    return false;
}

/* Counts the members in the primary's list that have not answered the driver, and passes them to
 * `each` (may be NULL). */
static size_t each_silent(const bson_t *hello, mongoc_server_description_t **servers, size_t n,
                          bool unasked, void (*each)(void *arg, const lh_member *member), void *arg)
{
    static const char *const lists[] = {"hosts", "passives", "arbiters"};
    size_t silent = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        bson_iter_t list, host;
        if (!bson_iter_init_find(&list, hello, lists[i]) || !bson_iter_recurse(&list, &host))
            continue;
        while (bson_iter_next(&host)) {
            lh_member member = {.host =
                                    BSON_ITER_HOLDS_UTF8(&host) ? bson_iter_utf8(&host, NULL) : "?",
                                .bears_data = strcmp(lists[i], "arbiters") != 0,
                                .is_arbiter = strcmp(lists[i], "arbiters") == 0,
                                .unasked = unasked,
                                .version = ""};
            if (is_described(servers, n, member.host))
                continue;
            silent++;
            if (each)
                each(arg, &member);
        }
    }
    return silent;
}

/* The driver needs only a primary, and contacts the other members in the background. They get a
 * moment to answer. */
static mongoc_server_description_t **describe_all(mongoc_client_t *client, const bson_t *hello,
                                                  size_t *ret_n)
{
    int64_t until = lh_clock_ms() + MOMENT_MS;
    for (;;) {
        mongoc_server_description_t **servers =
            mongoc_client_get_server_descriptions(client, ret_n);
        if (each_silent(hello, servers, *ret_n, false, NULL, NULL) == 0 || lh_clock_ms() >= until)
            return servers;
        mongoc_server_descriptions_destroy_all(servers, *ret_n);
        lh_clock_sleep(20);
    }
}

/* A separate view of the whole set, if the URI is that of one member. NULL: not possible. The
 * caller destroys it. */
static mongoc_client_pool_t *widen(const mongoc_client_t *client, const bson_t *hello)
{
    bson_iter_t set;
    if (!bson_iter_init_find(&set, hello, "setName") || !BSON_ITER_HOLDS_UTF8(&set))
        return NULL;
    mongoc_uri_t *uri = mongoc_uri_copy(mongoc_client_get_uri(client));
    bool good =
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, false) &&
        mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_REPLICASET, bson_iter_utf8(&set, NULL));
    mongoc_client_pool_t *pool = good ? mongoc_client_pool_new(uri) : NULL;
    mongoc_uri_destroy(uri);
    if (pool)
        mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
    return pool;
}

/* All members of the client's deployment. False: it has no primary. */
static bool look_at_all(mongoc_client_t *client, bool direct,
                        void (*each)(void *arg, const lh_member *member), void *arg,
                        bson_error_t *why)
{
    mongoc_server_description_t *primary = lh_store_select(client, why);
    if (!primary)
        return false;
    size_t n;
    const bson_t *hello = mongoc_server_description_hello_response(primary);
    mongoc_client_pool_t *pool = direct ? widen(client, hello) : NULL;
    mongoc_client_t *wide = pool ? mongoc_client_pool_pop(pool) : NULL;
    bool done = wide && look_at_all(wide, false, each, arg, why);
    if (!done) {
        mongoc_server_description_t **servers =
            direct ? mongoc_client_get_server_descriptions(client, &n)
                   : describe_all(client, hello, &n);
        for (size_t i = 0; i < n; i++)
            look_at(client, servers[i], each, arg);
        (void)each_silent(hello, servers, n, direct, each, arg);
        mongoc_server_descriptions_destroy_all(servers, n);
    }
    if (wide)
        mongoc_client_pool_push(pool, wide);
    if (pool)
        mongoc_client_pool_destroy(pool);
    mongoc_server_description_destroy(primary);
    return true;
}

int lh_store_members(lh_store *store, int64_t deadline,
                     void (*each)(void *arg, const lh_member *member), void *arg, lh_error *error)
{
    int outcome = lh_store_contact(store, deadline, error);
    if (outcome != LH_OK)
        return outcome;
    bson_error_t why = {0};
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    if (!client)
        lh_store_set_no_connection(&why);
    bool direct = client && lh_store_is_direct(mongoc_client_get_uri(client));
    if (!client || !look_at_all(client, direct, each, arg, &why))
        outcome = lh_fail(error, lh_store_why_unreachable(&why), "no primary can be reached: %s",
                          why.message);
    if (client)
        mongoc_client_pool_push(store->pool, client);
    return outcome;
}

const char *lh_store_driver(void)
{
    return mongoc_get_version();
}

bool lh_store_is_private(lh_store *store)
{
    mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
    if (!client)
        return true;
    const mongoc_uri_t *uri = mongoc_client_get_uri(client);
    bool is_private = mongoc_uri_get_tls(uri);
    if (!is_private) {
        const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);
        for (is_private = host != NULL; host && is_private; host = host->next)
            is_private = host->family == AF_UNIX || strcmp(host->host, "localhost") == 0 ||
                         strncmp(host->host, "127.", 4) == 0 || strcmp(host->host, "::1") == 0;
    }
    mongoc_client_pool_push(store->pool, client);
    return is_private;
}
