/* SPDX-License-Identifier: Apache-2.0
 * The clients, and how much of the shared resources each of them uses. A client is a token,
 * whatever its line in a file and its name; without token files it is the user behind a Unix
 * socket, or an address. */
#ifndef SERVE_CLIENTS_H
#define SERVE_CLIENTS_H

#include <stdatomic.h>

#include "serve/auth.h"
#include "serve/server.h"
#include "serve/table.h"
#include "serve/work.h"

struct repeat;

/* The shared resources: each has a total limit, and a limit for one client. */
enum share {
    SHARE_REQUESTS, /* that need the database, and do not wait for a key */
    SHARE_WAITS,
    SHARE_EVENTS,
    SHARE_LISTS, /* long ones */
    SHARE_SESSIONS,
    SHARE_CONNECTIONS,
    SHARES
};

struct client {
    struct entry entry;
    unsigned refs;
    char name[CLIENT_NAME_MAX + 1]; /* of a token; "" for others. Read it with clients_name() */
    char address[64];               /* of others; "" for a token */
    atomic_int may;                 /* enum may; a token that was taken away: MAY_LOOK_IN */
    atomic_bool revoked;
    unsigned taken[SHARES];
    struct lane calls, waits; /* its jobs; work.c alone reads them */
    /* What was granted by its Idempotency-Keys; repeat.c alone reads it. */
    struct repeat *oldest, *newest;
    unsigned n_repeats;
    struct client *repeats_next, **repeats_link;
};

/* `config` says how many may wait, and whether there are tokens. LH_OK, or LH_MEMORY. */
int clients_new(const struct config *config, struct clients **ret_clients, lh_error *error);
void clients_free(struct clients *clients);

/* Each returns a reference, to be given up by clients_unref(); NULL: memory is out. */
struct client *clients_new_token(struct clients *clients);
struct client *clients_of_address(struct clients *clients, const char *address);
struct client *clients_ref(struct clients *clients, struct client *client);
void clients_unref(struct clients *clients, struct client *client);

/* A token's name: as its file has it, or NULL for "#1", "#2", … in the order in which they came,
 * for as long as the client is there. */
void clients_rename(struct clients *clients, struct client *client, const char *name);
/* "" for an address. `client` may be NULL. */
void clients_name(struct clients *clients, const struct client *client,
                  char name[CLIENT_NAME_MAX + 1]);

/* Takes one unit of `share`. SHARE_FULL: none is left; SHARE_OVER: the client has reached its
 * limit. */
enum { SHARE_TAKEN, SHARE_FULL, SHARE_OVER };
int clients_take(struct clients *clients, struct client *client, enum share share);
void clients_give(struct clients *clients, struct client *client, enum share share);
/* How many units all clients have taken; the limit for one client. */
unsigned clients_taken(struct clients *clients, enum share share);
unsigned clients_most(const struct clients *clients, enum share share);

#endif
