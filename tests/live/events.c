/* SPDX-License-Identifier: Apache-2.0
 * lh_watch(): every kind of event, told once, in order, without lease ids; going on behind an
 * event, over killed cursors and gaps. */
#include "store/store.h"
#include "turn.h"
#include "waiting.h"

enum { MOST = 2048, LINE = 400 };

typedef struct audience {
    ground *p;
    lh_watch_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    char line[MOST][LINE], id[MOST][64], all[MOST][LINE];
    int n, seen, stop_at; /* stop_at: after so many events; 0: never */
    int outcome;
    lh_error error;
} audience;

/* "granted k tester acquire", "broken k tester ops: stuck" */
static int hear(void *arg, const lh_event *e)
{
    audience *a = arg;
    pthread_mutex_lock(&a->lock);
    assert_in_range(a->n, 0, MOST - 1);
    int n = a->n;
    (void)snprintf(a->line[n], LINE, "%s%s%s%s%s%s%s%s%s%s%s%s%s%s", lh_event_word(e->kind),
                   *e->key ? " " : "", e->key, *e->owner ? " " : "", e->owner, *e->how ? " " : "",
                   e->how, *e->by ? " " : "", e->by, *e->reason ? ": " : "", e->reason,
                   e->kept_until_ms > e->at_ms ? " kept" : "", *e->note ? " note " : "", e->note);
    (void)snprintf(a->all[n], LINE, "%s %s %s", e->id, e->host, e->purpose);
    (void)snprintf(a->id[n], sizeof a->id[n], "%s", e->id);
    int stop = ++a->n == a->stop_at;
    assert_true(e->at_ms > 0);
    pthread_mutex_unlock(&a->lock);
    return stop;
}

static void *attend(void *arg)
{
    audience *a = arg;
    a->outcome = lh_watch(a->p->store, &a->o, hear, a, &a->error);
    return NULL;
}

static audience *seat(ground *p)
{
    audience *a = calloc(1, sizeof *a);
    assert_non_null(a);
    a->p = p;
    a->o = (lh_watch_options)LH_WATCH_OPTIONS_INIT;
    a->error = (lh_error)LH_ERROR_INIT;
    pthread_mutex_init(&a->lock, NULL);
    expect(p, LH_OK, lh_cancel_new(&a->o.cancel, &p->error));
    return a;
}

static audience *sit(audience *a)
{
    assert_int_equal(pthread_create(&a->thread, NULL, attend, a), 0);
    return a;
}

static int heard(audience *a)
{
    pthread_mutex_lock(&a->lock);
    int n = a->n;
    pthread_mutex_unlock(&a->lock);
    return n;
}

/* The next one is this. A renewal may always be in between: the keeper claims what was granted
 * directly. */
static void next_at(audience *a, const char *line, int line_number)
{
    int64_t start = now_ms(), until = start + 10000;
    for (;;) {
        while (heard(a) == a->seen && now_ms() < until)
            usleep(1000);
        if (heard(a) == a->seen) {
            print_error("line %d: nothing was told, not \"%s\"\n", line_number, line);
            fail();
        }
        const char *got = a->line[a->seen++];
        if (strcmp(got, line) == 0)
            break;
        if (strncmp(got, "renewed ", 8) == 0)
            continue;
        print_error("line %d: \"%s\" was told, not \"%s\"\n", line_number, got, line);
        fail();
    }
}
#define next(a, line) next_at((a), (line), __LINE__)

static void leave(audience *a, int outcome)
{
    lh_cancel_now(a->o.cancel);
    pthread_join(a->thread, NULL);
    expect_at(outcome, a->outcome, &a->error, "lh_watch", __FILE__, __LINE__);
    while (a->seen < a->n && strncmp(a->line[a->seen], "renewed ", 8) == 0)
        a->seen++;
    if (a->seen < a->n)
        print_error("more was told: \"%s\"\n", a->line[a->seen]);
    assert_int_equal(a->seen, a->n);
    lh_cancel_free(a->o.cancel);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static void break_it(ground *p, const char *key)
{
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    o.reason = "stuck";
    o.by = "ops";
    expect(p, LH_OK, lh_break(p->store, key, &o, NULL, &p->error));
}

static void delete (ground *p, const char *key)
{
    bson_t *filter = BCON_NEW("workspace_id", BCON_UTF8(key));
    assert_true(mongoc_collection_delete_many(p->locks, filter, NULL, NULL, NULL));
    bson_destroy(filter);
}

static void insert(ground *p, const char *text)
{
    char quoted[1024];
    (void)snprintf(quoted, sizeof quoted, "%s", text);
    for (char *c = quoted; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_t *document = bson_new_from_json((uint8_t *)quoted, -1, NULL);
    assert_non_null(document);
    assert_true(mongoc_collection_insert_one(p->locks, document, NULL, NULL, NULL));
    bson_destroy(document);
}

static void leave_note(ground *p, lh_lease *lease, const char *note)
{
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    o.note = note;
    expect(p, LH_OK, lh_lease_release_with(lease, &o, &p->error));
    lh_lease_free(lease);
}

static void a_note_is_told_with_the_release_that_left_it(void **state)
{
    ground *p = *state;
    audience *a = sit(seat(p));
    next(a, "opened");
    for (int i = 0; i < 2; i++) { /* the same again */
        lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
        next(a, "granted k tester acquire");
        leave_note(p, lease, "v7");
        next(a, "released k tester release note v7");
    }
    lh_lease *kept = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    lh_release_options o = LH_RELEASE_OPTIONS_INIT;
    o.note = "v8";
    o.keep_ms = 300;
    next(a, "granted k tester acquire");
    expect(p, LH_OK, lh_lease_release_with(kept, &o, &p->error));
    lh_lease_free(kept);
    next(a, "released k tester release kept note v8");
    usleep(400000); /* and nothing more of it */
    lh_lease *reader = take_on(p, p->store, "k", LH_SHARED, 30000);
    next(a, "granted k tester acquire");
    expect(p, LH_OK, lh_lease_release(reader, &p->error)); /* passes on what was there before */
    lh_lease_free(reader);
    next(a, "released k tester release");
    leave(a, LH_CANCELLED);
}

static void every_kind_is_told(void **state)
{
    ground *p = *state;
    audience *a = sit(seat(p));
    char ids[8][LH_LEASE_ID_LEN + 1];
    next(a, "opened");
    lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *second = NULL;
    memcpy(ids[0], lh_lease_id(lease), sizeof ids[0]);
    next(a, "granted k tester acquire");
    expect(p, LH_OK, lh_lease_renew(lease, 60000, NULL, &p->error));
    within(10000, heard(a) > a->seen);
    assert_string_equal(a->line[a->seen++], "renewed k tester");

    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    next(a, "queued k tester");
    expect(p, LH_OK, lh_waiting_cancel(waiting, &p->error));
    next(a, "left k tester");
    waiting = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    next(a, "queued k tester");
    give(p, lease);
    next(a, "released k tester release");
    next(a, "granted k tester queue");
    expect(p, LH_OK, lh_waiting_finish(waiting, &second, NULL, &p->error));
    memcpy(ids[1], lh_lease_id(second), sizeof ids[1]);

    expect(p, LH_OK, lh_lease_transfer(second, "heir", ids[2], &p->error));
    lh_lease_free(second);
    next(a, "transferred k tester");
    next(a, "granted k heir transfer");
    break_it(p, "k");
    next(a, "broken k heir ops: stuck");

    lh_lease_free(take_on(p, p->store, "k", LH_EXCLUSIVE, 30000));
    next(a, "granted k tester acquire");
    change(p, "k", json("{'$set': {'expires_at': {'$date': '2020-01-01T00:00:00Z'}}}"));
    within(10000, heard(a) > a->seen);
    assert_string_equal(a->line[a->seen++], "renewed k tester"); /* its end was moved */
    lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    next(a, "expired k tester");
    next(a, "granted k tester acquire");
    lh_lease_free(lease);
    delete (p, "k");
    next(a, "removed k tester");
    for (int i = 0; i < a->n; i++)
        for (int j = 0; j < 3; j++)
            assert_true(!strstr(a->all[i], ids[j]) && !strstr(a->line[i], ids[j]));
    leave(a, LH_CANCELLED);
}

static void readers_are_told_one_by_one(void **state)
{
    ground *p = *state;
    audience *a = sit(seat(p));
    next(a, "opened");
    lh_lease *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = take_on(p, p->store, "k", LH_SHARED, 30000);
        next(a, "granted k tester acquire");
    }
    lh_waiting *writer = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    next(a, "queued k tester");
    for (int i = 0; i < 3; i++) {
        give(p, readers[i]);
        next(a, "released k tester release");
    }
    next(a, "granted k tester queue");
    expect(p, LH_OK, lh_waiting_finish(writer, &readers[0], NULL, &p->error));
    lh_waiting *crowd[2] = {await(p, p->store, "k", LH_SHARED, 60000), NULL};
    next(a, "queued k tester");
    crowd[1] = await(p, p->store, "k", LH_SHARED, 60000);
    next(a, "queued k tester");
    give(p, readers[0]);
    next(a, "released k tester release");
    for (int i = 0; i < 2; i++)
        next(a, "granted k tester queue");
    for (int i = 0; i < 2; i++)
        expect(p, LH_OK, lh_waiting_finish(crowd[i], &readers[i], NULL, &p->error));
    break_it(p, "k");
    for (int i = 0; i < 2; i++)
        next(a, "broken k tester ops: stuck");
    for (int i = 0; i < 2; i++)
        lh_lease_free(readers[i]);
    leave(a, LH_CANCELLED);
}

static void what_other_programs_do_is_told(void **state)
{
    ground *p = *state;
    insert(p, "{'workspace_id': 'old', 'id': 'a', 'user_id': 'carol', 'expires_at': "
              "'2999-01-01T00:00:00Z'}");
    audience *a = sit(seat(p));
    next(a, "opened");
    change(p, "old", json("{'$set': {'expires_at': '2999-01-02T00:00:00Z', 'color': 'red'}}"));
    within(10000, heard(a) > a->seen);
    assert_string_equal(a->line[a->seen++], "renewed old carol");
    change(p, "old", json("{'$set': {'color': 'blue'}}")); /* no business of ours */
    change(p, "old", json("{'$set': {'id': 'b', 'user_id': 'dave'}}"));
    next(a, "released old carol other");
    next(a, "granted old dave acquire");
    change(p, "old", json("{'$set': {'expires_at': [1]}}"));
    next(a, "spoilt old: expires_at is an array");
    change(p, "old", json("{'$set': {'expires_at': {'$date': '2020-01-01T00:00:00Z'}}}"));
    within(10000, heard(a) > a->seen);
    assert_string_equal(a->line[a->seen++], "renewed old dave");
    change(p, "old", json("{'$set': {'id': 'c', 'user_id': 'erin', 'expires_at': null}}"));
    next(a, "expired old dave");
    next(a, "granted old erin acquire");
    delete (p, "old");
    next(a, "removed old erin");
    insert(p, "{'workspace_id': 7, 'id': 'x'}");
    within(10000, heard(a) > a->seen);
    assert_non_null(strstr(a->line[a->seen++], "spoilt 7: workspace_id is a number"));
    leave(a, LH_CANCELLED);
}

static void only_what_was_asked_for_is_told(void **state)
{
    ground *p = *state;
    static const char *const keys[] = {"one", "two"};
    insert(
        p,
        "{'_id': 'foreign-1', 'workspace_id': 'project:foreign', 'id': 'a', 'user_id': 'carol'}");
    audience *a = seat(p);
    a->o.keys = keys;
    a->o.n_keys = 2;
    a->o.prefix = "project:";
    sit(a);
    next(a, "opened");
    lh_lease *leases[4];
    static const char *const asked[] = {"one", "other", "project:\xF0\x9F\x94\x92", "projects"};
    static const char *const lines[] = {"one tester", "", "project:\xF0\x9F\x94\x92 tester", ""};
    char line[LINE];
    for (int i = 0; i < 4; i++) {
        leases[i] = take_on(p, p->store, asked[i], LH_EXCLUSIVE, 30000);
        (void)snprintf(line, sizeof line, "granted %s acquire", lines[i]);
        if (*lines[i])
            next(a, line);
    }
    change(p, "project:foreign", json("{'$set': {'expires_at': '2999-01-01T00:00:00Z'}}"));
    within(10000, heard(a) > a->seen);
    assert_string_equal(a->line[a->seen++], "renewed project:foreign carol");
    insert(p, "{'_id': 'foreign-2', 'workspace_id': 'two', 'id': 'a', 'user_id': 'dave'}");
    next(a, "granted two dave acquire");
    delete (p, "two");
    next(a, "removed two dave");
    for (int i = 0; i < 4; i++) {
        give(p, leases[i]);
        (void)snprintf(line, sizeof line, "released %s release", lines[i]);
        if (*lines[i])
            next(a, line);
    }
    leave(a, LH_CANCELLED);
}

/* A foreign _id that appears under a filter that knew none. */
static void an_id_that_is_not_the_key_is_noticed(void **state)
{
    ground *p = *state;
    static const char *const keys[] = {"k"};
    audience *a = seat(p);
    a->o.keys = keys;
    a->o.n_keys = 1;
    sit(a);
    next(a, "opened");
    insert(p, "{'_id': 'uuid-1', 'workspace_id': 'k', 'id': 'a', 'user_id': 'carol'}");
    next(a, "granted k carol acquire");
    delete (p, "k");
    next(a, "removed k carol");
    leave(a, LH_CANCELLED);
}

static void whoever_listens_may_stop(void **state)
{
    ground *p = *state;
    audience *a = seat(p);
    a->stop_at = 1;
    sit(a);
    next(a, "opened");
    leave(a, LH_STOPPED);
    a = seat(p);
    a->stop_at = 2;
    sit(a);
    next(a, "opened");
    lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    next(a, "granted k tester acquire");
    leave(a, LH_STOPPED);
    give(p, lease);
}

static void goes_on_behind_an_event(void **state)
{
    ground *p = *state;
    if (!p->set)
        skip();
    audience *a = seat(p), *b;
    a->stop_at = 4;
    sit(a);
    next(a, "opened");
    lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000), *second = NULL;
    lh_waiting *waiting = await(p, p->store, "k", LH_EXCLUSIVE, 60000);
    give(p, lease); /* one change, two events: it ends between them */
    next(a, "granted k tester acquire");
    next(a, "queued k tester");
    next(a, "released k tester release");
    pthread_join(a->thread, NULL);
    expect_at(LH_STOPPED, a->outcome, &a->error, "lh_watch", __FILE__, __LINE__);
    expect(p, LH_OK, lh_waiting_finish(waiting, &second, NULL, &p->error));
    give(p, second);
    for (int from = 0; from < 4; from++) {
        b = seat(p);
        b->o.after = a->id[from];
        sit(b);
        next(b, "opened");
        assert_string_equal(b->id[0], a->id[from]);
        static const char *const lines[] = {"granted k tester acquire", "queued k tester",
                                            "released k tester release", "granted k tester queue",
                                            "released k tester release"};
        for (int i = from; i < 5; i++)
            next(b, lines[i]);
        for (int i = from + 1; i < 4; i++)
            assert_string_equal(b->id[i - from], a->id[i]);
        leave(b, LH_CANCELLED);
    }
    sit(a); /* to be freed in the same way */
    a->stop_at = a->n + 1;
    next(a, "opened");
    leave(a, LH_STOPPED);
}

static void what_is_not_remembered_is_a_gap(void **state)
{
    ground *p = *state;
    audience *a = seat(p);
    a->o.after = "1000000.1.0";
    sit(a);
    next(a, "gap");
    lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    next(a, "granted k tester acquire");
    if (p->set) { /* on a standalone the documents are just gone */
        assert_true(mongoc_collection_drop(p->locks, NULL));
        next(a, "gap");
        next(a, "removed k tester");
        insert(p, "{'workspace_id': 'k', 'id': 'a', 'user_id': 'carol'}");
        next(a, "granted k carol acquire");
    }
    lh_lease_free(lease);
    leave(a, LH_CANCELLED);
}

static void a_killed_cursor_loses_and_doubles_nothing(void **state)
{
    ground *p = *state;
    if (!p->set)
        skip();
    audience *a = sit(seat(p));
    next(a, "opened");
    for (int i = 0; i < 30; i++) {
        lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
        if (i % 10 == 5)
            within(10000, kill_cursors(p) > 0);
        give(p, lease);
    }
    for (int i = 0; i < 30; i++) {
        next(a, "granted k tester acquire");
        next(a, "released k tester release");
    }
    leave(a, LH_CANCELLED);
}

/* A standalone is looked at again and again: one look whose cursor is killed is made up for by the
 * next. */
static void a_look_that_is_refused_is_made_up_for(void **state)
{
    ground *p = *state;
    if (p->set)
        skip();
    int turn = take_turn(p->uri);
    assert_true(turn >= 0);
    audience *a = sit(seat(p));
    next(a, "opened");
    bson_t *failing = BCON_NEW("configureFailPoint", "failCommand", "mode", "{", "times",
                               BCON_INT32(2), "}", "data", "{", "failCommands", "[", "find", "]",
                               "appName", BCON_UTF8(p->app), "errorCode", BCON_INT32(237), "}");
    assert_true(mongoc_client_command_simple(p->client, "admin", failing, NULL, NULL, NULL));
    bson_destroy(failing);
    usleep(700000); /* three looks */
    lh_lease *lease = take_on(p, p->store, "k", LH_EXCLUSIVE, 30000);
    next(a, "granted k tester acquire");
    give(p, lease);
    leave(a, LH_CANCELLED);
    (void)close(turn);
}

enum { CROWD = 4, ROUNDS = 25 };

typedef struct {
    ground *p;
    unsigned seed;
    int grants;
} worker;

/* Random work on two keys: waits, gives up, releases, hands on. */
static void *work(void *arg)
{
    worker *w = arg;
    lh_error error = LH_ERROR_INIT;
    for (int i = 0; i < ROUNDS; i++) {
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        char id[LH_LEASE_ID_LEN + 1];
        lh_lease *lease = NULL;
        int dice = rand_r(&w->seed) % 100;
        o.wait_ms = dice % 3 * 20;
        o.mode = dice < 30 ? LH_SHARED : LH_EXCLUSIVE;
        if (lh_acquire(w->p->store, dice % 2 ? "a" : "b", &o, &lease, NULL, &error) != LH_OK)
            continue;
        w->grants++;
        if (dice % 5 == 0 && lh_lease_transfer(lease, "heir", id, &error) == LH_OK) {
            lh_lease *heir = NULL;
            w->grants++;
            (void)lh_lease_attach(w->p->store, lh_lease_key(lease), id, &heir, &error);
            (void)lh_lease_release(heir, &error);
            lh_lease_free(heir);
        }
        (void)lh_lease_release(lease, &error);
        lh_lease_free(lease);
    }
    return NULL;
}

static int count(const audience *a, const char *start, const char *end)
{
    int n = 0;
    for (int i = 0; i < a->n; i++)
        n += strncmp(a->line[i], start, strlen(start)) == 0 && strstr(a->line[i], end) != NULL;
    return n;
}

/* Whatever a crowd does: each grant is told once, and each ends; who queues is granted, or
 * leaves. */
static void what_a_crowd_does_adds_up(void **state)
{
    ground *p = *state;
    if (!p->set)
        skip(); /* there it is only looked at now and then */
    audience *a = sit(seat(p));
    next(a, "opened");
    worker workers[CROWD];
    pthread_t crew[CROWD];
    int grants = 0;
    for (int i = 0; i < CROWD; i++) {
        workers[i] = (worker){.p = p, .seed = (unsigned)i + 1};
        assert_int_equal(pthread_create(&crew[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crew[i], NULL);
        grants += workers[i].grants;
    }
    lh_lease *last = take_on(p, p->store, "last", LH_EXCLUSIVE, 30000);
    within(10000, heard(a) > 0 && strstr(a->line[heard(a) - 1], " last "));
    int told = count(a, "granted ", "") - 1;
    int ended =
        count(a, "released ", " release") + count(a, "transferred ", "") + count(a, "expired ", "");
    print_message("%d grants, %d by the queue, %d events told\n", grants,
                  count(a, "granted ", " queue"), a->n);
    assert_true(grants > CROWD);
    assert_in_range(told, grants,
                    /* some came when the wait was over */
                    grants + count(a, "granted ", " queue") + CROWD);
    assert_int_equal(told, ended);
    assert_int_equal(count(a, "queued ", ""),
                     count(a, "left ", "") + count(a, "granted ", " queue"));
    assert_int_equal(
        count(a, "released ", " other") + count(a, "gap", "") + count(a, "spoilt ", ""), 0);
    a->seen = a->n;
    give(p, last);
    next(a, "released last tester release");
    leave(a, LH_CANCELLED);
}

static void wrong_options_are_refused(void **state)
{
    ground *p = *state;
    lh_watch_options o = LH_WATCH_OPTIONS_INIT;
    static const char *const bad_ids[] = {"x",      "1",     "1.2",   "1.2.",
                                          "1.2.3x", "0.1.0", "5.0.0", "-1.1.1"};
    for (size_t i = 0; i < sizeof bad_ids / sizeof *bad_ids; i++) {
        o.after = bad_ids[i];
        expect(p, LH_INVALID, lh_watch(p->store, &o, hear, NULL, &p->error));
    }
    o.after = NULL;
    expect(p, LH_INVALID, lh_watch(p->store, &o, NULL, NULL, &p->error));
    expect(p, LH_INVALID, lh_watch(NULL, &o, hear, NULL, &p->error));
    static const char *const bad_key[] = {"a\nb"};
    o.keys = bad_key;
    o.n_keys = 1;
    expect(p, LH_INVALID, lh_watch(p->store, &o, hear, NULL, &p->error));
    o.n_keys = 1001;
    expect(p, LH_INVALID, lh_watch(p->store, &o, hear, NULL, &p->error));
    o.n_keys = 0;
    o.prefix = "\xff";
    expect(p, LH_INVALID, lh_watch(p->store, &o, hear, NULL, &p->error));
}

/* The store has known its set for long, and then there is none. */
static void an_outage_is_told_as_such(void **state)
{
    ground *p = *state;
    lh_store_options o = LH_STORE_OPTIONS_INIT;
    lh_store *store = NULL;
    o.uri = "mongodb://127.0.0.1:1/?replicaSet=none";
    o.at_open = LH_AT_OPEN_NOTHING;
    o.timeout_ms = 200;
    expect(p, LH_OK, lh_store_open(&o, &store, &p->error));
    atomic_store(&store->topology, LH_TOPOLOGY_SET);
    audience a = {.p = p, .error = LH_ERROR_INIT};
    expect(p, LH_UNREACHABLE, lh_watch(store, NULL, hear, &a, &p->error));
    lh_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        wait_test(every_kind_is_told),
        wait_test(a_note_is_told_with_the_release_that_left_it),
        wait_test(readers_are_told_one_by_one),
        wait_test(what_other_programs_do_is_told),
        wait_test(only_what_was_asked_for_is_told),
        wait_test(an_id_that_is_not_the_key_is_noticed),
        wait_test(whoever_listens_may_stop),
        wait_test(goes_on_behind_an_event),
        wait_test(what_is_not_remembered_is_a_gap),
        wait_test(a_killed_cursor_loses_and_doubles_nothing),
        wait_test(a_look_that_is_refused_is_made_up_for),
        wait_test(what_a_crowd_does_adds_up),
        wait_test(wrong_options_are_refused),
        wait_test(an_outage_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
