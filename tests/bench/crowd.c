/* SPDX-License-Identifier: Apache-2.0
 * Many waiters on one key, in a few processes with a store
 * each: what a busy acquire and a release that grants cost beside the floor, what a grant leaves in
 * the oplog, and what it wakes; once with a tenth of the waiters, once with all, so that it shows
 * what grows with them. Each waiter that is granted writes once to the floor, and releases.
 *
 *     crowd URI [waiters] [processes] [grants]         (default: 1000, 4, 100) */
#include "bench.h"

#include <poll.h>

#define KEY "crowd"

enum { PROCESSES_MAX = 64, GRANTS_MAX = 10000, BUSY = 100, PHASES = 2 };

static struct {
    /* allowed: how many may be passed on; wanted: how many are to queue */
    atomic_int queued, granted, allowed, wanted;
    atomic_bool enough;
    double released[GRANTS_MAX], floors[GRANTS_MAX];
    _Atomic int64_t switches[PROCESSES_MAX]; /* of its threads, as last told */
} * all;

static const char *uri;
static int n_waiters, n_processes, n_grants;

/* How often the library's threads of this process were woken. */
static int64_t switches(void)
{
    int64_t sum = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[300], line[128];
        bool ours = false;
        long long n;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f)) {
            ours |= strncmp(line, "Name:\tlh-", 9) == 0;
            if (ours && sscanf(line, "voluntary_ctxt_switches: %lld", &n) == 1)
                sum += n;
        }
        if (f)
            (void)fclose(f);
    }
    if (dir)
        (void)closedir(dir);
    return sum;
}

static void pass_on(mongoc_client_t *client, lh_lease *lease, int n)
{
    double begin = now();
    (void)raw_write(client, n);
    all->floors[n] = now() - begin;
    begin = now();
    release(lease);
    all->released[n] = now() - begin;
}

/* Queues its share, one after the other, and passes on what it is granted as soon as that is
 * allowed, in the order in which it queued. */
static void stand_in_line(void *arg, int me)
{
    (void)arg;
    mongoc_client_t *client = observer(uri);
    lh_store *store = open_store(uri);
    lh_waiting **waiting = calloc((size_t)n_waiters, sizeof(lh_waiting *));
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_lease *lease = NULL;
    int n = 0, head = 0, turn = 0;
    o.wait_ms = LH_FOREVER;
    o.ttl_ms = 600000;
    o.by_hand = true;
    while (!atomic_load(&all->enough)) {
        if (n < atomic_load(&all->wanted) / n_processes) {
            if (lh_acquire_start(store, KEY, &o, &waiting[n++], &error) != LH_OK)
                die("start", error.message);
            atomic_fetch_add(&all->queued, 1);
            continue;
        }
        if (lease && atomic_load(&all->allowed) > turn) {
            pass_on(client, lease, turn);
            lease = NULL;
        }
        struct pollfd told = {.fd = !lease && head < n ? lh_waiting_fd(waiting[head]) : -1,
                              .events = POLLIN};
        if (poll(&told, 1, 5) <= 0) {
            atomic_store(&all->switches[me], switches());
            continue;
        }
        if (lh_waiting_finish(waiting[head++], &lease, NULL, &error) != LH_OK)
            die("finish", error.message);
        turn = atomic_fetch_add(&all->granted, 1);
    }
    _exit(0); /* the database goes with all that waits */
}

static int64_t sum_of_switches(void)
{
    int64_t sum = 0;
    nap(100); /* until all have told */
    for (int i = 0; i < n_processes; i++)
        sum += atomic_load(&all->switches[i]);
    return sum;
}

/* Of the oplog's entries of the collection since `from`: how many, and their bytes; of those that
 * grant, or of all others. */
static void oplog(mongoc_client_t *client, const bson_value_t *from, bool grants, double *ret_bytes,
                  int64_t *ret_n)
{
    bson_t reply;
    *ret_bytes = 0;
    *ret_n = 0;
    if (command(client, "local",
                BCON_NEW("aggregate", "oplog.rs", "pipeline", "[", "{", "$match", "{", "ts", "{",
                         "$gt",
                         BCON_TIMESTAMP((int32_t)from->value.v_timestamp.timestamp,
                                        (int32_t)from->value.v_timestamp.increment),
                         "}", "ns", DB "." LOCKS, "o.diff.u.id", "{", "$exists", BCON_BOOL(grants),
                         "}", "}", "}", "{", "$group", "{", "_id", BCON_NULL, "n", "{", "$sum",
                         BCON_INT32(1), "}", "bytes", "{", "$sum", "{", "$bsonSize", "$$ROOT", "}",
                         "}", "}", "}", "]", "cursor", "{", "}"),
                &reply)) {
        *ret_bytes = (double)number_at(&reply, "cursor.firstBatch.0.bytes");
        *ret_n = number_at(&reply, "cursor.firstBatch.0.n");
    }
    bson_destroy(&reply);
}

/* The last entry of the oplog; false where there is none. */
static bool oplog_end(mongoc_client_t *client, bson_value_t *ret_at)
{
    bson_t reply;
    bson_iter_t top, at;
    bool good = command(client, "local",
                        BCON_NEW("find", "oplog.rs", "sort", "{", "$natural", BCON_INT32(-1), "}",
                                 "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true)),
                        &reply) &&
                bson_iter_init(&top, &reply) &&
                bson_iter_find_descendant(&top, "cursor.firstBatch.0.ts", &at);
    if (good)
        bson_value_copy(bson_iter_value(&at), ret_at);
    bson_destroy(&reply);
    return good;
}

static void measure_busy(mongoc_client_t *client, lh_store *store, int waiters)
{
    double busy[BUSY], floors[BUSY];
    lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
    for (int i = 0; i < BUSY; i++) {
        lh_lease *lease = NULL;
        double begin = now();
        (void)raw_write(client, -1 - i);
        floors[i] = now() - begin;
        begin = now();
        if (lh_acquire(store, KEY, &o, &lease, NULL, NULL) != LH_BUSY)
            die("busy", "it was granted, past the queue");
        busy[i] = now() - begin;
    }
    double floor = print("floor beside the busy ones", floors, BUSY),
           ms = print("acquire, told busy", busy, BUSY);
    printf("%d waiters: busy / floor: %.2f\n", waiters, ms / floor);
}

static void measure_grants(mongoc_client_t *client, int waiters)
{
    bson_value_t from;
    bool set = oplog_end(client, &from);
    int first = atomic_load(&all->allowed), end = first + n_grants;
    int64_t woken = sum_of_switches(), n;
    served before = served_so_far(client);
    double begin = now(), bytes;
    atomic_store(&all->allowed, end);
    while (atomic_load(&all->granted) <= end) /* the next one holds on */
        nap(1);
    double seconds = (now() - begin) / 1000;
    served after = served_so_far(client);
    woken = sum_of_switches() - woken;
    double floor = print("floor beside the releases", &all->floors[first], n_grants);
    double ms = print("release that grants", &all->released[first], n_grants);
    printf("%d waiters: release with grant / floor: %.2f; %.0f grants/s\n", waiters, ms / floor,
           n_grants / seconds);
    printf("%d waiters: wake-ups of the library's threads a grant, in all %d stores: %.1f; writes "
           "%.1f, reads %.1f a "
           "grant\n",
           waiters, n_processes, (double)woken / n_grants,
           (double)(after.writes - before.writes) / n_grants,
           (double)(after.reads - before.reads) / n_grants);
    (void)fflush(stdout);
    if (!set)
        return;
    oplog(client, &from, true, &bytes, &n);
    printf("%d waiters: oplog bytes of a release that grants: %.0f (%lld of them)\n", waiters,
           n ? bytes / (double)n : 0, (long long)n);
    oplog(client, &from, false, &bytes, &n);
    printf("%d waiters: oplog bytes a second of all else (beats and claims): %.0f (%lld entries)\n",
           waiters, bytes / seconds, (long long)n);
    bson_value_destroy(&from);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "which URI?");
    uri = argv[1];
    n_waiters = number(argc, argv, 2, 1000, 10000);
    n_processes = number(argc, argv, 3, 4, PROCESSES_MAX);
    n_grants = number(argc, argv, 4, 100, GRANTS_MAX / PHASES - 2);
    if (n_waiters / 10 < n_processes || n_waiters < PHASES * (n_grants + 1))
        die(argv[0], "there are too few waiters for so many processes and grants");
    all = shared(sizeof *all);
    mongoc_client_t *client = observer(uri);
    drop(client);
    lh_store *store = open_store(uri);
    lh_lease *lease = acquire(store, KEY, LH_EXCLUSIVE);
    pid_t children[PROCESSES_MAX];
    for (int i = 0; i < n_processes; i++)
        children[i] = start(stand_in_line, NULL, i);
    for (int phase = 0; phase < PHASES; phase++) {
        int gone = atomic_load(&all->granted), waiters = phase == 0 ? n_waiters / 10 : n_waiters;
        double begin = now();
        int wanted = (gone + waiters) / n_processes * n_processes, had = atomic_load(&all->queued);
        atomic_store(&all->wanted, wanted);
        while (atomic_load(&all->queued) < wanted)
            nap(1);
        printf("%d queued in %.1f s, %.2f ms each\n", wanted - had, (now() - begin) / 1000,
               (now() - begin) / (wanted - had) * n_processes);
        (void)fflush(stdout);
        measure_busy(client, store, waiters);
        if (lease)
            release(lease);
        lease = NULL;
        if (n_grants < waiters)
            measure_grants(client, waiters);
    }
    atomic_store(&all->enough, true);
    for (int i = 0; i < n_processes; i++) {
        (void)kill(children[i], SIGKILL); /* one holds on */
        (void)waitpid(children[i], NULL, 0);
    }
    drop(client);
    lh_store_close(store);
    mongoc_client_destroy(client);
    return 0;
}
