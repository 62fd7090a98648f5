/* SPDX-License-Identifier: Apache-2.0
 * The modes of a roll-out, for every operation: observing does all and refuses nobody, also while
 * no server answers; off sends nothing. */
#include <leasehold/mongo.h>

#include "live.h"

#define NOWHERE    "mongodb://127.0.0.1:1/"
#define TIMEOUT_MS 60000 /* of stores that must not take it */

static int losses;
static void note_loss(void *arg, const char *key, const char *lease_id)
{
    (void)arg, (void)key, (void)lease_id;
    losses++;
}

static lh_store *open_for(ground *g, int rollout, const char *uri, int64_t timeout_ms)
{
    lh_store_options options = store_options(g);
    options.uri = uri;
    options.rollout = rollout;
    options.timeout_ms = timeout_ms;
    options.on_lost = note_loss;
    return open_store_with(g, &options);
}

static lh_store *open_in(ground *g, int rollout, const char *uri)
{
    return open_for(g, rollout, uri, TIMEOUT_MS);
}

static void expect_counts_at(ground *g, lh_store *store, const lh_observed *wanted, int line)
{
    lh_observed got = LH_OBSERVED_INIT;
    expect(g, LH_OK, lh_store_observed(store, &got, &g->error));
    if (got.granted != wanted->granted || got.contended != wanted->contended ||
        got.failed != wanted->failed || got.lost != wanted->lost ||
        got.skipped != wanted->skipped) {
        print_error("line %d: granted %d, contended %d, failed %d, lost %d, skipped %d\n", line,
                    (int)got.granted, (int)got.contended, (int)got.failed, (int)got.lost,
                    (int)got.skipped);
        fail();
    }
}
#define expect_counts(g, store, ...)                                                               \
    expect_counts_at((g), (store), &(lh_observed){__VA_ARGS__}, __LINE__)

static lh_lease *ask(ground *g, lh_store *store, const char *key)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER; /* nobody is delayed */
    lh_lease *lease = NULL;
    lh_record *busy = NULL;
    expect(g, LH_OK, lh_acquire(store, key, &o, &lease, &busy, &g->error));
    assert_null(busy);
    assert_false(lh_lease_enforced(lease));
    assert_true(lh_lease_valid(lease));
    return lease;
}

static int work(void *arg, lh_lease *lease)
{
    *(bool *)arg = lh_lease_valid(lease);
    return LH_OK;
}

/* All that can be done with a lease of which nothing is stored is done, and does nothing. */
static void use_up(ground *g, lh_store *store, lh_lease *lease)
{
    char to[LH_LEASE_ID_LEN + 1] = "";
    lh_record *record = (lh_record *)g;
    const lh_note *note = (const lh_note *)g;
    lh_lease *other = NULL;
    expect(g, LH_OK, lh_lease_renew(lease, 60000, &record, &g->error));
    assert_ptr_equal(record, g); /* written with LH_LOST alone */
    assert_int_equal(lh_lease_ttl_ms(lease), 60000);
    assert_int_equal(lh_lease_remaining_ms(lease), 60000);
    expect(g, LH_INVALID, lh_lease_renew(lease, 1, NULL, &g->error));
    expect(g, LH_OK, lh_lease_note(lease, &note, &g->error));
    assert_null(note);
    assert_true(lh_lease_lost_fd(lease) >= 0);
    expect(g, LH_INVALID, lh_lease_transfer(lease, "", to, &g->error));
    assert_true(lh_lease_valid(lease));
    (void)snprintf(g->error.message, sizeof g->error.message, "of an earlier call");
    expect(g, LH_OK, lh_lease_transfer(lease, "bob", to, &g->error));
    assert_string_not_equal(g->error.message, "of an earlier call");
    assert_int_equal(strlen(to), LH_LEASE_ID_LEN);
    assert_false(lh_lease_valid(lease));
    expect(g, LH_OK, lh_lease_attach(store, "k", to, &other, &g->error));
    expect(g, LH_OK, lh_lease_renew(other, 0, NULL, &g->error));
    assert_true(lh_lease_valid(other) && !lh_lease_enforced(other));
    expect(g, LH_OK, lh_lease_keep(other, &g->error));
    expect(g, LH_OK, lh_lease_release(other, &g->error));
    expect(g, LH_OK, lh_lease_release(other, &g->error));
    assert_false(lh_lease_valid(other));
    lh_lease_free(other);
    lh_lease_free(lease);
}

static void test_off_sends_nothing(void **state)
{
    ground *g = *state;
    const char *uris[] = {NOWHERE, NULL, "", g->uri, "mongodb+srv://no.such.name.invalid/"};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        lh_store *store = open_in(g, LH_OFF, uris[i]);
        lh_lease *lease = ask(g, store, "k"), *many[2] = {NULL};
        assert_null(lh_lease_refusal(lease));
        assert_int_equal(lh_lease_token(lease), 0);
        use_up(g, store, lease);
        const char *keys[] = {"a", "b"}, *bad[] = {"a", ""};
        expect(g, LH_OK, lh_acquire_many(store, keys, 2, NULL, many, NULL, &g->error));
        assert_true(lh_lease_valid(many[0]) && lh_lease_valid(many[1]));
        assert_string_equal(lh_lease_key(many[1]), "b");
        lh_lease_free(many[0]);
        lh_lease_free(many[1]);
        bool ran = false;
        expect(g, LH_OK, lh_with_lease(store, "k", NULL, work, &ran, &g->error));
        assert_true(ran);
        lh_waiting *waiting = NULL;
        expect(g, LH_OK, lh_acquire_start(store, "k", NULL, &waiting, &g->error));
        expect(g, LH_OK, lh_waiting_cancel(waiting, &g->error));
        expect(g, LH_OK, lh_acquire_start(store, "k", NULL, &waiting, &g->error));
        assert_true(lh_waiting_fd(waiting) >= 0);
        expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
        expect_counts(g, store, .skipped = 6);
        /* What is wrong stays wrong. */
        lh_lease *none = NULL;
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.ttl_ms = 1;
        expect(g, LH_INVALID, lh_acquire(store, "k", &o, &none, NULL, &g->error));
        expect(g, LH_INVALID, lh_acquire(store, "", NULL, &none, NULL, &g->error));
        expect(g, LH_INVALID, lh_acquire_start(store, "", NULL, &waiting, &g->error));
        expect(g, LH_INVALID, lh_acquire_many(store, bad, 2, NULL, many, NULL, &g->error));
        expect(g, LH_INVALID, lh_acquire_many(store, keys, 0, NULL, many, NULL, &g->error));
        expect_counts(g, store, .skipped = 6);
        lh_store_close(store);
        expect(g, LH_INVALID, lh_lease_renew(lease, 0, NULL, &g->error));
        lh_lease_free(lease);
        assert_int_equal(count_documents(g), 0);
    }
}

static void test_observing_records_what_is_granted(void **state)
{
    ground *g = *state;
    lh_store *store = open_in(g, LH_OBSERVE, g->uri);
    lh_lease *lease = ask(g, store, "k");
    assert_null(lh_lease_refusal(lease));
    assert_true(lh_lease_token(lease) > 0);
    bson_t *document = document_of(g, "k");
    assert_string_equal(text_at(document, "id"), lh_lease_id(lease));
    bson_destroy(document);
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD); /* for who enforces */
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    expect(g, LH_OK, lh_lease_keep(lease, &g->error));
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    o.note = "v1";
    expect(g, LH_OK, lh_lease_release_with(lease, &o, &g->error));
    assert_false(lh_lease_valid(lease));
    lh_lease_free(lease);
    assert_int_equal(state_of(g, "k"), LH_FREE);
    const char *keys[] = {"a", "b"};
    lh_lease *many[2] = {NULL};
    expect(g, LH_OK, lh_acquire_many(store, keys, 2, NULL, many, NULL, &g->error));
    assert_int_equal(state_of(g, "a"), LH_HELD);
    lh_lease_free(many[0]);
    lh_lease_free(many[1]);
    expect_counts(g, store, .granted = 3);
    close_later(store);
}

static void test_observing_refuses_nobody_and_touches_nobody(void **state)
{
    ground *g = *state;
    lh_lease *holder = take_as(g, "k", LH_EXCLUSIVE, 60000, "alice"), *many[2] = {NULL};
    lh_store *store = open_in(g, LH_OBSERVE, g->uri);
    bson_t *before = document_of(g, "k");
    lh_lease *lease = ask(g, store, "k");
    const lh_error *refusal = lh_lease_refusal(lease);
    assert_int_equal(refusal->code, LH_BUSY);
    assert_non_null(strstr(refusal->message, "alice"));
    assert_int_equal(lh_lease_token(lease), 0);
    use_up(g, store, lease);
    const char *keys[] = {"a", "k"};
    expect(g, LH_OK, lh_acquire_many(store, keys, 2, NULL, many, NULL, &g->error));
    assert_int_equal(lh_lease_refusal(many[0])->code, LH_BUSY); /* all or nothing */
    assert_int_equal(state_of(g, "a"), LH_FREE);
    lh_lease_free(many[0]);
    lh_lease_free(many[1]);
    lh_waiting *waiting = NULL;
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.wait_ms = LH_FOREVER;
    expect(g, LH_OK, lh_acquire_start(store, "k", &o, &waiting, &g->error));
    expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    assert_int_equal(lh_lease_refusal(lease)->code, LH_BUSY);
    lh_lease_free(lease);
    expect(g, LH_OK, lh_acquire_start(store, "k", &o, &waiting, &g->error));
    expect(g, LH_OK, lh_waiting_cancel(waiting, &g->error));
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id); /* of a lease that was never granted: a caller renews it at a third of its ttl */
    expect(g, LH_OK, lh_lease_attach(store, "k", id, &lease, &g->error));
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    assert_int_equal(lh_lease_ttl_ms(lease), LH_TTL_DEFAULT_MS);
    expect(g, LH_OK, lh_lease_renew(lease, 5000, NULL, &g->error));
    assert_int_equal(lh_lease_ttl_ms(lease), 5000);
    lh_lease_free(lease);
    bson_t *after = document_of(g, "k");
    expect_same(before, after);
    bson_destroy(before);
    bson_destroy(after);
    /* Attached in use_up(), and above, and not the key's: lost, once each. */
    expect_counts(g, store, .contended = 4, .lost = 2);
    lh_lease *none = NULL;
    expect(g, LH_INVALID, lh_acquire(store, "", NULL, &none, NULL, &g->error));
    close_later(store);
    give(g, holder);
}

/* Finished where it was started, so that it has its line, or needs none. */
static lh_lease *start_and_finish(ground *g, lh_store *store, const char *key)
{
    lh_waiting *waiting = NULL;
    lh_lease *lease = NULL;
    expect(g, LH_OK, lh_acquire_start(store, key, NULL, &waiting, &g->error));
    expect(g, LH_OK, lh_waiting_finish(waiting, &lease, NULL, &g->error));
    return lease;
}

static void test_a_trail_refuses_nobody(void **state)
{
    ground *g = *state;
    lh_lease *holder = take(g, "held");
    lh_store_options options = store_options(g);
    options.audit = "trail";
    options.rollout = LH_OFF;
    options.uri = NOWHERE;
    lh_store *store = open_store_with(g, &options);
    lh_lease_free(start_and_finish(g, store, "k"));
    lh_lease_free(ask(g, store, "k"));
    lh_store_close(store);
    options.rollout = LH_OBSERVE;
    options.uri = g->uri;
    store = open_store_with(g, &options);
    lh_lease *lease = start_and_finish(g, store, "k"), *none = start_and_finish(g, store, "held");
    assert_null(lh_lease_refusal(lease));
    assert_int_equal(lh_lease_refusal(none)->code, LH_BUSY);
    expect(g, LH_OK, lh_lease_release(none, &g->error));
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    lh_lease_free(none);
    lh_lease_free(lease);
    lh_store_close(store);
    bson_t *all = bson_new();
    bson_error_t error;
    mongoc_collection_t *trail = mongoc_client_get_collection(g->client, g->db, "trail");
    assert_int_equal(mongoc_collection_count_documents(trail, all, NULL, NULL, NULL, &error), 2);
    mongoc_collection_destroy(trail);
    bson_destroy(all);
    give(g, holder);
}

/* What enforcing would refuse for its arguments, the other modes refuse too: else the last step of
 * a roll-out fails. */
static void test_arguments_are_checked_in_every_mode(void **state)
{
    ground *g = *state;
    lh_lease *holder = take(g, "held");
    char id[LH_LEASE_ID_LEN + 1];
    random_id(id);
    for (int rollout = LH_ENFORCE; rollout <= LH_OFF; rollout++) {
        lh_store *store = open_in(g, rollout, g->uri);
        const char *twice[] = {"a", "b", "a"};
        lh_lease *lease = NULL, *many[3];
        lh_waiting *waiting = NULL;
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.path = true;
        expect(g, LH_INVALID, lh_acquire_start(store, "a/b", &o, &waiting, &g->error));
        o.wait_ms = 1000;
        expect(g, LH_INVALID, lh_acquire_many(store, twice, 2, &o, many, NULL, &g->error));
        o.lease_id = id;
        expect(g, LH_INVALID, lh_acquire(store, "a/b", &o, &lease, NULL, &g->error));
        expect(g, LH_INVALID, lh_acquire_many(store, twice, 3, NULL, many, NULL, &g->error));
        expect_says(g, "twice");
        assert_true(!lease && !waiting);
        lh_release_options release = LH_RELEASE_OPTIONS_INIT;
        release.note = "a\nb";
        expect(g, LH_OK,
               lh_acquire(store, rollout == LH_ENFORCE ? "free" : "held", NULL, &lease, NULL,
                          &g->error));
        expect(g, LH_INVALID, lh_lease_release_with(lease, &release, &g->error));
        assert_true(lh_lease_valid(lease));
        expect(g, LH_OK, lh_lease_release(lease, &g->error));
        lh_lease_free(lease);
        close_later(store);
    }
    give(g, holder);
}

static void test_observing_stops_no_work(void **state)
{
    ground *g = *state;
    lh_store *store = open_in(g, LH_OBSERVE, g->uri);
    lh_lease *lease = ask(g, store, "k");
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    o.reason = "stuck";
    losses = 0;
    expect(g, LH_OK, lh_break(g->store, "k", &o, NULL, &g->error));
    lh_lease *next = take(g, "k");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    assert_true(lh_lease_valid(lease));
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    expect_counts(g, store, .granted = 1, .lost = 1);
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    lh_lease_free(lease);
    assert_int_equal(losses, 0);
    assert_int_equal(state_of(g, "k"), LH_HELD);
    give(g, next);
    close_later(store);
}

static void test_observing_bears_an_outage(void **state)
{
    ground *g = *state;
    int64_t began = server_ms(g);
    static const char *const commands = "'findAndModify', 'update', 'find'";
    for (int kind = 0; kind < 3; kind++) {
        lh_store *store =
            kind == 0 ? open_in(g, LH_OBSERVE, NOWHERE) : open_for(g, LH_OBSERVE, g->uri, 400);
        if (kind > 0)
            break_commands(g, 0, commands,
                           kind == 1 ? "'closeConnection': true" : "'errorCode': 13");
        lh_lease *lease = ask(g, store, "k");
        assert_non_null(lh_lease_refusal(lease));
        assert_true(lh_lease_refusal(lease)->code != LH_BUSY);
        expect_counts(g, store, .failed = kind == 0 ? 2 : 1); /* opening looked at the index */
        lh_lease_free(lease);
        close_later(store);
        if (kind > 0)
            mend_commands(g);
    }
    lh_store *store = open_in(g, LH_OBSERVE, g->uri); /* knows of no outage yet */
    lh_lease *lease = ask(g, store, "l");
    assert_null(lh_lease_refusal(lease));
    break_commands(g, 0, commands, "'errorCode': 13");
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    expect(g, LH_OK, lh_lease_release(lease, &g->error));
    expect_counts(g, store, .granted = 1, .failed = 2);
    lh_lease_free(lease);
    mend_commands(g);
    close_later(store);
    assert_true(server_ms(g) - began < TIMEOUT_MS / 2); /* never the store's own patience */
}

static void test_without_the_index_observing_opens_and_passes(void **state)
{
    ground *g = *state;
    do_command(g, g->db,
               json("{'insert': 'workspace_locks', 'documents': [{'workspace_id': 'd'}, "
                    "{'workspace_id': 'd'}]}"));
    lh_store_options options = store_options(g);
    lh_store *none = NULL;
    expect(g, LH_CONFIG, lh_store_open(&options, &none, &g->error)); /* who enforces does not */
    lh_store *store = open_in(g, LH_OBSERVE, g->uri);
    lh_lease *lease = ask(g, store, "k");
    assert_int_equal(lh_lease_refusal(lease)->code, LH_CONFIG);
    expect_counts(g, store, .failed = 2);
    lh_lease_free(lease);
    assert_int_equal(count_documents(g), 2);
    close_later(store);
}

static bool do_nothing(mongoc_client_session_t *session, void *arg, bson_t **reply,
                       bson_error_t *why)
{
    (void)session, (void)reply, (void)why;
    *(bool *)arg = true;
    return true;
}

static void test_guard_and_fence_let_it_pass(void **state)
{
    ground *g = *state;
    mongoc_collection_t *data = mongoc_client_get_collection(g->client, g->db, "data");
    bson_t *id = json("{'_id': 1}"), *update = json("{'$set': {'x': 2}}"),
           *fresh = json("{'_id': 2}"), found;
    bson_error_t why;
    lh_lease *newer = take(g, "k");
    bson_t *document = BCON_NEW("_id", BCON_INT32(1), LH_FENCE, BCON_INT64(INT64_MAX));
    assert_true(mongoc_collection_insert_one(data, document, NULL, NULL, &why));
    expect(g, LH_LOST, lh_fenced_write(newer, data, id, update, NULL, &g->error));
    lh_store *stores[] = {open_in(g, LH_OBSERVE, g->uri), open_in(g, LH_OFF, g->uri)};
    for (size_t i = 0; i < 2; i++) {
        lh_lease *lease = ask(g, stores[i], "k");
        expect(g, LH_OK, lh_fenced_write(lease, data, id, update, &found, &g->error));
        assert_int_equal(number_at(&found, "x"), 2);
        assert_true(number_at(&found, LH_FENCE) == INT64_MAX); /* as it was */
        bson_destroy(&found);
        expect(g, LH_OK, lh_fenced_read(lease, data, id, 0, &found, &g->error));
        bson_destroy(&found);
        expect(g, i == 0 ? LH_ABSENT : LH_OK,
               lh_fenced_read(lease, data, fresh, 0, NULL, &g->error));
        expect(g, LH_OK, lh_fenced_read(lease, data, fresh, LH_FENCED_CREATE, NULL, &g->error));
        bool worked = false;
        if (g->set) {
            mongoc_client_session_t *session = mongoc_client_start_session(g->client, NULL, &why);
            expect(g, LH_OK, lh_with_guard(lease, session, do_nothing, &worked, &g->error));
            assert_true(worked);
            mongoc_client_session_destroy(session);
        }
        lh_lease_free(lease);
        close_later(stores[i]);
    }
    lh_lease *first = NULL; /* what was created has no fence yet, and takes anybody's */
    expect(g, LH_OK, lh_acquire(g->store, "l", NULL, &first, NULL, &g->error));
    expect(g, LH_OK, lh_fenced_read(first, data, fresh, 0, NULL, &g->error));
    give(g, first);
    give(g, newer);
    bson_destroy(id);
    bson_destroy(update);
    bson_destroy(fresh);
    bson_destroy(document);
    mongoc_collection_destroy(data);
}

static void test_the_environment_says_it_only_where_it_is_asked(void **state)
{
    ground *g = *state;
    static const struct {
        const char *word;
        int rollout;
    } cases[] = {
        {"", LH_ENFORCE}, {"enforce", LH_ENFORCE}, {"observe", LH_OBSERVE}, {"off", LH_OFF}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(setenv("LEASEHOLD_MODE", cases[i].word, 1), 0);
        for (int asked = 0; asked < 2; asked++) {
            lh_store *store = open_in(g, asked ? LH_BY_ENVIRONMENT : LH_ENFORCE, g->uri);
            lh_observed observed = LH_OBSERVED_INIT;
            expect(g, LH_OK, lh_store_observed(store, &observed, &g->error));
            assert_int_equal(observed.rollout, asked ? cases[i].rollout : LH_ENFORCE);
            close_later(store);
        }
    }
    lh_store_options options = store_options(g);
    lh_store *none = NULL;
    options.rollout = LH_BY_ENVIRONMENT;
    (void)setenv("LEASEHOLD_MODE", "of", 1);
    expect(g, LH_INVALID, lh_store_open(&options, &none, &g->error));
    expect_says(g, "LEASEHOLD_MODE");
    (void)unsetenv("LEASEHOLD_MODE");
    options.rollout = 7;
    expect(g, LH_INVALID, lh_store_open(&options, &none, &g->error));
    assert_string_equal(lh_rollout_word(LH_OBSERVE), "observe");
    assert_string_equal(lh_rollout_word(LH_BY_ENVIRONMENT), "");
    lh_observed empty = LH_OBSERVED_INIT;
    empty.size = 0;
    expect(g, LH_INVALID, lh_store_observed(g->store, &empty, &g->error));
}

static void test_enforcing_counts_nothing(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    assert_true(lh_lease_enforced(lease));
    assert_null(lh_lease_refusal(lease));
    expect_busy(g, "k", LH_EXCLUSIVE, LH_WHY_HELD);
    expect_counts(g, g->store, .granted = 0);
    give(g, lease);
}

static int each(void *arg, const lh_finding *finding)
{
    if (strcmp(finding->id, "not_enforced") == 0)
        *(const char **)arg = finding->severity == LH_SEVERITY_WARNING ? "warned" : "";
    return 0;
}

static void test_the_doctor_says_so(void **state)
{
    ground *g = *state;
    const char *said = NULL;
    expect(g, LH_OK, lh_doctor(g->store, NULL, each, &said, &g->error));
    assert_null(said);
    for (int rollout = LH_OBSERVE; rollout <= LH_OFF; rollout++) {
        lh_store *store = open_in(g, rollout, g->uri);
        expect(g, LH_OK, lh_doctor(store, NULL, each, &said, &g->error));
        assert_string_equal(said, "warned");
        said = NULL;
        close_later(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_test(test_off_sends_nothing),
        live_test(test_observing_records_what_is_granted),
        live_test(test_observing_refuses_nobody_and_touches_nobody),
        live_test(test_a_trail_refuses_nobody),
        live_test(test_arguments_are_checked_in_every_mode),
        live_test(test_observing_stops_no_work),
        live_test(test_observing_bears_an_outage),
        bare_test(test_without_the_index_observing_opens_and_passes),
        live_test(test_guard_and_fence_let_it_pass),
        live_test(test_the_environment_says_it_only_where_it_is_asked),
        live_test(test_enforcing_counts_nothing),
        live_test(test_the_doctor_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
