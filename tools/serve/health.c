/* SPDX-License-Identifier: Apache-2.0
 * /healthz says that the server answers; /readyz that the database does, too: it reads from it. */
#include "health.h"

#include <microhttpd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../json.h"
#include "metrics.h"

static void answer_ok(struct request *request, const char *outcome)
{
    bson_t json;
    json_init(&json, outcome);
    answer_json(request, MHD_HTTP_OK, &json);
}

void health_alive(struct request *request)
{
    answer_ok(request, "alive");
}

void health_ready(struct request *request)
{
    lh_record *record = NULL;
    lh_error error;
    lh_observed observed = LH_OBSERVED_INIT;
    if (lh_store_observed(request->server->store, &observed, NULL) == LH_OK && observed.rollout != LH_ENFORCE) {
        answer_ok(request, "ready"); /* it refuses nobody, whatever the database does */
        return;
    }
    int code = lh_status(request->server->store, "leasehold:readyz", &record, &error);
    metrics_outcome(request->server->metrics, METRICS_LOOK, code);
    lh_record_free(record);
    if (code == LH_OK) {
        answer_ok(request, "ready");
        return;
    }
    /* What the server's sentence says of hosts is for who may call, not for anybody. */
    answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, lh_outcome_word(code), "%s",
                   request->may >= MAY_CALL ? error.message : lh_outcome_sentence(code));
}

void health_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof address.sun_path || !strchr("/@", path[0]))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') /* a name that is no file */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}
