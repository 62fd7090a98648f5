/* SPDX-License-Identifier: Apache-2.0
 *
 * What all headers of Leasehold share: the handles, and a few limits. The conventions of the
 * interface are described in leasehold.h. */
#ifndef LEASEHOLD_BASE_H
#define LEASEHOLD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LH_API __attribute__((visibility("default")))
#else
#define LH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_store lh_store;     /* a collection of leases on a deployment: store.h */
typedef struct lh_lease lh_lease;     /* a handle on one lease: lease.h */
typedef struct lh_waiting lh_waiting; /* an acquire in progress: wait.h */
typedef struct lh_cancel lh_cancel;   /* ends waits from another thread: wait.h */

#define LH_OWNER_MAX 256       /* bytes of an owner, at least 1 */
#define LH_TEXT_MAX  1024      /* bytes of a purpose, a reason or a note */
#define LH_NEVER     INT64_MAX /* an instant: the lock has no end */
#define LH_FOREVER   INT64_MAX /* a duration, such as wait_ms: without limit */

/* Frees a string that the library returned in a `ret_` argument. NULL is allowed. */
LH_API void lh_string_free(char *string);

#ifdef __cplusplus
}
#endif

#endif
