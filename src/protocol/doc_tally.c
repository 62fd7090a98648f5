/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/doc_tally.h"
#include "protocol/doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void lh_tally_add(lh_tally *tally, const char *what)
{
    char cut[sizeof tally->kinds[0].what];
    size_t i = 0;
    (void)snprintf(cut, sizeof cut, "%s", what);
    while (i < tally->n && strcmp(tally->kinds[i].what, cut) != 0)
        i++;
    if (i == LH_TALLY_KINDS) {
        tally->others++;
        return;
    }
    if (i == tally->n)
        memcpy(tally->kinds[tally->n++].what, cut, sizeof cut);
    tally->kinds[i].n++;
}

/* Our types of the fields that we write, but never read if another program wrote them.
 * (leasehold-schema(5) has the others.) */
static const struct {
    const char *field, *type;
} written[] = {{"id", "a string"},        {"owner", "a string"},    {"mode", "a string"},
               {"ttl_ms", "a number"},    {"beat", "a number"},     {"acquired_at", "a date"},
               {"v", "a number"},         {"renewed_at", "a date"}, {"host", "a string"},
               {"purpose", "a string"},   {"proc", "a string"},     {"wake", "a string"},
               {"released", "an object"}, {"pid", "a number"}};

static void add_written(lh_tally *tally, const bson_iter_t *value)
{
    char what[96];
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        const char *type = lh_doc_type_name(bson_iter_type(value));
        if (strcmp(bson_iter_key(value), written[i].field) != 0 || lh_doc_is_absent(value) ||
            strcmp(type, written[i].type) == 0)
            continue;
        (void)snprintf(what, sizeof what, "%s is %s, which a grant overwrites", written[i].field,
                       type);
        lh_tally_add(tally, what);
    }
}

bool lh_tally_document(lh_tally *tally, const bson_t *document)
{
    char problem[128];
    bson_iter_t value;
    bool unreadable = lh_doc_problem(document, problem, sizeof problem);
    if (unreadable)
        lh_tally_add(tally, problem);
    for (bool more = bson_iter_init(&value, document); more && bson_iter_next(&value);)
        add_written(tally, &value);
    return unreadable;
}

void lh_tally_text(const lh_tally *tally, char *ret_text, size_t size)
{
    size_t len = 0;
    uint64_t others = tally->others;
    *ret_text = '\0';
    for (size_t i = 0; i < tally->n; i++) {
        char one[160];
        int n = snprintf(one, sizeof one, "%s%s: %" PRIu64, len > 0 ? "; " : "",
                         tally->kinds[i].what, tally->kinds[i].n);
        if (len + (size_t)n + 32 < size)
            len += (size_t)snprintf(ret_text + len, size - len, "%s", one);
        else
            others += tally->kinds[i].n;
    }
    if (others > 0)
        (void)snprintf(ret_text + len, size - len, "%s%" PRIu64 " more", len > 0 ? "; " : "",
                       others);
}
