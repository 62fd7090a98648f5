/* SPDX-License-Identifier: Apache-2.0
 * A few strings: the keys of a request. */
#ifndef SERVE_TEXTS_H
#define SERVE_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

enum { MOST_TEXTS = 100 };

struct texts {
    size_t n;
    char *items[MOST_TEXTS];
};

/* Adds a copy; there must be room. False: out of memory. */
bool texts_add(struct texts *texts, const char *text);
void texts_free(struct texts *texts);

#endif
