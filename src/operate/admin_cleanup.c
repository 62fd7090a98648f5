/* SPDX-License-Identifier: Apache-2.0
 * Removes dead holders, dead waiters and free keys, in batches. The cursor only proposes
 * candidates. Each write checks them again, by the server's clock. The server does not notice a
 * field that is stored twice, so documents with one are found before the write, and left alone. */
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/options.h"
#include "lease/lease.h"
#include "lease/lease_acquire.h"
#include "protocol/pipeline.h"
#include "protocol/twice.h"
#include "store/store.h"
#include "store/store_contact.h"
#include "store/store_run.h"

#define BATCH_MAX        1000
#define RETENTION_MIN_MS 1000
#define PATIENCE_MS      (24 * 3600 * INT64_C(1000))

/* Else a first grant that is believed could have an older token than the key had before. */
_Static_assert(RETENTION_MIN_MS >= LH_INSERT_BELIEVED_MS, "cleanup and acquire must agree");

typedef struct {
    bson_t ids;
    uint32_t n;
    uint64_t holders, waiters; /* the numbers in these documents, as read */
} batch;

typedef struct {
    lh_store *store;
    const lh_cleanup_options *options;
    lh_cleanup_report *report;
    lh_error *error;
    lh_vars vars;
    batch removable, dead;
    uint64_t looked_at;
    int outcome;
} cleaning;

static void batch_add(batch *b, const bson_iter_t *id)
{
    char index[16];
    const char *key;
    bson_uint32_to_string(b->n++, &key, index, sizeof index);
    BSON_APPEND_VALUE(&b->ids, key, bson_iter_value((bson_iter_t *)(uintptr_t)id));
}

static void batch_clear(batch *b)
{
    bson_reinit(&b->ids);
    b->n = 0;
    b->holders = b->waiters = 0;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int keep_readable(void *arg, const bson_t *document)
{
    batch *readable = arg;
    char problem[128];
    bson_iter_t id;
    if (bson_iter_init_find(&id, document, "_id") &&
        !lh_twice_find(document, problem, sizeof problem))
        batch_add(readable, &id);
    return 0;
}

/* Removes from the batch the documents in which a field is stored twice. */
static void sift(cleaning *c, batch *b)
{
    batch readable = {.n = 0};
    bson_init(&readable.ids);
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(c->store->collection), "filter", "{", "_id", "{", "$in",
                 BCON_ARRAY(&b->ids), "}", "}", "batchSize", BCON_INT32(BATCH_MAX));
    lh_call call = {.what = "read the documents to clean up",
                    .command = command,
                    .deadline = lh_store_deadline(c->store, 0),
                    .kind = LH_CALL_READ};
    c->outcome = lh_store_each(c->store, &call, keep_readable, &readable, c->error);
    bson_destroy(command);
    if (readable.n < b->n) {
        b->holders = lesser(b->holders, readable.n);
        b->waiters = lesser(b->waiters, readable.n);
    }
    b->n = readable.n;
    bson_destroy(&b->ids);
    (void)bson_steal(&b->ids, &readable.ids);
}

/* Writes one batch. *ret_changed: the number of documents that the server still judged so. */
static void write_batch(cleaning *c, batch *b, bool remove, uint64_t *ret_changed)
{
    bson_t command = BSON_INITIALIZER, reply;
    lh_assert(!c->options->dry_run && c->vars.judging && c->vars.ttl_ms >= RETENTION_MIN_MS);
    (remove ? lh_pipeline_remove_many : lh_pipeline_settle_many)(
        c->store->pipelines, c->store->collection, &c->vars, &b->ids, &command);
    lh_call call = {.what = remove ? "remove free keys" : "mark ended leases",
                    .command = &command,
                    .deadline = lh_store_deadline(c->store, 0)};
    c->outcome = lh_store_run(c->store, &call, &reply, NULL, c->error);
    bson_iter_t n;
    if (c->outcome == LH_OK && bson_iter_init_find(&n, &reply, remove ? "n" : "nModified"))
        *ret_changed = (uint64_t)bson_iter_as_int64(&n);
    bson_destroy(&command);
    bson_destroy(&reply);
}

static void flush(cleaning *c, batch *b, bool remove)
{
    if (b->n > 0 && c->outcome == LH_OK)
        sift(c, b);
    uint64_t changed = b->n;
    if (b->n == 0 || c->outcome != LH_OK)
        return;
    if (!c->options->dry_run) {
        changed = 0;
        write_batch(c, b, remove, &changed);
    }
    if (remove) {
        c->report->removed += changed;
    } else if (changed > 0) {
        c->report->holders_dropped += changed == b->n ? b->holders : lesser(b->holders, changed);
        c->report->waiters_dropped += changed == b->n ? b->waiters : lesser(b->waiters, changed);
    }
    batch_clear(b);
    if (c->outcome == LH_OK && c->options->progress &&
        c->options->progress(c->options->progress_arg, c->looked_at, c->report->removed) != 0)
        c->outcome = lh_fail(c->error, LH_STOPPED, "stopped by the caller");
}

static uint64_t number_of(const bson_t *judged, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, judged, field) ? (uint64_t)bson_iter_as_int64(&value) : 0;
}

static int take_one(void *arg, const bson_t *judged)
{
    cleaning *c = arg;
    bson_iter_t id, removable;
    c->looked_at++;
    if (!bson_iter_init_find(&id, judged, "_id") ||
        !bson_iter_init_find(&removable, judged, "removable"))
        return 0;
    uint64_t holders = number_of(judged, "dead_holders"),
             waiters = number_of(judged, "dead_waiters");
    if (bson_iter_as_bool(&removable)) {
        batch_add(&c->removable, &id);
    } else if (holders + waiters > 0) {
        batch_add(&c->dead, &id);
        c->dead.holders += holders;
        c->dead.waiters += waiters;
    }
    if (c->removable.n == BATCH_MAX)
        flush(c, &c->removable, true);
    if (c->dead.n == BATCH_MAX)
        flush(c, &c->dead, false);
    return c->outcome != LH_OK;
}

static int clean(cleaning *c)
{
    bson_t command = BSON_INITIALIZER;
    lh_pipeline_judge_all(c->store->pipelines, c->store->collection, &c->vars, &command);
    lh_call call = {.what = "look for dead holders and waiters",
                    .command = &command,
                    .deadline = lh_store_deadline(c->store, PATIENCE_MS),
                    .kind = LH_CALL_READ};
    lh_error mine = LH_ERROR_INIT;
    int outcome = lh_store_each(c->store, &call, take_one, c, &mine);
    bson_destroy(&command);
    if (outcome != LH_OK && c->outcome == LH_OK) {
        c->outcome = outcome;
        lh_error_give(c->error, &mine);
    }
    flush(c, &c->removable, true);
    flush(c, &c->dead, false);
    return c->outcome;
}

static int cleanup(lh_store *store, const lh_cleanup_options *options, lh_cleanup_report *report,
                   lh_error *error)
{
    lh_cleanup_options used;
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_cleanup_options_take(&used, options, error);
    if (outcome == LH_OK &&
        (used.older_than_ms < RETENTION_MIN_MS || used.older_than_ms > INT64_C(3153600000000)))
        outcome = lh_fail(error, LH_INVALID,
                          "older_than_ms is %lld: it must be 1,000 (a second) to a hundred years",
                          (long long)used.older_than_ms);
    if (outcome == LH_OK)
        outcome = lh_store_contact(store, lh_store_deadline(store, 0), error);
    if (outcome != LH_OK)
        return outcome;
    cleaning c = {.store = store,
                  .options = &used,
                  .report = report,
                  .error = error,
                  .vars = lh_lease_vars(store, "", "")};
    c.vars.ttl_ms = used.older_than_ms;
    c.vars.judging = true;
    bson_init(&c.removable.ids);
    bson_init(&c.dead.ids);
    outcome = clean(&c);
    bson_destroy(&c.removable.ids);
    bson_destroy(&c.dead.ids);
    return outcome;
}

int lh_cleanup(lh_store *store, const lh_cleanup_options *options, lh_cleanup_report *report,
               lh_error *error)
{
    lh_cleanup_report all = LH_CLEANUP_REPORT_INIT;
    int outcome = lh_cleanup_report_check(report, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = cleanup(store, options, &all, error);
    lh_cleanup_report_give(report, &all);
    return outcome;
}
