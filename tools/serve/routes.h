/* SPDX-License-Identifier: Apache-2.0
 * The routes, and the permission that each needs. openapi.json has the same; a test compares the
 * two. */
#ifndef SERVE_ROUTES_H
#define SERVE_ROUTES_H

#include "serve/request.h"

/* Which thread handles it. A worker calls the library, the connection suspended meanwhile. */
enum handled {
    BY_SERVER,          /* libmicrohttpd's thread */
    BY_WORKER,          /* also where the client has gone: it changes something */
    BY_WORKER_IF_HEARD, /* nobody wants it done where the client has gone */
};

struct route {
    const char *method, *path; /* {key} stands for a percent-encoded key, {file} for a name */
    enum may needs;
    enum handled by;
    bool body; /* takes one */
    void (*handle)(struct request *request);
    const char *const *arguments; /* those it knows behind the `?`; NULL: none */
    /* Before a worker gets it: takes what it needs of what all share. False: it was answered.
     * NULL: one of the requests. */
    bool (*admit)(struct request *request);
};

extern const struct route routes[]; /* NULL method at the end */

/* Finds the route of a request whose head is there, and checks all that the head says, and who
 * sends it. False: it was answered. */
bool routes_admit(struct request *request, const char *path);
/* Does it, now or by a worker. */
void routes_run(struct request *request);

#endif
