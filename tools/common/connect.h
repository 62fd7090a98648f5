/* SPDX-License-Identifier: Apache-2.0
 * From options and environment to an open store. */
#ifndef COMMON_CONNECT_H
#define COMMON_CONNECT_H

#include "common/cli.h"

enum { CONNECT_URI_SIZE = 16384 };

/* The connection string. *ret_uri points into `buffer`, the options or the environment. LH_INVALID:
 * none was given, or two. */
int connect_find_uri(const struct cli *cli, char buffer[CONNECT_URI_SIZE], const char **ret_uri,
                     lh_error *error);

/* The options of a store as the command line and the environment name it, for a caller that opens
 * several stores. They may point into `buffer`, which is a secret: the caller wipes it. LH_OK, or
 * an error. */
int connect_options(const struct cli *cli, int64_t timeout_ms, const char *owner,
                    char buffer[CONNECT_URI_SIZE], lh_store_options *ret_options, lh_error *error);

/* Opens the store of such options, wipes `buffer`, and prints the options of the connection string
 * that have no effect, to stderr (nothing with --quiet). No server is contacted yet. LH_OK, or an
 * error. */
int connect_open(const struct cli *cli, const lh_store_options *options,
                 char buffer[CONNECT_URI_SIZE], lh_store **ret_store, lh_error *error);

/* Both of these. `timeout_ms`: how long a call may take. `owner`: may be NULL. LH_OK, or an
 * error. */
int connect_store(const struct cli *cli, int64_t timeout_ms, const char *owner,
                  lh_store **ret_store, lh_error *error);

/* A store, and in it a handle on the key's lease that --lease names. LH_OK, or an error; the store
 * may be open then. */
int connect_lease(const struct cli *cli, lh_store **ret_store, lh_lease **ret_lease,
                  lh_error *error);

/* Closes the store, NULL too, before the process ends. `code`: what the last call on it returned;
 * after LH_UNKNOWN it tries to release the lease in doubt, else it takes no time. */
void connect_close(lh_store *store, int code);

/* The trail's collection, as a store's options take it; NULL: none is kept. */
const char *connect_audit(const struct cli *cli);

/* The value of --timeout. */
int64_t connect_timeout_ms(const struct cli *cli);

/* LEASEHOLD_OWNER, for commands that have no --owner of that meaning; NULL when it is not set. */
const char *connect_owner(void);

#endif
