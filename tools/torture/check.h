/* SPDX-License-Identifier: Apache-2.0
 * The checker: a history (history.h) against the invariants. Pure: it knows neither a server nor
 * the library.
 *
 * The history proves each violation: a belief counts only between the first and the last sample
 * that was "valid", and an order only if it is the order of the oplog, or of calls that did not
 * overlap. */
#ifndef TORTURE_CHECK_H
#define TORTURE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CHECK_ID = 40, CHECK_INVARIANTS = 10, CHECK_VIOLATIONS = 200 };
#define CHECK_NEVER INT64_MAX

/* A call of a process: "p.life.n" in purposes. */
struct who {
    int p, life;
    int64_t n;
};

struct holder {
    char id[CHECK_ID];
    struct who who;                                     /* p -1: not a process of the run */
    int64_t token, expires_at, acquired_at, renewed_at; /* CHECK_NEVER: no end */
    bool shared;
};

struct queued {
    char id[CHECK_ID];
    struct who who;
    int64_t since, beat_at, claim_ms;
    bool shared;
};

/* The stored state of a key after a commit. Instants are the server's, in ms. */
struct state {
    bool removed;
    char doc_id[CHECK_ID];
    struct holder *holders;
    struct queued *waiters;
    size_t n_holders, n_waiters;
    char released_id[CHECK_ID], released_how[12];
    int64_t released_at, wall, end; /* end: the document's expires_at */
};

enum event_kind {
    EV_RUN,
    EV_START,
    EV_CALL,
    EV_END,
    EV_BELIEF,
    EV_LOST,
    EV_FAULT,
    EV_COMMIT,
    EV_WROTE,
    EV_HOLE,
    EV_DONE,
    EV_KINDS
};
enum op {
    OP_ACQUIRE,
    OP_RENEW,
    OP_RELEASE,
    OP_TRANSFER,
    OP_BREAK,
    OP_CLEANUP,
    OP_WRITE,
    OP_OTHER,
    OP_COUNT
};

struct event {
    enum event_kind kind;
    size_t line; /* in the file */
    int64_t t;
    struct who who;
    char key[16];
    enum op op;
    char outcome[16]; /* "": a call that has not ended */
    char fault[16];
    char id[CHECK_ID], to[CHECK_ID];
    int64_t token, remaining_ms, ttl_ms, wait_ms, ms, seq;
    int64_t holder_token; /* busy: whom it named; -1: nobody */
    struct who holder;    /* … or whose write landed */
    int64_t seen, older; /* of a write: how many it had read, how many of older tokens (of a guarded
                            one); -1: it did not look */
    bool shared, by_hand;
    struct state *state; /* of a commit */
    size_t end; /* of a call: the index of its end; of an end: of its call. SIZE_MAX: none */
};

struct violation {
    int invariant;
    size_t at, other; /* events; `other` may be SIZE_MAX */
    char text[400];
};

struct check {
    struct event *events; /* in the order of t, commits by seq */
    size_t n;
    bool oplog, hole; /* the commits are known; they would be, if the oplog had not been cut off */
    bool done;        /* the end of the run is there */
    int64_t grace_ms, seed, start;
    /* The largest difference between the time in a command and the time of its oplog entry; it is
     * larger if clocks were stepped. */
    int64_t clocks_ms;
    struct violation *violations; /* room for CHECK_VIOLATIONS; the first is the earliest */
    size_t n_violations, of[CHECK_INVARIANTS + 1];
    size_t calls, beliefs, commits, grants, processes_lost;
};

/* Reads a file. False: `message` has the fault and the line. */
bool check_read(struct check *check, FILE *file, char message[200]);
void check_fini(struct check *check);

/* Checks all; true: no violation. */
bool check_all(struct check *check);

/* The earliest violation, as a story. */
void check_tell(const struct check *check, FILE *to);

/* ---- The parts ------------------------------------------------------------------------------- */
void check_violation(struct check *check, int invariant, size_t at, size_t other,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));
bool check_same_who(const struct who *a, const struct who *b);
/* The call of a purpose; SIZE_MAX: none is known. */
size_t check_call_of(const struct check *check, const struct who *who);
const struct holder *check_holder(const struct state *state, const char *id);
const struct queued *check_queued(const struct state *state, const char *id);
/* The server's time at which a commit was decided: the time of its grant or release; otherwise the
 * time of the write, which is not earlier. */
int64_t check_now(const struct state *before, const struct state *after);
/* The time of the grants in the commit; 0: it has no grant. */
int64_t check_granted_at(const struct state *before, const struct state *after);
/* Whether a fault hit the deployment, or the process (-1: only the deployment), in that time. */
bool check_disturbed(const struct check *check, int p, int64_t from, int64_t to);

void check_beliefs(struct check *check);  /* 1, 5 */
void check_calls(struct check *check);    /* 2 without the oplog, 3, 6 */
void check_commits(struct check *check);  /* 1, 2, 4, 9 */
void check_renewals(struct check *check); /* 4 */
void check_queues(struct check *check);   /* 7 */
void check_writes(struct check *check);   /* 10 */

#endif
