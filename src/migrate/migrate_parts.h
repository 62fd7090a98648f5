/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the migration share. migrate.c walks the steps; the others each know one thing:
 *
 *   migrate_convert  what is done under the migration lease
 *   migrate_lease    who migrates: one process at a time, so that they do not do the same work. Nothing relies on it
 *   migrate_index    the commands about the collection and its index
 *   migrate_judge    which document of a key stays, and the sentence why
 *   migrate_order    the server's order of values
 *   migrate_survey   walks all documents, to count
 *   migrate_foreign  documents that cannot be read: counts them, and refuses what would harm them or their owners
 *   migrate_undo     what an index was like before; puts it back where the migration is refused after all
 *   migrate_dedupe   walks the index, and has what does not stay moved
 *   migrate_move     moves judged documents: archive, raise the survivor's token, delete if unchanged, mark
 *   migrate_one      moves one document that is named by its _id
 *   migrate_slice    those that are moved together (migrate_slice.h)
 *   migrate_archive  what the archive looks like
 *
 * Inside, LH_LOST means "the ground moved: look at the index again": the migration lease is somebody else's, or the index
 * or the collection changed under us; LH_BUSY means "another process is at work: wait, then look". Neither reaches the
 * caller. */
#ifndef LH_MIGRATE_PARTS_H
#define LH_MIGRATE_PARTS_H

#include "base/backoff.h"
#include "store/index.h"

enum {
    LH_MIGRATE_PIECE = 5000, /* documents read at a time */
    LH_MIGRATE_SLICE = 1000, /* documents moved at a time, at most */
};

/* The server's error codes (error_codes.yml) that mean something to us. */
enum {
    LH_CODE_BAD_VALUE = 2,
    LH_CODE_NAMESPACE_NOT_FOUND = 26,
    LH_CODE_INDEX_NOT_FOUND = 27,
    LH_CODE_DUPLICATE_KEY = 11000,
};

/* What puts the index back as it was before the migration. Stored before the first change, so that any later run can do it. */
typedef struct lh_undo {
    bool drop;           /* there was no index of our name */
    char unprepare[128]; /* the index of this name was not prepared; "": none */
} lh_undo;

typedef struct lh_migration {
    lh_store *store;
    const lh_migrate_options *options;
    lh_migrate_report *report;
    char *archive, *leases; /* names of collections */
    char index[128];        /* the name of the index that is converted: ours, or an older one on the same key */
    int64_t deadline;
    uint64_t total;           /* documents, roughly; 0: unknown */
    uint64_t bad_keys;        /* of the last walk: documents without a string workspace_id, and … */
    char bad_example[160];    /* … the _id of one of them */
    uint64_t bad_live;        /* of it: documents that cannot be read and are live, and … */
    char live_example[160];   /* … the _id of one of them */
    uint64_t blocking;        /* of the last look: documents without a string key whose neighbour has the same */
    bool has_string_keys;     /* some document has a string key */
    bool indexed;             /* the unique index is there already */
    uint64_t may_move;        /* documents that may still be moved to quarantine: writers do not make them more */
    char me[33];              /* our name in the migration lease */
    bool fit;                 /* the collection is an ordinary one */
    bool counted;             /* it was seen that nothing is to be refused */
    bool held;                /* the migration lease is ours */
    bool busy;                /* when it was read last, it was somebody else's */
    lh_undo undo;             /* stored with the lease */
    int64_t renew_at;         /* on lh_clock_ms() */
    int64_t server_ms, at_ms; /* the server's clock, and lh_clock_ms() when it was that */
} lh_migration;

/* What a walk over the documents found and did. */
typedef struct lh_walk {
    uint64_t duplicate_keys, losers; /* found */
    uint64_t removed;                /* deleted by us, quarantined ones too */
    uint64_t left;                   /* judged, but changed or gone meanwhile: to be judged again */
} lh_walk;

/* ---- migrate_parts.c */
/* The deadline of one command: the migration's, but a server that does not answer is given up after the store's timeout. */
int64_t lh_migrate_until(const lh_migration *m);

/* Tells the caller how far a step is. LH_STOPPED when it asks to stop, LH_UNREACHABLE when the time is over. */
int lh_migrate_progress(const lh_migration *m, const char *step, uint64_t done, uint64_t total, lh_error *error);

/* Sleeps between two attempts, not beyond the deadline. */
void lh_migrate_pause(const lh_migration *m, lh_backoff *pause);

/* ---- migrate_convert.c: what is done under the migration lease. *ret_index: LH_INDEX_… */
int lh_migrate_convert(lh_migration *m, int *ret_index, lh_error *error);

/* The unique index is there: moves what cannot be read to the archive. */
int lh_migrate_clear(lh_migration *m, lh_error *error);

/* ---- migrate_lease.c */
void lh_migrate_lease_init(lh_migration *m);

/* Takes the lease, or renews it: m->held says whether it is ours. LH_OK also when it is not. */
int lh_migrate_lease_ask(lh_migration *m, lh_error *error);

/* Between two batches: renews the lease when that is due. LH_LOST when it became somebody else's. */
int lh_migrate_lease_keep(lh_migration *m, lh_error *error);

/* Reads it, and takes nothing: m->busy, m->undo. */
int lh_migrate_lease_look(lh_migration *m, lh_error *error);

/* Stores m->undo with it. LH_LOST when it became somebody else's. */
int lh_migrate_lease_note(lh_migration *m, lh_error *error);

/* Gives it back; when that fails it ends by itself. What is to be undone stays stored. */
void lh_migrate_lease_release(lh_migration *m);

/* ---- migrate_undo.c */
/* Under the lease, before the first change: chooses the index to convert (m->index), and stores what it is like. *ret_there: it is
 * there, or else it is to be created. */
int lh_migrate_choose(lh_migration *m, bool *ret_there, lh_error *error);

/* The migration was refused: puts the index back as it was before, unless another migrator is at work. */
int lh_migrate_undo(lh_migration *m, lh_error *error);

/* The name of the index that is unique and on the key, into m->index. LH_LOST: there is none. */
int lh_migrate_name_index(lh_migration *m, lh_error *error);

/* ---- migrate_foreign.c */
/* Looks at the documents, without changing anything, and refuses what is to be refused (LH_CONFIG, with the sentence); duplicates are
 * only counted, where all documents are looked at. */
int lh_migrate_look(lh_migration *m, bool tell, lh_walk *ret_walk, lh_error *error);

/* The server's clock, which decides what is live: lh_migrate_server_ms(). */
int lh_migrate_read_clock(lh_migration *m, lh_error *error);

/* The unique index is there: *ret_maybe is whether there may be documents without a string key. One round trip. */
int lh_migrate_probe(lh_migration *m, bool *ret_maybe, lh_error *error);

/* The sentence for documents without a string workspace_id that stand in the way. */
int lh_migrate_fail_bad_keys(const lh_migration *m, lh_error *error);

/* Of a document that cannot be read: counts it; is its end to come, or not known? */
void lh_migrate_count_unreadable(lh_migration *m, const bson_t *document);
bool lh_migrate_is_unreadable(const bson_t *document);
bool lh_migrate_is_live(const lh_migration *m, const bson_t *document);

/* Of documents without a string key, in the order of their keys: compares with the last one (empty: none), and keeps it. */
void lh_foreign_neighbour(lh_migration *m, bson_t *last, const bson_t *document);

/* The server's clock now, as far as the last answer tells. */
int64_t lh_migrate_server_ms(const lh_migration *m);

/* ---- migrate_index.c */
/* Creates the index. *ret_there: it was there before. LH_LOST: another one came in between. With `unique` a duplicate is
 * LH_SERVER with server_code LH_CODE_DUPLICATE_KEY. */
int lh_migrate_create(lh_migration *m, bool unique, bool *ret_there, lh_error *error);

/* After LH_LOST from creating a plain index: LH_CONFIG names one on the key that cannot be made unique; else LH_LOST. */
int lh_migrate_fail_moved(lh_migration *m, lh_error *error);

/* From here on the server refuses new duplicates. LH_LOST: the index is gone. */
int lh_migrate_prepare(lh_migration *m, lh_error *error);

/* Makes the index unique. *ret_done: false when duplicates are left. LH_LOST: the index is gone or not prepared. */
int lh_migrate_make_unique(lh_migration *m, bool *ret_done, lh_error *error);

/* m->total, from the collection's own count. */
void lh_migrate_count(lh_migration *m);

/* ---- migrate_order.c */
/* Below, equal or above 0, as the server orders the two values (simple collation). */
int lh_migrate_order(const bson_iter_t *a, const bson_iter_t *b);

/* ---- migrate_judge.c */
typedef struct lh_group {
    uint64_t count;    /* documents of the key so far; 0: no key yet */
    uint64_t ties;     /* how many of them end when the best one does */
    uint64_t readable; /* how many have an end that can be read */
    bson_t best;       /* a copy of the one that stays, as far as seen; valid when count > 0 */
    bool best_ends;    /* its end can be read … */
    int64_t best_ms;   /* … and is this */
} lh_group;

void lh_group_init(lh_group *group);
void lh_group_fini(lh_group *group);
void lh_group_clear(lh_group *group);

/* Its key, as in the best document; valid until the next change. NULL when empty. */
const char *lh_group_key(const lh_group *group, uint32_t *ret_len);

/* Judges one more document of the same key. */
void lh_group_add(lh_group *group, const bson_t *document);

/* Tells the caller's `verdict` about a group with duplicates. */
void lh_group_tell(const lh_group *group, const lh_migration *m);

/* A view of BSON in somebody's memory; it begins with its length. */
void lh_document_view(const uint8_t *data, bson_t *ret_document);

/* The string key of a document, NULL when its workspace_id is no string. */
const char *lh_document_key(const bson_t *document, uint32_t *ret_len);

/* The value of _id as extended JSON, cut to fit. */
void lh_document_id_text(const bson_t *document, char *ret_text, size_t size);

/* ---- migrate_survey.c */
/* Reads all documents, sorted, and counts; tells verdicts when `tell`. */
int lh_migrate_survey(lh_migration *m, bool tell, lh_walk *ret_walk, lh_error *error);

/* Begins a walk: nothing was seen yet. */
void lh_walk_begin(lh_migration *m, lh_walk *walk);

/* Are the group's documents of this key? */
bool lh_group_has_key(const lh_group *group, const char *key, uint32_t len);

/* ---- migrate_dedupe.c */
/* Walks the index and moves what does not stay. */
int lh_migrate_dedupe(lh_migration *m, lh_walk *ret_walk, lh_error *error);

/* ---- migrate_move.c */
/* A document to move, as it was read when it was judged, and the one it lost to (NULL: it goes to quarantine). Both are
 * borrowed BSON. */
typedef struct lh_loser {
    const uint8_t *document, *survivor;
} lh_loser;

/* Moves them: LH_OK also when some had changed since (walk->left). */
int lh_migrate_move(lh_migration *m, const lh_loser *losers, size_t n, lh_walk *walk, lh_error *error);

/* ---- migrate_one.c: options->id */
int lh_migrate_one(lh_migration *m, lh_error *error);

/* ---- migrate_archive.c */
/* Marks what an interrupted run deleted and could not mark. */
int lh_migrate_settle(lh_migration *m, lh_error *error);

#endif
