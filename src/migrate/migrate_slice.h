/* SPDX-License-Identifier: Apache-2.0
 * Documents that are moved together, between migrate_slice.c (reading them again, whole),
 * migrate_archive.c (the archive) and migrate_move.c (the order of it all). */
#ifndef LH_MIGRATE_SLICE_H
#define LH_MIGRATE_SLICE_H

#include "migrate/migrate_parts.h"

typedef struct {
    const lh_loser *loser;
    const uint8_t *id; /* the bytes of its _id field */
    size_t id_len;
    /* the document as archived, in the slice's reply; NULL: not as judged, or gone */
    const uint8_t *whole;
    uint64_t hash[2];
} lh_item;

typedef struct {
    lh_item items[LH_MIGRATE_SLICE]; /* in the order of their _ids' bytes */
    size_t filled;                   /* items in all */
    size_t n, whole;                 /* items in hand; those of them with a whole document */
    size_t most;                     /* how many may be in hand */
    bson_t reply;                    /* owns the whole documents */
} lh_slice;

/* Takes `n` losers, at most LH_MIGRATE_SLICE. */
void lh_slice_fill(lh_slice *s, const lh_loser *losers, size_t n);

/* Reads those in hand again, whole; s->whole says how many are as they were judged. Takes fewer in
 * hand, and from then on, when they are large. */
int lh_slice_read(lh_migration *m, lh_slice *s, lh_error *error);

/* Some had changed, or an answer was lost: those that are still there are left for the next walk,
 * and not marked. */
int lh_slice_drop_remaining(lh_migration *m, lh_slice *s, lh_walk *walk, lh_error *error);

/* <name>: the _id of the document at `data`. */
void lh_slice_append_id(bson_t *to, const char *name, const uint8_t *data);

/* _id: {$in: [the _ids of items from..to]}, of those with a whole document when `whole`. */
void lh_slice_append_ids(bson_t *query, const lh_slice *s, size_t from, size_t to, bool whole);

/* The key of an array's i-th element. Not inside of a BSON_APPEND_…(): those use their key
 * twice. */
const char *lh_slice_key(size_t i, char *buffer, size_t size);

/* Runs a write with statements, unordered; destroys `command`. *ret_n (may be NULL) is the answer's
 * n. Statements that fail with the code `harmless` (0: none) do not count; the first other failure
 * is the outcome. */
int lh_migrate_write(lh_migration *m, const char *what, bson_t *command, uint32_t harmless,
                     int64_t *ret_n, lh_error *error);

#endif
