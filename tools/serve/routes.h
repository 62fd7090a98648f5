/* SPDX-License-Identifier: Apache-2.0
 * Which request goes where, and who may send it. openapi.json says the same; a test holds the two together. */
#ifndef SERVE_ROUTES_H
#define SERVE_ROUTES_H

#include "request.h"

struct route {
    const char *method, *path; /* {key} stands for a percent-encoded key, {file} for a name */
    enum may needs;
    bool works; /* it calls the library: done by a worker, the connection suspended meanwhile */
    bool body;  /* takes one */
    void (*handle)(struct request *request);
    const char *const *arguments; /* those it knows behind the `?`; NULL: none */
};

extern const struct route routes[]; /* NULL method at the end */

/* Finds the route of a request whose head is there, and checks all that the head says. False: it was answered. */
bool routes_admit(struct request *request, const char *path);
/* Does it, now or by a worker. */
void routes_run(struct request *request);

#endif
