/* SPDX-License-Identifier: Apache-2.0
 * The lease that a request names. */
#ifndef SERVE_ATTACH_H
#define SERVE_ATTACH_H

#include "serve/request.h"

/* The handle on the lease that the header Lease-Id names; NULL: it was answered. */
lh_lease *attach_lease(struct request *request);
/* That its client does not hold it, and who does (NULL: not known). */
void attach_lost(struct request *request, unsigned status, const char *outcome,
                 const lh_record *record, const lh_error *error);
/* That it was not renewed: lost, and who holds the key now (NULL: not known), or a failure. */
void attach_not_renewed(struct request *request, int code, const lh_record *record,
                        const lh_error *error);

#endif
