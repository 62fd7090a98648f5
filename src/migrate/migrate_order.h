/* SPDX-License-Identifier: Apache-2.0
 * The server's order of BSON values, to break ties by _id as its own sort would: first by kind
 * (numbers are one kind), then within it (docs: "Comparison/Sort Order"; simple collation). */
#ifndef LH_MIGRATE_ORDER_H
#define LH_MIGRATE_ORDER_H

#include "migrate/migrate_parts.h"

/* Below, equal or above 0, as the server orders the two values (simple collation). */
int lh_migrate_order(const bson_iter_t *a, const bson_iter_t *b);

#endif
