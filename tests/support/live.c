/* SPDX-License-Identifier: Apache-2.0
 * What the tests on a real server share: a ground of its own for each test (a random database,
 * dropped at the end; a store; an observer's connection that shares nothing with the store), and
 * words to look at it and to break it. */
#include "live.h"

static pthread_t closers[256];
static size_t n_closers;

void expect_at(int wanted, int got, const lh_error *error, const char *call, const char *file,
               int line)
{
    if (got == wanted)
        return;
    print_error("%s\n  gave %s, not %s: %s (server code %d)\n", call, lh_outcome_word(got),
                lh_outcome_word(wanted), got == LH_OK ? "" : error->message,
                got == LH_OK ? 0 : error->server_code);
    _fail(file, line);
}

int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bson_t *json(const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_in_range(len, 2, (int)sizeof text - 1);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_error_t error;
    bson_t *parsed = bson_new_from_json((const uint8_t *)text, -1, &error);
    if (!parsed)
        print_error("%s: %s\n", error.message, text);
    assert_non_null(parsed);
    return parsed;
}

bool find_at(const bson_t *document, const char *path, bson_iter_t *ret_value)
{
    bson_iter_t top;
    return bson_iter_init(&top, document) && bson_iter_find_descendant(&top, path, ret_value);
}

bool has(const bson_t *document, const char *path)
{
    bson_iter_t value;
    return find_at(document, path, &value);
}

int64_t number_at(const bson_t *document, const char *path)
{
    bson_iter_t value;
    assert_true(find_at(document, path, &value));
    return BSON_ITER_HOLDS_DATE_TIME(&value) ? bson_iter_date_time(&value)
                                             : bson_iter_as_int64(&value);
}

const char *text_at(const bson_t *document, const char *path)
{
    bson_iter_t value;
    return find_at(document, path, &value) && BSON_ITER_HOLDS_UTF8(&value)
               ? bson_iter_utf8(&value, NULL)
               : "";
}

void expect_same(const bson_t *before, const bson_t *after)
{
    if (bson_equal(before, after))
        return;
    char *a = bson_as_canonical_extended_json(before, NULL),
         *b = bson_as_canonical_extended_json(after, NULL);
    (void)fprintf(stderr, "was %s\n is %s\n", a, b); /* cmocka cuts what is long */
    bson_free(a);
    bson_free(b);
    fail();
}

bson_t *run_command(ground *g, const char *db, bson_t *command)
{
    bson_error_t error;
    bson_t reply;
    bool good = mongoc_client_command_with_opts(g->client, db, command, NULL, NULL, &reply, &error);
    bson_destroy(command);
    if (!good)
        print_error("the observer's command failed: %s\n", error.message);
    bson_t *copy = good ? bson_copy(&reply) : NULL;
    bson_destroy(&reply);
    return copy;
}

void do_command(ground *g, const char *db, bson_t *command)
{
    bson_t *reply = run_command(g, db, command);
    assert_non_null(reply);
    bson_destroy(reply);
}

int64_t server_ms(ground *g)
{
    bson_t *reply = run_command(g, "admin", json("{'hello': 1}"));
    assert_non_null(reply);
    int64_t ms = number_at(reply, "localTime");
    bson_destroy(reply);
    return ms;
}

bson_t *document_of(ground *g, const char *key)
{
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(key));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(g->locks, filter, NULL, NULL);
    const bson_t *document;
    bson_t *copy = mongoc_cursor_next(cursor, &document) ? bson_copy(document) : NULL;
    bson_error_t error;
    assert_false(mongoc_cursor_error(cursor, &error));
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    return copy;
}

int64_t count_documents(ground *g)
{
    bson_t *all = bson_new();
    bson_error_t error;
    int64_t n = mongoc_collection_count_documents(g->locks, all, NULL, NULL, NULL, &error);
    bson_destroy(all);
    return n;
}

void put(ground *g, bson_t *document)
{
    bson_error_t error = {0};
    if (!mongoc_collection_insert_one(g->locks, document, NULL, NULL, &error))
        print_error("cannot insert: %s\n", error.message);
    assert_int_equal(error.code, 0);
    bson_destroy(document);
}

void change(ground *g, const char *key, bson_t *update)
{
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(key)), reply;
    bson_error_t error = {0};
    if (!mongoc_collection_update_one(g->locks, filter, update, NULL, &reply, &error))
        print_error("cannot update: %s\n", error.message);
    assert_int_equal(error.code, 0);
    assert_int_equal(number_at(&reply, "matchedCount"), 1);
    bson_destroy(&reply);
    bson_destroy(filter);
    bson_destroy(update);
}

void end_it(ground *g, const char *key, int64_t ago_ms)
{
    change(
        g, key,
        json("{'0': {'$set': {'expires_at': {'$subtract': ['$$NOW', {'$numberLong': '%lld'}]}}}}",
             (long long)ago_ms));
}

void delete_key(ground *g, const char *field, const char *value)
{
    bson_t *filter = BCON_NEW(field, BCON_UTF8(value)), reply;
    bson_error_t error = {0};
    assert_true(mongoc_collection_delete_one(g->locks, filter, NULL, &reply, &error));
    assert_int_equal(number_at(&reply, "deletedCount"), 1);
    bson_destroy(&reply);
    bson_destroy(filter);
}

void await_turn(ground *g)
{
    if (g->turn == 0)
        g->turn = take_turn(g->uri);
    assert_true(g->turn > 0);
}

void break_commands(ground *g, int times, const char *commands, const char *what)
{
    char mode[32];
    await_turn(g);
    (void)snprintf(mode, sizeof mode, times > 0 ? "{'times': %d}" : "'alwaysOn'", times);
    g->failing = true;
    do_command(g, "admin",
               json("{'configureFailPoint': 'failCommand', 'mode': %s, 'data': {'failCommands': "
                    "[%s], 'appName': '%s', %s}}",
                    mode, commands, g->app, what));
}

void mend_commands(ground *g)
{
    do_command(g, "admin", json("{'configureFailPoint': 'failCommand', 'mode': 'off'}"));
    g->failing = false;
}

static void join_closers(void)
{
    while (n_closers > 0)
        pthread_join(closers[--n_closers], NULL);
}

static void *close_one(void *store)
{
    lh_store_close(store);
    return NULL;
}

void close_later(lh_store *store)
{
    if (!store)
        return;
    if (n_closers == 0)
        (void)atexit(join_closers);
    if (n_closers == sizeof closers / sizeof *closers ||
        pthread_create(&closers[n_closers], NULL, close_one, store) != 0)
        lh_store_close(store);
    else
        n_closers++;
}

lh_store_options store_options(const ground *g)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = g->uri;
    options.db = g->db;
    options.app_name = g->app;
    options.owner = "tester";
    return options;
}

lh_store *open_store_with(ground *g, const lh_store_options *options)
{
    lh_store *store = NULL;
    expect(g, LH_OK, lh_store_open(options, &store, &g->error));
    return store;
}

lh_store *open_store(ground *g)
{
    lh_store_options options = store_options(g);
    return open_store_with(g, &options);
}

void reopen_store(ground *g, const lh_store_options *options)
{
    close_later(g->store);
    g->store = NULL;
    g->store = open_store_with(g, options);
}

lh_lease *take_as(ground *g, const char *key, int mode, int64_t ttl_ms, const char *owner)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.mode = mode;
    options.ttl_ms = ttl_ms;
    options.owner = owner;
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire(g->store, key, &options, &lease, NULL, &g->error));
    assert_non_null(lease);
    return lease;
}

lh_lease *take(ground *g, const char *key)
{
    return take_as(g, key, LH_EXCLUSIVE, LH_TTL_DEFAULT_MS, NULL);
}

int64_t take_token(ground *g, const char *key)
{
    lh_lease *lease = take(g, key);
    int64_t token = lh_lease_token(lease);
    lh_lease_free(lease);
    return token;
}

void give(ground *g, lh_lease *lease)
{
    (void)snprintf(g->error.message, sizeof g->error.message, "of an earlier call");
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    assert_string_not_equal(g->error.message, "of an earlier call");
    lh_lease_free(lease);
}

void expect_busy(ground *g, const char *key, int mode, int why)
{
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    options.by_hand = true; /* no keeper: the test renews, or lets it end */
    options.mode = mode;
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    expect(g, LH_BUSY, lh_acquire(g->store, key, &options, &lease, &busy, &g->error));
    assert_null(lease);
    assert_non_null(busy);
    assert_string_equal(lh_why_word(busy->why), lh_why_word(why));
    assert_string_equal(lh_reason_word(g->error.reason), lh_why_word(why));
    lh_record_free(busy);
}

lh_record *status_of(ground *g, const char *key)
{
    lh_record *record = NULL;
    expect(g, LH_OK, lh_status(g->store, key, &record, &g->error));
    assert_non_null(record);
    return record;
}

int state_of(ground *g, const char *key)
{
    lh_record *record = status_of(g, key);
    int state = record->state;
    lh_record_free(record);
    return state;
}

void random_id(char ret_id[LH_LEASE_ID_LEN + 1])
{
    unsigned char bytes[LH_LEASE_ID_LEN / 2];
    assert_int_equal(getrandom(bytes, sizeof bytes, 0), sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(ret_id + 2 * i, 3, "%02x", bytes[i]);
}

int ground_on(void **state, const char *uri)
{
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    ground *g = calloc(1, sizeof *g);
    assert_non_null(g);
    *state = g;
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    (void)snprintf(g->db, sizeof g->db, "live_%.16s", id);
    (void)snprintf(g->app, sizeof g->app, "live-%.16s", id);
    g->error = (lh_error)LH_ERROR_INIT;
    g->uri = uri;
    g->set = strstr(uri, "replicaSet=") != NULL;
    (void)snprintf(g->quick_uri, sizeof g->quick_uri, "%s%sheartbeatFrequencyMS=500", uri,
                   strchr(uri, '?') ? "&" : "?");
    mongoc_uri_t *parsed = mongoc_uri_new(uri);
    assert_non_null(parsed);
    g->client = mongoc_client_new_from_uri(parsed);
    mongoc_uri_destroy(parsed);
    mongoc_client_set_error_api(g->client, MONGOC_ERROR_API_VERSION_2);
    g->locks = mongoc_client_get_collection(g->client, g->db, LOCKS);
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_write_concern_set_w(majority, MONGOC_WRITE_CONCERN_W_MAJORITY);
    mongoc_collection_set_write_concern(g->locks, majority);
    mongoc_write_concern_destroy(majority);
    return 0;
}

int bare_ground(void **state)
{
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    if (!uri || !*uri) {
        fail_msg("LEASEHOLD_TEST_URI names no server");
        return -1; /* not reached */
    }
    return ground_on(state, uri);
}

int new_ground(void **state)
{
    (void)bare_ground(state);
    ground *g = *state;
    g->store = open_store(g);
    return 0;
}

int old_ground(void **state)
{
    ground *g = *state;
    if (g->failing)
        mend_commands(g);
    if (g->turn > 0)
        (void)close(g->turn);
    close_later(g->store);
    bson_t *dropped = run_command(g, g->db, json("{'dropDatabase': 1}"));
    bson_destroy(dropped);
    mongoc_collection_destroy(g->locks);
    mongoc_client_destroy(g->client);
    free(g);
    return 0;
}
