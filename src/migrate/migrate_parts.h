/* SPDX-License-Identifier: Apache-2.0
 * The state that the files of the migration share. migrate.c orders the steps; each other file does
 * one thing:
 *
 *   migrate_convert  the steps that need the migration lease
 *   migrate_lease    lets one process migrate at a time, to save work. Nothing relies on it
 *   migrate_index    the commands about the collection and its index
 *   migrate_judge    chooses the document of a key that stays, and gives the reason
 *   migrate_order    the server's order of values
 *   migrate_survey   reads all documents, to count them
 *   migrate_foreign  counts the documents that cannot be read
 *   migrate_look     checks before the first change whether to refuse the migration
 *   migrate_undo     records the state of the index, and restores it after a late refusal
 *   migrate_dedupe   walks the index, and selects the documents that have to move
 *   migrate_move     moves documents: archive, raise the survivor's token, delete, mark
 *   migrate_one      moves one document that is named by its _id
 *   migrate_slice    the documents that are moved together
 *   migrate_archive  the format of the archive
 *
 * Two outcomes have a special meaning inside the migration, and never reach the caller:
 * - LH_LOST: another process took the migration lease, or the index or the collection changed.
 *   Begin again by looking at the index.
 * - LH_BUSY: another process is migrating. Wait, then look at the index. */
#ifndef LH_MIGRATE_PARTS_H
#define LH_MIGRATE_PARTS_H

#include "base/backoff.h"
#include "store/index.h"

enum {
    LH_MIGRATE_PIECE = 5000, /* documents read at a time */
    LH_MIGRATE_SLICE = 1000, /* documents moved at a time, at most */
};

/* How to restore the index to its state before the migration. It is stored before the first change,
 * so that any later run can restore it. */
typedef struct lh_undo {
    bool drop;           /* there was no index with our name */
    char unprepare[128]; /* the index with this name was not prepared; "": none */
} lh_undo;

typedef struct lh_migration {
    lh_store *store;
    const lh_migrate_options *options;
    lh_migrate_report *report;
    char *archive, *leases; /* names of collections */
    /* the name of the index to convert: ours, or an older one on the same key */
    char index[128];
    int64_t deadline;
    uint64_t total;         /* an estimate of the documents; 0: unknown */
    uint64_t bad_keys;      /* in the last walk: documents without a string workspace_id, */
    char bad_example[160];  /* and the _id of one of them */
    uint64_t bad_live;      /* in the last walk: live documents that cannot be read, */
    char live_example[160]; /* and the _id of one of them */
    /* in the last look: documents without a string key that have the same key as their neighbour */
    uint64_t blocking;
    bool has_string_keys; /* at least one document has a string key */
    bool indexed;         /* the unique index already exists */
    /* documents that may still be moved to quarantine; writers cannot raise this number */
    uint64_t may_move;
    char me[33];              /* our id in the migration lease */
    bool fit;                 /* the collection passed check_fit() */
    bool counted;             /* the check before the first change found nothing to refuse */
    bool held;                /* this process holds the migration lease */
    bool busy;                /* another process held it at the last read */
    lh_undo undo;             /* stored in the document of the lease */
    int64_t renew_at;         /* in lh_clock_ms() */
    int64_t server_ms, at_ms; /* the server's clock, and lh_clock_ms() at that moment */
} lh_migration;

/* The result of a walk over the documents. */
typedef struct lh_walk {
    uint64_t duplicate_keys, losers; /* found */
    uint64_t removed;                /* deleted by us, including those moved to quarantine */
    /* changed or deleted after they were judged: the next walk judges them again */
    uint64_t left;
} lh_walk;

/* The deadline of one command: the migration's, or the store's timeout if that ends earlier. So a
 * server that does not reply cannot use up the whole time of the migration. */
int64_t lh_migrate_until(const lh_migration *m);

/* Reports the progress of a step to the caller. LH_STOPPED if the caller asks to stop,
 * LH_UNREACHABLE after the deadline. */
int lh_migrate_progress(const lh_migration *m, const char *step, uint64_t done, uint64_t total,
                        lh_error *error);

/* Sleeps between two attempts, at most until the deadline. */
void lh_migrate_pause(const lh_migration *m, lh_backoff *pause);

/* ---- migrate_judge.c */
typedef struct lh_group {
    uint64_t count;    /* documents of the key so far; 0: no key yet */
    uint64_t ties;     /* documents with the same end as the best one */
    uint64_t readable; /* documents whose end can be read */
    bson_t best;       /* a copy of the best one so far; valid if count > 0 */
    bool best_ends;    /* the end of the best one can be read, */
    int64_t best_ms;   /* and is this */
} lh_group;

/* A document to move, as it was when it was judged, and the survivor of its key (NULL: the document
 * goes to quarantine). Both are borrowed BSON. */
typedef struct lh_loser {
    const uint8_t *document, *survivor;
} lh_loser;

#endif
