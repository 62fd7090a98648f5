/* SPDX-License-Identifier: Apache-2.0
 * The socket that is listened on, and the names of who comes by it. */
#ifndef SERVE_LISTEN_H
#define SERVE_LISTEN_H

#include <leasehold/leasehold.h>
#include <stdbool.h>

struct listener;

/* `address`: unix:PATH or HOST:PORT; NULL: unix:$XDG_RUNTIME_DIR/leasehold.sock. `with_tokens`:
 * also others than this host may come. LH_OK; LH_INVALID: that is no address; LH_CONFIG: it cannot
 * be listened on, or not without tokens. */
int listen_open(const char *address, bool with_tokens, struct listener **ret_listener,
                lh_error *error);
/* Connects to whoever listens on that address. LH_OK; LH_INVALID, LH_CONFIG: as listen_open();
 * LH_UNREACHABLE: nobody does. */
int listen_connect(const char *address, int *ret_fd, lh_error *error);
int listen_fd(const struct listener *listener);
/* Where it is: "unix:/run/leasehold.sock", "http://127.0.0.1:8080". */
const char *listen_name(const struct listener *listener);
/* Is it an internet address? */
bool listen_by_address(const struct listener *listener);
/* Closes it, and removes the socket's file, if it is still this one's. NULL: nothing is done. */
void listen_close(struct listener *listener);

/* Is this Host header one of this machine's own names? */
bool listen_is_loopback_name(const char *host);
/* "127.0.0.1", "uid 1000", or "?". */
void listen_name_client(int fd, char name[64]);

#endif
