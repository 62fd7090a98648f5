/* SPDX-License-Identifier: Apache-2.0
 * A hash table of entries that their owner allocates and frees. The owner also holds the lock. */
#ifndef SERVE_TABLE_H
#define SERVE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* The first field of what the table holds. */
struct entry {
    struct entry *next, **link; /* with the same hash */
};

enum { TABLE_BUCKETS = 2048 };

struct table {
    uint64_t seed; /* random: clients cannot choose names of one bucket */
    struct entry *bucket[TABLE_BUCKETS];
};

void table_init(struct table *table);

void table_add(struct table *table, const char *name, struct entry *entry);
void table_remove(struct entry *entry);

/* The first entry that may have this name; the others follow by `next`. NULL: there is none. */
struct entry *table_find(const struct table *table, const char *name);

/* `each` may remove its own entry, and no other. */
void table_each(struct table *table, void (*each)(struct entry *entry, void *arg), void *arg);

/* FNV-1a. */
uint64_t table_hash(uint64_t seed, const char *bytes, size_t len);

#endif
