/* SPDX-License-Identifier: Apache-2.0
 * Reading `expires_at` as an instant, whatever older code stored there. */
#ifndef LH_DOC_INSTANT_H
#define LH_DOC_INSTANT_H

#include "protocol/doc.h"

/* `expires_at` as an instant: a date; an ISO-8601 string with Z, an offset, or neither (UTC), with
 * a fraction or not; a number, below 10^11 seconds, else milliseconds. False when it cannot be read
 * (null too: the caller knows what that means). The pipelines read the same (protocol/state.lp:
 * end_as_stored); a test holds them together. */
bool lh_doc_instant(const bson_iter_t *value, int64_t *ret_ms);

#endif
