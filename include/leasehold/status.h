/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what is stored: one key, or a list of keys. */
#ifndef LEASEHOLD_STATUS_H
#define LEASEHOLD_STATUS_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the record of `key` from the primary with majority read concern.
 *
 * LH_OK: free *ret_record with lh_record_free(). A key without a document is LH_FREE with token 0;
 * a document that cannot be read is LH_MALFORMED. LH_INVALID: the key; … */
LH_API int lh_status(lh_store *store, const char *key, lh_record **ret_record, lh_error *error);

/* Reads the record of the document with this _id, in extended JSON: {"$oid": "65f0…"}, 7, "text".
 * This finds documents without a key too, and those with a key that no lease could have.
 *
 * As lh_status(). LH_LOST: there is no such document. */
LH_API int lh_status_by_id(lh_store *store, const char *id, lh_record **ret_record,
                           lh_error *error);

#define LH_LIST_KEYS_MAX 1000

typedef struct lh_list_options {
    size_t size;
    const char *prefix; /* only keys that begin with this; NULL: all */
    const char *owner;  /* only keys that this owner holds or waits for; NULL: all */
    bool expired;       /* only holders past their end that nobody took over */
    bool malformed;     /* only documents that cannot be read */
    bool free_too;      /* also free keys; default: only held and malformed ones */
    uint64_t limit;     /* the most records; 0: all */
    /* Only these keys, at most LH_LIST_KEYS_MAX, by one command. A key without a document is free,
     * and is not given. NULL: all keys. */
    const char *const *keys;
    size_t n_keys;
} lh_list_options;

#define LH_LIST_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(lh_list_options), NULL, NULL, false, false, false, 0, NULL, 0                       \
    }
LH_API void lh_list_options_init(lh_list_options *options, size_t size);

/* Streams the records in the order of their keys, in constant memory. `each` is called in this
 * thread, borrows the record, and returns 0 to continue; any other value ends the list with
 * LH_STOPPED. A change during the call may or may not be seen.
 *
 * LH_OK: all records were given to `each`. LH_STOPPED. LH_INVALID: the prefix cannot begin a key,
 * one of `keys` is no key, or they are too many; … (some records may have been given before) */
LH_API int lh_list(lh_store *store, const lh_list_options *options,
                   int (*each)(void *arg, const lh_record *record), void *arg, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
