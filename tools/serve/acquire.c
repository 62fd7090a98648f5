/* SPDX-License-Identifier: Apache-2.0
 * Acquires leases. If the reply to a grant cannot be sent, the lease is released, because it would
 * exclude others until its end.
 *
 * A lease belongs to any client that knows its id; this server keeps no handle on it and renews
 * nothing. Only with an Idempotency-Key the id is stored, to reply to the same request again; then
 * the database is asked whether the lease still holds. */
#include "serve/acquire.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/claim.h"
#include "common/json.h"
#include "common/objects.h"
#include "serve/body.h"
#include "serve/busy.h"
#include "serve/many.h"
#include "serve/metrics.h"
#include "serve/repeat.h"

enum { MOST_TWINS = 8, IDEMPOTENCY_KEY_MAX = 255 };

/* One that has no client yet. */
static void free_read(struct ask *ask)
{
    if (ask->lease_ids)
        explicit_bzero(ask->lease_ids, ask->keys.n * sizeof *ask->lease_ids);
    free(ask->lease_ids);
    texts_free(&ask->keys);
    free(ask);
}

static void free_ask(struct ask *ask)
{
    struct clients *clients = ask->server->clients;
    if (ask->wait_ms > 0)
        clients_give(clients, ask->client, SHARE_WAITS);
    clients_unref(clients, ask->client);
    free_read(ask);
}

void acquire_drop(struct ask *ask)
{
    if (ask)
        free_ask(ask);
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A name proves something only if it is that of the client's token. */
static bool may_resume(struct request *request, const char *owner)
{
    char name[CLIENT_NAME_MAX + 1];
    clients_name(request->server->clients, request->client, name);
    return *name && *name != '#' && strcmp(name, owner) == 0;
}

/* The sentence for a body that cannot be; NULL: it can. */
static const char *find_fault(const struct ask *ask, const char *mode)
{
    if (!*ask->owner)
        return "\"owner\" is missing: the name of the holder, which others see";
    if (*mode && strcmp(mode, "exclusive") != 0 && strcmp(mode, "shared") != 0)
        return "\"mode\" must be \"exclusive\" or \"shared\"";
    if (ask->wait_ms < 0)
        return "\"wait_ms\" must be 0 or more";
    if (ask->wait_ms > 0 && (ask->keys.n > 0 || ask->path))
        return "\"wait_ms\" is for one key without \"path\": ask again after retry_after_ms";
    return NULL;
}

/* The key, or the keys, of a request whose path has none. */
static bool read_keys(struct request *request, struct ask *ask, const struct texts *parts)
{
    lh_error error = LH_ERROR_INIT;
    char *key = NULL;
    if ((ask->keys.n > 0) == (parts->n > 0)) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "the body must have \"keys\", or \"parts\" to be joined to one key");
        return false;
    }
    if (ask->keys.n > 0)
        return true;
    if (lh_key_join((const char *const *)parts->items, parts->n, &key, &error) != LH_OK) {
        answer_outcome(request, &error);
        return false;
    }
    strcpy(request->key, key);
    lh_string_free(key);
    return true;
}

static bool read_body(struct request *request, struct ask *ask)
{
    char mode[16];
    struct texts parts = {0};
    const struct field fields[] = {
        FIELD_TEXT("owner", ask->owner),
        FIELD_TEXT("purpose", ask->purpose),
        FIELD_TEXT("mode", mode),
        FIELD_NUMBER("ttl_ms", &ask->ttl_ms),
        FIELD_NUMBER("wait_ms", &ask->wait_ms),
        FIELD_FLAG("path", &ask->path),
        FIELD_FLAG("resume", &ask->resume),
        FIELD_TEXTS("keys", &ask->keys),
        FIELD_TEXTS("parts", &parts),
    };
    size_t n = sizeof fields / sizeof fields[0];
    bool has_key = *request->key;
    bool read = body_read(request, fields, has_key ? n - 2 : n) &&
                (has_key || read_keys(request, ask, &parts)) &&
                request_ttl_fits(request, ask->ttl_ms);
    texts_free(&parts);
    if (!read)
        return false;
    ask->mode = strcmp(mode, "shared") == 0 ? LH_SHARED : LH_EXCLUSIVE;
    const char *fault = find_fault(ask, mode);
    if (fault)
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid", "%s", fault);
    else if (ask->resume && !may_resume(request, ask->owner))
        answer_failure(request, MHD_HTTP_FORBIDDEN, "resume",
                       "\"resume\" takes over the lease of the same owner, so \"owner\" must be "
                       "the NAME of the line NAME:TOKEN in the token file");
    else
        return true;
    return false;
}

static struct ask *read_ask(struct request *request)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask) {
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "out of memory");
        return NULL;
    }
    ask->ttl_ms = request->server->config.default_ttl_ms;
    if (!read_body(request, ask)) {
        free_read(ask);
        return NULL;
    }
    ask->server = request->server;
    ask->began_ms = serve_now_ms();
    ask->wait_ms = shorter(ask->wait_ms, request->server->config.max_wait_ms);
    strcpy(ask->key, request->key);
    return ask;
}

static bool is_name(struct request *request, const char *name)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= IDEMPOTENCY_KEY_MAX;
    for (size_t i = 0; i < len; i++)
        good = good && name[i] >= ' ' && name[i] <= '~';
    if (!good)
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "Idempotency-Key must be 1 to %d printable ASCII characters",
                       IDEMPOTENCY_KEY_MAX);
    return good;
}

bool acquire_admit(struct request *request)
{
    const char *name = request_header(request, "Idempotency-Key");
    struct ask *ask = !name || is_name(request, name) ? read_ask(request) : NULL;
    if (!ask)
        return false;
    if (name && ask->keys.n > 0) {
        free_read(ask);
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "Idempotency-Key is for one key, not for \"keys\"");
        return false;
    }
    int result = ask->wait_ms > 0 ? clients_take(ask->server->clients, request->client, SHARE_WAITS)
                                  : SHARE_TAKEN;
    if (result != SHARE_TAKEN) {
        free_read(ask);
        request_refuse(request, SHARE_WAITS, result);
        return false;
    }
    ask->client = clients_ref(ask->server->clients, request->client);
    request->wanted = ask;
    request->admitted = ask->wait_ms > 0;
    return true;
}

/* ---- the outcome ---- */

static void answer_granted(struct request *request, lh_lease *lease, const char *owner)
{
    bson_t json;
    object_lease(&json, "granted", lease, owner);
    answer_json(request, MHD_HTTP_CREATED, &json);
}

static void answer_busy(struct request *request, const char *key, const lh_record *record,
                        const lh_error *error)
{
    bson_t json;
    problem_init(&json, MHD_HTTP_LOCKED, "busy", "busy", error->message);
    object_append_busy(&json, key, record, error);
    int64_t retry_ms = record ? record->retry_after_ms : 0;
    answer_problem(request, MHD_HTTP_LOCKED, &json, retry_ms > 0 ? retry_ms : 1000);
}

void acquire_refused(struct request *request, const char *key, int code, const lh_record *busy,
                     const lh_error *error)
{
    if (code == LH_BUSY)
        answer_busy(request, key, busy, error);
    else if (code == LH_LOST) /* the grant's own answer came too late to be believed: it may be
                                 asked again */
        answer_failure(request, MHD_HTTP_SERVICE_UNAVAILABLE, "lost", "%s", error->message);
    else
        answer_outcome(request, error);
}

/* Takes the requests that wait for the outcome; the outcome becomes the entry of the
 * Idempotency-Key. *ret_revoked: nothing may be granted to them. */
static struct request *take_requests(struct ask *ask, int code, const lh_lease *lease,
                                     bool *ret_revoked)
{
    waits_lock(ask->server->waits);
    struct request *requests = ask->requests;
    struct repeat *repeat = ask->repeat;
    ask->requests = NULL;
    *ret_revoked = atomic_load(
        &ask->client->revoked); /* under the lock: waits_revoke() is before or behind this */
    if (repeat && code == LH_OK && lease && requests && !*ret_revoked) {
        repeat->ttl_ms = ask->ttl_ms;
        strcpy(repeat->owner, ask->owner);
        repeats_grant(ask->server->repeats, repeat, lh_lease_id(lease));
    } else if (repeat) {
        repeats_forget(ask->server->repeats, repeat);
    }
    waits_unlock(ask->server->waits);
    return requests;
}

static void settle(struct ask *ask, int code, lh_lease *lease, lh_record *busy, lh_error *error)
{
    struct server *server = ask->server;
    if (code == LH_OK && ask->wait_ms > 0)
        code = claim_lease(lease, error);
    metrics_acquired(server->metrics, code, ask->wait_ms > 0 ? serve_now_ms() - ask->began_ms : -1);
    if (code == LH_BUSY)
        busy_note(server->busy, ask->key, ask->owner, busy);
    if (code == LH_OK && ask->queued)
        metrics_handoff(server->metrics);
    bool revoked;
    struct request *requests = take_requests(ask, code, lease, &revoked);
    if (lease && (code != LH_OK || !requests || revoked))
        (void)lh_lease_release(lease, NULL); /* it ends with its ttl else */
    while (requests) {
        struct request *request = requests;
        requests = request->next;
        if (code == LH_OK && !ask->repeat && !revoked)
            strcpy(request->lease_id, lh_lease_id(lease));
        if (revoked)
            request_revoke(request);
        else if (code == LH_OK)
            answer_granted(request, lease, ask->owner);
        else
            acquire_refused(request, request->key, code, busy, error);
    }
    lh_lease_free(lease);
    lh_record_free(busy);
    free_ask(ask);
}

static void finish(struct ask *ask)
{
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    lh_error error = LH_ERROR_INIT;
    int code = lh_waiting_finish(ask->waiting, &lease, &busy, &error);
    settle(ask, code, lease, busy, &error);
}

static void do_finish(struct job *job)
{
    finish(JOB_OWNER(job, struct ask));
}

static void be_settled(struct ask *ask)
{
    ask->queued = true;
    ask->job.run = do_finish;
    work_push(ask->server->work, &ask->client->waits, &ask->job);
}

static void do_leave(struct job *job)
{
    struct ask *ask = JOB_OWNER(job, struct ask);
    (void)lh_waiting_cancel(ask->waiting,
                            NULL); /* what could not be sent is sent again in the background */
    metrics_acquired(ask->server->metrics, LH_CANCELLED, serve_now_ms() - ask->began_ms);
    free_ask(ask);
}

static void be_deserted(struct ask *ask)
{
    if (ask->repeat)
        repeats_forget(ask->server->repeats, ask->repeat);
    ask->job.run = do_leave;
    work_push(ask->server->work, &ask->client->waits, &ask->job);
}

const struct waits_ends acquire_ends = {
    .settled = be_settled, .deserted = be_deserted, .release = free_ask};

/* ---- asking ---- */

lh_acquire_options acquire_options(const struct ask *ask)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true;
    options.ttl_ms = ask->ttl_ms;
    options.wait_ms = ask->wait_ms;
    options.claim_ms = CLAIM_MS;
    options.mode = ask->mode;
    options.path = ask->path;
    options.resume = ask->resume;
    options.owner = ask->owner;
    options.purpose = *ask->purpose ? ask->purpose : NULL;
    return options;
}

static void run(struct ask *ask)
{
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_acquire_options options = acquire_options(ask);
    if (ask->wait_ms == 0) {
        int code = lh_acquire(ask->server->store, ask->key, &options, &lease, &busy, &error);
        settle(ask, code, lease, busy, &error);
        return;
    }
    int code = lh_acquire_start(ask->server->store, ask->key, &options, &ask->waiting, &error);
    if (code != LH_OK) {
        settle(ask, code, NULL, NULL, &error);
        return;
    }
    struct pollfd settled = {.fd = lh_waiting_fd(ask->waiting), .events = POLLIN};
    if (poll(&settled, 1, 0) == 1) { /* the key was free */
        finish(ask);
    } else if (!waits_add(ask->server->waits, ask)) {
        (void)lh_waiting_cancel(ask->waiting, NULL);
        settle(ask, LH_CLOSED, NULL, NULL,
               &(lh_error){.size = sizeof(lh_error),
                           .code = LH_CLOSED,
                           .message = "the server has no room for another wait"});
    }
}

/* The grant that this Idempotency-Key got, if it still holds: asked of the database, which also
 * makes it last its ttl again. */
static void answer_again(struct request *request, const struct repeat *repeat)
{
    lh_lease *lease = NULL;
    lh_error error = LH_ERROR_INIT;
    int code =
        lh_lease_attach(request->server->store, request->key, repeat->lease_id, &lease, &error);
    if (code == LH_OK)
        code = lh_lease_renew(lease, repeat->ttl_ms, NULL, &error);
    if (code == LH_OK)
        answer_granted(request, lease, repeat->owner);
    else if (code == LH_LOST)
        answer_failure(
            request, MHD_HTTP_GONE, "lost",
            "the lease that was granted for this Idempotency-Key has ended: use a new key");
    else
        answer_outcome(request, &error);
    lh_lease_free(lease);
}

static unsigned count_twins(const struct ask *ask)
{
    unsigned n = 0;
    for (const struct request *request = ask->requests; request; request = request->next)
        n++;
    return n;
}

enum { ASK_FIRST, ASK_JOINED, ASK_AGAIN, ASK_REFUSED };

/* The effect of an earlier request with the same Idempotency-Key on this request. *ret_repeat: a
 * copy, for ASK_AGAIN. */
static int look_back(struct ask *ask, struct request *request, const char *name,
                     struct repeat *ret_repeat)
{
    struct server *server = ask->server;
    int what = ASK_FIRST;
    const char *refused = NULL;
    unsigned status = MHD_HTTP_TOO_MANY_REQUESTS;
    waits_lock(server->waits);
    struct repeat *repeat = repeats_enter(server->repeats, request, name);
    if (!repeat) {
        refused = "out of memory";
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
    } else if (!repeats_same(repeat, request)) {
        refused = "this Idempotency-Key was used for another body: use a new key";
        status = MHD_HTTP_UNPROCESSABLE_CONTENT;
    } else if (repeat->ask && count_twins(repeat->ask) >= MOST_TWINS) {
        refused = "too many requests with this Idempotency-Key are open";
    } else if (repeat->ask) {
        waits_join(server->waits, repeat->ask, request);
        what = ASK_JOINED;
    } else if (*repeat->lease_id) {
        *ret_repeat = *repeat;
        what = ASK_AGAIN;
    } else {
        repeat->ask = ask;
        ask->repeat = repeat;
        waits_join(server->waits, ask, request);
    }
    waits_unlock(server->waits);
    if (!refused)
        return what;
    answer_failure(request, status, "idempotency_key", "%s", refused);
    return ASK_REFUSED;
}

void acquire_post(struct request *request)
{
    struct repeat repeat;
    const char *name = request_header(request, "Idempotency-Key");
    struct ask *ask = request->wanted;
    struct server *server = ask->server;
    if (ask->keys.n > 0) {
        many_acquire(request, ask);
        return;
    }
    request->wanted = NULL;
    int what = ASK_FIRST;
    if (name) {
        what = look_back(ask, request, name, &repeat);
    } else {
        waits_lock(server->waits);
        waits_join(server->waits, ask, request);
        waits_unlock(server->waits);
    }
    if (what == ASK_FIRST) {
        run(ask);
        return;
    }
    if (what == ASK_AGAIN)
        answer_again(request, &repeat);
    free_ask(ask);
}
