/* SPDX-License-Identifier: Apache-2.0
 * /healthz reports that the server responds; /readyz also reports that the database responds: the
 * last read is at most a second old. */
#include "serve/health.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/json.h"
#include "serve/metrics.h"

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

/* The last known state of the database. */
struct ready {
    pthread_mutex_t lock;
    int64_t known_ms, asked_ms;
    bool asking;
    int code;
    char message[sizeof((lh_error *)0)->message];
};

int health_new(struct ready **ret_ready, lh_error *error)
{
    struct ready *ready = calloc(1, sizeof *ready);
    if (!ready)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&ready->lock, NULL);
    *ret_ready = ready;
    return LH_OK;
}

void health_free(struct ready *ready)
{
    if (!ready)
        return;
    (void)pthread_mutex_destroy(&ready->lock);
    free(ready);
}

static void answer_ready(struct request *request, int code, const char *message)
{
    if (code == LH_OK)
        answer_ok(request, "ready");
    else /* The error message names hosts; only clients that may call get it. */
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, lh_outcome_word(code), "%s",
                       request->may >= MAY_CALL ? message : lh_outcome_sentence(code));
}

static void ask_database(struct job *job)
{
    struct request *request = JOB_OWNER(job, struct request);
    struct ready *ready = request->server->ready;
    lh_record *record = NULL;
    lh_error error = LH_ERROR_INIT;
    int code = lh_status(request->server->store, "leasehold:readyz", &record, &error);
    metrics_outcome(request->server->metrics, METRICS_LOOK, code);
    lh_record_free(record);
    pthread_mutex_lock(&ready->lock);
    ready->asking = false;
    ready->known_ms = serve_now_ms();
    ready->code = code;
    strcpy(ready->message, error.message);
    pthread_mutex_unlock(&ready->lock);
    answer_ready(request, code, error.message);
}

/* Any client may ask, at any rate, so the database is asked only once in READY_MS, by one request
 * at a time. */
void health_ready(struct request *request)
{
    struct ready *ready = request->server->ready;
    char message[sizeof ready->message];
    lh_observed observed = LH_OBSERVED_INIT;
    if (lh_store_observed(request->server->store, &observed, NULL) == LH_OK &&
        observed.rollout != LH_ENFORCE) {
        answer_ok(request, "ready"); /* it refuses nobody, whatever the database does */
        return;
    }
    pthread_mutex_lock(&ready->lock);
    int64_t now = serve_now_ms();
    bool ask = !ready->asking && (ready->known_ms == 0 || now - ready->known_ms >= READY_MS);
    bool hangs = ready->asking && (ready->known_ms == 0 || now - ready->asked_ms >= 2 * READY_MS);
    if (ask) {
        ready->asking = true;
        ready->asked_ms = now;
    }
    int code = hangs ? LH_UNREACHABLE : ready->code;
    strcpy(message, hangs ? "the database has not replied yet" : ready->message);
    pthread_mutex_unlock(&ready->lock);
    if (!ask) {
        answer_ready(request, code, message);
        return;
    }
    if (!request_work(request, ask_database)) {
        pthread_mutex_lock(&ready->lock);
        ready->asking = false;
        pthread_mutex_unlock(&ready->lock);
    }
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
