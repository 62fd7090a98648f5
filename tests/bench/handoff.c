/* SPDX-License-Identifier: Apache-2.0
 * What a hand-off costs, as `leasehold bench` measures it: from the start of a release to the
 * return of the waiter's acquire, between two processes and within one; beside a release that
 * nobody waits for, and beside what the server needs to tell of a change at all: from the start of
 * a raw write to its event in another process.
 *
 *     handoff URI [rounds]         (default: 300 of the raw writes) */
#include "bench.h"

static const char *uri;
static int rounds, told[2];

static void tell(double at)
{
    if (write(told[1], &at, sizeof at) != sizeof at)
        _exit(1);
}

static double hear(void)
{
    double at = 0;
    if (read(told[0], &at, sizeof at) != sizeof at)
        die("pipe", "the other process ended");
    return at;
}

/* The child tells of each event of a plain change stream. */
static void play_listener(void *arg, int i)
{
    (void)arg;
    mongoc_client_t *client = observer(uri);
    mongoc_collection_t *floor = mongoc_client_get_collection(client, DB, "floor");
    bson_t none = BSON_INITIALIZER;
    mongoc_change_stream_t *stream = mongoc_collection_watch(floor, &none, NULL);
    const bson_t *event;
    tell(now()); /* it is open */
    while (i < rounds)
        if (mongoc_change_stream_next(stream, &event)) {
            tell(now());
            i++;
        }
    mongoc_change_stream_destroy(stream);
    mongoc_collection_destroy(floor);
    mongoc_client_destroy(client);
}

static void bare_events(double *ms)
{
    pid_t child = start(play_listener, NULL, 0);
    mongoc_client_t *client = observer(uri);
    (void)hear();
    nap(500);
    for (int i = 0; i < rounds; i++) {
        double begin = now();
        (void)raw_write(client, i);
        ms[i] = hear() - begin;
        nap(5);
    }
    mongoc_client_destroy(client);
    (void)waitpid(child, NULL, 0);
}

/* The figures of a row, in milliseconds. */
static double median(struct bench *bench, enum bench_row row, const char *what)
{
    struct samples *samples = &bench->rows[row];
    return print(what, samples->ms, (int)samples->n);
}

static void check(const struct bench *bench, int code)
{
    if (code != LH_OK)
        die("handoff", bench->error.message);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "which URI?");
    uri = argv[1];
    rounds = number(argc, argv, 2, 300, 100000);
    double *ms = calloc((size_t)rounds, sizeof *ms), bare = 0;
    if (!ms || pipe(told) != 0)
        die(argv[0], "no memory");
    bool set = strstr(uri, "replicaSet=") != NULL;
    double begin = now();
    if (set) {
        bare_events(ms);
        bare = print("raw write, until its event is in another process", ms, rounds);
    }
    double lasts = set ? now() - begin : rounds * 20.0;
    struct bench bench = {.options = LH_STORE_OPTIONS_INIT, .error = LH_ERROR_INIT};
    bench.options.uri = uri;
    bench.options.db = DB;
    bench.options.collection = LOCKS;
    check(&bench, bench_partner_start(&bench));
    bench.store = open_store(uri);
    bench.floor = bench_floor_open(&bench.options, &bench.error);
    if (!bench.floor)
        die("handoff", bench.error.message);
    check(&bench, bench_single(&bench, lasts));
    check(&bench, bench_handoff(&bench, lasts));
    bench_partner_stop(&bench);
    double released = median(&bench, ROW_RELEASE, "release, nobody waits");
    double two = median(&bench, ROW_HANDOFF, "hand-off between two processes");
    double one = median(&bench, ROW_HANDOFF_LOCAL, "hand-off within a process");
    printf("hand-off / release: %.2f between two processes, %.2f within one\n", two / released,
           one / released);
    if (set)
        printf("hand-off between two processes / bare event: %.2f\n", two / bare);
    for (int row = 0; row < ROWS; row++)
        samples_free(&bench.rows[row]);
    bench_floor_close(bench.floor);
    lh_store_close(bench.store);
    free(ms);
    return 0;
}
