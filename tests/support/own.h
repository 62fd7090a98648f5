/* SPDX-License-Identifier: Apache-2.0
 * A deployment of the test's own, to stop, to kill, to depose: by the script that LEASEHOLD_MONGOD
 * names. It ends with this process. */
#ifndef OWN_H
#define OWN_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live.h"
#include "process.h"

typedef struct own {
    char name[48], uri[256], run[512];
    pid_t pid; /* of the (primary) mongod, once own_look() was called */
} own;

/* The kind is "standalone" or "set", `options` the script's; false: there is no script to start it
 * with. */
bool own_up_with(own *o, const char *kind, const char *options);

bool own_up(own *o, const char *kind);

void own_down(own *o);

/* Which process answers, and how it is started again. */
void own_look(own *o, ground *g);

/* A ground on it, with its store. */
ground *own_ground(own *o, int64_t timeout_ms);

#endif
