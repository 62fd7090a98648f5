/* SPDX-License-Identifier: Apache-2.0
 * leasehold serve: what its parts share.
 *
 * Threads: libmicrohttpd's one reads, writes and answers what needs no database; WORKERS call the
 * library, each a request at a time; one thread serves waits (waits.c), one serves sessions
 * (sessions.c), and one watches (events.c); the main thread waits for signals, and does periodic
 * work once a second. While a worker or the wait has a request, its connection is suspended:
 * libmicrohttpd does not touch it, so that no request is slowed by another's. Lock order: waits,
 * work, clients; the others by themselves. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include <leasehold/leasehold.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/clock.h"
#include "common/out.h"

/* libmicrohttpd's, which few call: http.c, request.c, answer.c, and what makes answers that come
 * piece by piece. */
struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

enum {
    WORKERS = 20,      /* also the connections of the store's pool. One client may have at once: */
    MOST_CALLERS = 12, /* … for its calls */
    MOST_QUEUERS =
        4, /* … for its waits, which often are for one key: more would contend for its document */
    MOST_REQUESTS = 4000,     /* that need a worker, or wait for one; those that wait for a key are
                                 counted by --max-waits */
    MOST_ARGUMENTS = 64,      /* behind the `?` */
    MOST_BODY = 16 * 1024,    /* bytes: owner and purpose, each character escaped, fit */
    MOST_URI = 8 * 1024,      /* bytes: a key, percent-encoded, fits twice */
    MOST_HEADERS = 8 * 1024,  /* bytes, names and values */
    MOST_CONNECTIONS = 20000, /* with 10,000 that wait, as many may ask */
    MOST_OF_AN_ADDRESS = 15000, /* connections; of a proxy's too */
    MOST_OF_A_CLIENT = 12000,   /* so that one leaves some of a proxy's to others */
    IDLE_SECONDS = 30,          /* until a connection that says nothing is closed */
    HEAD_MS = 10000,            /* for a request's head, from when the connection was made */
    AGAIN_MS = 40000,           /* … from the last answer on it */
    BODY_MS = 10000,            /* for the body behind it */
    ANSWER_MS = 300 * 1000,     /* until an answer must have been taken */
    TICK_MS = 1000,             /* how often what is due is looked at */
    READY_MS = 1000,            /* how long what is known of the database is good for /readyz */
    MOST_LISTED = 1000000,      /* leases in one answer */
    MOST_LISTS = 4,             /* long ones that are sent at once: each has a worker */
    LISTED_DEFAULT = 1000,      /* … without a limit */
    MOST_SUBSCRIBERS = 1000,    /* of events */
    MOST_SESSIONS = 10000,
    MOST_REPEATS = 10000, /* grants that are remembered by their Idempotency-Keys */
    MOST_REFUSALS = 256,  /* keys of which is remembered who was told busy last */
    BEAT_MS = 15000,      /* between two comments on a silent stream of events */
    CLAIM_MS = 15000, /* how long who waits may seem dead: with thousands of them beats come late */
    GRACE_MS = 5000,  /* how long a wait with an Idempotency-Key goes on without a client */
    REPEAT_MS = 24 * 3600 * 1000 /* how long a grant is remembered by its Idempotency-Key */
};

struct config {
    const char *listen; /* unix:PATH or HOST:PORT */
    const char *token_file, *admin_token_file;
    int64_t max_wait_ms, default_ttl_ms, max_ttl_ms;
    uint32_t max_waits, max_waits_per_client;
    int64_t cleanup_every_ms; /* 0: never */
    int64_t cleanup_older_than_ms;
    bool release_at_exit; /* what sessions hold */
    bool may_break;       /* LEASEHOLD_PROTECT does not forbid it */
};

struct server {
    const struct out *out;
    struct config config;
    lh_store *store;
    int64_t began_ms;
    struct listener *listener;
    struct http *http;
    struct log *log;
    struct clients *clients;
    struct auth *auth;
    struct work *work;
    struct waits *waits;
    struct repeats *repeats;
    struct events *events;
    struct connections *connections;
    struct sessions *sessions;
    struct ready *ready;
    struct cleaning *cleaning;
    struct metrics *metrics;
    struct busy *busy;
};

static inline int64_t serve_now_us(void)
{
    return clock_ns(CLOCK_BOOTTIME) / 1000;
}

static inline int64_t serve_now_ms(void)
{
    return clock_boot_ms();
}

#endif
