/* SPDX-License-Identifier: Apache-2.0
 * A slice of the documents to move: reads them again, whole, compares them with what was judged,
 * and runs writes about them. If a reply is lost, the documents that still exist decide what was
 * done, never a count. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "migrate/migrate_judge.h"
#include "migrate/migrate_parts.h"
#include "migrate/migrate_slice.h"
#include "store/store_refused.h"
#include "store/store_run.h"

/* bytes of documents that are moved at once; a larger document is moved alone */
#define SLICE_BYTES (4 << 20)

/* One field's name, type and value as bytes; 0 if it is missing. */
static size_t field_bytes(const uint8_t *data, const char *name, const uint8_t **ret_bytes)
{
    bson_t document;
    bson_iter_t value;
    lh_document_view(data, &document);
    if (!bson_iter_init_find(&value, &document, name))
        return 0;
    *ret_bytes = value.raw + value.off;
    return value.next_off - value.off;
}

static bool is_same_field(const uint8_t *a, const uint8_t *b, const char *name)
{
    const uint8_t *x = NULL, *y = NULL;
    size_t x_len = field_bytes(a, name, &x), y_len = field_bytes(b, name, &y);
    return x_len == y_len && (x_len == 0 || memcmp(x, y, x_len) == 0);
}

static int compare_items(const void *a, const void *b)
{
    const lh_item *x = a, *y = b;
    if (x->id_len != y->id_len)
        return x->id_len < y->id_len ? -1 : 1;
    return x->id_len ? memcmp(x->id, y->id, x->id_len) : 0;
}

void lh_slice_append_id(bson_t *to, const char *name, const uint8_t *data)
{
    bson_t document;
    bson_iter_t id;
    lh_document_view(data, &document);
    if (bson_iter_init_find(&id, &document, "_id"))
        bson_append_iter(to, name, -1, &id);
}

const char *lh_slice_key(size_t i, char *buffer, size_t size)
{
    const char *key;
    (void)bson_uint32_to_string((uint32_t)i, &key, buffer, size);
    return key;
}

void lh_slice_append_ids(bson_t *query, const lh_slice *s, size_t from, size_t to, bool whole)
{
    bson_t in, ids;
    char buffer[16];
    uint32_t n = 0;
    BSON_APPEND_DOCUMENT_BEGIN(query, "_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &ids);
    for (size_t i = from; i < to; i++)
        if (!whole || s->items[i].whole)
            lh_slice_append_id(&ids, lh_slice_key(n++, buffer, sizeof buffer),
                               s->items[i].loser->document);
    bson_append_array_end(&in, &ids);
    bson_append_document_end(query, &in);
}

/* Finds the documents of the slice that still exist, in a single batch. */
static int find_slice(lh_migration *m, const lh_slice *s, bool whole, bool ids_only, bson_t *reply,
                      lh_error *error)
{
    bson_t *command =
        BCON_NEW("find", BCON_UTF8(m->store->collection), "limit", BCON_INT32((int32_t)s->n),
                 "batchSize", BCON_INT32((int32_t)s->n), "singleBatch", BCON_BOOL(true));
    bson_t filter, projection;
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    lh_slice_append_ids(&filter, s, 0, s->n, whole);
    bson_append_document_end(command, &filter);
    if (ids_only) {
        BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &projection);
        BSON_APPEND_INT32(&projection, "_id", 1);
        bson_append_document_end(command, &projection);
    }
    lh_call call = {.what = "read the documents to move",
                    .command = command,
                    .deadline = lh_migrate_until(m),
                    .kind = LH_CALL_READ};
    int outcome = lh_store_run(m->store, &call, reply, NULL, error);
    bson_destroy(command);
    return outcome;
}

static bool open_batch(const bson_t *reply, bson_iter_t *ret_batch)
{
    bson_iter_t top, batch;
    return bson_iter_init(&top, reply) &&
           bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) &&
           bson_iter_recurse(&batch, ret_batch);
}

static lh_item *find_item(lh_slice *s, const uint8_t *document)
{
    lh_item key = {0};
    key.id_len = field_bytes(document, "_id", &key.id);
    return bsearch(&key, s->items, s->n, sizeof s->items[0], compare_items);
}

/* Two FNV-1a hashes with different seeds. They need not resist an attacker: a user who can write
 * here can also delete. */
static void hash_content(const uint8_t *data, size_t len, uint64_t ret_hash[2])
{
    uint64_t a = UINT64_C(0xCBF29CE484222325), b = UINT64_C(0x9AE16A3B2F90404F) ^ len;
    for (size_t i = 0; i < len; i++) {
        a = (a ^ data[i]) * UINT64_C(0x100000001B3);
        b = (b ^ data[i] ^ (b >> 29)) * UINT64_C(0x100000001B3);
    }
    ret_hash[0] = a;
    ret_hash[1] = b;
}

/* Step 1 of migrate_move.c. The slice shrinks if its documents are large. */
int lh_slice_read(lh_migration *m, lh_slice *s, lh_error *error)
{
    for (;;) {
        bson_destroy(&s->reply);
        int outcome = find_slice(m, s, false, false, &s->reply, error);
        if (outcome != LH_OK)
            return outcome;
        if (s->reply.len <= SLICE_BYTES || s->n == 1)
            break;
        s->n = s->most = s->n / 2;
    }
    bson_iter_t entry;
    if (!open_batch(&s->reply, &entry))
        return lh_fail(error, LH_SERVER, "the server's reply to find has no batch of documents");
    while (bson_iter_next(&entry)) {
        const uint8_t *data;
        uint32_t len;
        if (!BSON_ITER_HOLDS_DOCUMENT(&entry))
            continue;
        bson_iter_document(&entry, &len, &data);
        lh_item *found = find_item(s, data);
        if (!found || !is_same_field(data, found->loser->document, "workspace_id") ||
            !is_same_field(data, found->loser->document, "expires_at"))
            continue;
        found->whole = data;
        hash_content(data, len, found->hash);
        s->whole++;
    }
    return LH_OK;
}

void lh_slice_fill(lh_slice *s, const lh_loser *losers, size_t n)
{
    s->filled = n;
    for (size_t i = 0; i < n; i++) {
        s->items[i] = (lh_item){.loser = &losers[i]};
        s->items[i].id_len = field_bytes(losers[i].document, "_id", &s->items[i].id);
    }
    qsort(s->items, n, sizeof s->items[0], compare_items);
}

int lh_slice_drop_remaining(lh_migration *m, lh_slice *s, lh_walk *walk, lh_error *error)
{
    bson_t reply;
    bson_iter_t entry;
    int outcome = find_slice(m, s, true, true, &reply, error);
    if (outcome == LH_OK && open_batch(&reply, &entry)) {
        while (bson_iter_next(&entry)) {
            const uint8_t *data;
            uint32_t len;
            bson_iter_document(&entry, &len, &data);
            lh_item *found = find_item(s, data);
            if (found && found->whole) {
                found->whole = NULL;
                s->whole--;
                walk->left++;
            }
        }
    }
    bson_destroy(&reply);
    return outcome;
}

static int64_t number_of(const bson_t *reply, const char *field)
{
    bson_iter_t value;
    return bson_iter_init_find(&value, reply, field) ? bson_iter_as_int64(&value) : 0;
}

/* Returns the first write error whose code is not `harmless`. For errors that pass by themselves
 * (LH_UNREACHABLE), the migration looks again. */
static int judge_write_errors(const lh_migration *m, const bson_t *reply, const lh_call *call,
                              uint32_t harmless, lh_error *error)
{
    lh_refusal refusal = {.what = call->what,
                          .db = m->store->db,
                          .collection = lh_store_collection_of(call->command)};
    if (!lh_store_write_error(reply, harmless, &refusal))
        return LH_OK;
    lh_code_kind kind = lh_store_code_kind(refusal.code);
    if (kind == LH_CODE_REFUSED)
        return lh_store_fail_refused(&refusal, error);
    int outcome = lh_fail(error, kind == LH_CODE_DENIED ? LH_DENIED : LH_UNREACHABLE,
                          "cannot %s: %.300s (code %u)", call->what, refusal.message, refusal.code);
    error->server_code = (int)refusal.code;
    return outcome;
}

int lh_migrate_write(lh_migration *m, const char *what, bson_t *command, uint32_t harmless,
                     int64_t *ret_n, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    bson_t reply;
    BSON_APPEND_BOOL(command, "ordered", false);
    lh_call call = {.what = what, .command = command, .deadline = lh_migrate_until(m)};
    int outcome = lh_store_run(m->store, &call, &reply, NULL, &mine);
    /* The driver may or may not report a statement's failure as the command's, so the reply is
     * checked. */
    if (outcome == LH_OK || (outcome == LH_SERVER && harmless && mine.server_code == (int)harmless))
        outcome = judge_write_errors(m, &reply, &call, harmless, &mine);
    if (ret_n)
        *ret_n = number_of(&reply, "n");
    if (outcome != LH_OK)
        lh_error_give(error, &mine);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}
