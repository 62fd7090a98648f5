/* SPDX-License-Identifier: Apache-2.0
 * Reads `expires_at` as an instant, whatever older code stored there. */
#ifndef LH_DOC_INSTANT_H
#define LH_DOC_INSTANT_H

#include "protocol/doc.h"

/* Accepts a date; an ISO-8601 string with Z, an offset, or neither (UTC), with or without a
 * fraction; and a number: below 10^11 in seconds, else in milliseconds. False: it cannot be read
 * (null too, whose meaning the caller knows). The pipelines read the same (protocol/state.lp:
 * end_as_stored), and a test compares them. */
bool lh_doc_instant(const bson_iter_t *value, int64_t *ret_ms);

#endif
