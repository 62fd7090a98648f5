/* SPDX-License-Identifier: Apache-2.0
 * leasehold bench: samples, and their output: a table with a histogram for users, an object for
 * programs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "common/json.h"

enum { BARS = 24 };

static const struct {
    const char *name, *words;
} rows[ROWS] = {
    [ROW_PING] = {"ping", "ping"},
    [ROW_FLOOR] = {"floor", "plain upsert (floor)"},
    [ROW_ACQUIRE] = {"acquire", "acquire"},
    [ROW_RENEW] = {"renew", "renew"},
    [ROW_RELEASE] = {"release", "release"},
    [ROW_BUSY] = {"busy", "acquire of a held key"},
    [ROW_STATUS] = {"status", "status"},
    [ROW_LIST] = {"list", "list of 34 keys"},
    [ROW_HANDOFF] = {"handoff", "hand-off, two processes"},
    [ROW_HANDOFF_LOCAL] = {"handoff_local", "hand-off, one process"},
};

double bench_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

void samples_add(struct samples *samples, double ms)
{
    if (samples->n == samples->room) {
        size_t room = samples->room ? samples->room * 2 : 1024;
        double *more = realloc(samples->ms, room * sizeof *more);
        if (!more)
            return;
        samples->ms = more;
        samples->room = room;
    }
    samples->ms[samples->n++] = ms;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

void samples_sort(struct samples *samples)
{
    if (samples->n > 0)
        qsort(samples->ms, samples->n, sizeof *samples->ms, by_size);
}

double samples_at(const struct samples *samples, double part)
{
    if (samples->n == 0)
        return 0;
    size_t i = (size_t)(part * (double)samples->n);
    return samples->ms[i < samples->n ? i : samples->n - 1];
}

void samples_free(struct samples *samples)
{
    free(samples->ms);
    *samples = (struct samples){0};
}

/* ---- For people ---- */

/* The axis, the same for all rows: from a power of ten below the least to one above nearly all. */
typedef struct {
    double from, to; /* log10 of milliseconds */
} axis;

static axis choose_axis(const struct bench *bench)
{
    axis a = {HUGE_VAL, -HUGE_VAL};
    for (int row = 0; row < ROWS; row++) {
        const struct samples *s = &bench->rows[row];
        if (s->n == 0)
            continue;
        a.from = fmin(a.from, floor(log10(samples_at(s, 0.01))));
        a.to = fmax(a.to, ceil(log10(samples_at(s, 0.99))));
    }
    return a;
}

static void print_bars(const struct samples *samples, axis a)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned counts[BARS] = {0}, most = 1;
    for (size_t i = 0; i < samples->n; i++) {
        double at = (log10(samples->ms[i]) - a.from) / (a.to - a.from) * BARS;
        int bar = at < 0 ? 0 : at >= BARS ? BARS - 1 : (int)at;
        if (++counts[bar] > most)
            most = counts[bar];
    }
    for (int i = 0; i < BARS; i++)
        fputs(blocks[counts[i] ? 1 + counts[i] * 7 / most : 0], stdout);
}

static void print_rows(const struct bench *bench)
{
    const struct samples *unit = &bench->rows[ROW_FLOOR];
    axis a = choose_axis(bench);
    char from[16], to[16];
    (void)snprintf(from, sizeof from, "%g ms", pow(10, a.from));
    (void)snprintf(to, sizeof to, "%g ms", pow(10, a.to));
    printf("%-26s%9s%9s%9s%9s%8s  %-*s%s\n", "milliseconds", "p50", "p90", "p99", "x floor", "n",
           BARS - (int)strlen(to), from, to);
    for (int row = 0; row < ROWS; row++) {
        const struct samples *s = &bench->rows[row];
        if (s->n == 0)
            continue;
        printf("%-26s%9.3f%9.3f%9.3f", rows[row].words, samples_at(s, 0.5), samples_at(s, 0.9),
               samples_at(s, 0.99));
        if (unit->n > 0)
            printf("%9.2f", samples_at(s, 0.5) / samples_at(unit, 0.5));
        else
            printf("%9s", "");
        printf("%8zu  ", s->n);
        print_bars(s, a);
        putchar('\n');
    }
}

static double load_ratio(const struct bench_load *load)
{
    return load->floor_per_s > 0 ? load->cycles_per_s / (load->floor_per_s / 2) : 0;
}

static double hot_fairness(const struct bench_hot *hot)
{
    return hot->most > 0 ? (double)hot->fewest / hot->most : 0;
}

static void print_text(const struct bench *bench)
{
    bool any_row = false, any_load = false;
    for (int row = 0; row < ROWS; row++)
        any_row |= bench->rows[row].n > 0;
    if (any_row)
        print_rows(bench);
    for (int i = 0; i < LOADS; i++) {
        const struct bench_load *load = &bench->loads[i];
        if (load->threads == 0)
            continue;
        if (!any_load)
            printf("%s%-26s%18s%18s%9s\n", any_row ? "\n" : "", "threads, a key each",
                   "acquire+release/s", "plain upserts/s", "ratio");
        any_load = true;
        printf("%-26d%18.0f%18.0f%9.2f\n", load->threads, load->cycles_per_s, load->floor_per_s,
               load_ratio(load));
    }
    if (any_load)
        puts("ratio: cycles of two writes to half as many upserts; 1 is the floor");
    if (bench->hot.clients > 0)
        printf("%s%d clients on one key: %.0f grants a second; the least for one client was %u, "
               "the most %u (%.2f)\n",
               any_row || any_load ? "\n" : "", bench->hot.clients, bench->hot.grants_per_s,
               bench->hot.fewest, bench->hot.most, hot_fairness(&bench->hot));
}

/* ---- For programs ---- */

static void append_number(bson_t *json, const char *name, double value)
{
    BSON_APPEND_DOUBLE(json, name, round(value * 1000) / 1000);
}

static void append_rows(const struct bench *bench, bson_t *json)
{
    for (int row = 0; row < ROWS; row++) {
        const struct samples *s = &bench->rows[row];
        bson_t object;
        if (s->n == 0)
            continue;
        BSON_APPEND_DOCUMENT_BEGIN(json, rows[row].name, &object);
        append_number(&object, "p50_ms", samples_at(s, 0.5));
        append_number(&object, "p90_ms", samples_at(s, 0.9));
        append_number(&object, "p99_ms", samples_at(s, 0.99));
        BSON_APPEND_INT64(&object, "n", (int64_t)s->n);
        if (bench->rows[ROW_FLOOR].n > 0)
            append_number(&object, "floor_ratio",
                          samples_at(s, 0.5) / samples_at(&bench->rows[ROW_FLOOR], 0.5));
        bson_append_document_end(json, &object);
    }
}

static void append_loads(const struct bench *bench, bson_t *json)
{
    bson_t array, object;
    if (bench->loads[0].threads == 0)
        return;
    BSON_APPEND_ARRAY_BEGIN(json, "threads", &array);
    for (uint32_t i = 0; i < LOADS; i++) {
        const struct bench_load *load = &bench->loads[i];
        json_item_begin(&array, i, &object);
        BSON_APPEND_INT32(&object, "threads", load->threads);
        append_number(&object, "cycles_per_s", load->cycles_per_s);
        append_number(&object, "floor_per_s", load->floor_per_s);
        append_number(&object, "ratio", load_ratio(load));
        bson_append_document_end(&array, &object);
    }
    bson_append_array_end(json, &array);
}

static void print_json(const struct bench *bench)
{
    bson_t json, object;
    json_init(&json, "ok");
    append_rows(bench, &json);
    append_loads(bench, &json);
    if (bench->hot.clients > 0) {
        BSON_APPEND_DOCUMENT_BEGIN(&json, "hot", &object);
        BSON_APPEND_INT32(&object, "clients", bench->hot.clients);
        append_number(&object, "grants_per_s", bench->hot.grants_per_s);
        BSON_APPEND_INT64(&object, "fewest", bench->hot.fewest);
        BSON_APPEND_INT64(&object, "most", bench->hot.most);
        append_number(&object, "fairness", hot_fairness(&bench->hot));
        bson_append_document_end(&json, &object);
    }
    json_print(&json);
}

void bench_print(struct bench *bench)
{
    for (int row = 0; row < ROWS; row++)
        samples_sort(&bench->rows[row]);
    if (bench->out->json)
        print_json(bench);
    else
        print_text(bench);
}
