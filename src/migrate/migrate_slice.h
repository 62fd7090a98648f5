/* SPDX-License-Identifier: Apache-2.0
 * The documents that are moved together. migrate_slice.c reads them again, migrate_archive.c writes
 * the archive, and migrate_move.c orders the steps. */
#ifndef LH_MIGRATE_SLICE_H
#define LH_MIGRATE_SLICE_H

#include "migrate/migrate_parts.h"

typedef struct {
    const lh_loser *loser;
    const uint8_t *id; /* the bytes of its _id field */
    size_t id_len;
    /* the document to archive, in the slice's reply; NULL: changed since it was judged, or gone */
    const uint8_t *whole;
    uint64_t hash[2];
} lh_item;

typedef struct {
    lh_item items[LH_MIGRATE_SLICE]; /* in the order of the bytes of their _ids */
    size_t filled;                   /* items in all */
    size_t n, whole;                 /* items of the current step; those with a whole document */
    size_t most;                     /* the limit of `n` */
    bson_t reply;                    /* owns the whole documents */
} lh_slice;

/* Takes `n` losers, at most LH_MIGRATE_SLICE. */
void lh_slice_fill(lh_slice *s, const lh_loser *losers, size_t n);

/* Reads the first s->n documents again, whole. s->whole counts those that are still as they were
 * judged. If they are large, lowers s->n, and s->most for later steps. */
int lh_slice_read(lh_migration *m, lh_slice *s, lh_error *error);

/* For documents that changed, or a lost reply: those that still exist are left to the next walk,
 * and not marked. */
int lh_slice_drop_remaining(lh_migration *m, lh_slice *s, lh_walk *walk, lh_error *error);

/* <name>: the _id of the document at `data`. */
void lh_slice_append_id(bson_t *to, const char *name, const uint8_t *data);

/* _id: {$in: [the _ids of items from..to]}. With `whole`, only of items with a whole document. */
void lh_slice_append_ids(bson_t *query, const lh_slice *s, size_t from, size_t to, bool whole);

/* The key of an array's i-th element. Do not call it inside a BSON_APPEND_…(): those macros use
 * their key twice. */
const char *lh_slice_key(size_t i, char *buffer, size_t size);

/* Runs a write with statements, unordered; destroys `command`. *ret_n (may be NULL) is the n of the
 * reply. Failures of statements with the code `harmless` (0: none) are ignored. The first other
 * failure is the outcome. */
int lh_migrate_write(lh_migration *m, const char *what, bson_t *command, uint32_t harmless,
                     int64_t *ret_n, lh_error *error);

#endif
