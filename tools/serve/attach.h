/* SPDX-License-Identifier: Apache-2.0
 * The lease that a request names. */
#ifndef SERVE_ATTACH_H
#define SERVE_ATTACH_H

#include "serve/request.h"

/* The handle on the lease that the header Lease-Id names; NULL: the request was answered. */
lh_lease *attach_lease(struct request *request);
/* Replies that the client does not hold the lease, with the current holder (NULL: unknown). */
void attach_lost(struct request *request, unsigned status, const char *outcome,
                 const lh_record *record, const lh_error *error);
/* Replies that the lease was not renewed: lost, with the current holder (NULL: unknown), or a
 * failure. */
void attach_not_renewed(struct request *request, int code, const lh_record *record,
                        const lh_error *error);

#endif
