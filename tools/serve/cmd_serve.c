/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve, as the command line and the program itself describe it. */
#include "serve/serve.h"

static const struct opt_spec options_table[] = {
    {OPT_LISTEN, OPT_NAME, "listen", 0, "WHERE", "LEASEHOLD_LISTEN", 0, 0,
     "unix:PATH or HOST:PORT (default: unix:$XDG_RUNTIME_DIR/leasehold.sock)"},
    {OPT_TOKEN_FILE, OPT_NAME, "token-file", 0, "FILE", "LEASEHOLD_TOKEN_FILE", 0, 0,
     "the clients that may call: lines with TOKEN or NAME:TOKEN"},
    {OPT_ADMIN_TOKEN_FILE, OPT_NAME, "admin-token-file", 0, "FILE", "LEASEHOLD_ADMIN_TOKEN_FILE", 0,
     0, "the clients that may also break leases"},
    {OPT_DEFAULT_TTL, OPT_DURATION, "default-ttl", 0, "DURATION", "LEASEHOLD_DEFAULT_TTL",
     LH_TTL_MIN_MS, LH_TTL_MAX_MS, "the ttl of a request without ttl_ms (default: 30s)"},
    {OPT_MAX_TTL, OPT_DURATION, "max-ttl", 0, "DURATION", "LEASEHOLD_MAX_TTL", LH_TTL_MIN_MS,
     LH_TTL_MAX_MS, "the longest ttl that a request may ask for (default: 7d)"},
    {OPT_MAX_WAIT, OPT_DURATION, "max-wait", 0, "DURATION", "LEASEHOLD_MAX_WAIT", 0,
     24 * 3600 * INT64_C(1000), "the longest wait of a request for a key (default: 5m)"},
    {OPT_MAX_WAITS, OPT_NUMBER, "max-waits", 0, "N", "LEASEHOLD_MAX_WAITS", 1, 10000,
     "the largest number of waits (default: 10000)"},
    {OPT_MAX_WAITS_PER_CLIENT, OPT_NUMBER, "max-waits-per-client", 0, "N",
     "LEASEHOLD_MAX_WAITS_PER_CLIENT", 1, 10000,
     "the largest number of waits of one client (default: 1000)"},
    {OPT_CLEANUP_EVERY, OPT_DURATION, "cleanup-every", 0, "DURATION", "LEASEHOLD_CLEANUP_EVERY",
     1000, 7 * 24 * 3600 * INT64_C(1000),
     "how often to run `cleanup`, approximately (default: never)"},
    {OPT_OLDER_THAN, OPT_DURATION, "older-than", 0, "DURATION", "LEASEHOLD_OLDER_THAN", 1000,
     OLDER_THAN_MAX, "for --cleanup-every: the least time since the release (default: 24h)"},
    {OPT_HIDE_HOSTS, OPT_FLAG, "hide-hosts", 0, NULL, NULL, 0, 0,
     "hosts and process numbers are null in all replies and events"},
    {OPT_PROBE, OPT_FLAG, "probe", 0, NULL, NULL, 0, 0,
     "check that the server at --listen responds, and exit with 0 or 69 (uses no database)"},
    {OPT_RELEASE_AT_EXIT, OPT_FLAG, "release-at-exit", 0, NULL, NULL, 0, 0,
     "release the leases of sessions at the end (default: they stay held)"},
    {0},
};

const struct command cmd_serve = {
    .name = "serve",
    .program = "leasehold-serve",
    .holds = true,
    .options = options_table,
    .summary = "serve leases over HTTP, for any language",
    .detail =
        "Runs until SIGTERM or SIGINT. Waiting clients are then asked to retry, and leases\n"
        "stay held.\n"
        "  POST   /v1/leases/KEY        acquire: "
        "{\"owner\",\"ttl_ms\",\"wait_ms\",\"mode\",\"purpose\",\"path\"}; 201, or 423 and the "
        "holder\n"
        "  POST   /v1/leases            the same for {\"keys\":[…]}, all or none, or for "
        "{\"parts\":[…]}, as `key join`\n"
        "  PATCH  /v1/leases/KEY        renew, with the header Lease-Id, at a third of ttl_ms; "
        "410: lost\n"
        "  DELETE /v1/leases/KEY        release, with the header Lease-Id; 410: it was no longer "
        "yours\n"
        "  GET    /v1/leases[/KEY]      the holders; GET /v1/events streams the changes "
        "(server-sent events)\n"
        "  GET    /v1/leases/KEY/session  renews the lease while this stream is open, with the "
        "header Lease-Id\n"
        "  POST   /v1/leases/KEY/transfer  {\"to\"}, with the header Lease-Id; the reply has the "
        "new lease\n"
        "  POST   /v1/leases/KEY/break  {\"reason\"}, with an admin's token\n"
        "  GET    /                     a dashboard for the browser; it asks for a token if one is "
        "needed\n"
        "  GET    /v1/stats, /v1/audit  for operators; the trail needs --audit\n"
        "  GET    /v1/busy, /v1/whoami, /openapi.json, /metrics, /healthz, /readyz\n"
        "KEY is percent-encoded, also a '/' in it (%2F). The client renews the lease or\n"
        "keeps a session open. When its connection ends, renewing ends, and the lease ends\n"
        "by its ttl. wait_ms keeps the request open in the key's queue; a client that\n"
        "disconnects leaves the queue. A POST with the header Idempotency-Key may be\n"
        "repeated by the same client: as long as this server runs, the reply is that of the\n"
        "same wait or grant.\n"
        "Without --token-file the server listens on a Unix socket (mode 0600) or loopback\n"
        "only, and nobody may break leases.\n"
        "A token file is a regular file of at most 64 lines TOKEN or NAME:TOKEN; # begins a\n"
        "comment. A token has 16 to 256 printable ASCII characters without blanks, and\n"
        "occurs once in all files. The name consists of A-Z a-z 0-9 . _ @ - and ends at the\n"
        "first ':'. Write a token that contains a ':' as :TOKEN, or with a name. The log\n"
        "shows names; so do `by` and the audit trail when an admin breaks a lease. Several\n"
        "tokens may have one name. Tokens without a name are logged as #1, #2, …\n"
        "On SIGHUP the server reads the files again. If a file is wrong, the log has the\n"
        "reason, and all tokens stay as they were. If a token is gone, everything that its\n"
        "client has open ends within a second: waits leave their queues (401), event\n"
        "streams end, sessions end with the event `revoked`. Leases stay held until their\n"
        "ttl is over; use `break` if necessary. A token that was renamed or moved keeps\n"
        "everything. A token that left the admins' file can no longer break leases.\n"
        "A client is a token; without tokens it is the user (uid) behind a Unix socket, or\n"
        "an address: on loopback all programs are one client. One client may use half of\n"
        "the server's 4000 requests for the database, 1000 event streams, 4 long lists and\n"
        "10000 sessions, 12000 of its 20000 connections, and --max-waits-per-client waits;\n"
        "more is 429. Clients take turns at the database. Requests of disconnected clients\n"
        "are dropped. The server remembers 10000 Idempotency-Keys; the client with the most\n"
        "loses its oldest first.\n"
        "If the end or head of a request can be read in two ways (two lengths, a length\n"
        "beside chunks, folded lines, bare line feeds, NULs), the reply is 400, and the\n"
        "connection is closed.\n"
        "--cleanup-every replaces `leasehold cleanup` by a timer; any number of servers may\n"
        "use it.\n"
        "Each request is a JSON line on stderr, without secrets (--quiet: none). Lines that\n"
        "cannot be written are dropped and counted.",
    .example = "  $ leasehold serve --listen 127.0.0.1:8080 &\n"
               "  leasehold 0.1.0 listens on http://127.0.0.1:8080\n"
               "  $ curl --json '{\"owner\":\"alice\",\"wait_ms\":5000}' "
               "http://127.0.0.1:8080/v1/leases/project:42\n"
               "  "
               "{\"v\":1,\"outcome\":\"granted\",\"key\":\"project:42\",\"lease\":"
               "\"6a1f0c3e5b7d48219fd6e0a4c2b81357\", …}\n",
};
