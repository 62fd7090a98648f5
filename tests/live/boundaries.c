/* SPDX-License-Identifier: Apache-2.0
 * Every operation, cut at every boundary of its messages by a proxy: the request never arrives, or
 * when nobody listens any more; the answer is lost, or comes late; once (then the library's own
 * repetition meets a server that answers), or for a while. Whatever is told, nobody believes in
 * what the server does not have, and the key is free, or its waiter's, in bounded time: long before
 * the ttl. Prints the table. The cases run side by side, each with a store, a proxy and keys of its
 * own. */
#include "cutting.h"
#include "live.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"

#include <leasehold/mongo.h>

#define TTL_MS      60000
#define TIMEOUT_MS  1500 /* half of it is listened for */
#define OUTAGE_MS   1800 /* how long all are cut, beyond the call */
#define SETTLE_MS   15000
#define WORKERS     20
#define KEYS_A_CASE 3

typedef struct scene {
    const struct operation *op;
    cut_kind cut;
    bool all;
    ground *g;
    lh_store *store, *witness; /* through the proxy; the witness is everybody's, and goes past it */
    cutter proxy;
    char uri[256], key[64], more[2][80];
    lh_error error;
    int outcome, hits;
    lh_lease *leases[KEYS_A_CASE]; /* what is believed in after the call */
    int64_t settled_ms;
    const char *wrong; /* NULL: nothing */
} scene;

struct operation {
    const char *name, *command, *has;
    int skip;
    void (*run)(scene *s);
    bool makes_many, is_path;
};

static atomic_size_t next_case;

static void check_that(scene *s, bool holds, const char *wrong)
{
    if (!holds && !s->wrong)
        s->wrong = wrong;
}

static bool is_valid(const lh_lease *lease)
{
    return lease && lh_lease_valid(lease);
}

static void arm(scene *s)
{
    cut_arm(&s->proxy, s->cut, s->all, s->op->command, s->key, s->op->has, s->op->skip);
}

/* The call that was cut is over: the outage is, too, a while later. */
static void mend(scene *s)
{
    if (s->all)
        usleep(OUTAGE_MS * 1000);
    cut_mend(&s->proxy);
    s->hits = cut_hits(&s->proxy);
}

static void await_hit(scene *s, int64_t ms)
{
    for (int64_t until = now_ms() + ms; cut_hits(&s->proxy) == 0 && now_ms() < until;)
        usleep(5000);
}

static int acquire(lh_store *store, const char *key, int64_t ttl_ms, bool by_hand, lh_lease **ret,
                   lh_error *error)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = ttl_ms;
    o.by_hand = by_hand;
    return lh_acquire(store, key, &o, ret, NULL, error);
}

static lh_lease *held(scene *s, lh_store *store, int64_t ttl_ms, bool by_hand)
{
    lh_lease *lease = NULL;
    for (int64_t until = now_ms() + SETTLE_MS; !lease && now_ms() < until;)
        (void)acquire(store, s->key, ttl_ms, by_hand, &lease, &s->error);
    check_that(s, lease != NULL, "not granted at first");
    return lease;
}

static lh_waiting *queued(scene *s, lh_store *store, int64_t claim_ms)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_waiting *waiting = NULL;
    o.ttl_ms = TTL_MS;
    o.wait_ms = 12000;
    o.claim_ms = claim_ms;
    check_that(s, lh_acquire_start(store, s->key, &o, &waiting, &s->error) == LH_OK,
               "the wait does not begin");
    return waiting;
}

static void give_up(lh_lease *lease)
{
    if (lease)
        (void)lh_lease_release(lease, NULL);
    lh_lease_free(lease);
}

/* Does the server have what is believed? (A belief that has ended meanwhile is none.) */
static bool is_true(scene *s, const lh_lease *lease)
{
    lh_record *record = NULL;
    if (lh_status(s->witness, lh_lease_key(lease), &record, NULL) != LH_OK)
        return true; /* not known */
    bool same = lh_record_holder(record, 0) &&
                strcmp(lh_doc_holder_mark(record, 0).id, lh_lease_id(lease)) == 0;
    lh_record_free(record);
    return same || !is_valid(lease);
}

/* ---- The operations ---------------------------------------------------------------------------*/

static void do_acquire(scene *s)
{
    arm(s);
    s->outcome = acquire(s->store, s->key, TTL_MS, true, &s->leases[0], &s->error);
    mend(s);
}

/* The second command puts it into the queue. */
static void do_wait(scene *s)
{
    lh_lease *holder = held(s, s->witness, TTL_MS, false);
    arm(s);
    lh_waiting *waiting = queued(s, s->store, 5000);
    mend(s);
    give_up(holder);
    s->outcome = lh_waiting_finish(waiting, &s->leases[0], NULL, &s->error);
}

static void do_beat(scene *s)
{
    lh_lease *holder = held(s, s->witness, TTL_MS, false);
    lh_waiting *waiting = queued(s, s->store, 1500);
    arm(s);
    await_hit(s, 3000);
    mend(s);
    give_up(holder);
    s->outcome = lh_waiting_finish(waiting, &s->leases[0], NULL, &s->error);
}

/* Granted by the witness's release; the keeper's renewal is what is cut. */
static void do_claim(scene *s)
{
    lh_lease *holder = held(s, s->witness, TTL_MS, false);
    lh_waiting *waiting = queued(s, s->store, 5000);
    arm(s);
    give_up(holder);
    s->outcome = lh_waiting_finish(waiting, &s->leases[0], NULL, &s->error);
    await_hit(s, 3000);
    mend(s);
    for (int64_t until = now_ms() + SETTLE_MS; s->leases[0] && now_ms() < until; usleep(10000)) {
        int64_t left = lh_lease_remaining_ms(s->leases[0]);
        check_that(s, left == 0 || is_true(s, s->leases[0]), "it believes in what it has not");
        if (left == 0 || left > 5000)
            return;
    }
    check_that(s, s->outcome != LH_OK, "neither claimed nor lost");
}

/* Nobody may stand in the queue, a while later. */
static void expect_empty_queue(scene *s)
{
    lh_record *record = NULL;
    size_t waiters = 1;
    for (int64_t start = now_ms(); waiters > 0 && now_ms() < start + SETTLE_MS; usleep(5000))
        if (lh_status(s->witness, s->key, &record, NULL) == LH_OK) {
            waiters = record->waiters;
            lh_record_free(record);
        }
    check_that(s, waiters == 0, "its place in the queue stays");
}

/* What arrives late arrives after it has left. */
static void do_wait_end(scene *s)
{
    lh_lease *holder = held(s, s->witness, TTL_MS, false);
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = TTL_MS;
    o.wait_ms = 300;
    o.claim_ms = 60000;
    arm(s);
    s->outcome = lh_acquire(s->store, s->key, &o, &s->leases[0], NULL, &s->error);
    if (s->outcome == LH_BUSY)
        s->outcome = LH_LOST; /* it has nothing */
    mend(s);
    if (s->cut == CUT_REQUEST_LATE)
        usleep((CUT_LATE_MS + 200) * 1000);
    expect_empty_queue(s);
    give_up(holder);
}

static void do_cancel(scene *s)
{
    lh_lease *holder = held(s, s->witness, TTL_MS, false);
    lh_waiting *waiting = queued(s, s->store, 60000);
    arm(s);
    s->outcome = lh_waiting_cancel(waiting, &s->error);
    mend(s);
    expect_empty_queue(s);
    give_up(holder);
}

static void do_renew(scene *s)
{
    s->leases[0] = held(s, s->store, TTL_MS, true);
    arm(s);
    s->outcome = s->leases[0] ? lh_lease_renew(s->leases[0], 0, NULL, &s->error) : LH_BUG;
    mend(s);
    check_that(s, is_valid(s->leases[0]), "a renewal that was cut ended the lease");
}

/* By the keeper, two keys in one command; cut for longer than the ttl it is lost, and told. */
static void do_renew_many(scene *s)
{
    s->leases[0] = held(s, s->store, 1500, false);
    check_that(s, acquire(s->store, s->more[0], 1500, false, &s->leases[1], &s->error) == LH_OK,
               "not granted at first");
    arm(s);
    await_hit(s, 2000);
    if (!s->all)
        usleep(CUT_LATE_MS * 1000);
    mend(s);
    s->outcome = is_valid(s->leases[0]) && is_valid(s->leases[1]) ? LH_OK : LH_LOST;
}

static void do_release(scene *s)
{
    lh_lease *lease = held(s, s->store, TTL_MS, true);
    arm(s);
    s->outcome = lh_lease_release(lease, &s->error);
    check_that(s, !is_valid(lease), "valid after its release");
    lh_lease_free(lease);
    mend(s);
}

static void do_release_to_a_waiter(scene *s)
{
    lh_lease *lease = held(s, s->store, TTL_MS, true), *next = NULL;
    lh_waiting *waiting = queued(s, s->witness, 5000);
    arm(s);
    s->outcome = lh_lease_release(lease, &s->error);
    check_that(s, !is_valid(lease), "valid after its release");
    lh_lease_free(lease);
    mend(s);
    check_that(s, lh_waiting_finish(waiting, &next, NULL, &s->error) == LH_OK,
               "its waiter was not granted");
    check_that(s, !next || is_true(s, next), "its waiter believes in what it has not");
    give_up(next);
}

/* Who is given the new id holds it if it was done; else the old one is there still. */
static void do_transfer(scene *s)
{
    char id[LH_LEASE_ID_LEN + 1] = "";
    lh_error ignored = LH_ERROR_INIT;
    lh_lease *lease = held(s, s->store, TTL_MS, true), *given = NULL;
    arm(s);
    s->outcome = lh_lease_transfer(lease, "heir", id, &s->error);
    check_that(s, !is_valid(lease), "valid after its transfer");
    mend(s);
    if (s->outcome == LH_UNKNOWN)
        memcpy(id, s->error.lease_id, sizeof id);
    bool handed_on = *id && lh_lease_attach(s->witness, s->key, id, &given, &ignored) == LH_OK &&
                     lh_lease_renew(given, 0, NULL, &ignored) == LH_OK;
    check_that(s, handed_on || s->outcome != LH_OK, "told done, and it was not");
    check_that(s, !handed_on || s->outcome != LH_UNREACHABLE, "told surely not done, and it was");
    give_up(given);
    give_up(lease);
}

static void do_break(scene *s)
{
    lh_break_options o = LH_BREAK_OPTIONS_INIT;
    lh_record *broken = NULL;
    lh_lease *holder = held(s, s->witness, TTL_MS, true);
    o.reason = "test";
    arm(s);
    s->outcome = lh_break(s->store, s->key, &o, &broken, &s->error);
    lh_record_free(broken);
    mend(s);
    check_that(s, s->outcome != LH_OK || lh_lease_renew(holder, 0, NULL, NULL) == LH_LOST,
               "told broken, and it was not");
    give_up(holder);
}

static void do_many(scene *s)
{
    const char *const keys[] = {s->key, s->more[0], s->more[1]};
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = TTL_MS;
    o.by_hand = true;
    arm(s);
    s->outcome = lh_acquire_many(s->store, keys, KEYS_A_CASE, &o, s->leases, NULL, &s->error);
    mend(s);
}

static void do_path(scene *s)
{
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    o.ttl_ms = TTL_MS;
    o.by_hand = o.path = true;
    arm(s);
    s->outcome = lh_acquire(s->store, s->key, &o, &s->leases[0], NULL, &s->error);
    mend(s);
}

/* An application's. (No assertion in here: these are other threads.) */
static mongoc_collection_t *data_on(scene *s, const char *uri, mongoc_client_t **ret_client)
{
    *ret_client = mongoc_client_new(uri);
    mongoc_client_set_error_api(*ret_client, MONGOC_ERROR_API_VERSION_2);
    return mongoc_client_get_collection(*ret_client, s->g->db, "data");
}

static void do_fenced_write(scene *s)
{
    mongoc_client_t *client, *cut_client;
    mongoc_collection_t *direct = data_on(s, s->g->uri, &client),
                        *cut = data_on(s, s->uri, &cut_client);
    bson_t *id = BCON_NEW("_id", BCON_UTF8(s->key)),
           *data = BCON_NEW("_id", BCON_UTF8(s->key), "n", BCON_INT32(0)),
           *update = json("{'$inc': {'n': 1}}"),
           *majority = json("{'writeConcern': {'w': 'majority'}}");
    check_that(s, mongoc_collection_insert_one(direct, data, majority, NULL, NULL), "not inserted");
    lh_lease *lease = held(s, s->witness, TTL_MS, false);
    arm(s);
    s->outcome = lh_fenced_write(lease, cut, id, update, NULL, &s->error);
    mend(s);
    /* whatever was on its way has come */
    usleep(CUT_LATE_MS * 1000 * (s->cut == CUT_REQUEST_LATE));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(direct, id, NULL, NULL);
    const bson_t *found;
    bson_iter_t value;
    int64_t n = mongoc_cursor_next(cursor, &found) && find_at(found, "n", &value)
                    ? bson_iter_as_int64(&value)
                    : -1;
    check_that(s, n == 0 || n == 1, "not done once");
    check_that(s, n == 1 || s->outcome != LH_OK, "told done, and it was not");
    check_that(s, n == 0 || s->outcome != LH_UNREACHABLE, "told surely not done, and it was");
    mongoc_cursor_destroy(cursor);
    bson_destroy(majority);
    bson_destroy(update);
    bson_destroy(data);
    bson_destroy(id);
    mongoc_collection_destroy(cut);
    mongoc_collection_destroy(direct);
    mongoc_client_destroy(cut_client);
    mongoc_client_destroy(client);
    give_up(lease);
}

#define ASK "findAndModify"
static const struct operation operations[] = {
    {"acquire", ASK, NULL, 0, do_acquire, false, false},
    {"acquire, waiting", ASK, NULL, 1, do_wait, false, false},
    {"a wait, and its end", ASK, NULL, 1, do_wait_end, false, false},
    {"beat", "update", ".beat", 0, do_beat, false, false},
    {"claim", "update", "renewed_at", 0, do_claim, false, false},
    {"cancel", ASK, NULL, 0, do_cancel, false, false},
    {"renew", "update", NULL, 0, do_renew, false, false},
    {"renew many", "update", "renewed_at", 0, do_renew_many, true, false},
    {"release", "update", NULL, 0, do_release, false, false},
    {"release to a waiter", ASK, NULL, 0, do_release_to_a_waiter, false, false},
    {"transfer", ASK, NULL, 0, do_transfer, false, false},
    {"break", ASK, NULL, 0, do_break, false, false},
    {"many", "update", NULL, 0, do_many, true, false},
    {"many, its look", "find", NULL, 0, do_many, true, false},
    {"path", ASK, NULL, 0, do_path, false, true},
    {"path, its look", "find", NULL, 0, do_path, false, true},
    {"fenced write", ASK, NULL, 0, do_fenced_write, false, false},
};
static const char *const cuts[] = {"", "request lost", "answer lost", "answer late",
                                   "request late"};
enum {
    OPERATIONS = sizeof operations / sizeof *operations,
    CUTS = 4,
    CASES = OPERATIONS * CUTS * 2
};

/* ---- A case -----------------------------------------------------------------------------------*/

/* Nobody else holds it, or may: it can be had at once. What was believed in is not any more by
 * then. */
static void expect_settled(scene *s, const char *key)
{
    int64_t start = now_ms();
    lh_lease *lease = NULL;
    lh_error why = LH_ERROR_INIT;
    int outcome;
    while ((outcome = acquire(s->witness, key, TTL_MS, true, &lease, &why)) != LH_OK &&
           now_ms() < start + SETTLE_MS)
        usleep(5000);
    if (now_ms() - start > s->settled_ms)
        s->settled_ms = now_ms() - start;
    check_that(s, outcome == LH_OK, "the key is not free long before the ttl is over");
    for (size_t i = 0; i < KEYS_A_CASE; i++)
        check_that(s,
                   !s->leases[i] || strcmp(lh_lease_key(s->leases[i]), key) != 0 ||
                       !is_valid(s->leases[i]),
                   "two believe at once");
    if (lease)
        check_that(s, is_true(s, lease), "the key is freed under its next holder");
    give_up(lease);
}

/* Connected, and the index seen: what is cut is the operation's own. A machine with other things to
 * do takes longer than the timeout. */
static bool connect_store(scene *s, const lh_store_options *options)
{
    int64_t until = now_ms() + 2 * SETTLE_MS;
    lh_lease *first = NULL;
    while (!s->store && now_ms() < until)
        (void)lh_store_open(options, &s->store, &s->error);
    while (s->store && !first && now_ms() < until)
        (void)acquire(s->store, s->more[1], TTL_MS, true, &first, &s->error);
    bool connected = first != NULL;
    give_up(first);
    return connected;
}

static void run_case(scene *s, int port)
{
    if (!cut_open(&s->proxy, port)) {
        s->wrong = "no proxy";
        return;
    }
    (void)snprintf(s->uri, sizeof s->uri,
                   "mongodb://127.0.0.1:%d/"
                   "?directConnection=true&heartbeatFrequencyMS=500&socketTimeoutMS=750&"
                   "serverSelectionTimeoutMS=750&retryWrites=false",
                   s->proxy.port);
    lh_store_options options = store_options(s->g);
    options.uri = s->uri;
    options.timeout_ms = TIMEOUT_MS;
    if (!connect_store(s, &options)) {
        s->wrong = "it cannot be connected";
        lh_store_close(s->store);
        cut_close(&s->proxy);
        return;
    }
    s->op->run(s);
    check_that(s, s->hits > 0, "nothing was cut");
    check_that(s,
               s->outcome == LH_OK || s->outcome == LH_UNKNOWN || s->outcome == LH_UNREACHABLE ||
                   s->outcome == LH_LOST,
               "not such an outcome");
    check_that(s,
               s->outcome == LH_OK || s->op->run == do_renew || s->op->run == do_renew_many ||
                   !s->leases[0],
               "a lease, and no LH_OK");
    for (size_t i = 0; i < KEYS_A_CASE; i++) {
        if (!s->leases[i])
            continue;
        check_that(s, is_true(s, s->leases[i]), "it believes in what it has not");
        (void)lh_lease_release(s->leases[i], NULL);
    }
    expect_settled(s, s->key);
    if (s->op->makes_many)
        for (size_t i = 0; i < 2; i++)
            expect_settled(s, s->more[i]);
    for (size_t i = 0; i < KEYS_A_CASE; i++)
        lh_lease_free(s->leases[i]);
    lh_store_close(s->store);
    cut_close(&s->proxy);
}

typedef struct {
    scene *scenes;
    int port;
} work;

static void *run_cases(void *arg)
{
    work *w = arg;
    for (size_t i; (i = atomic_fetch_add(&next_case, 1)) < CASES;)
        run_case(&w->scenes[i], w->port);
    return NULL;
}

static int primary_port(ground *g)
{
    bson_t *hello = run_command(g, "admin", json("{'hello': 1}"));
    assert_non_null(hello);
    const char *me = text_at(hello, "primary"),
               *colon = strrchr(*me ? me : strstr(g->uri, "//"), ':');
    int port = colon ? atoi(colon + 1) : 0;
    bson_destroy(hello);
    assert_in_range(port, 1, 65535);
    return port;
}

static void test_every_operation_at_every_boundary(void **state)
{
    ground *g = *state;
    if (!g->set)
        skip(); /* the messages are the same */
    static scene scenes[CASES];
    lh_store_options options = store_options(g);
    options.app_name = "witness";
    options.pool_size = WORKERS + 2;
    lh_store *witness = open_store_with(g, &options);
    work w = {.scenes = scenes, .port = primary_port(g)};
    for (size_t i = 0; i < CASES; i++) {
        const struct operation *op = &operations[i / (CUTS * 2)];
        scenes[i] = (scene){.op = op,
                            .cut = (cut_kind)(1 + i / 2 % CUTS),
                            .all = i % 2,
                            .g = g,
                            .witness = witness,
                            .error = LH_ERROR_INIT,
                            .outcome = LH_BUG};
        (void)snprintf(scenes[i].key, sizeof scenes[i].key, op->is_path ? "p%03zu/x" : "k%03zu", i);
        (void)snprintf(scenes[i].more[0], sizeof scenes[i].more[0], "%s-b", scenes[i].key);
        (void)snprintf(scenes[i].more[1], sizeof scenes[i].more[1], "%s-c", scenes[i].key);
    }
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_cases, &w), 0);
    for (size_t i = 0; i < WORKERS; i++)
        (void)pthread_join(threads[i], NULL);
    int wrong = 0;
    print_message("%-20s %-13s %-8s %-12s %5s %8s\n", "operation", "cut", "how long", "outcome",
                  "cuts", "free ms");
    for (size_t i = 0; i < CASES; i++) {
        const scene *s = &scenes[i];
        print_message("%-20s %-13s %-8s %-12s %5d %8d%s%s\n", s->op->name, cuts[s->cut],
                      s->all ? "a while" : "once", lh_outcome_word(s->outcome), s->hits,
                      (int)s->settled_ms, s->wrong ? "  WRONG: " : "", s->wrong ? s->wrong : "");
        wrong += s->wrong != NULL;
    }
    lh_store_close(witness);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {live_test(test_every_operation_at_every_boundary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
