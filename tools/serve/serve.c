/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve, from its beginning to its end.
 *
 * The end: new connections are refused; waiters are asked to retry, and streams end; the workers
 * finish their jobs; the store is closed, which leaves all queues and releases leases that were
 * granted meanwhile. Clients keep their leases, also those of sessions: another server, or this
 * server after its restart, renews them. */
#include "serve/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/confirm.h"
#include "common/connect.h"
#include "common/objects.h"
#include "serve/acquire.h"
#include "serve/auth.h"
#include "serve/busy.h"
#include "serve/cleaning.h"
#include "serve/clients.h"
#include "serve/connections.h"
#include "serve/events.h"
#include "serve/health.h"
#include "serve/http.h"
#include "serve/listen.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/repeat.h"
#include "serve/server.h"
#include "serve/sessions.h"
#include "serve/waits.h"
#include "serve/work.h"

enum { FLUSH_MS = 2000 }; /* for answers that are under way at the end */

static void read_config(const struct cli *cli, struct config *config)
{
    config->listen = cli_text(cli, OPT_LISTEN);
    config->token_file = cli_text(cli, OPT_TOKEN_FILE);
    config->admin_token_file = cli_text(cli, OPT_ADMIN_TOKEN_FILE);
    config->max_wait_ms = cli_number(cli, OPT_MAX_WAIT, 5 * 60 * 1000);
    config->max_ttl_ms = cli_number(cli, OPT_MAX_TTL, LH_TTL_MAX_MS);
    int64_t ttl_ms =
        config->max_ttl_ms < LH_TTL_DEFAULT_MS ? config->max_ttl_ms : LH_TTL_DEFAULT_MS;
    config->default_ttl_ms = cli_number(cli, OPT_DEFAULT_TTL, ttl_ms);
    config->max_waits = (uint32_t)cli_number(cli, OPT_MAX_WAITS, 10000);
    config->max_waits_per_client = (uint32_t)cli_number(cli, OPT_MAX_WAITS_PER_CLIENT, 1000);
    config->cleanup_every_ms = cli_number(cli, OPT_CLEANUP_EVERY, 0);
    config->cleanup_older_than_ms = cli_number(cli, OPT_OLDER_THAN, (int64_t)24 * 3600 * 1000);
    if (cli_flag(cli, OPT_HIDE_HOSTS))
        objects_hide_hosts();
    config->release_at_exit = cli_flag(cli, OPT_RELEASE_AT_EXIT);
}

static int open_store(const struct cli *cli, struct server *server, lh_error *error)
{
    char buffer[CONNECT_URI_SIZE];
    lh_store_options options;
    int code =
        connect_options(cli, connect_timeout_ms(cli), connect_owner(), buffer, &options, error);
    options.pool_size = WORKERS;
    return code == LH_OK ? connect_open(cli, &options, buffer, &server->store, error) : code;
}

static int check_config(struct config *config, lh_error *error)
{
    if (config->admin_token_file && !config->token_file)
        return out_fail(
            error, LH_INVALID,
            "--admin-token-file needs --token-file: without --token-file anybody may call");
    int code = confirm_allowed("break", error);
    config->may_break = code == LH_OK;
    if (code == LH_DENIED)
        code = LH_OK; /* it is refused when it is asked for */
    if (code == LH_OK && config->cleanup_every_ms > 0)
        code = confirm_allowed("cleanup", error);
    return code;
}

static int make_parts(struct server *server, lh_error *error)
{
    int code = metrics_new(&server->metrics, error);
    if (code == LH_OK)
        code = connections_new(server->clients, &server->connections, error);
    if (code == LH_OK)
        code = health_new(&server->ready, error);
    if (code == LH_OK)
        code = cleaning_new(server, &server->cleaning, error);
    if (code == LH_OK)
        code = busy_new(&server->busy, error);
    if (code == LH_OK)
        code = repeats_new(server->clients, &server->repeats, error);
    if (code == LH_OK)
        code = events_new(server, &server->events, error);
    if (code == LH_OK)
        code = work_new(server->clients, &server->work, error);
    if (code == LH_OK)
        code = sessions_new(server, &server->sessions, error);
    return code == LH_OK ? waits_new(server, &acquire_ends, &server->waits, error) : code;
}

static int start(const struct cli *cli, struct server *server, lh_error *error)
{
    struct config *config = &server->config;
    read_config(cli, config);
    int code = check_config(config, error);
    if (code == LH_OK)
        code = log_new(&server->log, error);
    if (code == LH_OK)
        code = clients_new(config, &server->clients, error);
    if (code == LH_OK)
        code = auth_new(server->clients, config->token_file, config->admin_token_file,
                        &server->auth, error);
    if (code == LH_OK)
        code = open_store(cli, server, error);
    if (code == LH_OK)
        code = listen_open(config->listen, config->token_file, &server->listener, error);
    if (code == LH_OK)
        code = make_parts(server, error);
    return code == LH_OK ? http_start(server, &server->http, error) : code;
}

static void tick(struct server *server, int64_t *next_beat_ms)
{
    int64_t now = serve_now_ms();
    connections_tick(server->connections);
    sessions_tick(server->sessions);
    cleaning_tick(server->cleaning);
    if (now < *next_beat_ms)
        return;
    events_beat(server->events);
    *next_beat_ms = now + BEAT_MS;
}

/* Not refused: where a container mounts secrets the modes are not ours to choose. */
static void note_open_tokens(struct server *server)
{
    const char *path = auth_open_file(server->auth);
    if (path)
        log_note(server,
                 "everybody on this machine may read or write the token file %s: chmod o= it",
                 path);
}

/* Ends everything that the clients of removed tokens have open. */
static void end_revoked(struct server *server)
{
    waits_revoke(server->waits);
    sessions_revoke(server->sessions);
    events_revoke(server->events);
}

static void reload(struct server *server)
{
    lh_error error = LH_ERROR_INIT;
    unsigned revoked;
    if (auth_reload(server->auth, &revoked, &error) == LH_OK) {
        end_revoked(server);
        log_note(server,
                 "the tokens were read again; %u earlier tokens were removed, and everything that "
                 "their clients had open has ended",
                 revoked);
    } else {
        log_note(server, "the tokens stay as they were: %s", error.message);
    }
    note_open_tokens(server);
}

/* Until a signal that ends it, which is returned. SIGHUP: the tokens are read again. */
static int serve(struct server *server, const sigset_t *signals)
{
    static const struct timespec a_tick = {.tv_sec = TICK_MS / 1000};
    int64_t next_beat_ms = serve_now_ms() + BEAT_MS;
    for (;;) {
        int number = sigtimedwait(signals, NULL, &a_tick);
        if (number == SIGHUP)
            reload(server);
        else if (number > 0)
            return number;
        tick(server, &next_beat_ms);
    }
}

static void stop(struct server *server)
{
    health_notify("STOPPING=1");
    http_quiesce(server->http);
    cleaning_stop(server->cleaning);
    waits_stop(server->waits);
    sessions_stop(server->sessions);
    events_stop(server->events);
    /* The jobs of the workers take as long as the database needs; --timeout limits each call. */
    while (!http_drain(server->http, FLUSH_MS) && work_queued(server->work) > 0)
        continue;
}

static void end(struct server *server)
{
    work_stop(server->work); /* every request that was suspended is answered now */
    if (server->http)
        (void)http_drain(server->http, FLUSH_MS);
    http_stop(server->http);
    work_free(server->work);
    if (server->sessions && !server->config.release_at_exit)
        sessions_forget(server->sessions); /* else closing the store releases what it still keeps */
    lh_store_close(server->store);
    sessions_free(server->sessions);
    waits_free(server->waits);
    repeats_free(server->repeats);
    events_free(server->events);
    busy_free(server->busy);
    cleaning_free(server->cleaning);
    health_free(server->ready);
    connections_free(server->connections);
    metrics_free(server->metrics);
    auth_free(server->auth);
    clients_free(server->clients);
    listen_close(server->listener);
    log_free(server->log);
}

int serve_run(const struct cli *cli)
{
    lh_error error = LH_ERROR_INIT;
    sigset_t signals;
    static const int heard[] = {SIGINT, SIGTERM, SIGHUP};
    (void)sigemptyset(&signals);
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++)
        (void)sigaddset(&signals, heard[i]);
    (void)sigprocmask(SIG_BLOCK, &signals,
                      NULL); /* before there are other threads: they inherit it */

    struct server server = {.out = &cli->out, .began_ms = serve_now_ms()};
    int code = start(cli, &server, &error);
    if (code == LH_OK) {
        printf("leasehold %s listens on %s\n", lh_version(), listen_name(server.listener));
        (void)out_flush();
        note_open_tokens(&server);
        health_notify("READY=1");
        int number = serve(&server, &signals);
        log_note(&server, "stopped by signal %d (%s)", number, strsignal(number));
        stop(&server);
    } else if (server.waits) {
        waits_stop(server.waits);
    }
    end(&server);
    return code == LH_OK ? EXIT_DONE : out_error(&cli->out, &error);
}
