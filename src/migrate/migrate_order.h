/* SPDX-License-Identifier: Apache-2.0
 * The server's order of BSON values, used to break ties by _id as the server's own sort would. */
#ifndef LH_MIGRATE_ORDER_H
#define LH_MIGRATE_ORDER_H

#include "migrate/migrate_parts.h"

/* Below, equal to or above 0, as the server orders the two values (simple collation). */
int lh_migrate_order(const bson_iter_t *a, const bson_iter_t *b);

#endif
