/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the migration share. migrate.c walks the steps; the others each know one
 * thing:
 *
 *   migrate_convert  what is done under the migration lease
 *   migrate_lease    one process migrates at a time, to do no work twice. Nothing relies on it
 *   migrate_index    the commands about the collection and its index
 *   migrate_judge    which document of a key stays, and the sentence why
 *   migrate_order    the server's order of values
 *   migrate_survey   walks all documents, to count
 *   migrate_foreign  counts the documents that cannot be read
 *   migrate_look     the look before: refuses what would harm documents or their owners
 *   migrate_undo     what an index was like before; puts it back after a late refusal
 *   migrate_dedupe   walks the index, and has what does not stay moved
 *   migrate_move     moves documents: archive, raise the survivor's token, delete, mark
 *   migrate_one      moves one document that is named by its _id
 *   migrate_slice    those that are moved together (migrate_slice.h)
 *   migrate_archive  what the archive looks like
 *
 * Inside, LH_LOST means "the ground moved: look at the index again": the migration lease is
 * somebody else's, or the index or the collection changed under us; LH_BUSY means "another process
 * is at work: wait, then look". Neither reaches the caller. */
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

/* What puts the index back as it was before the migration. Stored before the first change, so that
 * any later run can do it. */
typedef struct lh_undo {
    bool drop;           /* there was no index of our name */
    char unprepare[128]; /* the index of this name was not prepared; "": none */
} lh_undo;

typedef struct lh_migration {
    lh_store *store;
    const lh_migrate_options *options;
    lh_migrate_report *report;
    char *archive, *leases; /* names of collections */
    /* the name of the index that is converted: ours, or an older one on the same key */
    char index[128];
    int64_t deadline;
    uint64_t total;         /* documents, roughly; 0: unknown */
    uint64_t bad_keys;      /* of the last walk: documents without a string workspace_id, and … */
    char bad_example[160];  /* … the _id of one of them */
    uint64_t bad_live;      /* of it: documents that cannot be read and are live, and … */
    char live_example[160]; /* … the _id of one of them */
    /* of the last look: documents without a string key whose neighbour has the same */
    uint64_t blocking;
    bool has_string_keys; /* some document has a string key */
    bool indexed;         /* the unique index is there already */
    /* documents that may still be moved to quarantine: writers do not make them more */
    uint64_t may_move;
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
/* The deadline of one command: the migration's, but a server that does not answer is given up after
 * the store's timeout. */
int64_t lh_migrate_until(const lh_migration *m);

/* Tells the caller how far a step is. LH_STOPPED when it asks to stop, LH_UNREACHABLE when the time
 * is over. */
int lh_migrate_progress(const lh_migration *m, const char *step, uint64_t done, uint64_t total,
                        lh_error *error);

/* Sleeps between two attempts, not beyond the deadline. */
void lh_migrate_pause(const lh_migration *m, lh_backoff *pause);

/* ---- migrate_judge.c */
typedef struct lh_group {
    uint64_t count;    /* documents of the key so far; 0: no key yet */
    uint64_t ties;     /* how many of them end when the best one does */
    uint64_t readable; /* how many have an end that can be read */
    bson_t best;       /* a copy of the one that stays, as far as seen; valid when count > 0 */
    bool best_ends;    /* its end can be read … */
    int64_t best_ms;   /* … and is this */
} lh_group;

/* ---- migrate_move.c */
/* A document to move, as it was read when it was judged, and the one it lost to (NULL: it goes to
 * quarantine). Both are borrowed BSON. */
typedef struct lh_loser {
    const uint8_t *document, *survivor;
} lh_loser;

#endif
