/* SPDX-License-Identifier: Apache-2.0
 * Several keys at once: all or none, without waiting. A wait would keep a worker. */
#include "serve/many.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/objects.h"
#include "serve/acquire.h"
#include "serve/busy.h"
#include "serve/leases.h"
#include "serve/metrics.h"

static void answer_granted(struct request *request, struct ask *ask, lh_lease **leases)
{
    bson_t json, array, item;
    json_init(&json, "granted");
    bson_append_array_begin(&json, "leases", -1, &array);
    for (size_t i = 0; i < ask->keys.n; i++) {
        strcpy(ask->lease_ids[i], lh_lease_id(leases[i]));
        object_lease(&item, "granted", leases[i], ask->owner);
        json_item(&array, (uint32_t)i, &item);
    }
    bson_append_array_end(&json, &array);
    strcpy(request->lease_id, ask->lease_ids[0]);
    answer_json(request, MHD_HTTP_CREATED, &json);
}

void many_acquire(struct request *request, struct ask *ask)
{
    struct server *server = request->server;
    size_t n = ask->keys.n; /* the ask may be freed as soon as the request was answered */
    lh_lease *leases[MOST_TEXTS] = {NULL};
    lh_record *busy = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_acquire_options options = acquire_options(ask);
    ask->lease_ids = calloc(n, sizeof *ask->lease_ids);
    if (!ask->lease_ids) {
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
        return;
    }
    int code = lh_acquire_many(server->store, (const char *const *)ask->keys.items, n, &options,
                               leases, &busy, &error);
    const char *key = busy ? busy->key : ask->keys.items[0];
    metrics_acquired(server->metrics, code, -1);
    if (code == LH_BUSY)
        busy_note(server->busy, key, ask->owner, busy);
    if (code == LH_OK)
        answer_granted(request, ask, leases);
    else
        acquire_refused(request, key, code, busy, &error);
    for (size_t i = 0; i < n; i++)
        lh_lease_free(leases[i]);
    lh_record_free(busy);
}

void many_take_back(struct request *request, const struct ask *ask)
{
    for (size_t i = 0; i < ask->keys.n; i++)
        leases_give_back(request->server, request->client, ask->keys.items[i], ask->lease_ids[i]);
}
