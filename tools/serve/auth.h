/* SPDX-License-Identifier: Apache-2.0
 * Permissions, by bearer tokens from files. */
#ifndef SERVE_AUTH_H
#define SERVE_AUTH_H

#include <leasehold/leasehold.h>
#include <stdbool.h>

struct auth;
struct client;
struct clients;

enum { CLIENT_NAME_MAX = 64 }; /* bytes of the name before a token */

/* The permissions of a caller; each includes the previous one. */
enum may { MAY_LOOK_IN, MAY_CALL, MAY_BREAK };

/* Reads the files; NULL: there is none. LH_OK, or LH_CONFIG: a file cannot be read, or has an
 * invalid token, or a token twice. */
int auth_new(struct clients *clients, const char *token_file, const char *admin_token_file,
             struct auth **ret_auth, lh_error *error);
/* Reads them again. A token that is still in a file is still the same client, also with another
 * name, or in the other file. The clients of removed tokens are marked `revoked`, and counted in
 * *ret_revoked. On failure the old tokens stay. */
int auth_reload(struct auth *auth, unsigned *ret_revoked, lh_error *error);
void auth_free(struct auth *auth);

/* A token file that everybody on this machine may read or write, as it was when it was read; NULL:
 * there is none. */
const char *auth_open_file(const struct auth *auth);

/* Is there a token file? Without one, any client that reaches the server may call. */
bool auth_needs_token(const struct auth *auth);

/* A reference to the client whose token this Authorization header (NULL: none was sent) has. NULL:
 * it has no known token. */
struct client *auth_client(struct auth *auth, const char *authorization);

#endif
