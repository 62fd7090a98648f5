/* SPDX-License-Identifier: Apache-2.0
 * Watching, from the inside. What is known of each watched document is kept (the shadow), each
 * change is applied to it, and the difference of the two is what happened: a change's own delta
 * does not say enough (fields whose value did not change are not in it), and a look at the document
 * afterwards says too much. All of it is the calling thread's own. */
#ifndef LH_EVENTS_WATCHING_H
#define LH_EVENTS_WATCHING_H

#include "protocol/doc.h"
#include "store/store.h"

/* ---- events_shadow.c ---- */
typedef struct lh_shadow_entry {
    struct lh_shadow_entry *next, *previous;
    bson_t *document;
    uint64_t round; /* the caller's */
    bson_t *id;     /* {"": _id} */
} lh_shadow_entry;

typedef struct lh_shadow {
    void *tree; /* by _id: a key may have several documents before the migration */
    lh_shadow_entry *first;
} lh_shadow;

/* ---- events_watching.c: the watch, and telling ---- */
typedef struct lh_instant {
    uint32_t t, i; /* as a BSON timestamp */
} lh_instant;

typedef struct lh_watching {
    lh_store *store;
    lh_watch_options o;
    int (*each)(void *arg, const lh_event *event);
    void *arg;
    lh_error *error; /* never NULL */
    lh_shadow shadow;
    bool after;           /* `o.after` is to be honoured */
    lh_instant at;        /* the event that is being told */
    uint64_t told, skip;  /* how many events it was up to now; how many of them are known already */
    bool apart;           /* what is told now is not of the stream, and not counted */
    bool on_set, stopped; /* stopped: `each` said so */
} lh_watching;

bool lh_watching_wants_all(const lh_watching *w);
bool lh_watching_wants(const lh_watching *w, const bson_t *document);
/* The same as a filter on `field`, which may be nobody's (all keys): false. A little wider than
 * lh_watching_wants(). */
bool lh_watching_append_filter(const lh_watching *w, const char *field, bson_t *filter);
/* LH_OK to go on, LH_CANCELLED. Sleeps at most `ms`. */
int lh_watching_pause(const lh_watching *w, int64_t ms);

void lh_tell(lh_watching *w, lh_event event);
/* OPENED or GAP. */
void lh_tell_mark(lh_watching *w, int kind, int64_t at_ms);

/* ---- events_change.c: a change event; what it names are views of it. Pure. ---- */
typedef struct lh_change {
    enum { LH_CHANGE_NOTHING, LH_CHANGE_DELETE, LH_CHANGE_UPDATE, LH_CHANGE_PUT } kind;
    bson_t key;  /* {_id: …} */
    bson_t part; /* UPDATE: the description; PUT: the document */
    bson_t token;
    bool has_token;
    lh_instant at;
    int64_t at_ms;
} lh_change;

#endif
