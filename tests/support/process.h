/* SPDX-License-Identifier: Apache-2.0
 * The process behind a server of scripts/mongod. Its pid is read from its pid file: what
 * `serverStatus` reports may be the number of another process here (a server in a container, or
 * under wine), and tests kill it. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <mongoc/mongoc.h>

/* The folder that scripts/mongod has made for the server that answers. */
bool server_folder(mongoc_client_t *client, char *ret_folder, size_t size);

/* Its process; 0: there is no pid file. */
pid_t server_pid(const char *folder);

#endif
