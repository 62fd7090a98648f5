/* SPDX-License-Identifier: Apache-2.0
 * Processes that compete for keys, each with a store of its
 * own.
 *
 *     contest URI hot [processes] [seconds]      one key, acquire and release: grants a second
 *     contest URI mixed [processes] [seconds]    five keys, shared and exclusive: the waits
 *     contest URI crowd [processes]              five waiters in each: order of grants, wake-ups
 *     contest URI kills [processes] [seconds]    three keys; kills holders, waiters, cursors of
 *                                                the watchers; that the others go on
 *
 * Defaults: 16, 20, 20 and 20 processes, 10 seconds. */
#include "bench.h"

enum { PROCESSES_MAX = 200, GRANTS_MAX = 200000, KEYS = 5, CROWD = 5 };

typedef struct {
    atomic_int n, slow;
    double longest, waited;
    double last;
} tally;

static struct {
    atomic_bool open, enough;
    atomic_int ready, turn, n_grants, inside[KEYS], readers[KEYS], doubles;
    tally tallies[PROCESSES_MAX];
    int order[GRANTS_MAX];
} * all;

static const char *uri;
static int n_processes, seconds;
static double pauses; /* of the work, in milliseconds */
static int n_keys;

static void key_of(int i, char *key, size_t size)
{
    (void)snprintf(key, size, "key:%d", i);
}

/* Does the work of a grant, and sees whether anybody is there who must not be. */
static void work(int key, int mode)
{
    bool alone = mode == LH_EXCLUSIVE;
    int others = alone ? atomic_fetch_add(&all->inside[key], 1) : atomic_load(&all->inside[key]);
    if (others > 0 || (alone && atomic_load(&all->readers[key]) > 0))
        atomic_fetch_add(&all->doubles, 1);
    if (!alone)
        atomic_fetch_add(&all->readers[key], 1);
    nap(pauses);
    atomic_fetch_sub(alone ? &all->inside[key] : &all->readers[key], 1);
}

static void compete(void *arg, int me)
{
    (void)arg;
    tally *mine = &all->tallies[me];
    lh_store *store = open_store(uri);
    unsigned dice = (unsigned)(me * 7919 + getpid());
    atomic_fetch_add(&all->ready, 1);
    while (!atomic_load(&all->open))
        nap(1);
    while (!atomic_load(&all->enough)) {
        int which = rand_r(&dice) % n_keys;
        int mode = n_keys > 1 && rand_r(&dice) % 2 ? LH_SHARED : LH_EXCLUSIVE;
        char key[32];
        key_of(which, key, sizeof key);
        double begin = now();
        lh_lease *lease = acquire(store, key, mode);
        double waited = now() - begin;
        if (lh_lease_valid(lease))
            work(which, mode);
        release(lease);
        atomic_fetch_add(&mine->n, 1);
        atomic_fetch_add(&mine->slow, waited > 5000);
        mine->waited += waited;
        mine->longest = waited > mine->longest ? waited : mine->longest;
        mine->last = now();
    }
    lh_store_close(store);
}

static void begin_all(pid_t *pids)
{
    for (int i = 0; i < n_processes; i++)
        pids[i] = start(compete, NULL, i);
    while (atomic_load(&all->ready) < n_processes)
        nap(5);
    atomic_store(&all->open, true);
}

static void report(void)
{
    int total = 0, fewest = INT32_MAX, most = 0, slow = 0;
    double waited = 0, longest = 0;
    for (int i = 0; i < n_processes; i++) {
        tally *t = &all->tallies[i];
        total += t->n;
        slow += t->slow;
        waited += t->waited;
        fewest = t->n < fewest ? t->n : fewest;
        most = t->n > most ? t->n : most;
        longest = t->longest > longest ? t->longest : longest;
    }
    printf("%d processes, %d keys, %d s: %.0f grants/s, %d fewest, %d most of a process (%.2f)\n",
           n_processes, n_keys, seconds, (double)total / seconds, fewest, most,
           (double)fewest / most);
    printf("waits: %.0f ms mean, %.0f ms longest, %.2f %% within 5 s; %d overlaps\n",
           waited / total, longest, 100.0 * (total - slow) / total, atomic_load(&all->doubles));
}

static void hot_or_mixed(int keys, double pause_ms)
{
    pid_t pids[PROCESSES_MAX];
    n_keys = keys;
    pauses = pause_ms;
    begin_all(pids);
    nap(seconds * 1000.0);
    atomic_store(&all->enough, true);
    for (int i = 0; i < n_processes; i++)
        (void)waitpid(pids[i], NULL, 0);
    report();
}

/* ---- A crowd: the order, and what a release costs the others ----------------------------------*/

/* Each of the process's waiters begins when all before it, of all processes, are queued. */
static void queue_up(void *arg, int me)
{
    (void)arg;
    lh_store *store = open_store(uri);
    lh_waiting *waiting[CROWD];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    o.wait_ms = LH_FOREVER;
    atomic_fetch_add(&all->ready, 1);
    for (int i = 0; i < CROWD; i++) {
        while (atomic_load(&all->turn) != i * n_processes + me)
            nap(1);
        if (lh_acquire_start(store, "crowd", &o, &waiting[i], &error) != LH_OK)
            die("start", error.message);
        atomic_fetch_add(&all->turn, 1);
    }
    while (!atomic_load(&all->open))
        nap(1);
    for (int i = 0; i < CROWD; i++) {
        lh_lease *lease = NULL;
        if (lh_waiting_finish(waiting[i], &lease, NULL, &error) != LH_OK)
            die("finish", error.message);
        all->order[atomic_fetch_add(&all->n_grants, 1)] = i * n_processes + me;
        nap(20); /* so that what a release wakes is seen apart */
        release(lease);
    }
    lh_store_close(store);
}

static void crowd(mongoc_client_t *client)
{
    pid_t pids[PROCESSES_MAX];
    int n = n_processes * CROWD, wrong = 0;
    atomic_store(&all->turn, -1); /* nobody's turn yet */
    for (int i = 0; i < n_processes; i++)
        pids[i] = start(queue_up, NULL, i);
    lh_store *store = open_store(uri);
    lh_lease *lease = acquire(store, "crowd", LH_EXCLUSIVE);
    atomic_store(&all->turn, 0);
    while (atomic_load(&all->turn) < n)
        nap(5);
    nap(1000);
    served from = served_so_far(client);
    double begin = now();
    nap(5000);
    served still = served_so_far(client);
    double quiet = now() - begin;
    begin = now();
    atomic_store(&all->open, true);
    release(lease);
    while (atomic_load(&all->n_grants) < n)
        nap(1);
    double took = now() - begin;
    served to = served_so_far(client);
    for (int i = 0; i < n; i++)
        wrong += all->order[i] != i;
    for (int i = 0; i < n_processes; i++)
        (void)waitpid(pids[i], NULL, 0);
    /* A grant is a release and a claim: two writes. What is above that, and above the beats of the
     * quiet time, was woken. */
    double beats = (double)(still.writes - from.writes) / quiet * took;
    double reads = (double)(still.reads - from.reads) / quiet * took;
    printf("%d waiters of %d processes: %d granted out of order\n", n, n_processes, wrong);
    printf("a grant: %.1f writes (release, claim, and a beat's share), %.1f reads and getMores "
           "besides the %.1f and %.1f "
           "of mere waiting\n",
           ((double)(to.writes - still.writes) - beats) / n,
           ((double)(to.reads - still.reads) - reads) / n, beats / n, reads / n);
    lh_store_close(store);
}

/* ---- Kills ------------------------------------------------------------------------------------*/

static int kill_cursors(mongoc_client_t *client)
{
    int killed = 0;
    bson_t reply;
    bson_iter_t top, batch, one, entry, id;
    if (command(client, "admin",
                BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$currentOp", "{",
                         "idleCursors", BCON_BOOL(true), "allUsers", BCON_BOOL(true), "}", "}", "{",
                         "$match", "{", "cursor.originatingCommand.aggregate", LOCKS,
                         "cursor.tailable", BCON_BOOL(true), "}", "}", "]", "cursor", "{", "}"),
                &reply) &&
        bson_iter_init(&top, &reply) &&
        bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) &&
        bson_iter_recurse(&batch, &one))
        while (bson_iter_next(&one))
            if (bson_iter_recurse(&one, &entry) &&
                bson_iter_find_descendant(&entry, "cursor.cursorId", &id))
                killed += command(client, DB,
                                  BCON_NEW("killCursors", LOCKS, "cursors", "[",
                                           BCON_INT64(bson_iter_as_int64(&id)), "]"),
                                  NULL);
    bson_destroy(&reply);
    return killed;
}

static void kills(mongoc_client_t *client)
{
    pid_t pids[PROCESSES_MAX];
    int killed = 0, cursors = 0, stuck = 0;
    n_keys = 3;
    pauses = 3;
    begin_all(pids);
    double until = now() + seconds * 1000.0;
    while (now() < until) {
        nap(500);
        cursors += kill_cursors(client);
        if (killed < n_processes / 2) /* somebody: a holder or a waiter, at random */
            (void)kill(pids[killed++], SIGKILL);
    }
    nap(35000); /* a killed holder's ttl is 30 s */
    double then = now();
    do {
        nap(100);
        stuck = 0;
        for (int i = killed; i < n_processes; i++)
            stuck += all->tallies[i].last < then;
    } while (stuck > 0 && now() < then + 20000);
    atomic_store(&all->enough, true);
    for (int i = 0; i < n_processes; i++)
        (void)waitpid(pids[i], NULL, 0);
    printf("killed %d of %d processes and %d cursors; of the others %d did not go on\n", killed,
           n_processes, cursors, stuck);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die(argv[0], "which URI, and what?");
    const char *what = argv[2];
    uri = argv[1];
    n_processes = number(argc, argv, 3, strcmp(what, "hot") == 0 ? 16 : 20, PROCESSES_MAX);
    seconds = number(argc, argv, 4, 10, 3600);
    all = shared(sizeof *all);
    mongoc_client_t *client = observer(uri);
    drop(client);
    lh_store_close(open_store(uri)); /* makes the index */
    if (strcmp(what, "hot") == 0)
        hot_or_mixed(1, 0);
    else if (strcmp(what, "mixed") == 0)
        hot_or_mixed(KEYS, 5);
    else if (strcmp(what, "crowd") == 0)
        crowd(client);
    else if (strcmp(what, "kills") == 0)
        kills(client);
    else
        die(argv[0], "hot, mixed, crowd or kills?");
    drop(client);
    mongoc_client_destroy(client);
    return 0;
}
