/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve: its place in the table of commands. The server itself is in serve/, where libmicrohttpd was found. */
#include "cli.h"

#ifdef LEASEHOLD_SERVE

#include "serve/serve.h"

static int run(const struct cli *cli)
{
    return serve_run(cli);
}

#else

static int run(const struct cli *cli)
{
    lh_error error;
    out_fail(
        &error, LH_INVALID,
        "this leasehold was built without `serve`: install libmicrohttpd (Debian: libmicrohttpd-dev), and build it "
        "with -DLEASEHOLD_SERVE=ON");
    return out_error(&cli->out, &error);
}

#endif

static const struct opt_spec options_table[] = {
    {OPT_LISTEN, OPT_NAME, "listen", 0, "WHERE", "LEASEHOLD_LISTEN", 0, 0,
     "unix:PATH or HOST:PORT (default: unix:$XDG_RUNTIME_DIR/leasehold.sock)"},
    {OPT_TOKEN_FILE, OPT_NAME, "token-file", 0, "FILE", NULL, 0, 0, "who may call: bearer tokens, one a line"},
    {OPT_ADMIN_TOKEN_FILE, OPT_NAME, "admin-token-file", 0, "FILE", NULL, 0, 0, "who may also break leases"},
    {OPT_MAX_WAIT, OPT_DURATION, "max-wait", 0, "DURATION", NULL, 0, 24 * 3600 * INT64_C(1000),
     "how long a request may wait for a key (default: 5m)"},
    {OPT_MAX_WAITS, OPT_NUMBER, "max-waits", 0, "N", NULL, 1, 10000, "how many may wait (default: 10000)"},
    {OPT_MAX_WAITS_PER_CLIENT, OPT_NUMBER, "max-waits-per-client", 0, "N", NULL, 1, 10000,
     "… of one token and address (default: 1000)"},
    {OPT_CLEANUP_EVERY, OPT_DURATION, "cleanup-every", 0, "DURATION", NULL, 1000, 7 * 24 * 3600 * INT64_C(1000),
     "do what `cleanup` does, about that often (default: never)"},
    {OPT_OLDER_THAN, OPT_DURATION, "older-than", 0, "DURATION", NULL, 1000, OLDER_THAN_MAX,
     "… with what has been free that long (default: 24h)"},
    {OPT_RELEASE_AT_EXIT, OPT_FLAG, "release-at-exit", 0, NULL, NULL, 0, 0,
     "release at the end what sessions hold (default: it stays held)"},
    {0},
};

const struct command cmd_serve = {
    .name = "serve",
    .run = run,
    .holds = true,
    .options = options_table,
    .summary = "leases over HTTP, for any language",
    .detail =
        "Serves until SIGTERM or SIGINT; then who waits is told to ask again, and what is held stays held.\n"
        "  POST   /v1/leases/KEY        acquire: {\"owner\",\"ttl_ms\",\"wait_ms\",\"mode\",\"purpose\"}; 201, or 423 "
        "and who "
        "holds it\n"
        "  PATCH  /v1/leases/KEY        renew, with the header Lease-Id: a third of ttl_ms is a good pace; 410: lost\n"
        "  DELETE /v1/leases/KEY        release, with the header Lease-Id\n"
        "  GET    /v1/leases[/KEY]      who holds what; GET /v1/events tells it as it happens (server-sent events)\n"
        "  GET    /v1/leases/KEY/session  renewed while this stream is kept open, with the header Lease-Id\n"
        "  POST   /v1/leases/KEY/break  {\"reason\"}, with an admin's token\n"
        "  GET    /                     a dashboard, for the browser; it asks for a token where one is needed\n"
        "  GET    /v1/busy, /v1/whoami, /openapi.json, /metrics, /healthz, /readyz\n"
        "KEY is percent-encoded, a '/' in it too (%2F). The client renews, or keeps a session open: when its "
        "connection\n"
        "ends, renewing does, and the lease ends by its ttl. wait_ms keeps the request open in the key's queue; a "
        "client\n"
        "that goes away leaves it. With the header Idempotency-Key a POST may be repeated: the same wait or the same "
        "grant\n"
        "is answered, as long as this server runs.\n"
        "Without --token-file it listens on a Unix socket (mode 0600) or loopback only, and nobody may break. Token "
        "files\n"
        "are read again on SIGHUP. With --cleanup-every no `leasehold cleanup` by a timer is needed; any number of "
        "servers\n"
        "may do it. Each request is a JSON line on stderr, without secrets; --quiet: none.",
    .example =
        "  $ leasehold serve --listen 127.0.0.1:8080 &\n"
        "  leasehold 0.1.0 listens on http://127.0.0.1:8080\n"
        "  $ curl --json '{\"owner\":\"alice\",\"wait_ms\":5000}' http://127.0.0.1:8080/v1/leases/project:42\n"
        "  {\"v\":1,\"outcome\":\"granted\",\"key\":\"project:42\",\"lease\":\"6a1f0c3e5b7d48219fd6e0a4c2b81357\", "
        "…}\n",
};
