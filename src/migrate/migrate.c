/* SPDX-License-Identifier: Apache-2.0
 * lh_migrate(): the steps from any collection to one with the unique index. It establishes
 * invariant 9 (one document per key) on collections that older code filled. Grants wait for the
 * index, see store/index.c.
 *
 *   look ── there ───────────────────────────────────────────────────────▶ done
 *    │ no
 *   no documents? create the unique index ── works ──────────────────────▶ done
 *    │
 *   look at the documents ── a reason to refuse ──▶ undo what an interrupted run left ──▶ refused
 *    │                                                                                     ▲
 *   take the migration lease, or wait and look again                                       │ undo
 *   store the state of the index
 *    │
 *   create a plain one ─▶ prepareUnique ─▶ dedupe ─▶ make it unique ── works ─▶ done
 *                                            ▲              │
 *                                            └──────────────┘ duplicates are left
 *
 * If the collection has documents, the index is never built as unique: it is built as a plain one
 * and converted. A unique index whose build is under way, and may still fail, already looks
 * finished in a standalone's listIndexes. The conversion costs one scan of the index (0.2 s for a
 * million keys), and saves a whole build if there are duplicates.
 *
 * Every step may be repeated. Each begins from the state that the server reports, never from
 * memory. So the next run resumes a run that was killed at any point, and a run that finds the
 * state changed (LH_LOST) looks again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/name.h"
#include "base/options.h"
#include "lease/audit.h"
#include "migrate/fit.h"
#include "migrate/migrate_convert.h"
#include "migrate/migrate_index.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_look.h"
#include "migrate/migrate_one.h"
#include "migrate/migrate_parts.h"
#include "migrate/migrate_undo.h"
#include "store/index.h"
#include "store/store.h"
#include "store/store_refused.h"

#define AUDIT_KEEP_MAX_MS (10 * 366 * 24 * 3600 * INT64_C(1000))
/* After this many temporary failures in a row the migration gives up, for example after elections,
 * or if another process keeps dropping the index. */
#define STRIKES        8
#define PAUSE_FIRST_MS 20
#define PAUSE_CAP_MS   1000

const char *lh_index_word(int index)
{
    static const char *const words[] = {"present", "created", "converted", "missing"};
    return index >= 0 && index < 4 ? words[index] : "missing";
}

static int fail_duplicates(const lh_migration *m, const lh_walk *walk, lh_error *error)
{
    bool one = walk->duplicate_keys == 1;
    char same[LH_FLAGS_ROOM];
    return lh_fail(error, LH_REASON_DUPLICATES,
                   "%llu %s of %s.%s %s %llu %s too many: run `leasehold migrate --yes%s%s`",
                   (unsigned long long)walk->duplicate_keys, one ? "key" : "keys", m->store->db,
                   m->store->collection, one ? "has" : "have", (unsigned long long)walk->losers,
                   walk->losers == 1 ? "document" : "documents",
                   m->options->accept_foreign_keys ? " --accept-foreign-keys" : "",
                   lh_migrate_flags(m, same));
}

/* Reports, and changes nothing. Duplicates alone are LH_OK here: a migration would remove them. */
static int dry_run(lh_migration *m, lh_error *error)
{
    lh_walk walk;
    int outcome = lh_migrate_look(m, true, &walk, error);
    m->report->interrupted = !m->busy && (m->undo.drop || *m->undo.unprepare);
    m->report->duplicate_keys = walk.duplicate_keys;
    m->report->removed = walk.losers;
    m->report->quarantined = m->options->quarantine ? m->report->malformed : 0;
    return outcome;
}

/* Makes every check that can refuse the migration, before the first change. LH_OK: nothing was
 * refused. */
static int refuse(lh_migration *m, lh_error *error)
{
    lh_walk walk;
    int outcome = lh_migrate_look(m, false, &walk, error);
    if (outcome == LH_OK && !m->options->remove && walk.duplicate_keys > 0)
        outcome = fail_duplicates(m, &walk, error);
    if (outcome != LH_OK)
        m->report->duplicate_keys = walk.duplicate_keys;
    return outcome;
}

/* Creates the unique index on a missing or empty collection. *ret_done is false if another process
 * created something first. */
static int create_at_once(lh_migration *m, int *ret_index, bool *ret_done, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    bool there = false;
    int outcome = lh_migrate_progress(m, "index", 0, 0, &mine);
    if (outcome == LH_OK)
        outcome = lh_migrate_create(m, true, &there, &mine);
    *ret_done = outcome == LH_OK;
    if (outcome == LH_LOST || (outcome == LH_SERVER && mine.server_code == LH_MONGO_DUPLICATE_KEY))
        outcome = LH_OK;
    else if (outcome != LH_OK)
        lh_error_give(error, &mine);
    else
        *ret_index = there ? LH_INDEX_PRESENT : LH_INDEX_CREATED;
    return outcome;
}

/* Takes the migration lease. LH_BUSY: another process holds it. */
static int take_lease(lh_migration *m, lh_error *error)
{
    int outcome = lh_migrate_lease_ask(m, error);
    return outcome == LH_OK && !m->held ? lh_fail(error, LH_BUSY, "another process is migrating")
                                        : outcome;
}

/* Outcomes that another run cannot repair: the index is restored. */
static bool is_refusal(int outcome)
{
    return outcome == LH_CONFIG || outcome == LH_DENIED || outcome == LH_SERVER;
}

/* Restores the index after a refusal. If that fails, adds this to the message. */
static void undo(lh_migration *m, lh_error *error)
{
    lh_error why = LH_ERROR_INIT, refusal = LH_ERROR_INIT;
    if (error)
        lh_error_give(&refusal, error);
    if (lh_migrate_undo(m, &why) == LH_OK || !error)
        return;
    lh_error_give(error, &refusal);
    size_t len = strlen(error->message);
    (void)snprintf(error->message + len, sizeof error->message - len,
                   " (The index could not be restored; the next run restores it. %.200s)",
                   why.message);
    lh_cut_utf8(error->message, sizeof error->message - 1);
}

/* The collection has documents, or an index that is not unique yet. */
static int resolve(lh_migration *m, int *ret_index, lh_error *error)
{
    int outcome = LH_OK;
    if (!m->counted) { /* once; a wait for the lease does not repeat it */
        outcome = refuse(m, error);
        m->counted = outcome == LH_OK;
    }
    if (outcome == LH_OK)
        outcome = take_lease(m, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_convert(m, ret_index, error);
    if (is_refusal(outcome) && (m->held || m->undo.drop || *m->undo.unprepare))
        undo(m, error);
    lh_migrate_lease_release(m);
    return outcome;
}

/* The unique index exists, so a plain call is done. Some options ask for a check of documents that
 * cannot be read, or to move them. */
static int look_further(lh_migration *m, lh_error *error)
{
    const lh_migrate_options *options = m->options;
    bool maybe = options->quarantine, look = options->check_keys || options->dry_run;
    int outcome = LH_OK;
    m->indexed = true;
    if (look && !maybe && !options->accept_foreign_keys)
        outcome = lh_migrate_probe(m, &maybe, error);
    if (outcome != LH_OK || !maybe)
        return outcome;
    if (options->dry_run)
        return dry_run(m, error);
    outcome = refuse(m, error);
    if (outcome != LH_OK || !options->quarantine || m->report->malformed == 0)
        return outcome;
    outcome = take_lease(m, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_clear(m, error);
    lh_migrate_lease_release(m);
    return outcome;
}

/* Checks that the collection can hold leases, and that the server can migrate it. */
static int check_fit(lh_migration *m, lh_error *error)
{
    int outcome = lh_index_check_collection(m->store, lh_migrate_until(m), error);
    if (outcome == LH_OK)
        outcome = lh_fit_check_version(m->store, lh_migrate_until(m), error);
    return outcome == LH_OK ? lh_fit_check_validator(m->store, lh_migrate_until(m), error)
                            : outcome;
}

/* One pass through the diagram above. After LH_LOST or LH_BUSY, another one is needed. */
static int run_round(lh_migration *m, int *ret_index, lh_error *error)
{
    lh_index_state state;
    int outcome = lh_index_look(m->store, lh_migrate_until(m), &state, error);
    if (outcome != LH_OK)
        return outcome;
    *ret_index = LH_INDEX_PRESENT;
    if (state == LH_INDEX_STATE_RIGHT)
        return look_further(m, error);
    if (!m->fit)
        outcome = check_fit(m, error);
    m->fit = outcome == LH_OK;
    if (outcome == LH_OK && state != LH_INDEX_STATE_NO_COLLECTION)
        outcome = lh_migrate_lease_look(m, error);
    /* without the privilege to read the lease, report on the documents alone */
    if (outcome == LH_DENIED && m->options->dry_run)
        outcome = LH_OK;
    if (outcome == LH_OK && m->options->dry_run) {
        *ret_index = LH_INDEX_MISSING;
        return state == LH_INDEX_STATE_NO_COLLECTION ? LH_OK : dry_run(m, error);
    }
    bool empty = state == LH_INDEX_STATE_NO_COLLECTION, done = false;
    if (outcome == LH_OK && state == LH_INDEX_STATE_NONE)
        outcome = lh_index_is_empty(m->store, lh_migrate_until(m), &empty, error);
    if (outcome == LH_OK && empty)
        outcome = create_at_once(m, ret_index, &done, error);
    /* the holder of the migration lease has checked the documents already */
    if (outcome == LH_OK && !done && m->busy && m->options->remove)
        return lh_fail(error, LH_BUSY, "another process is migrating");
    return outcome != LH_OK || done ? outcome : resolve(m, ret_index, error);
}

/* If no server has ever replied, the migration ends after the timeout of one call. */
static bool was_reached(lh_store *store)
{
    return atomic_load(&store->topology) != LH_TOPOLOGY_UNKNOWN;
}

static int wait_for_others(lh_migration *m, lh_backoff *pause, lh_error *error)
{
    int64_t from = lh_clock_ms();
    int outcome = lh_migrate_progress(m, "wait", m->report->waited_ms, 0, error);
    if (outcome == LH_OK)
        lh_migrate_pause(m, pause);
    m->report->waited_ms += (uint64_t)(lh_clock_ms() - from);
    return outcome;
}

static int migrate(lh_migration *m, int *ret_index, lh_error *error)
{
    int strikes = 0;
    lh_backoff pause =
        lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms() ^ (uintptr_t)m);
    for (;;) {
        lh_error why = LH_ERROR_INIT;
        int outcome = run_round(m, ret_index, &why);
        bool again = outcome == LH_LOST || outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN;
        if (outcome == LH_BUSY) {
            strikes = 0;
            outcome = wait_for_others(m, &pause, &why);
            if (outcome == LH_OK)
                continue;
        } else if (again && was_reached(m->store) && ++strikes < STRIKES &&
                   lh_clock_ms() < m->deadline) {
            m->counted = false;
            lh_migrate_pause(m, &pause);
            continue;
        }
        if (outcome == LH_LOST)
            return lh_fail(error, LH_SERVER, "the migration made no progress: %.400s", why.message);
        /* the deadline may have cut off the last commands */
        bool late = lh_clock_ms() + PAUSE_CAP_MS >= m->deadline;
        if ((outcome == LH_UNREACHABLE || outcome == LH_UNKNOWN) && m->report->waited_ms > 0 &&
            late)
            return lh_fail(
                error, LH_REASON_IN_PROGRESS,
                "out of time during the step \"wait\": another process is migrating %s.%s; "
                "call again to resume",
                m->store->db, m->store->collection);
        if (outcome == LH_UNKNOWN) /* the next run finds what was done */
            outcome = why.code = LH_UNREACHABLE;
        if (outcome != LH_OK)
            lh_error_give(error, &why);
        return outcome;
    }
}

static int check_options(const lh_store *store, const lh_migrate_options *options, lh_error *error)
{
    if (options->timeout_ms < 0 || options->timeout_ms > LH_TTL_MAX_MS)
        return lh_fail(error, LH_INVALID,
                       "the migration's timeout_ms is %lld: it must be 0 (the store's) to 7 days",
                       (long long)options->timeout_ms);
    if (options->audit_keep_ms < 1000 || options->audit_keep_ms > AUDIT_KEEP_MAX_MS)
        return lh_fail(error, LH_INVALID,
                       "audit_keep_ms is %lld: it must be 1,000 (a second) to ten years",
                       (long long)options->audit_keep_ms);
    if (!options->archive)
        return LH_OK;
    if (strcmp(options->archive, store->collection) == 0 ||
        (store->audit && strcmp(options->archive, store->audit) == 0))
        return lh_fail(error, LH_INVALID,
                       "the archive cannot be %s, which holds the leases or their audit trail: "
                       "name another collection",
                       options->archive);
    return lh_collection_check("name of the archive", options->archive, 150, error);
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

/* After the index is created: tries whether leases work. The user of a migration need not have the
 * right to hold leases, so LH_DENIED passes. */
static int try_leases(lh_migration *m, lh_error *error)
{
    lh_tried tried;
    lh_error why = LH_ERROR_INIT;
    int outcome = m->store->hooks->trial(m->store, &tried, &why);
    m->report->tried = tried.tried;
    if (outcome == LH_OK || outcome == LH_DENIED)
        return LH_OK;
    lh_error_give(error, &why);
    return outcome;
}

int lh_migrate(lh_store *store, const lh_migrate_options *options, lh_migrate_report *report,
               lh_error *error)
{
    int64_t from = lh_clock_ms();
    lh_migrate_report all = LH_MIGRATE_REPORT_INIT;
    lh_migrate_options used;
    lh_migration m = {.store = store, .options = &used, .report = &all, .index = LH_INDEX_NAME};
    int index = LH_INDEX_MISSING;
    int outcome = lh_migrate_report_check(report, error);
    if (outcome != LH_OK)
        return outcome;
    outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_options_take(&used, options, error);
    if (outcome == LH_OK)
        outcome = check_options(store, &used, error);
    if (outcome != LH_OK)
        goto out;
    m.archive = used.archive ? strdup(used.archive) : name_beside(store, "_archive");
    m.leases = name_beside(store, "_migration");
    if (!m.archive || !m.leases) {
        outcome = lh_fail_memory(error);
        goto out;
    }
    m.deadline = lh_store_deadline(store, used.timeout_ms);
    lh_migrate_lease_init(&m);
    if (used.id) {
        outcome = lh_migrate_one(&m, error);
        goto out;
    }
    outcome = migrate(&m, &index, error);
    if (outcome == LH_OK && store->audit && !used.dry_run)
        outcome = lh_audit_prepare(store, used.audit_keep_ms, m.deadline, error);
    if (outcome == LH_OK)
        all.index = index;
    if (outcome == LH_OK && index != LH_INDEX_MISSING)
        atomic_store(&store->index_seen, lh_clock_ms());
    if (outcome == LH_OK && (index == LH_INDEX_CREATED || index == LH_INDEX_CONVERTED) &&
        !used.no_trial)
        outcome = try_leases(&m, error);
out:
    free(m.archive);
    free(m.leases);
    all.elapsed_ms = (uint64_t)(lh_clock_ms() - from);
    lh_migrate_report_give(report, &all);
    return outcome;
}
