/* SPDX-License-Identifier: Apache-2.0
 * What the tests of waiting share: a database of their own, stores on it, an observer, and patience
 * for conditions. */
#ifndef WAITING_H
#define WAITING_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <leasehold/leasehold.h>
#include <mongoc/mongoc.h>

typedef struct place {
    const char *uri;
    char db[40], app[40];
    bool set;
    mongoc_client_t *client;
    mongoc_collection_t *locks;
    lh_store *store;
    lh_error error;
} place;

static inline int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void expect_at(int wanted, int got, const lh_error *error, const char *call, int line)
{
    if (got == wanted)
        return;
    print_error("%s gave %s, not %s: %s\n", call, lh_outcome_word(got), lh_outcome_word(wanted),
                got == LH_OK ? "" : error->message);
    _fail(__FILE__, line);
}
#define expect(p, wanted, call) expect_at((wanted), (call), &(p)->error, #call, __LINE__)

/* Until `condition` holds, at most `ms`. It may do something: once it held, it is not asked
 * again. */
#define within(ms, condition)                                                                      \
    do {                                                                                           \
        int64_t until_ = now_ms() + (ms);                                                          \
        bool holds_; /* asked for once: it may do something */                                     \
        while (!(holds_ = (condition)) && now_ms() < until_)                                       \
            usleep(2000);                                                                          \
        if (!holds_) {                                                                             \
            print_error("not within %d ms: %s\n", (int)(ms), #condition);                          \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static inline lh_store *open_on(place *p, const char *uri, const char *app, int64_t timeout_ms,
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

static inline lh_store *another(place *p)
{
    return open_on(p, p->uri, p->app, 10000, NULL, NULL);
}

static inline int place_on(void **state, const char *uri)
{
    if (!uri || !*uri)
        fail_msg("LEASEHOLD_TEST_URI names no server");
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    place *p = calloc(1, sizeof *p);
    uint64_t random;
    assert_int_equal(getrandom(&random, sizeof random, 0), sizeof random);
    (void)snprintf(p->db, sizeof p->db, "wait_%016llx", (unsigned long long)random);
    (void)snprintf(p->app, sizeof p->app, "wait-%016llx", (unsigned long long)random);
    p->error = (lh_error)LH_ERROR_INIT;
    p->uri = uri;
    p->set = strstr(uri, "replicaSet=") != NULL;
    p->client = mongoc_client_new(uri);
    assert_non_null(p->client);
    mongoc_client_set_error_api(p->client, 2);
    p->locks = mongoc_client_get_collection(p->client, p->db, "workspace_locks");
    *state = p;
    return 0;
}

static inline int new_place(void **state)
{
    (void)place_on(state, getenv("LEASEHOLD_TEST_URI"));
    place *p = *state;
    p->store = another(p);
    return 0;
}

static inline int old_place(void **state)
{
    place *p = *state;
    lh_store_close(p->store);
    bson_t *drop = BCON_NEW("dropDatabase", BCON_INT32(1));
    (void)mongoc_client_write_command_with_opts(p->client, p->db, drop, NULL, NULL, NULL);
    bson_destroy(drop);
    mongoc_collection_destroy(p->locks);
    mongoc_client_destroy(p->client);
    free(p);
    return 0;
}

#define place_test(name) cmocka_unit_test_setup_teardown(name, new_place, old_place)

/* The key's document as relaxed JSON, "" without one; to be freed with bson_free. */
static inline char *stored(place *p, const char *key)
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

static inline bool stored_has(place *p, const char *key, const char *what)
{
    char *text = stored(p, key);
    bool has = strstr(text, what) != NULL;
    bson_free(text);
    return has;
}

/* How many wait for the key, dead ones too. */
static inline int queued(place *p, const char *key)
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

static inline void change(place *p, const char *key, const char *json)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s", json);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_error_t error = {0};
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(key)),
           *update = bson_new_from_json((uint8_t *)text, -1, &error);
    assert_non_null(update);
    bool good = mongoc_collection_update_one(p->locks, filter, update, NULL, NULL, &error);
    if (!good)
        print_error("%s\n", error.message);
    assert_true(good);
    bson_destroy(filter);
    bson_destroy(update);
}

static inline lh_lease *take(place *p, lh_store *store, const char *key, int mode, int64_t ttl_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.mode = mode;
    o.ttl_ms = ttl_ms;
    lh_lease *lease = NULL;
    expect(p, LH_OK, lh_acquire(store, key, &o, &lease, NULL, &p->error));
    return lease;
}

static inline void give(place *p, lh_lease *lease)
{
    expect(p, LH_OK, lh_lease_release(lease, &p->error));
    lh_lease_free(lease);
}

static inline lh_waiting *await(place *p, lh_store *store, const char *key, int mode,
                                int64_t wait_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.mode = mode;
    o.wait_ms = wait_ms;
    lh_waiting *waiting = NULL;
    expect(p, LH_OK, lh_acquire_start(store, key, &o, &waiting, &p->error));
    return waiting;
}

static inline bool is_settled(lh_waiting *waiting, int ms)
{
    fd_set set;
    int fd = lh_waiting_fd(waiting);
    assert_in_range(fd, 0, FD_SETSIZE - 1);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return select(fd + 1, &set, NULL, NULL, &timeout) == 1;
}

static inline int threads(void)
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

/* Kills every cursor that the place's stores have; how many. */
static inline int kill_cursors(place *p)
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

#endif
