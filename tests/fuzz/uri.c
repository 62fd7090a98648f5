/* SPDX-License-Identifier: Apache-2.0
 * Connection strings: what is refused is never quoted; what is taken has a majority's write concern
 * and bounded patience. */
#include "store/store_uri.h"

#include <mongoc/mongoc.h>

#include "fuzz.h"
#include "store/store_uri_options.h"

/* No sentence has this in it, and nothing of a URI may get into one. */
#define CANARY "canary"

/* Is it in an option's name? Those are printed. */
static bool is_name(const char *uri)
{
    const char *found = strchr(uri, '?');
    while (found && (found = strstr(found + 1, CANARY)))
        if (found[-1] != '=' && strchr(found, '='))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) {
        mongoc_init();
        mongoc_log_set_handler(NULL, NULL);
        ready = true;
    }
    char *text = as_string(data, size);
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = text;
    lh_error error = LH_ERROR_INIT;
    mongoc_uri_t *uri = NULL;
    lh_remarks remarks = {0};
    int outcome = lh_store_uri_parse(&options, 5000, &uri, &remarks, &error);
    for (size_t i = 0; i < remarks.n; i++)
        must(!strstr(remarks.list[i], CANARY) || is_name(text));
    lh_remarks_free(&remarks);
    if (outcome == LH_OK) {
        int32_t w = mongoc_write_concern_get_w(mongoc_uri_get_write_concern(uri));
        must(w == MONGOC_WRITE_CONCERN_W_DEFAULT || w == MONGOC_WRITE_CONCERN_W_MAJORITY);
        int32_t patience = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0);
        must(patience > 0 && patience <= 5000);
        must(!mongoc_uri_get_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true));
        mongoc_uri_destroy(uri);
    } else {
        must(!uri && (outcome == LH_CONFIG || outcome == LH_INVALID));
        must(!strstr(error.message, CANARY) || is_name(text));
    }
    free(text);
    return 0;
}
