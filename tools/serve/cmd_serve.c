/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve, as the command line and the program itself describe it. */
#include "serve/serve.h"

static const struct opt_spec options_table[] = {
    {OPT_LISTEN, OPT_NAME, "listen", 0, "WHERE", "LEASEHOLD_LISTEN", 0, 0,
     "unix:PATH or HOST:PORT (default: unix:$XDG_RUNTIME_DIR/leasehold.sock)"},
    {OPT_TOKEN_FILE, OPT_NAME, "token-file", 0, "FILE", NULL, 0, 0,
     "who may call: lines with TOKEN or NAME:TOKEN"},
    {OPT_ADMIN_TOKEN_FILE, OPT_NAME, "admin-token-file", 0, "FILE", NULL, 0, 0,
     "who may also break leases"},
    {OPT_MAX_WAIT, OPT_DURATION, "max-wait", 0, "DURATION", NULL, 0, 24 * 3600 * INT64_C(1000),
     "how long a request may wait for a key (default: 5m)"},
    {OPT_MAX_WAITS, OPT_NUMBER, "max-waits", 0, "N", NULL, 1, 10000,
     "how many may wait (default: 10000)"},
    {OPT_MAX_WAITS_PER_CLIENT, OPT_NUMBER, "max-waits-per-client", 0, "N", NULL, 1, 10000,
     "… of one client (default: 1000)"},
    {OPT_CLEANUP_EVERY, OPT_DURATION, "cleanup-every", 0, "DURATION", NULL, 1000,
     7 * 24 * 3600 * INT64_C(1000), "do what `cleanup` does, about that often (default: never)"},
    {OPT_OLDER_THAN, OPT_DURATION, "older-than", 0, "DURATION", NULL, 1000, OLDER_THAN_MAX,
     "… with what has been free that long (default: 24h)"},
    {OPT_PROBE, OPT_FLAG, "probe", 0, NULL, NULL, 0, 0,
     "ask the server at --listen whether it answers, and exit: 0, or 69 (no database is asked)"},
    {OPT_RELEASE_AT_EXIT, OPT_FLAG, "release-at-exit", 0, NULL, NULL, 0, 0,
     "release at the end what sessions hold (default: it stays held)"},
    {0},
};

const struct command cmd_serve = {
    .name = "serve",
    .program = "leasehold-serve",
    .holds = true,
    .options = options_table,
    .summary = "leases over HTTP, for any language",
    .detail =
        "Serves until SIGTERM or SIGINT; then who waits is told to ask again, and what is\n"
        "held stays held.\n"
        "  POST   /v1/leases/KEY        acquire: "
        "{\"owner\",\"ttl_ms\",\"wait_ms\",\"mode\",\"purpose\"}; 201, or 423 and who holds it\n"
        "  PATCH  /v1/leases/KEY        renew, with the header Lease-Id: a third of ttl_ms is a "
        "good pace; 410: lost\n"
        "  DELETE /v1/leases/KEY        release, with the header Lease-Id; 410: it was somebody "
        "else's already\n"
        "  GET    /v1/leases[/KEY]      who holds what; GET /v1/events tells it as it happens "
        "(server-sent events)\n"
        "  GET    /v1/leases/KEY/session  renewed while this stream is kept open, with the header "
        "Lease-Id\n"
        "  POST   /v1/leases/KEY/break  {\"reason\"}, with an admin's token\n"
        "  GET    /                     a dashboard, for the browser; it asks for a token where "
        "one is needed\n"
        "  GET    /v1/busy, /v1/whoami, /openapi.json, /metrics, /healthz, /readyz\n"
        "KEY is percent-encoded, a '/' in it too (%2F). The client renews, or keeps a\n"
        "session open: when its connection ends, renewing does, and the lease ends by its\n"
        "ttl. wait_ms keeps the request open in the key's queue; a client that goes away\n"
        "leaves it. With the header Idempotency-Key a POST may be repeated: the same wait\n"
        "or the same grant is answered, as long as this server runs, to the same client.\n"
        "Without --token-file it listens on a Unix socket (mode 0600) or loopback only, and\n"
        "nobody may break.\n"
        "A token file is a regular file of at most 64 lines TOKEN or NAME:TOKEN; # begins a\n"
        "comment. A token is 16 to 256 printable ASCII characters without blanks, and\n"
        "stands once in all files. The name, of A-Z a-z 0-9 . _ @ -, ends at the first ':';\n"
        "a token that has a ':' itself is written :TOKEN, or with a name. Names are shown\n"
        "in the log, and, of an admin who breaks a lease, in `by` and the audit; several\n"
        "tokens may have the same. Tokens without one are logged as #1, #2, …\n"
        "SIGHUP reads the files again; if one is wrong, the log says why, and all tokens\n"
        "stay as they were. A token that is gone ends what its client has open, within a\n"
        "second: waits leave their queues (401), streams of events end, sessions end with\n"
        "the event `revoked`. Leases stay held until their ttl is over: `break` them if\n"
        "need be. A token that is still there, renamed or moved, keeps all; one that left\n"
        "the admins' file breaks nothing from then on.\n"
        "A client is a token; without tokens it is the user (uid) behind a Unix socket, or\n"
        "an address: on loopback all programs are one client. One client can have half of\n"
        "the server's 4000 requests for the database, 1000 streams of events, 4 long lists\n"
        "and 10000 sessions, 12000 of its 20000 connections, and --max-waits-per-client\n"
        "waits; more is 429. Clients take turns at the database, and requests whose client\n"
        "has gone are dropped. 10000 Idempotency-Keys are remembered: the client with the\n"
        "most loses its oldest first.\n"
        "A request whose end or head can be read in two ways (two lengths, a length beside\n"
        "chunks, folded lines, bare line feeds, NULs) is 400, and its connection is closed.\n"
        "With --cleanup-every no `leasehold cleanup` by a timer is needed; any number of\n"
        "servers may do it.\n"
        "Each request is a JSON line on stderr, without secrets; --quiet: none. Lines that\n"
        "cannot be written are dropped and counted.",
    .example = "  $ leasehold serve --listen 127.0.0.1:8080 &\n"
               "  leasehold 0.1.0 listens on http://127.0.0.1:8080\n"
               "  $ curl --json '{\"owner\":\"alice\",\"wait_ms\":5000}' "
               "http://127.0.0.1:8080/v1/leases/project:42\n"
               "  "
               "{\"v\":1,\"outcome\":\"granted\",\"key\":\"project:42\",\"lease\":"
               "\"6a1f0c3e5b7d48219fd6e0a4c2b81357\", …}\n",
};
