/* SPDX-License-Identifier: Apache-2.0
 *
 * Watching keys: events as they happen. */
#ifndef LEASEHOLD_WATCH_H
#define LEASEHOLD_WATCH_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The end of a lease by time writes nothing, so it is no event at that moment. LH_EVENT_EXPIRED
 * follows when the key is taken over, or when lh_cleanup() marks it. The words are what the command
 * line prints as "event" in JSON. */
#define LH_EVENTS(X)                                                                               \
    X(LH_EVENT_OPENED, 0, "opened")           /* watching has begun: events follow from here on */ \
    X(LH_EVENT_GAP, 1, "gap")                 /* events before this one may have been missed */    \
    X(LH_EVENT_GRANTED, 2, "granted")         /* `how` names the command */                        \
    X(LH_EVENT_RENEWED, 3, "renewed")         /* also a direct grant that its receiver claims */   \
    X(LH_EVENT_RELEASED, 4, "released")       /* `how` "other": by a program without Leasehold */  \
    X(LH_EVENT_TRANSFERRED, 5, "transferred") /* handed on; a grant by transfer follows */         \
    X(LH_EVENT_BROKEN, 6, "broken")           /* by an operator: `by`, `reason` */                 \
    X(LH_EVENT_EXPIRED, 7, "expired")         /* it ended earlier, and is noticed now */           \
    X(LH_EVENT_QUEUED, 8, "queued")           /* a waiter joined the queue */                      \
    X(LH_EVENT_LEFT, 9, "left")               /* a waiter gave up, or was dropped as dead */       \
    X(LH_EVENT_REMOVED, 10, "removed")        /* the document was deleted, with any holder */      \
    X(LH_EVENT_SPOILT, 11, "spoilt")          /* unreadable now: `reason`; it counts as held */

enum {
#define X(name, number, word) name = number,
    LH_EVENTS(X)
#undef X
};

/* "granted", …; "" for a number that is no event. */
LH_API const char *lh_event_word(int event);

/* Fields without a value are "" or 0. An event never contains a lease id. */
typedef struct lh_event {
    int kind; /* LH_EVENT_… */
    /* for the option `after`: opaque, without blanks; "" where resuming is impossible (on a
     * standalone) */
    const char *id;
    const char *key;     /* "" for LH_EVENT_OPENED and LH_EVENT_GAP */
    int64_t at_ms;       /* by the server's clock; on a standalone, when it was noticed */
    const char *how;     /* granted: "acquire", "queue", "transfer"; released: "release", "other" */
    const char *owner;   /* of the holder or waiter that the event is about */
    const char *host;    /* … */
    const char *purpose; /* … */
    int64_t pid;         /* … */
    int mode;            /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token;
    int64_t expires_at_ms; /* LH_NEVER: no end */
    const char *by;        /* broken: by whom */
    const char *reason;    /* broken: why; spoilt: what cannot be read */
    const char *note;      /* released: the note for the next holder */
    /* released: until when the key stays taken (note.h); 0: not at all. No event follows when the
     * key becomes free. */
    int64_t kept_until_ms;
} lh_event;

typedef struct lh_watch_options {
    size_t size;
    const char *const *keys; /* these keys, */
    size_t n_keys;           /* at most 1,000, */
    const char *prefix;      /* and all that begin with this; without either: all keys */
    /* an event's id: resume after it, with the same keys and prefix; NULL: from now on */
    const char *after;
    /* Ends the call from another thread; NULL: nothing does. It must outlive the call. */
    lh_cancel *cancel;
} lh_watch_options;

#define LH_WATCH_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_watch_options), NULL, 0, NULL, NULL, NULL                                        \
    }
LH_API void lh_watch_options_init(lh_watch_options *options, size_t size);

/* Gives each event to `each`, in this thread, as it happens, until `each` returns other than 0
 * (LH_STOPPED) or lh_cancel_now() is called (LH_CANCELLED, within half a second; up to `timeout_ms`
 * while a server hangs). `each` borrows the event and must return quickly: no events are read while
 * it runs. Changes that programs without Leasehold make are reported as far as possible.
 *
 * On a replica set, a change stream delivers every event, in order, once a majority has it. It
 * resumes by itself after elections and lost connections, and reports each event once. Where that
 * is impossible (the oplog has rolled over; the collection was dropped; `after` is older than the
 * history that the server keeps, by default five minutes), LH_EVENT_GAP is reported, followed by
 * the differences as far as they are known.
 *
 * A standalone has no change stream. There, all watched documents are read five times a second, or
 * less often if reading takes long (at most a fifth of the time), and the differences are reported.
 * A lease that begins and ends between two reads is missed.
 *
 * The call uses one of the store's connections, and about as much memory as the watched documents:
 * in a large collection, name keys or a prefix. The store must not be closed during the call.
 *
 * LH_STOPPED, LH_CANCELLED. LH_INVALID: an option. LH_UNREACHABLE: no server responded before the
 * first event; after that the call retries for ever. LH_DENIED: it needs find and changeStream on
 * the collection. LH_CONFIG, LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API int lh_watch(lh_store *store, const lh_watch_options *options,
                    int (*each)(void *arg, const lh_event *event), void *arg, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
