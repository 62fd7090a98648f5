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
static inline bool own_up_with(own *o, const char *kind, const char *options)
{
    const char *script = getenv("LEASEHOLD_MONGOD");
    char id[LH_LEASE_ID_LEN + 1], command[1024];
    if (!script || !*script)
        return false;
    random_id(id);
    (void)snprintf(o->name, sizeof o->name, "own-%s-%.8s", kind, id);
    (void)snprintf(command, sizeof command, "'%s' up %s %s --name %s --end-with %d", script, kind,
                   options, o->name, (int)getpid());
    FILE *out = popen(command, "r");
    assert_non_null(out);
    bool printed = fgets(o->uri, sizeof o->uri, out) != NULL;
    assert_int_equal(pclose(out), 0);
    assert_true(printed);
    o->uri[strcspn(o->uri, "\n")] = '\0';
    return true;
}

static inline bool own_up(own *o, const char *kind)
{
    return own_up_with(o, kind, "");
}

static inline void own_down(own *o)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' down --name %s", getenv("LEASEHOLD_MONGOD"),
                   o->name);
    if (system(command) != 0)
        print_error("cannot stop %s\n", o->name);
}

/* Which process answers, and how it is started again. */
static inline void own_look(own *o, ground *g)
{
    char folder[480];
    assert_true(server_folder(g->client, folder, sizeof folder));
    o->pid = server_pid(folder);
    assert_true(o->pid > 1); /* it is killed */
    (void)snprintf(o->run, sizeof o->run, "%s/run >/dev/null", folder);
}

/* A ground on it, with its store. */
static inline ground *own_ground(own *o, int64_t timeout_ms)
{
    void *state;
    (void)ground_on(&state, o->uri);
    ground *g = state;
    lh_store_options options = store_options(g);
    options.uri = g->quick_uri;
    options.timeout_ms = timeout_ms;
    g->store = open_store_with(g, &options);
    return g;
}

#endif
