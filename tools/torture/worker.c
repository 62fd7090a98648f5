/* SPDX-License-Identifier: Apache-2.0
 * A process of a run: holds up to three leases, and does random operations of callers. The random
 * numbers are seeded; the timing depends on the machine. */
#include "torture/worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/out.h"

#define STEP_MS 25 /* between two samples of what is believed */

uint32_t worker_dice(struct worker *worker, uint32_t n)
{
    return torture_dice(&worker->dice, n);
}

void worker_believe(struct worker *worker, lh_lease *lease)
{
    bson_t line;
    history_begin(&worker->history, &line,
                  "belief"); /* its t is before the look: no belief is dated too late */
    int64_t remaining_ms = lh_lease_valid(lease) ? lh_lease_remaining_ms(lease) : 0;
    BSON_APPEND_UTF8(&line, "key", lh_lease_key(lease));
    BSON_APPEND_UTF8(&line, "lease", lh_lease_id(lease));
    BSON_APPEND_INT64(&line, "token", lh_lease_token(lease));
    BSON_APPEND_BOOL(&line, "shared", lh_lease_mode(lease) == LH_SHARED);
    BSON_APPEND_INT64(&line, "remaining_ms", remaining_ms);
    (void)history_write(&worker->history, &line);
}

void worker_forget(struct worker *worker, size_t hand)
{
    lh_lease *lease = worker->hand[hand];
    struct old_lease *old = &worker->old[worker->n_old++ % REMEMBERED];
    (void)snprintf(old->key, sizeof old->key, "%s", lh_lease_key(lease));
    (void)snprintf(old->id, sizeof old->id, "%s", lh_lease_id(lease));
    lh_lease_free(lease);
    worker->hand[hand] = NULL;
}

void worker_believe_all(struct worker *worker)
{
    for (size_t i = 0; i < HANDS; i++) {
        if (!worker->hand[i])
            continue;
        worker_believe(worker, worker->hand[i]);
        if (!lh_lease_valid(worker->hand[i]))
            worker_forget(worker, i);
    }
}

void worker_doze(struct worker *worker, int64_t ms)
{
    for (int64_t end = history_now() + ms * 1000000; history_now() < end;) {
        torture_nap(STEP_MS);
        worker_believe_all(worker);
    }
}

static void note_lost(void *arg, const char *key, const char *lease_id)
{
    struct worker *worker = arg;
    bson_t line;
    history_begin(&worker->history, &line, "lost");
    BSON_APPEND_UTF8(&line, "key", key);
    BSON_APPEND_UTF8(&line, "lease", lease_id);
    (void)history_write(&worker->history, &line);
}

static int open_store(struct worker *worker)
{
    lh_error error = LH_ERROR_INIT;
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    char owner[32];
    (void)snprintf(owner, sizeof owner, "process %d", worker->history.p);
    options.uri = worker->torture->uri;
    options.db = worker->torture->db;
    options.app_name = worker->torture->app;
    options.owner = owner;
    options.timeout_ms = 4000;
    options.pool_size = 4;
    options.at_open = LH_AT_OPEN_NOTHING;
    options.allow_insecure_tls = worker->torture->insecure_tls;
    options.on_lost = note_lost;
    options.on_lost_arg = worker;
    int code = lh_store_open(&options, &worker->store, &error);
    if (code != LH_OK && code != LH_UNREACHABLE)
        fprintf(stderr, "process %d: %s\n", worker->history.p, error.message);
    return code;
}

/* Until the deployment can be reached: faults may be what it begins with. */
static int open_in_time(struct worker *worker)
{
    int code = open_store(worker);
    while (code == LH_UNREACHABLE && history_now() < worker->torture->until)
        code = open_store(worker);
    return code;
}

static void act(struct worker *worker)
{
    static const struct {
        uint32_t weight;
        void (*act)(struct worker *worker);
    } acts[] = {
        {36, worker_acquire}, {8, worker_renew},     {24, worker_release},
        {5, worker_transfer}, {6, worker_take_mail}, {8, worker_come_late},
        {1, worker_break},    {2, worker_cleanup},   {5, worker_write},
    };
    uint32_t at = worker_dice(worker, 100);
    worker_believe_all(worker);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (at < acts[i].weight) {
            acts[i].act(worker);
            worker_believe_all(worker);
            return;
        }
        at -= acts[i].weight;
    }
    worker_doze(worker, worker_dice(worker, 8) == 0 ? 1200 : worker_dice(worker, 80));
}

int worker_run(const struct torture *torture, int p, int life)
{
    struct worker worker = {.torture = torture, .history = {.p = p, .life = life}};
    worker.dice = torture_seed(torture->seed, p, life);
    bson_t line;
    if (!history_open(&worker.history, torture->history, false))
        return EXIT_CONFIG;
    int code = open_in_time(&worker);
    if (code != LH_OK)
        return code == LH_UNREACHABLE ? EXIT_DONE
                                      : EXIT_CONFIG; /* all of its time there was no deployment */
    worker.writes = writes_open(torture, &worker.history);
    history_begin(&worker.history, &line, "start");
    bool written = history_write(&worker.history, &line);
    while (written && worker.writes && history_now() < torture->until)
        act(&worker);
    worker_believe_all(&worker);
    writes_close(worker.writes);
    lh_store_close(worker.store); /* releases what it holds */
    for (size_t i = 0; i < HANDS; i++)
        lh_lease_free(worker.hand[i]);
    history_close(&worker.history);
    return written ? EXIT_DONE : EXIT_BUG;
}
