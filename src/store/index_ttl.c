/* SPDX-License-Identifier: Apache-2.0
 * TTL indexes. With one the server deletes documents by its own clock, held or not. On any field
 * but `expires_at` it deletes held leases. On `expires_at` it deletes ended leases. That is safe
 * from one second after the grace: cleanup follows the same rule (lease_acquire.h,
 * LH_INSERT_BELIEVED_MS). */
#include "store/index_ttl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/shell.h"
#include "store/index_shape.h"

#define LEAST_MS 1000 /* a first grant that takes longer is not believed */

/* The field of an index on one field; of any other index its first field, by which a person can
 * recognise it. */
static bool read_field(const bson_t *index, char field[64])
{
    bson_iter_t pattern, one;
    *field = '\0';
    if (!bson_iter_init_find(&pattern, index, "key") || !bson_iter_recurse(&pattern, &one) ||
        !bson_iter_next(&one))
        return false;
    (void)snprintf(field, 64, "%.40s", bson_iter_key(&one));
    lh_cut_utf8(field, 44);
    bool plain = bson_iter_as_double(&one) != 0; /* not hashed, text, … */
    return plain && strcmp(bson_iter_key(&one), "expires_at") == 0 && !bson_iter_next(&one);
}

/* Whole seconds. -1, which is unsafe: no number, or NaN. */
static int64_t read_seconds(const bson_iter_t *value)
{
    double seconds = bson_iter_as_double(value);
    if (!BSON_ITER_HOLDS_NUMBER(value) || isnan(seconds))
        return -1;
    return seconds >= (double)INT32_MAX ? INT32_MAX : (int64_t)floor(seconds);
}

lh_ttl_kind lh_index_judge_ttl(const lh_store *store, const bson_t *index, lh_ttl *ret_ttl)
{
    bson_iter_t value, top;
    bson_t built;
    const uint8_t *data;
    uint32_t len;
    char field[64], label[80], call[LH_CALL_ROOM];
    /* under construction */
    if (bson_iter_init_find(&top, index, "spec") && BSON_ITER_HOLDS_DOCUMENT(&top)) {
        bson_iter_document(&top, &len, &data);
        if (bson_init_static(&built, data, len))
            index = &built;
    }
    if (!bson_iter_init_find(&value, index, "expireAfterSeconds"))
        return LH_TTL_NONE;
    const char *name = bson_iter_init_find(&top, index, "name") && BSON_ITER_HOLDS_UTF8(&top)
                           ? bson_iter_utf8(&top, NULL)
                           : "";
    if (strcmp(name, LH_INDEX_NAME) == 0 && lh_index_is_on_key(index))
        /* our own index with this option is judged by lh_index_unfit_option() */
        return LH_TTL_NONE;
    bool on_end = read_field(index, field);
    int64_t seconds = read_seconds(&value);
    int64_t least_ms = store->clock_skew_ms > LEAST_MS ? store->clock_skew_ms : LEAST_MS;
    (void)snprintf(label, sizeof label, "%.48s", name);
    lh_cut_utf8(label, sizeof label - 4);
    lh_ttl_kind kind =
        on_end && seconds >= 0 && seconds * 1000 >= least_ms ? LH_TTL_LATE : LH_TTL_UNSAFE;
    if (kind == LH_TTL_LATE)
        (void)snprintf(
            ret_ttl->what, sizeof ret_ttl->what,
            "by the index \"%s\" (expireAfterSeconds) the server deletes what ended %" PRId64
            " s ago",
            label, seconds);
    else if (on_end)
        (void)snprintf(ret_ttl->what, sizeof ret_ttl->what,
                       "by the index \"%s\" on expires_at (expireAfterSeconds %" PRId64
                       ") the server deletes leases before the grace after their end, %" PRId64
                       " ms, is over",
                       label, seconds > 0 ? seconds : 0, least_ms);
    else
        (void)snprintf(ret_ttl->what, sizeof ret_ttl->what,
                       "by the index \"%s\" on %s (expireAfterSeconds) the server deletes leases "
                       "that are held",
                       label, field);
    lh_shell_drop_index(store->db, store->collection, name, call);
    (void)snprintf(ret_ttl->to_do, sizeof ret_ttl->to_do, "drop it: %s", call);
    return kind;
}
