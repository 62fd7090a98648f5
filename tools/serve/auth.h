/* SPDX-License-Identifier: Apache-2.0
 * Who may do what: bearer tokens from files. */
#ifndef SERVE_AUTH_H
#define SERVE_AUTH_H

#include <leasehold/leasehold.h>
#include <stdbool.h>

struct auth;
struct client;
struct clients;

enum { CLIENT_NAME_MAX = 64 }; /* bytes of the name before a token */

/* What a caller may do, each including the one before. */
enum may { MAY_LOOK_IN, MAY_CALL, MAY_BREAK };

/* Reads the files; NULL: there is none. LH_OK, or LH_CONFIG: a file cannot be read, or holds
 * what is no token, or a token twice. */
int auth_new(struct clients *clients, const char *token_file, const char *admin_token_file,
             struct auth **ret_auth, lh_error *error);
/* Reads them again. A token that is still there is still the same client, also under another
 * name, or in the other file; the clients of those that are gone are marked `revoked`:
 * *ret_revoked. On failure what was there stays. */
int auth_reload(struct auth *auth, unsigned *ret_revoked, lh_error *error);
void auth_free(struct auth *auth);

/* A token file that everybody on this machine may read or write, as it was when it was read; NULL:
 * there is none. */
const char *auth_open_file(const struct auth *auth);

/* Is there a token file? Without one whoever reaches the server may call. */
bool auth_needs_token(const struct auth *auth);

/* A reference to the client whose token this Authorization header (NULL: none was sent) bears.
 * NULL: it bears none that is known. */
struct client *auth_client(struct auth *auth, const char *authorization);

#endif
