/* SPDX-License-Identifier: Apache-2.0
 * lh_migrate(): the steps from whatever is there to the unique index. It makes invariant 9 (one document per key) true on
 * collections that older code filled; that grants wait for the index is index.c's.
 *
 *   look ── there ─────────────────────────────────────────────────────────────────────────────────────────▶ done
 *    │ no
 *   create the unique index ── works ──────────────────────────────────────────────────────────────────────▶ done
 *    │ duplicates, or an interrupted run's index
 *   take the migration lease, or wait and look again
 *   create a plain index of that name ─▶ prepareUnique ─▶ dedupe ─▶ make it unique ── works ───────────────▶ done
 *                                                            ▲            │ duplicates left
 *                                                            └────────────┘
 * Every step may be repeated, and each begins from what the server says is there, never from what we remember: a run that
 * was killed anywhere is resumed by the next one, and one that lost the ground under it (LH_LOST) looks again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "clock.h"
#include "migrate.h"

#define STRIKES        8 /* failures in a row that a new look may mend: elections, an index that somebody else drops */
#define IDLE_ROUNDS    5
#define PAUSE_FIRST_MS 20
#define PAUSE_CAP_MS   1000

const char *lh_index_word(int index)
{
    static const char *const words[] = {"present", "created", "converted", "missing"};
    return index >= 0 && index < 4 ? words[index] : "missing";
}

int64_t lh_migrate_until(const lh_migration *m)
{
    int64_t until = lh_store_deadline(m->store, 0);
    return until < m->deadline ? until : m->deadline;
}

int lh_migrate_progress(const lh_migration *m, const char *step, uint64_t done, uint64_t total, lh_error *error)
{
    if (lh_clock_ms() >= m->deadline)
        return lh_fail(error, LH_UNREACHABLE, "out of time during the step \"%s\": call again, it resumes", step);
    if (m->options->progress && m->options->progress(m->options->arg, step, done, total) != 0)
        return lh_fail(error, LH_STOPPED, "stopped during the step \"%s\": call again, it resumes", step);
    return LH_OK;
}

int lh_migrate_fail_bad_keys(const lh_migration *m, lh_error *error)
{
    return lh_fail(
        error, LH_CONFIG,
        "%llu documents of %s.%s have a workspace_id that is no string (one has the _id %s) and stand in the way of "
        "the unique index: mend them, or run `leasehold migrate --yes --quarantine`, which moves them to %s",
        (unsigned long long)m->bad_keys, m->store->db, m->store->collection, m->bad_example, m->archive);
}

static int fail_duplicates(const lh_migration *m, const lh_walk *walk, lh_error *error)
{
    return lh_fail(error, LH_CONFIG, "%llu keys of %s.%s have %llu documents too many: run `leasehold migrate --yes`",
                   (unsigned long long)walk->duplicate_keys, m->store->db, m->store->collection,
                   (unsigned long long)walk->losers);
}

/* Sleeps between two attempts, not beyond the deadline. */
static void pause_for(const lh_migration *m, lh_backoff *pause)
{
    int64_t ms = lh_backoff_next(pause), left = m->deadline - lh_clock_ms();
    lh_clock_sleep(ms < left ? ms : left);
}

/* Looks and tells, and changes nothing. */
static int dry_run(lh_migration *m, lh_index_state state, lh_error *error)
{
    lh_walk walk;
    if (state == LH_INDEX_STATE_NO_COLLECTION)
        return LH_OK;
    lh_migrate_count(m);
    int outcome = lh_migrate_survey(m, state == LH_INDEX_STATE_PLAIN, true, &walk, error);
    m->report->duplicate_keys = walk.duplicate_keys;
    m->report->removed = walk.losers;
    return outcome;
}

/* The unique index was just put on a collection with documents: none can be in excess, but some may be malformed. */
static int after_creation(lh_migration *m, lh_error *error)
{
    lh_walk walk;
    lh_error mine;
    lh_migrate_count(m);
    if (m->total == 0)
        return LH_OK;
    if (m->options->quarantine && m->options->remove)
        return lh_migrate_dedupe(m, &walk, error);
    int outcome = lh_migrate_survey(m, true, false, &walk, &mine);
    if (outcome == LH_STOPPED || outcome == LH_MEMORY) {
        if (error)
            *error = mine;
        return outcome;
    }
    return LH_OK; /* the index is there, that is what counts */
}

/* Nothing may be removed: says what stands in the way. LH_OK: nothing does (any more). */
static int refuse(lh_migration *m, lh_index_state state, lh_error *error)
{
    lh_walk walk;
    lh_migrate_count(m);
    int outcome = lh_migrate_survey(m, state == LH_INDEX_STATE_PLAIN, false, &walk, error);
    m->report->duplicate_keys = walk.duplicate_keys;
    if (outcome == LH_OK && walk.duplicate_keys > 0)
        outcome = fail_duplicates(m, &walk, error);
    return outcome;
}

/* Dedupes and converts until the server agrees. */
static int convert(lh_migration *m, lh_error *error)
{
    lh_backoff pause = lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms());
    for (int idle = 0; idle < IDLE_ROUNDS;) {
        lh_walk walk = {0};
        bool done = false;
        int outcome = LH_OK;
        if (m->options->remove)
            outcome = lh_migrate_dedupe(m, &walk, error);
        m->report->duplicate_keys += walk.duplicate_keys;
        if (outcome == LH_OK && m->options->remove && !m->options->no_archive)
            outcome = lh_migrate_settle(m, error);
        if (outcome == LH_OK)
            outcome = lh_migrate_lease_keep(m, error);
        if (outcome == LH_OK)
            outcome = lh_migrate_progress(m, "convert", m->report->scanned, m->total, error);
        if (outcome == LH_OK)
            outcome = lh_migrate_convert(m, &done, error);
        if (outcome != LH_OK || done)
            return outcome;
        if (walk.removed > 0)
            continue;
        if (walk.left == 0 && m->bad_keys > 0)
            return lh_migrate_fail_bad_keys(m, error);
        idle += walk.left == 0;
        pause_for(m, &pause);
    }
    return lh_fail(error, LH_LOST, "the server still finds duplicates in %s.%s, and we do not", m->store->db,
                   m->store->collection);
}

/* Under the migration lease. *ret_index: LH_INDEX_… */
static int work(lh_migration *m, int *ret_index, lh_error *error)
{
    lh_index_state state;
    int outcome = lh_migrate_look(m, &state, error); /* it may have been done while we waited for the lease */
    if (outcome != LH_OK)
        return outcome;
    *ret_index = LH_INDEX_PRESENT;
    if (state == LH_INDEX_STATE_RIGHT)
        return LH_OK;
    lh_migrate_count(m);
    if (state != LH_INDEX_STATE_PLAIN) {
        bool there = false;
        outcome = lh_migrate_progress(m, "index", 0, m->total, error);
        if (outcome == LH_OK)
            outcome = lh_migrate_create(m, false, &there, error);
    }
    if (outcome == LH_OK)
        outcome = lh_migrate_lease_keep(m, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_prepare(m, error);
    if (outcome == LH_OK)
        outcome = convert(m, error);
    if (outcome == LH_OK)
        *ret_index = LH_INDEX_CONVERTED;
    return outcome;
}

/* The unique index at once. *ret_blocked: duplicates are in the way. */
static int create_at_once(lh_migration *m, lh_index_state state, int *ret_index, bool *ret_blocked, lh_error *error)
{
    lh_error mine = {0};
    bool there = false;
    int outcome = lh_migrate_check_kind(m, &mine);
    if (outcome == LH_OK)
        outcome = lh_migrate_progress(m, "index", 0, 0, &mine);
    if (outcome == LH_OK)
        outcome = lh_migrate_create(m, true, &there, &mine);
    *ret_blocked = outcome == LH_SERVER && mine.server_code == LH_CODE_DUPLICATE_KEY;
    if (*ret_blocked)
        return LH_OK;
    if (outcome != LH_OK) {
        if (error)
            *error = mine;
        return outcome;
    }
    *ret_index = there ? LH_INDEX_PRESENT : LH_INDEX_CREATED;
    return !there && state == LH_INDEX_STATE_NONE ? after_creation(m, error) : LH_OK;
}

/* Duplicates, or an index that is not unique yet. LH_LOST: look again; LH_BUSY: likewise, another process is at work. */
static int resolve(lh_migration *m, lh_index_state state, bool *checked, int *ret_index, lh_backoff *pause,
                   lh_error *error)
{
    int outcome = LH_OK;
    if (!m->options->remove && !*checked) { /* while waiting it need not be looked at again */
        outcome = refuse(m, state, error);
        if (outcome == LH_OK && state != LH_INDEX_STATE_PLAIN)
            return m->bad_keys > 0 ? lh_migrate_fail_bad_keys(m, error)
                                   : lh_fail(error, LH_LOST, "the duplicates are gone");
        *checked = true;
    }
    if (outcome == LH_OK)
        outcome = lh_migrate_lease_ask(m, error);
    if (outcome == LH_OK && !m->held) {
        int64_t from = lh_clock_ms();
        outcome = lh_migrate_progress(m, "wait", m->report->waited_ms, 0, error);
        if (outcome == LH_OK)
            pause_for(m, pause);
        m->report->waited_ms += (uint64_t)(lh_clock_ms() - from);
        return outcome == LH_OK ? lh_fail(error, LH_BUSY, "another process is migrating") : outcome;
    }
    if (outcome == LH_OK)
        outcome = work(m, ret_index, error);
    lh_migrate_lease_release(m);
    return outcome;
}

/* One round of the diagram above. LH_LOST and LH_BUSY: another one. */
static int round_trip(lh_migration *m, bool *blocked, bool *checked, lh_backoff *pause, int *ret_index, lh_error *error)
{
    lh_index_state state;
    int outcome = lh_migrate_look(m, &state, error);
    if (outcome != LH_OK)
        return outcome;
    *ret_index = LH_INDEX_PRESENT;
    if (state == LH_INDEX_STATE_RIGHT)
        return LH_OK;
    if (m->options->dry_run) {
        *ret_index = LH_INDEX_MISSING;
        outcome = lh_migrate_check_kind(m, error);
        return outcome == LH_OK ? dry_run(m, state, error) : outcome;
    }
    if (state != LH_INDEX_STATE_PLAIN && !*blocked) {
        outcome = create_at_once(m, state, ret_index, blocked, error);
        if (outcome != LH_OK || !*blocked)
            return outcome;
    }
    return resolve(m, state, checked, ret_index, pause, error);
}

static int migrate(lh_migration *m, int *ret_index, lh_error *error)
{
    bool blocked = false, checked = false;
    int strikes = 0;
    lh_backoff pause = lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)m);
    for (;;) {
        lh_error why = {0};
        int outcome = round_trip(m, &blocked, &checked, &pause, ret_index, &why);
        bool again = outcome == LH_LOST || outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN;
        strikes = outcome == LH_BUSY ? 0 : strikes + 1;
        if (outcome == LH_BUSY || (again && strikes < STRIKES && lh_clock_ms() < m->deadline)) {
            if (again)
                pause_for(m, &pause);
            continue;
        }
        if (outcome == LH_LOST)
            return lh_fail(error, LH_SERVER, "the migration does not get on: %.400s", why.message);
        if (outcome == LH_UNKNOWN) /* what was done is found by the next run */
            outcome = why.code = LH_UNREACHABLE;
        if (outcome != LH_OK && error)
            *error = why;
        return outcome;
    }
}

static int check_options(const lh_store *store, const lh_migrate_options *o, lh_error *error)
{
    if (o->timeout_ms < 0 || o->timeout_ms > LH_TTL_MAX_MS)
        return lh_fail(error, LH_INVALID, "the migration's timeout_ms is %lld: it must be 0 (the store's) to 7 days",
                       (long long)o->timeout_ms);
    if (!o->archive)
        return LH_OK;
    if (!*o->archive || strlen(o->archive) > 150 || strchr(o->archive, '$') || strncmp(o->archive, "system.", 7) == 0 ||
        *o->archive == '.' || strcmp(o->archive, store->collection) == 0)
        return lh_fail(error, LH_INVALID,
                       "the archive must be another collection than %s: 1 to 150 bytes, without $ and not in system.",
                       store->collection);
    return LH_OK;
}

/* <collection><suffix> */
static char *name_beside(const lh_store *store, const char *suffix)
{
    size_t size = strlen(store->collection) + strlen(suffix) + 1;
    char *name = malloc(size);
    if (name)
        (void)snprintf(name, size, "%s%s", store->collection, suffix);
    return name;
}

int lh_migrate(lh_store *store, const lh_migrate_options *options, lh_migrate_report *report, lh_error *error)
{
    int64_t from = lh_clock_ms();
    lh_migrate_report unused;
    lh_migrate_options o = LH_MIGRATE_OPTIONS_INIT;
    lh_migration m = {.store = store, .options = &o, .report = report ? report : &unused};
    int index = LH_INDEX_MISSING;
    *m.report = (lh_migrate_report){.index = LH_INDEX_MISSING};
    if (options)
        memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = check_options(store, &o, error);
    if (outcome != LH_OK)
        goto out;
    m.archive = o.archive ? strdup(o.archive) : name_beside(store, "_archive");
    m.leases = name_beside(store, "_migration");
    if (!m.archive || !m.leases) {
        outcome = lh_fail_memory(error);
        goto out;
    }
    m.deadline = lh_store_deadline(store, o.timeout_ms);
    lh_migrate_lease_init(&m);
    outcome = migrate(&m, &index, error);
    if (outcome == LH_OK)
        m.report->index = index;
    if (outcome == LH_OK && index != LH_INDEX_MISSING)
        atomic_store(&store->index_seen, lh_clock_ms());
out:
    free(m.archive);
    free(m.leases);
    m.report->elapsed_ms = (uint64_t)(lh_clock_ms() - from);
    return outcome;
}
