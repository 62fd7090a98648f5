/* SPDX-License-Identifier: Apache-2.0
 * What the tests of guard and fence share: an application beside the store, with a client and a
 * collection of its own. */
#include "deed.h"

app us;

app app_on(const char *uri, const char *db, const char *name)
{
    app a = {.error = LH_ERROR_INIT};
    mongoc_uri_t *parsed = mongoc_uri_new(uri);
    assert_non_null(parsed);
    assert_true(mongoc_uri_set_appname(parsed, name));
    a.client = mongoc_client_new_from_uri(parsed);
    mongoc_uri_destroy(parsed);
    assert_non_null(a.client);
    mongoc_client_set_error_api(a.client, MONGOC_ERROR_API_VERSION_2);
    a.data = mongoc_client_get_collection(a.client, db, "data");
    bson_error_t why;
    a.session = mongoc_client_start_session(a.client, NULL, &why);
    assert_non_null(a.session);
    return a;
}

app app_of(const ground *g)
{
    return app_on(g->uri, g->db, g->app);
}

void app_end(app *a)
{
    mongoc_client_session_destroy(a->session);
    mongoc_collection_destroy(a->data);
    mongoc_client_destroy(a->client);
}

int app_ground(void **state)
{
    (void)new_ground(state);
    us = app_of(*state);
    return 0;
}

int app_gone(void **state)
{
    app_end(&us);
    return old_ground(state);
}

lh_lease *take_over(ground *g, const char *key)
{
    end_it(g, key, MINUTE_MS);
    return take(g, key);
}

void begin(app *a)
{
    bson_error_t why = {0};
    if (!mongoc_client_session_start_transaction(a->session, NULL, &why))
        print_error("cannot begin: %s\n", why.message);
    assert_int_equal(why.code, 0);
}

bool commit(app *a)
{
    bson_t reply;
    bson_error_t why;
    bool good = mongoc_client_session_commit_transaction(a->session, &reply, &why);
    bson_destroy(&reply);
    return good;
}

void rollback(app *a)
{
    (void)mongoc_client_session_abort_transaction(a->session, NULL);
}

void guard(ground *g, app *who, lh_lease *lease)
{
    begin(who);
    expect(g, LH_OK, lh_lease_guard(lease, who->session, NULL, &g->error));
}

bool set_n(app *a, const char *id, int n, bson_t *ret_reply)
{
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(id)),
           *update = BCON_NEW("$set", "{", "n", BCON_INT32(n), "}");
    bson_t *options = BCON_NEW("upsert", BCON_BOOL(true)), reply;
    bson_error_t why;
    assert_true(mongoc_client_session_append(a->session, options, &why));
    bool good = mongoc_collection_update_one(a->data, filter, update, options, &reply, &why);
    if (ret_reply)
        bson_copy_to(&reply, ret_reply);
    bson_destroy(&reply);
    bson_destroy(options);
    bson_destroy(update);
    bson_destroy(filter);
    return good;
}

bson_t *document_in(ground *g, const char *collection, const char *id)
{
    mongoc_collection_t *data = mongoc_client_get_collection(g->client, g->db, collection);
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(id));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(data, filter, NULL, NULL);
    const bson_t *document;
    bson_t *copy = mongoc_cursor_next(cursor, &document) ? bson_copy(document) : NULL;
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    mongoc_collection_destroy(data);
    return copy;
}

int64_t n_of(ground *g, const char *collection, const char *id, const char *field)
{
    bson_t *document = document_in(g, collection, id);
    int64_t n = document && has(document, field) ? number_at(document, field) : -1;
    bson_destroy(document);
    return n;
}
