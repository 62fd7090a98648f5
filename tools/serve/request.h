/* SPDX-License-Identifier: Apache-2.0
 * A request, from its first line until its reply is sent, and the functions that reply. */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>

#include "serve/clients.h"
#include "serve/server.h"
#include "serve/texts.h"
#include "serve/work.h"

struct ask;
struct route;

struct request {
    struct server *server;
    struct MHD_Connection *connection;
    int fd;
    struct connection *held_by; /* its connection, in connections.c; NULL: memory was out */
    struct job job;
    const struct route *route; /* NULL: none was found */
    char method[16];
    char *path; /* raw, without the query: for the log */
    size_t uri_len;
    char key[LH_KEY_MAX + 1]; /* where the route has one */
    char address[64];         /* or the user behind the socket: for the log */
    struct client
        *client; /* a reference; NULL: the request was refused before anybody asked who sends it */
    unsigned shares; /* a bit each: what it has of what all share */
    bool admitted;   /* it has a share, or what became of it has */
    bool closes;     /* the connection is closed behind the answer */
    enum may may;
    char *body; /* NUL-terminated; NULL: none */
    size_t body_len;
    bool presented, begun, too_large;
    bool streams; /* its answer goes on for as long as somebody listens */
    /* The answer. */
    unsigned status;
    struct MHD_Response *response;
    int64_t began_us;
    char lease_id[LH_LEASE_ID_LEN +
                  1]; /* granted by this answer: released if that can't be sent; else "" */
    bool handed;    /* its answer comes from elsewhere; libmicrohttpd's thread alone looks at it */
    bool suspended; /* … and has not come yet */
    /* While it waits: */
    struct ask *wanted; /* what it asks for, until a worker takes it up; several keys: to the end */
    struct ask *ask;
    struct request *next;
};

/* The value of a header, or of an argument behind the `?` (still percent-encoded); NULL: it was not
 * sent. */
const char *request_header(const struct request *request, const char *name);
const char *request_argument(const struct request *request, const char *name);

/* Bytes of all headers. */
size_t request_head_size(const struct request *request);
/* Is each argument among `known` (NULL at the end; may be NULL), and there once, unless a * stands
 * behind it there? Else one that is not. */
bool request_knows_arguments(const struct request *request, const char *const *known,
                             char unknown[64]);

/* Answers, each once per request, from any thread; the request is not to be touched afterwards.
 * Each destroys `json`. */
void answer_json(struct request *request, unsigned status, bson_t *json);
/* Takes `text`, which was allocated by malloc(); NULL: out of memory. */
void answer_text(struct request *request, unsigned status, const char *type, char *text,
                 size_t len);
/* Fixed bytes, or 304 where the client has them already. */
void answer_static(struct request *request, const char *type, const void *bytes, size_t len,
                   const char *etag);
/* A stream of events, for as long as there is somebody at both ends. */
void answer_stream(struct request *request, struct MHD_Response *response);

/* 200, of a length that is not known yet. */
void answer_pieces(struct request *request, const char *type, struct MHD_Response *response);

/* Begins a problem, application/problem+json: `code` is a word for programs, `detail` a sentence.
 * To be ended by answer_problem(). */
void problem_init(bson_t *json, unsigned status, const char *code, const char *outcome,
                  const char *detail);
/* `retry_ms`: when it is worth asking again; 0: not said. */
void answer_problem(struct request *request, unsigned status, bson_t *json, int64_t retry_ms);
/* All in one. */
void answer_failure(struct request *request, unsigned status, const char *code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
/* 405, with the methods that the path has. */
void answer_not_allowed(struct request *request, const char *allow);
/* Replies with the outcome of a library call. */
void answer_outcome(struct request *request, const lh_error *error);
unsigned problem_status(int outcome);

/* Has the client closed its end? */
bool request_gone(const struct request *request);
/* The request's connection is left alone from here on until it is answered. From libmicrohttpd's
 * thread only. */
void request_suspend(struct request *request);

/* ---- handling.c */
/* Decodes an argument. False: it was sent, and cannot be decoded, or is too long; then it was
 * answered. */
bool request_decode(struct request *request, const char *name, char *out, size_t size,
                    bool *ret_given);
/* As request_decode(), of an argument that may be there more than once. */
bool request_decode_all(struct request *request, const char *name, struct texts *texts);
/* One more of what all share, until the request is over. False: there is no more for it (429,
 * 503), and it was answered. */
bool request_take(struct request *request, enum share share);
/* Gives it all back. */
void request_give(struct request *request);
/* Replies that clients_take() refused. */
void request_refuse(struct request *request, enum share share, int why);
/* Is it at most --max-ttl? False: it was answered. */
bool request_ttl_fits(struct request *request, int64_t ttl_ms);
/* Whether the client still has the permission that the route needs. False: the request was answered
 * (401, 403). */
bool request_may(struct request *request);
/* 401: its token was taken away while it waited. */
void request_revoke(struct request *request);
/* A worker does it. False: too many requests wait for one, and it was answered. */
bool request_work(struct request *request, void (*run)(struct job *job));

#endif
