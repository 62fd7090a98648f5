/* SPDX-License-Identifier: Apache-2.0
 * 24 processes race for a fresh key, many times over: exactly one gets it, and all others are told
 * so. The first round also races for the unique index: the collection is not there yet. */
#include "live.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RACERS 24
#define ROUNDS 100

typedef struct {
    pthread_barrier_t start;
    struct {
        int outcome;
        int64_t token;
        char why[sizeof(((lh_error *)0)->message)];
    } result[RACERS][ROUNDS];
} track;

static void race(track *t, const char *uri, const char *db, int me)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = uri;
    options.db = db;
    options.owner = "racer";
    options.timeout_ms = 60000;
    options.at_open = LH_AT_OPEN_NOTHING;
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    int opened = lh_store_open(&options, &store, &error);
    for (int round = 0; round < ROUNDS; round++) {
        char key[16];
        lh_lease *lease = NULL;
        (void)snprintf(key, sizeof key, "fresh-%d", round);
        pthread_barrier_wait(&t->start);
        t->result[me][round].outcome =
            opened == LH_OK ? lh_acquire(store, key, NULL, &lease, NULL, &error) : opened;
        t->result[me][round].token = lease ? lh_lease_token(lease) : 0;
        (void)snprintf(t->result[me][round].why, sizeof t->result[me][round].why, "%s",
                       error.message);
        lh_lease_free(lease);
    }
    _exit(0);
}

static void expect_one_winner(const track *t, int round)
{
    int winners = 0;
    for (int i = 0; i < RACERS; i++) {
        winners += t->result[i][round].outcome == LH_OK;
        if (t->result[i][round].outcome != LH_OK && t->result[i][round].outcome != LH_BUSY)
            fail_msg("round %d, racer %d: %s: %s", round, i,
                     lh_outcome_word(t->result[i][round].outcome), t->result[i][round].why);
    }
    if (winners != 1)
        fail_msg("round %d has %d winners", round, winners);
}

static void test_exactly_one_of_many_processes_gets_a_fresh_key(void **state)
{
    (void)state;
    const char *uri = getenv("LEASEHOLD_TEST_URI");
    assert_non_null(uri);
    char id[LH_LEASE_ID_LEN + 1], db[40];
    random_id(id);
    (void)snprintf(db, sizeof db, "race_%.16s", id);
    track *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(t != MAP_FAILED);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    assert_int_equal(pthread_barrier_init(&t->start, &shared, RACERS), 0);
    pid_t racers[RACERS]; /* forked before the driver is started: it does not survive that */
    for (int i = 0; i < RACERS; i++) {
        racers[i] = fork();
        assert_true(racers[i] >= 0);
        if (racers[i] == 0) {
            (void)alarm(250);
            race(t, uri, db, i);
        }
    }
    for (int i = 0; i < RACERS; i++) {
        int status;
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    void *ground_state;
    (void)ground_on(&ground_state, uri);
    ground *g = ground_state;
    (void)snprintf(g->db, sizeof g->db, "%s", db); /* to be dropped */
    for (int round = 0; round < ROUNDS; round++)
        expect_one_winner(t, round);
    (void)old_ground(&ground_state);
    munmap(t, sizeof *t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_one_of_many_processes_gets_a_fresh_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
