/* SPDX-License-Identifier: Apache-2.0
 * The internals of a watch. The known state of each watched document is kept (the shadow). Each
 * change is applied to it, and the difference between the two states is what happened. The delta of
 * a change is not enough, since it leaves out fields whose value did not change. Reading the
 * document afterwards is too late, since it may have changed again. Only the calling thread uses
 * all of this. */
#ifndef LH_EVENTS_WATCHING_H
#define LH_EVENTS_WATCHING_H

#include "protocol/doc.h"
#include "store/store.h"

/* ---- events_shadow.c ---- */
typedef struct lh_shadow_entry {
    struct lh_shadow_entry *next, *previous;
    bson_t *document;
    uint64_t round; /* the round in which the caller last put it */
    bson_t *id;     /* {"": _id} */
} lh_shadow_entry;

typedef struct lh_shadow {
    void *tree; /* by _id, since a key may have several documents before the migration */
    lh_shadow_entry *first;
} lh_shadow;

/* ---- events_watching.c: the watch, and reporting events ---- */
typedef struct lh_instant {
    uint32_t t, i; /* as a BSON timestamp */
} lh_instant;

typedef struct lh_watching {
    lh_store *store;
    lh_watch_options options;
    int (*each)(void *arg, const lh_event *event);
    void *arg;
    lh_error *error; /* never NULL */
    lh_shadow shadow;
    bool after;    /* resume after `options.after` */
    lh_instant at; /* the time of the event that is being reported */
    /* events reported for that time so far; how many of them the caller knows already */
    uint64_t reported, skip;
    bool apart;           /* the events reported now are not from the stream, and are not counted */
    bool on_set, stopped; /* stopped: `each` asked to stop */
} lh_watching;

bool lh_watching_wants_all(const lh_watching *w);
bool lh_watching_wants(const lh_watching *w, const bson_t *document);
/* Appends the same as a filter on `field`; a little wider than lh_watching_wants(). False, and
 * nothing is appended, if all keys are wanted. */
bool lh_watching_append_filter(const lh_watching *w, const char *field, bson_t *filter);
/* Sleeps at most `ms`. LH_OK, or LH_CANCELLED. */
int lh_watching_pause(const lh_watching *w, int64_t ms);

void lh_watching_report(lh_watching *w, lh_event event);
/* Reports LH_EVENT_OPENED or LH_EVENT_GAP. */
void lh_watching_mark(lh_watching *w, int kind, int64_t at_ms);

/* ---- events_change.c: a decoded change event; its documents are views of the event ---- */
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
