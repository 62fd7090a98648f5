/* SPDX-License-Identifier: Apache-2.0
 * Documents of every shape that anybody might have stored: values of all types where a lease has
 * its fields, ends in every notation and near it, maps of readers and waiters that are right,
 * nearly right or garbage. No instant is within a minute of `now`, so that whether something has
 * ended does not depend on when it is looked at. */
#ifndef SHAPES_H
#define SHAPES_H

#include <math.h>

#include "live.h"

typedef struct shapes {
    uint64_t state;
    int64_t now_ms;
} shapes;

/* The driver's macro evaluates its arguments twice, and a roll of the dice is another one then. */
void append_text(bson_t *to, const char *name, const char *text);

/* A value of nearly every type, named `name`. */
void append_any(shapes *s, bson_t *to, const char *name);

/* What counts as missing. */
void append_absent(shapes *s, bson_t *to, const char *name);

void iso_text(int64_t ms, const char *rest, char *ret_text, size_t size);

/* An end that can be read, in one of the notations; well in the past or in the future. */
void append_end(shapes *s, bson_t *to, const char *name);

void append_end_or_any(shapes *s, bson_t *to, const char *name, unsigned odds);

void append_date(shapes *s, bson_t *to, const char *name);

void append_token(shapes *s, bson_t *to, const char *name);

/* The maps, whose entries are right but for one in eight fields of one in eight entries. */
bool goes_wrong(shapes *s, bool wrong);

void append_entry(shapes *s, bson_t *map, const char *id, bool waiter);

void append_map(shapes *s, bson_t *to, const char *name, bool waiters);

/* The i-th document, of key `shape-<i>` unless another is given. `me` is now and then the one who
 * holds, or is in a map. */
bson_t *shape(shapes *s, unsigned i, const char *me, const char *the_key);

#endif
