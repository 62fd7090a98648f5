/* SPDX-License-Identifier: Apache-2.0 */
#include "writes.h"

#include <leasehold/mongo.h>
#include <stdlib.h>

#include "../out.h"

#define PATIENCE_MS 2500

struct writes {
    mongoc_client_t *client;
    mongoc_collection_t *data;
};

struct writes *writes_open(const struct torture *torture)
{
    bson_error_t ignored; /* it may quote a password */
    mongoc_uri_t *uri = mongoc_uri_new_with_error(torture->uri, &ignored);
    struct writes *writes = calloc(1, sizeof *writes);
    if (uri && writes) {
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, PATIENCE_MS);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, PATIENCE_MS);
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
        (void)mongoc_uri_set_appname(uri, torture->app);
        writes->client = mongoc_client_new_from_uri(uri);
    }
    mongoc_uri_destroy(uri);
    if (!writes || !writes->client) {
        free(writes);
        return NULL;
    }
    mongoc_client_set_error_api(writes->client, MONGOC_ERROR_API_VERSION_2);
    writes->data = mongoc_client_get_collection(writes->client, torture->db, "data");
    return writes;
}

void writes_close(struct writes *writes)
{
    if (!writes)
        return;
    mongoc_collection_destroy(writes->data);
    mongoc_client_destroy(writes->client);
    free(writes);
}

int writes_add(struct writes *writes, lh_lease *lease, const char *who)
{
    bson_t *id = BCON_NEW("_id", BCON_UTF8(lh_lease_key(lease)));
    bson_t *update =
        BCON_NEW("$push", "{", "log", "{", "who", BCON_UTF8(who), "token", BCON_INT64(lh_lease_token(lease)), "}", "}");
    int outcome = lh_fenced_write(lease, writes->data, id, update, NULL, NULL);
    if (outcome == LH_ABSENT && lh_fenced_read(lease, writes->data, id, LH_FENCED_CREATE, NULL, NULL) == LH_OK)
        outcome = lh_fenced_write(lease, writes->data, id, update, NULL, NULL);
    bson_destroy(update);
    bson_destroy(id);
    return outcome;
}

static bool tell_one(const struct history *history, const bson_t *document)
{
    bson_iter_t key, log, one, field;
    bool good = true;
    if (!bson_iter_init_find(&key, document, "_id") || !bson_iter_init_find(&log, document, "log") ||
        !bson_iter_recurse(&log, &one))
        return true; /* nothing was written */
    while (good && bson_iter_next(&one)) {
        bson_t line;
        history_begin(history, &line, "wrote");
        BSON_APPEND_VALUE(&line, "key", bson_iter_value(&key));
        for (good = bson_iter_recurse(&one, &field); good && bson_iter_next(&field);)
            good = BSON_APPEND_VALUE(&line, bson_iter_key(&field), bson_iter_value(&field));
        good = history_write(history, &line) && good;
    }
    return good;
}

/* By a majority, and not from a primary that is none any more: the faults are over. */
bool writes_tell(struct writes *writes, const struct history *history, lh_error *error)
{
    bson_t all = BSON_INITIALIZER, *options = BCON_NEW("readConcern", "{", "level", "majority", "}");
    const bson_t *document;
    bson_error_t why = {0};
    bool good = false;
    for (int again = 0; again < 8 && !good; again++) { /* there may be an election still; no line is written before */
        mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(writes->data, &all, options, NULL);
        good = true;
        while (good && mongoc_cursor_next(cursor, &document))
            good = tell_one(history, document);
        bool failed = mongoc_cursor_error(cursor, &why);
        mongoc_cursor_destroy(cursor);
        if (!failed)
            break;
        good = false;
    }
    bson_destroy(options);
    bson_destroy(&all);
    if (!good)
        (void)out_fail(error, LH_UNREACHABLE, "the data cannot be read: %s", why.message);
    return good;
}
