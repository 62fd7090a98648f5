/* SPDX-License-Identifier: Apache-2.0
 * Counting what is odd in stored documents, by field and type: "token is a string, …: 12". Pure. */
#ifndef LH_DOC_TALLY_H
#define LH_DOC_TALLY_H

#include "protocol/doc.h"

enum { LH_TALLY_KINDS = 16 };

typedef struct lh_tally {
    struct {
        char what[96];
        uint64_t n;
    } kinds[LH_TALLY_KINDS];
    size_t n;
    uint64_t others; /* of more kinds */
} lh_tally;

void lh_tally_add(lh_tally *tally, const char *what);

/* What cannot be read in it; and the fields of our names that have another type than ours: no
 * command reads them, and a grant puts its own in their place. True: it cannot be read. */
bool lh_tally_document(lh_tally *tally, const bson_t *document);

/* All kinds with their numbers, as far as there is room; "" where there are none. */
void lh_tally_text(const lh_tally *tally, char *ret_text, size_t size);

#endif
