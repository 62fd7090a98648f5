/* SPDX-License-Identifier: Apache-2.0
 * The steps under the migration lease: from a collection with documents, or with the index of an
 * interrupted run, to the unique index.
 *
 * After prepareUnique the server refuses new duplicates. Existing ones can still be renewed and
 * released. So the number of documents to remove only shrinks, and the migration ends whatever
 * other processes write. */
#include "migrate/migrate_convert.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "migrate/migrate_archive.h"
#include "migrate/migrate_dedupe.h"
#include "migrate/migrate_index.h"
#include "migrate/migrate_lease.h"
#include "migrate/migrate_look.h"
#include "migrate/migrate_parts.h"
#include "migrate/migrate_undo.h"
#include "store/index.h"

#define IDLE_ROUNDS    5 /* rounds in which only the server finds duplicates */
#define PAUSE_FIRST_MS 20
#define PAUSE_CAP_MS   1000

static int walk(lh_migration *m, lh_walk *ret_walk, lh_error *error)
{
    int outcome = lh_migrate_dedupe(m, ret_walk, error);
    m->report->duplicate_keys += ret_walk->duplicate_keys;
    return outcome == LH_OK && !m->options->no_archive ? lh_migrate_settle(m, error) : outcome;
}

/* A walk, if documents may be removed, and one attempt to convert the index. */
static int attempt(lh_migration *m, lh_walk *ret_walk, bool *ret_done, lh_error *error)
{
    int outcome = LH_OK;
    *ret_walk = (lh_walk){0};
    if (m->options->remove || m->options->quarantine)
        outcome = walk(m, ret_walk, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_lease_keep(m, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_progress(m, "convert", m->report->scanned, m->total, error);
    return outcome == LH_OK ? lh_migrate_make_unique(m, ret_done, error) : outcome;
}

/* Repeats until the index is unique. A walk comes first even if there are no duplicates, for two
 * reasons: the reply to a failed attempt lists all duplicates (megabytes), and only a walk counts
 * the malformed documents. */
static int dedupe_and_convert(lh_migration *m, lh_error *error)
{
    lh_backoff pause = lh_backoff_from(PAUSE_FIRST_MS, PAUSE_CAP_MS, (uint64_t)lh_clock_ms());
    for (int idle = 0; idle < IDLE_ROUNDS;) {
        lh_walk walk;
        bool done = false;
        int outcome = attempt(m, &walk, &done, error);
        if (outcome != LH_OK || done)
            return outcome;
        if (walk.removed > 0)
            continue;
        if (walk.left == 0 && m->bad_keys > 0)
            return lh_migrate_fail_bad_keys(m, error);
        idle += walk.left == 0;
        lh_migrate_pause(m, &pause);
    }
    return lh_fail(
        error, LH_LOST,
        "the server reports duplicates in %s.%s, but a scan of the collection finds none",
        m->store->db, m->store->collection);
}

int lh_migrate_convert(lh_migration *m, int *ret_index, lh_error *error)
{
    lh_index_state state;
    lh_assert(m->held && m->counted && !m->options->dry_run);
    /* Another process may have finished while this one waited for the lease. */
    int outcome = lh_index_look(m->store, lh_migrate_until(m), &state, error);
    if (outcome != LH_OK)
        return outcome;
    *ret_index = LH_INDEX_PRESENT;
    if (state == LH_INDEX_STATE_RIGHT)
        return LH_OK;
    bool there = false;
    outcome = lh_migrate_choose(m, &there, error);
    if (outcome == LH_OK && !there) {
        outcome = lh_migrate_progress(m, "index", 0, m->total, error);
        if (outcome == LH_OK)
            outcome = lh_migrate_create(m, false, &there, error);
        if (outcome == LH_LOST)
            outcome = lh_migrate_fail_moved(m, error);
    }
    if (outcome == LH_OK)
        outcome = lh_migrate_lease_keep(m, error);
    if (outcome == LH_OK)
        outcome = lh_migrate_prepare(m, error);
    if (outcome == LH_OK)
        outcome = dedupe_and_convert(m, error);
    if (outcome != LH_OK)
        return outcome;
    m->undo = (lh_undo){0};
    *ret_index = there || m->report->removed > 0 ? LH_INDEX_CONVERTED : LH_INDEX_CREATED;
    return LH_OK;
}

int lh_migrate_clear(lh_migration *m, lh_error *error)
{
    int outcome = lh_migrate_name_index(m, error);
    for (int idle = 0; outcome == LH_OK && idle < IDLE_ROUNDS;) {
        lh_walk done;
        outcome = walk(m, &done, error);
        if (outcome == LH_OK && done.removed == 0 && done.left == 0)
            break;
        idle += done.removed == 0;
    }
    return outcome;
}
