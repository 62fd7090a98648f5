/* SPDX-License-Identifier: Apache-2.0
 * Several servers may clean at once: each document is judged again by the write that removes it. To
 * make that rare, the first cleanup comes at a random time in the interval, and each interval is up
 * to a tenth longer or shorter. */
#include "serve/cleaning.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

#include "serve/clients.h"
#include "serve/log.h"

struct cleaning {
    struct server *server;
    struct client *client; /* the server itself */
    struct job job;
    int64_t due_ms; /* read and written by the main thread alone */
    atomic_bool runs, stops;
    atomic_uint_fast64_t done, failed, removed;
};

/* From 0 to `most`. */
static int64_t some_of(int64_t most)
{
    uint32_t random = 0;
    ssize_t got = getrandom(&random, sizeof random, GRND_NONBLOCK);
    (void)got; /* without, it is 0 */
    return most * (int64_t)(random >> 8) >> 24;
}

int cleaning_new(struct server *server, struct cleaning **ret_cleaning, lh_error *error)
{
    struct cleaning *cleaning = calloc(1, sizeof *cleaning);
    if (!cleaning)
        return out_fail(error, LH_MEMORY, "out of memory");
    cleaning->server = server;
    cleaning->client = clients_of_address(server->clients, "server");
    if (!cleaning->client) {
        free(cleaning);
        return out_fail(error, LH_MEMORY, "out of memory");
    }
    cleaning->due_ms = serve_now_ms() + some_of(server->config.cleanup_every_ms);
    *ret_cleaning = cleaning;
    return LH_OK;
}

static int go_on(void *arg, uint64_t looked_at, uint64_t removed)
{
    struct cleaning *cleaning = arg;
    (void)looked_at, (void)removed;
    return atomic_load(&cleaning->stops);
}

static void clean(struct job *job)
{
    struct cleaning *cleaning = JOB_OWNER(job, struct cleaning);
    const struct server *server = cleaning->server;
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    lh_error error = LH_ERROR_INIT;
    options.older_than_ms = server->config.cleanup_older_than_ms;
    options.progress = go_on;
    options.progress_arg = cleaning;
    int code = lh_cleanup(server->store, &options, &report, &error);
    atomic_fetch_add(&cleaning->removed, report.removed);
    atomic_fetch_add(code == LH_OK ? &cleaning->done : &cleaning->failed, 1);
    if (code == LH_OK)
        log_note(server,
                 "cleanup removed %" PRIu64 " keys, and dropped %" PRIu64
                 " dead holders and %" PRIu64 " dead waiters",
                 report.removed, report.holders_dropped, report.waiters_dropped);
    else
        log_note(server, "cleanup ended early, having removed %" PRIu64 " keys: %s: %s",
                 report.removed, lh_outcome_word(code), error.message);
    atomic_store(&cleaning->runs, false);
}

void cleaning_tick(struct cleaning *cleaning)
{
    int64_t now = serve_now_ms(), every = cleaning->server->config.cleanup_every_ms;
    if (every == 0 || now < cleaning->due_ms || atomic_load(&cleaning->runs))
        return;
    cleaning->due_ms = now + every - every / 10 + some_of(every / 5);
    atomic_store(&cleaning->runs, true);
    cleaning->job.run = clean;
    work_push(cleaning->server->work, &cleaning->client->calls, &cleaning->job);
}

void cleaning_stop(struct cleaning *cleaning)
{
    atomic_store(&cleaning->stops, true);
}

void cleaning_counts(struct cleaning *cleaning, uint64_t *ret_done, uint64_t *ret_failed,
                     uint64_t *ret_removed)
{
    *ret_done = atomic_load(&cleaning->done);
    *ret_failed = atomic_load(&cleaning->failed);
    *ret_removed = atomic_load(&cleaning->removed);
}

void cleaning_free(struct cleaning *cleaning)
{
    if (cleaning)
        clients_unref(cleaning->server->clients, cleaning->client);
    free(cleaning);
}
