/* SPDX-License-Identifier: Apache-2.0
 * The migration's own lease: of many processes that start at once, one migrates and the others
 * wait. It saves work, and nothing relies on it: every step is correct even if two processes do it
 * at the same time.
 *
 * The lease is one document in <collection>_migration, unique by its _id. The server decides about
 * it by its own clock. It cannot be one of the leases of lease.c, which need the index that is
 * being built. The document also keeps the state of the index before the migration (lh_undo), for
 * the run that has to restore it. A holder that ends without restoring the index leaves the
 * document there, beyond its end. */
#include "migrate/migrate_lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "migrate/migrate_parts.h"
#include "store/store.h"
#include "store/store_refused.h"
#include "store/store_run.h"

#define TTL_MS 12000 /* how long the others wait for a holder that died */

void lh_migrate_lease_init(lh_migration *m)
{
    uint64_t bits[2];
    /* it only has to differ from other processes' */
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits) {
        bits[0] = (uint64_t)lh_clock_ms();
        bits[1] = (uint64_t)m->store->pid << 32 ^ (uintptr_t)m;
    }
    (void)snprintf(m->me, sizeof m->me, "%016" PRIx64 "%016" PRIx64, bits[0], bits[1]);
}

static void make_id(const lh_migration *m, char *ret_id, size_t size)
{
    (void)snprintf(ret_id, size, "%s:dedupe", m->store->collection);
}

/* Writes if the lease is free or ours; changes nothing if another process holds it. An end that is
 * not a date counts as past. */
static bson_t *new_ask(const lh_migration *m, const char *id)
{
    return BCON_NEW("findAndModify", BCON_UTF8(m->leases), "query", "{", "_id", BCON_UTF8(id), "}",
                    "upsert", BCON_BOOL(true), "new", BCON_BOOL(true), "update", "[", "{", "$set",
                    "{", "may", "{", "$or", "[",                            //
                    "{", "$eq", "[", "$holder", BCON_UTF8(m->me), "]", "}", //
                    "{", "$ne", "[", "{", "$type", BCON_UTF8("$expires_at"), "}", "date", "]",
                    "}",                                                                    //
                    "{", "$lte", "[", "$expires_at", "$$NOW", "]", "}", "]", "}", "}", "}", //
                    "{", "$replaceWith", "{", "$cond", "[", "$may",                         //
                    "{", "_id", "$_id", "holder", BCON_UTF8(m->me), "owner", "{", "$literal",
                    BCON_UTF8(m->store->owner), "}", "host", "{", "$literal",
                    BCON_UTF8(m->store->host), "}", "pid", BCON_INT64(m->store->pid), "renewed_at",
                    "$$NOW", "expires_at", "{", "$add", "[", "$$NOW", BCON_INT32(TTL_MS), "]", "}",
                    "undo", "$undo", "}", "$$ROOT", "]", "}", "}", "{", "$unset", "may", "}", "]");
}

/* Reads how to undo the migration from `document`. */
static void read_undo(const bson_iter_t *document, lh_undo *ret_undo)
{
    bson_iter_t undo, value;
    *ret_undo = (lh_undo){0};
    if (!bson_iter_recurse(document, &undo) || !bson_iter_find(&undo, "undo") ||
        !BSON_ITER_HOLDS_DOCUMENT(&undo))
        return;
    if (bson_iter_recurse(&undo, &value) && bson_iter_find(&value, "drop"))
        ret_undo->drop = bson_iter_as_bool(&value);
    if (bson_iter_recurse(&undo, &value) && bson_iter_find(&value, "unprepare") &&
        BSON_ITER_HOLDS_UTF8(&value))
        (void)snprintf(ret_undo->unprepare, sizeof ret_undo->unprepare, "%s",
                       bson_iter_utf8(&value, NULL));
}

/* Whether the reply shows that the lease is ours. Then the reply also has the server's clock. */
static bool read_reply(lh_migration *m, const bson_t *reply, int64_t sent)
{
    bson_iter_t top, holder, renewed;
    if (!bson_iter_init(&top, reply) || !bson_iter_find_descendant(&top, "value.holder", &holder) ||
        !BSON_ITER_HOLDS_UTF8(&holder) || strcmp(bson_iter_utf8(&holder, NULL), m->me) != 0)
        return false;
    if (bson_iter_init(&top, reply) &&
        bson_iter_find_descendant(&top, "value.renewed_at", &renewed) &&
        BSON_ITER_HOLDS_DATE_TIME(&renewed)) {
        m->server_ms = bson_iter_date_time(&renewed);
        m->at_ms = sent;
    }
    m->renew_at = sent + TTL_MS / 3;
    if (bson_iter_init_find(&top, reply, "value"))
        read_undo(&top, &m->undo);
    return true;
}

int lh_migrate_lease_ask(lh_migration *m, lh_error *error)
{
    char id[160];
    make_id(m, id, sizeof id);
    bson_t *command = new_ask(m, id), reply;
    lh_call call = {
        .what = "take the migration lease", .command = command, .deadline = lh_migrate_until(m)};
    int64_t sent = 0;
    lh_error mine = LH_ERROR_INIT;
    int outcome = lh_store_run(m->store, &call, &reply, &sent, &mine);
    m->held = outcome == LH_OK && read_reply(m, &reply, sent);
    /* Another process inserted the same document at the same time, and was faster. */
    if (outcome == LH_SERVER && mine.server_code == LH_MONGO_DUPLICATE_KEY)
        outcome = LH_OK;
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

int lh_migrate_lease_look(lh_migration *m, lh_error *error)
{
    char id[160];
    make_id(m, id, sizeof id);
    bson_t reply, *command = BCON_NEW("find", BCON_UTF8(m->leases), "filter", "{", "_id",
                                      BCON_UTF8(id), "}", "projection", "{", "undo", BCON_INT32(1),
                                      "live", "{", "$gt", "[", "$expires_at", "$$NOW", "]", "}",
                                      "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
    lh_call call = {.what = "read the migration lease",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_READ};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, error);
    bson_iter_t top, first, live;
    m->busy = false;
    m->undo = (lh_undo){0};
    if (outcome == LH_OK && bson_iter_init(&top, &reply) &&
        bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first)) {
        read_undo(&first, &m->undo);
        m->busy = bson_iter_recurse(&first, &live) && bson_iter_find(&live, "live") &&
                  bson_iter_as_bool(&live);
    }
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

int lh_migrate_lease_note(lh_migration *m, lh_error *error)
{
    char id[160];
    make_id(m, id, sizeof id);
    bson_t reply,
        *command = BCON_NEW("update", BCON_UTF8(m->leases), "updates", "[", "{", "q", "{", "_id",
                            BCON_UTF8(id), "holder", BCON_UTF8(m->me), "}", "u", "{", "$set", "{",
                            "undo", "{", "drop", BCON_BOOL(m->undo.drop), "unprepare",
                            BCON_UTF8(m->undo.unprepare), "}", "}", "}", "}", "]");
    lh_call call = {.what = "store the state of the index",
                    .command = command,
                    .deadline = lh_migrate_until(m)};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, error);
    bson_iter_t n;
    if (outcome == LH_OK && (!bson_iter_init_find(&n, &reply, "n") || bson_iter_as_int64(&n) != 1))
        outcome = lh_fail(error, LH_LOST, "another process has taken over the migration");
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

int lh_migrate_lease_keep(lh_migration *m, lh_error *error)
{
    if (!m->held || lh_clock_ms() < m->renew_at)
        return LH_OK;
    int outcome = lh_migrate_lease_ask(m, error);
    if (outcome == LH_OK && !m->held)
        return lh_fail(error, LH_LOST, "another process has taken over the migration");
    return outcome;
}

void lh_migrate_lease_release(lh_migration *m)
{
    if (!m->held)
        return;
    m->held = false;
    char id[160];
    make_id(m, id, sizeof id);
    bool keep = m->undo.drop || *m->undo.unprepare;
    bson_t reply,
        *command = keep ? BCON_NEW("update", BCON_UTF8(m->leases), "updates", "[", "{", "q", "{",
                                   "_id", BCON_UTF8(id), "holder", BCON_UTF8(m->me), "}", "u", "{",
                                   "$unset", "{", "holder", "", "}", "$currentDate", "{",
                                   "expires_at", BCON_BOOL(true), "}", "}", "}", "]")
                        : BCON_NEW("delete", BCON_UTF8(m->leases), "deletes", "[", "{", "q", "{",
                                   "_id", BCON_UTF8(id), "holder", BCON_UTF8(m->me), "}", "limit",
                                   BCON_INT32(1), "}", "]");
    lh_call call = {.what = "release the migration lease",
                    .command = command,
                    .deadline = lh_store_deadline(m->store, 0)};
    (void)lh_store_run(m->store, &call, &reply, NULL, NULL);
    bson_destroy(command);
    bson_destroy(&reply);
}

int64_t lh_migrate_server_ms(const lh_migration *m)
{
    return m->server_ms + (lh_clock_ms() - m->at_ms);
}
