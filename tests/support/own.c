/* SPDX-License-Identifier: Apache-2.0
 * A deployment of the test's own, to stop, to kill, to depose: by the script that LEASEHOLD_MONGOD
 * names. It ends with this process. */
#include "own.h"

bool own_up_with(own *o, const char *kind, const char *options)
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

bool own_up(own *o, const char *kind)
{
    return own_up_with(o, kind, "");
}

void own_down(own *o)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' down --name %s", getenv("LEASEHOLD_MONGOD"),
                   o->name);
    if (system(command) != 0)
        print_error("cannot stop %s\n", o->name);
}

void own_look(own *o, ground *g)
{
    char folder[480];
    assert_true(server_folder(g->client, folder, sizeof folder));
    o->pid = server_pid(folder);
    assert_true(o->pid > 1); /* it is killed */
    (void)snprintf(o->run, sizeof o->run, "%s/run >/dev/null", folder);
}

ground *own_ground(own *o, int64_t timeout_ms)
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
