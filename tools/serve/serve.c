/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve, from its beginning to its end.
 *
 * The end: nobody is accepted any more; who waits is told to ask again, streams end; what the workers have is done; the store is closed, which
 * leaves all queues and releases what was granted in the meantime. What clients hold stays theirs: another server, or this one when
 * it is back, renews it for them. */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../cli.h"
#include "../confirm.h"
#include "../connect.h"
#include "auth.h"
#include "busy.h"
#include "events.h"
#include "health.h"
#include "http.h"
#include "listen.h"
#include "log.h"
#include "metrics.h"
#include "repeat.h"
#include "waits.h"
#include "work.h"

enum { FLUSH_MS = 2000 }; /* for answers that are under way at the end */

static void read_config(const struct cli *cli, struct config *config)
{
    config->listen = cli_text(cli, OPT_LISTEN);
    config->token_file = cli_text(cli, OPT_TOKEN_FILE);
    config->admin_token_file = cli_text(cli, OPT_ADMIN_TOKEN_FILE);
    config->max_wait_ms = cli_number(cli, OPT_MAX_WAIT, 5 * 60 * 1000);
    config->max_waits = (uint32_t)cli_number(cli, OPT_MAX_WAITS, 10000);
    config->max_waits_per_client = (uint32_t)cli_number(cli, OPT_MAX_WAITS_PER_CLIENT, 1000);
}

static int open_store(const struct cli *cli, struct server *server, lh_error *error)
{
    char buffer[CONNECT_URI_SIZE];
    lh_store_options options;
    int code = connect_options(cli, connect_timeout_ms(cli), connect_owner(), buffer, &options, error);
    options.pool_size = WORKERS;
    if (code == LH_OK)
        code = lh_store_open(&options, &server->store, error);
    explicit_bzero(buffer, sizeof buffer);
    return code;
}

static int start(const struct cli *cli, struct server *server, lh_error *error)
{
    struct config *config = &server->config;
    read_config(cli, config);
    if (config->admin_token_file && !config->token_file)
        return out_fail(error, LH_INVALID, "--admin-token-file needs --token-file: without it anybody may call");
    int code = confirm_allowed("break", error);
    config->may_break = code == LH_OK;
    if (code == LH_OK || code == LH_DENIED)
        code = auth_new(config->token_file, config->admin_token_file, &server->auth, error);
    if (code == LH_OK)
        code = open_store(cli, server, error);
    if (code == LH_OK)
        code = listen_open(config->listen, config->token_file, &server->listener, error);
    if (code == LH_OK)
        code = metrics_new(&server->metrics, error);
    if (code == LH_OK)
        code = busy_new(&server->busy, error);
    if (code == LH_OK)
        code = repeats_new(&server->repeats, error);
    if (code == LH_OK)
        code = events_new(server, &server->events, error);
    if (code == LH_OK)
        code = work_new(&server->work, error);
    if (code == LH_OK)
        code = waits_new(server, &server->waits, error);
    return code == LH_OK ? http_start(server, &server->http, error) : code;
}

/* Until a signal that ends it, which is returned. SIGHUP: the tokens are read again. */
static int serve(struct server *server, const sigset_t *signals)
{
    for (;;) {
        lh_error error;
        int number = sigwaitinfo(signals, NULL);
        if (number != SIGHUP && number > 0)
            return number;
        if (number == SIGHUP && auth_reload(server->auth, &error) == LH_OK)
            log_note(server, "the tokens were read again");
        else if (number == SIGHUP)
            log_note(server, "the tokens stay as they were: %s", error.message);
    }
}

static void stop(struct server *server)
{
    health_notify("STOPPING=1");
    http_quiesce(server->http);
    waits_stop(server->waits);
    events_stop(server->events);
    /* What the workers have takes as long as the database lets them; each call is bounded by --timeout. */
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
    lh_store_close(server->store);
    waits_free(server->waits);
    repeats_free(server->repeats);
    events_free(server->events);
    busy_free(server->busy);
    metrics_free(server->metrics);
    auth_free(server->auth);
    listen_close(server->listener);
}

int serve_run(const struct cli *cli)
{
    lh_error error;
    sigset_t signals;
    static const int heard[] = {SIGINT, SIGTERM, SIGHUP};
    (void)sigemptyset(&signals);
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++)
        (void)sigaddset(&signals, heard[i]);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* before there are other threads: they inherit it */

    struct server server = {.out = &cli->out, .began_ms = serve_now_ms()};
    int code = start(cli, &server, &error);
    if (code == LH_OK) {
        printf("leasehold %s listens on %s\n", lh_version(), listen_name(server.listener));
        (void)out_flush();
        health_notify("READY=1");
        int number = serve(&server, &signals);
        log_note(&server, "ends by signal %d (%s)", number, strsignal(number));
        stop(&server);
    } else if (server.waits) {
        waits_stop(server.waits);
    }
    end(&server);
    return code == LH_OK ? EXIT_DONE : out_error(&cli->out, &error);
}
