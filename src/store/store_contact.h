/* SPDX-License-Identifier: Apache-2.0
 * The first contact with the deployment: whether it is one that leases can live on. */
#ifndef LH_STORE_CONTACT_H
#define LH_STORE_CONTACT_H

#include "store/store.h"

/* Contacts the deployment if no call did yet; the store knows its topology after that. LH_OK;
 * LH_CONFIG: a mongos, a member of a sharded cluster, FerretDB, a server older than 6.0, or another
 * set than the connection string names; LH_UNREACHABLE: no server answered until `deadline`. */
int lh_store_contact(lh_store *store, int64_t deadline, lh_error *error);

#endif
