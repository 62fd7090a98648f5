/* SPDX-License-Identifier: Apache-2.0
 *
 * A record: what is stored for a key. A refused acquire, lh_status() and lh_list() return it. */
#ifndef LEASEHOLD_RECORD_H
#define LEASEHOLD_RECORD_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LH_FREE = 0, LH_HELD = 1, LH_MALFORMED = 2 };
enum { LH_EXCLUSIVE = 0, LH_SHARED = 1 };

/* Why an acquire did not get the key. */
enum {
    LH_WHY_HELD = 1,       /* another holder has it */
    LH_WHY_QUEUE = 2,      /* it is free or shared, but waiters are ahead */
    LH_WHY_MALFORMED = 3,  /* its document cannot be read: held, until an operator breaks it */
    LH_WHY_FULL = 4,       /* it has as many shared holders as the store allows */
    LH_WHY_RACE = 5,       /* others were faster at each attempt, on a key without a document */
    LH_WHY_FULL_QUEUE = 6, /* it has as many waiters as the store allows */
    LH_WHY_PATH = 7,       /* a path above or below it is held; the record's key names that path */
};
/* "held", "queue", "malformed", "full", "race", "full_queue" or "path"; "" for any other number. */
LH_API const char *lh_why_word(int why);

typedef struct lh_holder {
    /* "" if the document has none (`user_id` is used where there is no `owner`) */
    const char *owner;
    const char *host;       /* "" if unknown */
    const char *purpose;    /* "" if none was set */
    int64_t pid;            /* 0 if unknown */
    int mode;               /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token;          /* 0 for a lock that older code wrote */
    int64_t acquired_at_ms; /* 0 if unknown */
    int64_t expires_at_ms;  /* LH_NEVER: no end, or an end that cannot be read */
    /* by the server's clock when it replied; 0 or less: past its end; LH_NEVER as above */
    int64_t remaining_ms;
    /* It has released the lease, and keeps the key taken until expires_at_ms (note.h). */
    bool kept;
} lh_holder;

typedef struct lh_waiter {
    const char *owner, *purpose;
    int mode;         /* LH_EXCLUSIVE or LH_SHARED */
    int64_t since_ms; /* when it joined the queue */
} lh_waiter;

typedef struct lh_record {
    /* for a document whose workspace_id is not a string: its value as extended JSON */
    const char *key;
    int state;           /* LH_FREE, LH_HELD, or LH_MALFORMED (which counts as held) */
    const char *problem; /* LH_MALFORMED: what cannot be read; otherwise "" */
    int64_t token;       /* the highest that was ever granted on the key; 0: none */
    /* the holder is past its end and nobody took over: LH_FREE, and released_how is "expire" */
    bool expired;
    /* the numbers in the document; lh_record_holder() and lh_record_waiter() may give fewer */
    size_t holders, waiters;
    int64_t now_ms; /* the server's clock when it replied */
    /* How the previous holder's lease ended: "release", "expire", "transfer" or "break"; "" if
     * unknown. */
    const char *released_how;
    const char *released_owner, *released_by, *released_reason;
    int64_t released_at_ms;
    /* The next two are set only by an acquire that returned LH_BUSY. */
    int why;                /* LH_WHY_… */
    int64_t retry_after_ms; /* a hint: how long to wait before asking again */
    /* What the previous holder left for the next one (note.h); "" and 0 if nothing. */
    const char *note;
    int64_t note_token; /* of the lease under which it was written */
    int64_t note_at_ms;
    /* The document's _id if that is a string other than the key (it may be the name of another
     * key); otherwise "". */
    const char *document_id;
    /* Set only by lh_status(): the key of another document that has this key for its _id (as in
     * `key`); otherwise "". */
    const char *id_taken_by;
    /* Set by lh_status() and lh_list() if the key does not identify the document (it cannot be
     * read, or no lease can have it): its _id as extended JSON, for lh_status_by_id() and the
     * options named `id`; otherwise "". */
    const char *id_json;
} lh_record;

/* The i-th holder or waiter, which belongs to the record; NULL past the last. A record from
 * lh_acquire() has one holder (of several readers the newest, with the latest of their ends) and no
 * waiters. A record from lh_status() or lh_list() has all. */
LH_API const lh_holder *lh_record_holder(const lh_record *record, size_t i);
LH_API const lh_waiter *lh_record_waiter(const lh_record *record, size_t i);

LH_API void lh_record_free(lh_record *record);

#ifdef __cplusplus
}
#endif

#endif
