/* SPDX-License-Identifier: Apache-2.0
 * What the tests of waiting share besides live.h: more stores, and patience for conditions. */
#include "waiting.h"

lh_store *open_on(ground *p, const char *uri, const char *app, int64_t timeout_ms,
                  void (*on_lost)(void *, const char *, const char *), void *arg)
{
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    o.uri = uri;
    o.db = p->db;
    o.app_name = app;
    o.owner = "tester";
    o.timeout_ms = timeout_ms;
    o.on_lost = on_lost;
    o.on_lost_arg = arg;
    lh_store *store = NULL;
    expect(p, LH_OK, lh_store_open(&o, &store, &p->error));
    return store;
}

lh_store *another(ground *p)
{
    return open_on(p, p->uri, p->app, 10000, NULL, NULL);
}

int quiet_ground(void **state)
{
    ground *g = *state;
    lh_store_close(g->store);
    g->store = NULL;
    return old_ground(state);
}

char *stored(ground *p, const char *key)
{
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(key));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(p->locks, filter, NULL, NULL);
    const bson_t *document;
    char *text = mongoc_cursor_next(cursor, &document)
                     ? bson_as_relaxed_extended_json(document, NULL)
                     : bson_strdup("");
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    return text;
}

bool stored_has(ground *p, const char *key, const char *what)
{
    char *text = stored(p, key);
    bool has = strstr(text, what) != NULL;
    bson_free(text);
    return has;
}

int queued(ground *p, const char *key)
{
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(key));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(p->locks, filter, NULL, NULL);
    const bson_t *document;
    bson_iter_t map, entry;
    int n = 0;
    if (mongoc_cursor_next(cursor, &document) && bson_iter_init_find(&map, document, "waiters") &&
        bson_iter_recurse(&map, &entry))
        while (bson_iter_next(&entry))
            n++;
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    return n;
}

lh_lease *take_on(ground *p, lh_store *store, const char *key, int mode, int64_t ttl_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.mode = mode;
    o.ttl_ms = ttl_ms;
    lh_lease *lease = NULL;
    expect(p, LH_OK, lh_acquire(store, key, &o, &lease, NULL, &p->error));
    return lease;
}

lh_waiting *await(ground *p, lh_store *store, const char *key, int mode, int64_t wait_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.mode = mode;
    o.wait_ms = wait_ms;
    lh_waiting *waiting = NULL;
    expect(p, LH_OK, lh_acquire_start(store, key, &o, &waiting, &p->error));
    return waiting;
}

bool is_settled(lh_waiting *waiting, int ms)
{
    fd_set set;
    int fd = lh_waiting_fd(waiting);
    assert_in_range(fd, 0, FD_SETSIZE - 1);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return select(fd + 1, &set, NULL, NULL, &timeout) == 1;
}

int threads(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    int n = -1;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Threads: %d", &n) == 1)
            break;
    if (f)
        (void)fclose(f);
    return n;
}

int kill_cursors(ground *p)
{
    char text[512];
    (void)snprintf(
        text, sizeof text,
        "{\"0\": {\"$currentOp\": {\"idleCursors\": true, \"allUsers\": true}}, \"1\": "
        "{\"$match\": "
        "{\"appName\": \"%s\", \"cursor.originatingCommand.aggregate\": \"workspace_locks\"}}}",
        p->app);
    bson_t *pipeline = bson_new_from_json((uint8_t *)text, -1, NULL);
    bson_t *command =
        BCON_NEW("aggregate", BCON_INT32(1), "pipeline", BCON_ARRAY(pipeline), "cursor", "{", "}");
    bson_t reply;
    bson_error_t error = {0};
    int killed = 0;
    if (!mongoc_client_read_command_with_opts(p->client, "admin", command, NULL, NULL, &reply,
                                              &error))
        print_error("%s\n", error.message);
    bson_iter_t top, batch, one, id;
    assert_true(bson_iter_init(&top, &reply) &&
                bson_iter_find_descendant(&top, "cursor.firstBatch", &batch));
    for (bson_iter_recurse(&batch, &one); bson_iter_next(&one);) {
        bson_iter_t entry;
        if (!bson_iter_recurse(&one, &entry) ||
            !bson_iter_find_descendant(&entry, "cursor.cursorId", &id))
            continue;
        bson_t *kill = BCON_NEW("killCursors", "workspace_locks", "cursors", "[",
                                BCON_INT64(bson_iter_as_int64(&id)), "]");
        killed += mongoc_client_write_command_with_opts(p->client, p->db, kill, NULL, NULL, NULL);
        bson_destroy(kill);
    }
    bson_destroy(&reply);
    bson_destroy(command);
    bson_destroy(pipeline);
    return killed;
}
