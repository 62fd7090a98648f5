/* SPDX-License-Identifier: Apache-2.0
 * Counts documents that cannot be read, in particular those whose workspace_id is not a string. */
#include "migrate/migrate_foreign.h"

#include <string.h>

#include "migrate/migrate_judge.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_order.h"
#include "migrate/migrate_parts.h"
#include "protocol/doc.h"
#include "protocol/doc_instant.h"

const char *lh_key_type_word(int type)
{
    static const char *const words[LH_KEY_TYPES] = {
        "missing", "null",  "objectId", "int",  "long", "double", "decimal",
        "binData", "array", "object",   "bool", "date", "regex",  "other"};
    return type >= 0 && type < LH_KEY_TYPES ? words[type] : "other";
}

static int type_of_key(const bson_t *document)
{
    bson_iter_t key;
    if (!bson_iter_init_find(&key, document, "workspace_id"))
        return LH_KEY_MISSING;
    switch (bson_iter_type(&key)) {
    case BSON_TYPE_NULL:
        return LH_KEY_NULL;
    case BSON_TYPE_OID:
        return LH_KEY_OBJECT_ID;
    case BSON_TYPE_INT32:
        return LH_KEY_INT;
    case BSON_TYPE_INT64:
        return LH_KEY_LONG;
    case BSON_TYPE_DOUBLE:
        return LH_KEY_DOUBLE;
    case BSON_TYPE_DECIMAL128:
        return LH_KEY_DECIMAL;
    case BSON_TYPE_BINARY:
        return LH_KEY_BINARY;
    case BSON_TYPE_ARRAY:
        return LH_KEY_ARRAY;
    case BSON_TYPE_DOCUMENT:
        return LH_KEY_OBJECT;
    case BSON_TYPE_BOOL:
        return LH_KEY_BOOL;
    case BSON_TYPE_DATE_TIME:
        return LH_KEY_DATE;
    case BSON_TYPE_REGEX:
        return LH_KEY_REGEX;
    default:
        return LH_KEY_OTHER;
    }
}

/* The document's end. false: it is missing, unreadable, or there is more than one. */
static bool find_end(const bson_t *document, int64_t *ret_ms)
{
    bson_iter_t in;
    int ends = 0;
    bool readable = false;
    if (!bson_iter_init(&in, document))
        return false;
    while (bson_iter_next(&in))
        if (strcmp(bson_iter_key(&in), "expires_at") == 0 && ++ends == 1)
            readable = lh_doc_instant(&in, ret_ms);
    return ends == 1 && readable;
}

bool lh_migrate_is_live(const lh_migration *m, const bson_t *document)
{
    int64_t end_ms, now_ms = lh_migrate_server_ms(m);
    return !find_end(document, &end_ms) ||
           (!lh_doc_is_freed(document, now_ms) && end_ms > now_ms - m->store->clock_skew_ms);
}

bool lh_migrate_is_unreadable(const bson_t *document)
{
    char problem[128];
    return lh_doc_problem(document, problem, sizeof problem);
}

void lh_migrate_count_unreadable(lh_migration *m, const bson_t *document)
{
    bool live = lh_migrate_is_live(m, document);
    m->report->malformed++;
    m->bad_live += live ? 1 : 0;
    if (live && !*m->live_example)
        lh_document_id_text(document, m->live_example, sizeof m->live_example);
    if (lh_document_key(document, NULL))
        return;
    if (m->bad_keys++ == 0)
        lh_document_id_text(document, m->bad_example, sizeof m->bad_example);
    m->report->foreign[type_of_key(document)]++;
    m->report->foreign_live += live ? 1 : 0;
}

/* Of two neighbours in the order of keys: whether a unique index would refuse the second. (The
 * elements of arrays are not compared.) */
static bool is_same_key(const bson_t *a, const bson_t *b)
{
    bson_iter_t x, y;
    bool has_x = bson_iter_init_find(&x, a, "workspace_id") && !BSON_ITER_HOLDS_NULL(&x),
         has_y = bson_iter_init_find(&y, b, "workspace_id") && !BSON_ITER_HOLDS_NULL(&y);
    return has_x && has_y ? lh_migrate_order(&x, &y) == 0 : has_x == has_y;
}

void lh_foreign_neighbour(lh_migration *m, bson_t *last, const bson_t *document)
{
    if (!bson_empty(last) && is_same_key(last, document))
        m->blocking++;
    bson_destroy(last);
    bson_copy_to(document, last);
}
