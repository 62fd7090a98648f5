/* SPDX-License-Identifier: Apache-2.0
 * A few strings: the keys of a request. */
#include "serve/texts.h"

#include <stdlib.h>
#include <string.h>

bool texts_add(struct texts *texts, const char *text)
{
    char *copy = strdup(text);
    if (copy)
        texts->items[texts->n++] = copy;
    return copy;
}

void texts_free(struct texts *texts)
{
    while (texts->n > 0)
        free(texts->items[--texts->n]);
}
