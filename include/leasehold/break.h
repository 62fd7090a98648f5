/* SPDX-License-Identifier: Apache-2.0
 *
 * Breaking a lease: an operator takes the key from its holder. */
#ifndef LEASEHOLD_BREAK_H
#define LEASEHOLD_BREAK_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_break_options {
    size_t size;
    const char *reason; /* required, 1–1,024 bytes; stored with the key */
    const char *by;     /* the operator: 1–256 bytes; NULL: the store's owner */
    int64_t token;      /* break only a lease with this token; -1 (default): any lease */
    const char *id;     /* the document with this _id (extended JSON), if `key` is NULL */
} lh_break_options;

#define LH_BREAK_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(lh_break_options), NULL, NULL, -1, NULL                                             \
    }
LH_API void lh_break_options_init(lh_break_options *options, size_t size);

/* Takes the key from its holder, also if its document cannot be read; the head of the queue gets
 * it. With the option `id` it breaks a document whose key no lease could have. This is the one
 * operation that waives invariant 1: the former holder may rely on its lease until its deadline.
 * Fencing tokens still protect the data. The call takes two round trips: a read, and a write that
 * applies only to what was read.
 *
 * LH_OK: *ret_record is what was broken. LH_LOST: nobody holds the key, or the holder has another
 * token. LH_DATA: a field is stored twice, which makes some servers crash; the message describes
 * what to do. LH_INVALID, LH_UNKNOWN, LH_UNREACHABLE, … */
LH_API int lh_break(lh_store *store, const char *key, const lh_break_options *options,
                    lh_record **ret_record, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
