/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_contact.h"

#include <mongoc/mongoc.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store_set.h"
#include "store/store_tls.h"
#include "store/store_unanswered.h"
#include "store/store_uri.h"

#define WIRE_VERSION_6_0 17
#define PAUSE_MS         250

/* What `hello` shows of that: a config server says so; one that was started as a shard (--shardsvr)
 * tells whether its default write concern is implicit, for addShard; and once it is in a cluster
 * all its replies have a lastCommittedOpTime. (MongoDB 6.0 and 7.0.) */
static bool is_of_cluster(const bson_t *hello)
{
    return bson_has_field(hello, "configsvr") ||
           bson_has_field(hello, "isImplicitDefaultMajorityWC") ||
           bson_has_field(hello, "lastCommittedOpTime");
}

/* Is it FerretDB, which answers as MongoDB 7.0 does, and lacks what leases need? Every MongoDB
 * since 4.4 has a topologyVersion in `hello`. Only a server without one is asked what it is. */
static bool is_ferretdb(mongoc_client_t *client, const bson_t *hello)
{
    if (bson_has_field(hello, "topologyVersion"))
        return false;
    bson_t reply, *command = BCON_NEW("buildInfo", BCON_INT32(1));
    bool is_it = mongoc_client_command_simple(client, "admin", command, NULL, &reply, NULL) &&
                 bson_has_field(&reply, "ferretdbVersion");
    bson_destroy(&reply);
    bson_destroy(command);
    return is_it;
}

/* Which deployment is it? The driver knows from its handshake: MongoDB gets no command of ours. */
static int judge_topology(lh_store *store, mongoc_client_t *client,
                          const mongoc_server_description_t *server, lh_error *error)
{
    const char *type = mongoc_server_description_type(server);
    bson_iter_t wire;
    const bson_t *hello = mongoc_server_description_hello_response(server);
    if (strcmp(type, "Mongos") == 0 || strcmp(type, "LoadBalancer") == 0)
        return lh_fail(error, LH_REASON_MONGOS,
                       "this is a mongos. Leases need the clock of one primary, and a sharded "
                       "unique index is not supported yet: connect to a replica set");
    if (is_of_cluster(hello))
        return lh_fail(error, LH_REASON_SHARDED,
                       "this is a shard or a config server of a sharded cluster, reached directly. "
                       "Its documents are not those that a mongos shows, so both could grant the "
                       "same key: connect to a replica set that is not part of a cluster");
    if (bson_iter_init_find(&wire, hello, "maxWireVersion") &&
        bson_iter_as_int64(&wire) < WIRE_VERSION_6_0)
        return lh_fail(
            error, LH_REASON_VERSION,
            "the server is older than MongoDB 6.0, which Leasehold needs: upgrade the server");
    if (is_ferretdb(client, hello))
        return lh_fail(error, LH_REASON_VERSION,
                       "the server is FerretDB, which lacks commands that leases need: connect to "
                       "MongoDB 6.0 or newer");
    int outcome = lh_store_judge_direct(server, error);
    if (outcome == LH_OK)
        atomic_store(&store->topology,
                     strcmp(type, "Standalone") == 0 ? LH_TOPOLOGY_STANDALONE : LH_TOPOLOGY_SET);
    return outcome;
}

int lh_store_contact(lh_store *store, int64_t deadline, lh_error *error)
{
    int outcome = lh_store_check(store, error);
    if (outcome != LH_OK || atomic_load(&store->topology) != LH_TOPOLOGY_UNKNOWN)
        return outcome;
    for (;;) {
        bson_error_t why = {0};
        mongoc_client_t *client = mongoc_client_pool_pop(store->pool);
        mongoc_server_description_t *server = client ? lh_store_choose(store, client, &why) : NULL;
        if (!client)
            lh_store_set_no_connection(&why);
        outcome = server ? judge_topology(store, client, server, error)
                         : lh_store_judge_sets(store, error);
        if (!server && outcome == LH_OK)
            outcome =
                lh_store_fail_no_server(client ? mongoc_client_get_uri(client) : NULL, &why, error);
        mongoc_server_description_destroy(server);
        if (client)
            mongoc_client_pool_push(store->pool, client);
        if (outcome != LH_UNREACHABLE || lh_clock_ms() + PAUSE_MS >= deadline)
            return outcome;
        lh_clock_sleep(PAUSE_MS);
    }
}
