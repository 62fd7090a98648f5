/* SPDX-License-Identifier: Apache-2.0
 * Counts problems in stored documents, by field and type: "token is a string, …: 12". Pure. */
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
    uint64_t others; /* problems of further kinds */
} lh_tally;

void lh_tally_add(lh_tally *tally, const char *what);

/* Counts what cannot be read in a document. Also counts fields with our names whose type is not
 * ours: no command reads them, and a grant overwrites them. True: the document cannot be read. */
bool lh_tally_document(lh_tally *tally, const bson_t *document);

/* All kinds with their numbers, as far as there is room; "" if there are none. */
void lh_tally_text(const lh_tally *tally, char *ret_text, size_t size);

#endif
