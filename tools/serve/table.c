/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/table.h"

#include <string.h>
#include <sys/random.h>

void table_init(struct table *table)
{
    memset(table, 0, sizeof *table);
    ssize_t got = getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK);
    (void)got; /* without, only speed may suffer */
}

uint64_t table_hash(uint64_t seed, const char *bytes, size_t len)
{
    uint64_t hash = seed ^ UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

static size_t bucket_of(const struct table *table, const char *name)
{
    return table_hash(table->seed, name, strlen(name)) % TABLE_BUCKETS;
}

void table_add(struct table *table, const char *name, struct entry *entry)
{
    struct entry **bucket = &table->bucket[bucket_of(table, name)];
    entry->next = *bucket;
    if (entry->next)
        entry->next->link = &entry->next;
    entry->link = bucket;
    *bucket = entry;
}

void table_remove(struct entry *entry)
{
    *entry->link = entry->next;
    if (entry->next)
        entry->next->link = entry->link;
}

struct entry *table_find(const struct table *table, const char *name)
{
    return table->bucket[bucket_of(table, name)];
}

void table_each(struct table *table, void (*each)(struct entry *entry, void *arg), void *arg)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        for (struct entry *entry = table->bucket[i], *next; entry; entry = next) {
            next = entry->next;
            each(entry, arg);
        }
    }
}
