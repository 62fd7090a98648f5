/* SPDX-License-Identifier: Apache-2.0
 * Watches a replica set.
 *
 * A watch begins with a snapshot: all watched documents at one time of the oplog. The change stream
 * continues from that time, and misses nothing. To resume after an event of another watch, the same
 * is done with an older snapshot, which the server keeps for a while.
 *
 * If the cursor fails (an election, a kill), the next one continues after the last batch. If the
 * server no longer has that point, the differences to a new snapshot are reported. */
#include "operate/events_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "operate/events_change.h"
#include "operate/events_diff.h"
#include "operate/events_shadow.h"
#include "operate/events_watching.h"
#include "store/store.h"
#include "store/store_stream.h"

/* How long the server holds a getMore without events. A cancel can take this long. */
#define AWAIT_MS     250
#define ATTEMPT_MS   1000
#define REFUSALS_MAX 8

typedef struct {
    /* the point after the last batch, or event, that was reported; empty: after the snapshot */
    bson_t token;
    lh_watching *w;
    lh_stream *stream;
    lh_instant snapshot;
    uint64_t round; /* the round of the snapshot */
    bool silent;    /* do not report the differences to the snapshot: it is the first one */
    /* A watched document has an _id other than its key, so the server must not filter by _id. */
    bool wide;
    bool reopen;   /* `wide` was set by the last batch: open the stream again */
    bool lost;     /* the collection was dropped or renamed, which ends the stream */
    int64_t at_ms; /* the server's clock, as of the last reply */
    int outcome;   /* LH_MEMORY within a batch */
} following;

/* ---- Commands ---- */

static bson_t *snapshot_command(const following *f, const lh_instant *at)
{
    const lh_watching *w = f->w;
    bson_t *command =
               BCON_NEW("find", BCON_UTF8(w->store->collection), "batchSize", BCON_INT32(1000)),
           part;
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &part);
    (void)lh_watching_append_filter(w, "workspace_id", &part);
    bson_append_document_end(command, &part);
    BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &part);
    lh_shadow_append_projection(&part);
    bson_append_document_end(command, &part);
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &part);
    BSON_APPEND_UTF8(&part, "level", "snapshot");
    if (at)
        BSON_APPEND_TIMESTAMP(&part, "atClusterTime", at->t, at->i);
    bson_append_document_end(command, &part);
    return command;
}

/* Filters out the beats of waiters, and documents that are surely not watched. The _id of a
 * document of ours is the key; other programs use ObjectIds. */
static void append_match(const following *f, bson_t *stages)
{
    bson_t stage, match, all, one, any, part, no_beats;
    bson_error_t why;
    static const char text[] =
        "{'$expr':{'$or':[{'$ne':['$operationType','update']},{'$gt':[{'$size':{'$ifNull':["
        "'$updateDescription.removedFields',[]]}},0]},{'$anyElementTrue':[{'$map':{'input':{'$"
        "objectToArray':"
        "{'$ifNull':['$updateDescription.updatedFields',{}]}},'as':'u','in':{'$not':[{'$regexMatch'"
        ":{'input':'$$u.k',"
        "'regex':'^waiters[.][0-9a-f]{32}[.]beat(_at)?$'}}]}}}]}]}}";
    char quoted[sizeof text];
    for (size_t i = 0; i < sizeof text; i++)
        quoted[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    BSON_APPEND_DOCUMENT_BEGIN(stages, "1", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$match", &match);
    BSON_APPEND_ARRAY_BEGIN(&match, "$and", &all);
    if (bson_init_from_json(&no_beats, quoted, -1, &why)) {
        BSON_APPEND_DOCUMENT(&all, "0", &no_beats);
        bson_destroy(&no_beats);
    }
    BSON_APPEND_DOCUMENT_BEGIN(&all, "1", &one);
    bson_t ours = BSON_INITIALIZER;
    if (!f->wide && lh_watching_append_filter(f->w, "documentKey._id", &ours)) {
        BSON_APPEND_ARRAY_BEGIN(&one, "$or", &any);
        BSON_APPEND_DOCUMENT(&any, "0", &ours);
        BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &part); /* also drop and rename, which have no _id */
        bson_t not, type;
        BSON_APPEND_DOCUMENT_BEGIN(&part, "documentKey._id", &not );
        BSON_APPEND_DOCUMENT_BEGIN(&not, "$not", &type);
        BSON_APPEND_UTF8(&type, "$type", "string");
        bson_append_document_end(&not, &type);
        bson_append_document_end(&part, &not );
        bson_append_document_end(&any, &part);
        /* documents that others insert may have any _id */
        BSON_APPEND_DOCUMENT_BEGIN(&any, "2", &part);
        BSON_APPEND_UTF8(&part, "operationType", "insert");
        bson_append_document_end(&any, &part);
        bson_append_array_end(&one, &any);
    }
    bson_destroy(&ours);
    bson_append_document_end(&all, &one);
    bson_append_array_end(&match, &all);
    bson_append_document_end(&stage, &match);
    bson_append_document_end(stages, &stage);
}

static bson_t *stream_command(const following *f)
{
    bson_t *command = BCON_NEW("aggregate", BCON_UTF8(f->w->store->collection)), stages, stage,
           part;
    BSON_APPEND_ARRAY_BEGIN(command, "pipeline", &stages);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$changeStream", &part);
    if (bson_empty(&f->token))
        BSON_APPEND_TIMESTAMP(&part, "startAtOperationTime", f->snapshot.t, f->snapshot.i + 1);
    else
        BSON_APPEND_DOCUMENT(&part, "resumeAfter", &f->token);
    bson_append_document_end(&stage, &part);
    bson_append_document_end(&stages, &stage);
    append_match(f, &stages);
    bson_append_array_end(command, &stages);
    BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &part);
    bson_append_document_end(command, &part);
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &part);
    BSON_APPEND_UTF8(&part, "level", "majority");
    bson_append_document_end(command, &part);
    return command;
}

/* ---- The snapshot ---- */

static void note_foreign_id(following *f, const bson_t *document)
{
    bson_iter_t id, key;
    if (bson_iter_init_find(&id, document, "_id") && BSON_ITER_HOLDS_UTF8(&id) &&
        bson_iter_init_find(&key, document, "workspace_id") && BSON_ITER_HOLDS_UTF8(&key) &&
        strcmp(bson_iter_utf8(&id, NULL), bson_iter_utf8(&key, NULL)) != 0)
        f->reopen = f->wide = true;
}

static int keep_one(void *arg, const bson_t *document)
{
    following *f = arg;
    if (!lh_watching_wants(f->w, document))
        return 0;
    if (!f->wide)
        note_foreign_id(f, document);
    f->outcome = lh_watching_put(f->w, lh_shadow_shrink(document), f->round, f->silent, f->at_ms);
    return f->outcome != LH_OK || f->w->stopped;
}

/* Reads all watched documents as they were at `at` (NULL: now). With LH_EVENT_GAP as `kind`, a gap
 * is reported before the differences to what was known. */
static int take_snapshot(following *f, const lh_instant *at, int kind)
{
    lh_watching *w = f->w;
    bson_t *command = snapshot_command(f, at), reply;
    int outcome = lh_stream_open(f->stream, "watch the keys", command, lh_clock_ms() + ATTEMPT_MS,
                                 &reply, w->error);
    bson_destroy(command);
    if (outcome == LH_OK && !lh_event_instant(&reply, "cursor.atClusterTime", &f->snapshot) &&
        !at) {
        /* There is no collection yet: use the time of this reply. */
        lh_instant now = {0};
        bool timed = lh_event_instant(&reply, "operationTime", &now);
        bson_destroy(&reply);
        return timed ? take_snapshot(f, &now, kind)
                     : lh_fail(w->error, LH_SERVER, "the server's reply has no operationTime");
    }
    if (at)
        f->snapshot = *at;
    f->at_ms = (int64_t)f->snapshot.t * 1000;
    f->round++;
    f->outcome = LH_OK;
    /* a watch that resumes after these events begins after the snapshot */
    if (outcome == LH_OK && !w->after) {
        w->at = (lh_instant){f->snapshot.t, f->snapshot.i + 1};
        w->reported = w->skip = 0;
        w->apart = true;
        if (kind == LH_EVENT_GAP)
            lh_watching_mark(w, kind, f->at_ms);
    }
    while (outcome == LH_OK && lh_stream_each(&reply, keep_one, f) == 0 &&
           lh_stream_goes_on(f->stream)) {
        bson_destroy(&reply);
        outcome = lh_stream_next(f->stream, 0, &reply, w->error);
    }
    bson_destroy(&reply);
    if (outcome == LH_OK)
        outcome = f->outcome;
    if (outcome == LH_OK && !w->stopped)
        outcome = lh_watching_sweep(w, f->round, f->at_ms);
    w->apart = false;
    return outcome;
}

/* ---- Events ---- */

static int take_event(void *arg, const bson_t *event)
{
    following *f = arg;
    lh_watching *w = f->w;
    lh_change change;
    if (!lh_change_read(event, &change)) {
        f->lost = true;
        return 1;
    }
    if (change.at.t != w->at.t || change.at.i != w->at.i) {
        w->at = change.at;
        w->reported = w->skip = 0;
    }
    f->at_ms = change.at_ms;
    if (!f->wide && change.kind == LH_CHANGE_PUT && lh_watching_wants(w, &change.part))
        note_foreign_id(f, &change.part);
    f->outcome = lh_watching_change(w, &change, f->round);
    if (change.has_token) {
        bson_destroy(&f->token);
        bson_copy_to(&change.token, &f->token);
    }
    return f->outcome != LH_OK || w->stopped || f->reopen;
}

static int take_batch(following *f, const bson_t *reply)
{
    bson_t token;
    f->outcome = LH_OK;
    if (lh_stream_each(reply, take_event, f) == 0 &&
        lh_event_document(reply, "cursor.postBatchResumeToken", &token)) {
        bson_destroy(&f->token);
        bson_copy_to(&token, &f->token);
    }
    return f->outcome;
}

/* ---- Opening ---- */

static int open_cursor(following *f)
{
    bson_t *command = stream_command(f), reply;
    f->reopen = false;
    int outcome = lh_stream_open(f->stream, "follow the change stream", command,
                                 lh_clock_ms() + ATTEMPT_MS, &reply, f->w->error);
    if (outcome == LH_OK)
        outcome = take_batch(f, &reply);
    bson_destroy(&reply);
    bson_destroy(command);
    return outcome;
}

/* Starts from a new snapshot. */
static int open_anew(following *f, int kind)
{
    lh_watching *w = f->w;
    int outcome = take_snapshot(f, NULL, kind);
    if (outcome != LH_OK || w->stopped)
        return outcome;
    bson_reinit(&f->token);
    f->lost = f->silent = false;
    if (kind == LH_EVENT_OPENED)
        lh_watching_mark(w, kind, f->at_ms);
    return w->stopped ? LH_OK : open_cursor(f);
}

/* Whether the server reports that it cannot resume from there. Other refusals may pass: the cursor
 * was killed while it was being opened. (Codes of MongoDB's error_codes.yml.) */
static bool is_lost(const lh_error *why)
{
    switch (why->server_code) {
    case 136: /* CappedPositionLost */
    case 239: /* SnapshotTooOld */
    case 246: /* SnapshotUnavailable */
    case 260: /* InvalidResumeToken */
    case 280: /* ChangeStreamFatalError */
    case 286: /* ChangeStreamHistoryLost */
        return true;
    default:
        return false;
    }
}

/* Resumes after the event that the caller named: reads the state just before its time, and then the
 * stream. */
static int open_behind(following *f)
{
    lh_watching *w = f->w;
    lh_instant before = {w->at.t, w->at.i - 1};
    int outcome = take_snapshot(f, &before, LH_EVENT_OPENED);
    if (outcome == LH_OK) {
        f->silent = w->after = false;
        lh_watching_mark(w, LH_EVENT_OPENED, f->at_ms);
        outcome = w->stopped ? LH_OK : open_cursor(f);
    }
    if (outcome != LH_SERVER || !is_lost(w->error))
        return outcome;
    w->after = false; /* the server no longer has that time */
    lh_shadow_fini(&w->shadow);
    f->silent = true;
    return open_anew(f, LH_EVENT_GAP);
}

static bool is_passing(int outcome)
{
    return outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN;
}

/* Opens the watch. A snapshot may be refused for a moment, while an index is built. */
static int begin(following *f)
{
    int64_t deadline = lh_store_deadline(f->w->store, 0);
    lh_backoff pause = lh_backoff_from(50, 500, (uintptr_t)f);
    for (;;) {
        f->silent = true;
        int outcome = f->w->after ? open_behind(f) : open_anew(f, LH_EVENT_OPENED);
        if ((!is_passing(outcome) && outcome != LH_SERVER) || !f->silent ||
            lh_clock_ms() > deadline)
            return outcome;
        lh_shadow_fini(&f->w->shadow);
        int paused = lh_watching_pause(f->w, lh_backoff_next(&pause));
        if (paused != LH_OK)
            return paused;
    }
}

/* Opens the cursor again after it was lost, or if its filter is too narrow. */
static int go_on(following *f)
{
    lh_backoff pause = lh_backoff_from(20, 1000, (uintptr_t)f);
    for (int refused = 0;;) {
        int outcome = f->lost ? open_anew(f, LH_EVENT_GAP) : open_cursor(f);
        if (outcome == LH_OK ||
            !(is_passing(outcome) || (outcome == LH_SERVER && refused++ < REFUSALS_MAX)))
            return outcome;
        f->lost = f->lost ||
                  (outcome == LH_SERVER && (is_lost(f->w->error) || refused == REFUSALS_MAX / 2));
        int paused = lh_watching_pause(f->w, lh_backoff_next(&pause));
        if (paused != LH_OK)
            return paused;
    }
}

static int follow(following *f)
{
    lh_watching *w = f->w;
    int outcome = begin(f);
    if (!f->silent && (is_passing(outcome) || outcome == LH_SERVER))
        outcome = go_on(f);
    while (outcome == LH_OK && !w->stopped && (outcome = lh_watching_pause(w, 0)) == LH_OK) {
        bson_t reply;
        int64_t asked = lh_clock_ms();
        bool ended = f->lost || f->reopen || !lh_stream_goes_on(f->stream);
        if (!ended) {
            outcome = lh_stream_next(f->stream, AWAIT_MS, &reply, w->error);
            if (outcome == LH_OK)
                outcome = take_batch(f, &reply);
            bson_destroy(&reply);
            if (outcome == LH_OK && lh_clock_ms() == asked)
                /* the server did not wait: avoid a busy loop */
                outcome = lh_watching_pause(w, 1);
        }
        if (ended || is_passing(outcome) || outcome == LH_SERVER)
            outcome = go_on(f);
    }
    return outcome == LH_OK ? lh_fail(w->error, LH_STOPPED, "stopped while watching") : outcome;
}

int lh_watching_follow(lh_watching *w)
{
    following f = {.w = w, .token = BSON_INITIALIZER, .wide = lh_watching_wants_all(w)};
    int outcome = lh_stream_new(w->store, &f.stream, w->error);
    if (outcome == LH_OK)
        outcome = follow(&f);
    lh_stream_free(f.stream);
    bson_destroy(&f.token);
    return outcome;
}
