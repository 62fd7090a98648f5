/* SPDX-License-Identifier: Apache-2.0
 * A table without order: the key that was refused longest ago makes room. Clients read the entries
 * that are newer than a number. The numbers only grow, also over restarts: they are microseconds
 * since 1970, unless two entries fall into the same microsecond. */
#include "serve/busy.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"

struct refusal {
    char *key, *owner;
    size_t key_len;
    int why;
    int64_t at_ms, n, number; /* number 0: the place is empty */
};

struct busy {
    pthread_mutex_t lock;
    int64_t number;
    struct refusal refusals[MOST_REFUSALS];
};

int busy_new(struct busy **ret_busy, lh_error *error)
{
    struct busy *busy = calloc(1, sizeof *busy);
    if (!busy)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&busy->lock, NULL);
    *ret_busy = busy;
    return LH_OK;
}

void busy_free(struct busy *busy)
{
    if (!busy)
        return;
    for (size_t i = 0; i < MOST_REFUSALS; i++) {
        free(busy->refusals[i].key);
        free(busy->refusals[i].owner);
    }
    (void)pthread_mutex_destroy(&busy->lock);
    free(busy);
}

/* The place of the key, or else the place that it replaces. */
static struct refusal *place_of(struct busy *busy, const char *key, size_t len)
{
    struct refusal *oldest = busy->refusals;
    for (size_t i = 0; i < MOST_REFUSALS; i++) {
        struct refusal *refusal = &busy->refusals[i];
        if (refusal->number && refusal->key_len == len && memcmp(refusal->key, key, len) == 0)
            return refusal;
        if (refusal->number < oldest->number)
            oldest = refusal;
    }
    return oldest;
}

static void put(struct busy *busy, const char *key, char *owner, const lh_record *record)
{
    size_t len = strlen(key);
    int64_t now = clock_ns(CLOCK_REALTIME) / 1000;
    struct refusal *refusal = place_of(busy, key, len);
    if (!refusal->number || refusal->key_len != len || memcmp(refusal->key, key, len) != 0) {
        char *copy = strdup(key);
        if (!copy) {
            free(owner);
            return;
        }
        free(refusal->key);
        free(refusal->owner);
        *refusal = (struct refusal){.key = copy, .key_len = len};
    } else {
        free(refusal->owner);
    }
    refusal->owner = owner;
    refusal->why = record ? record->why : LH_WHY_RACE;
    refusal->at_ms = record && record->now_ms > 0 ? record->now_ms : now / 1000;
    refusal->n++;
    refusal->number = busy->number = now > busy->number ? now : busy->number + 1;
}

void busy_note(struct busy *busy, const char *key, const char *owner, const lh_record *record)
{
    char *copy = strdup(owner);
    if (!copy)
        return; /* it is for people only */
    pthread_mutex_lock(&busy->lock);
    put(busy, key, copy, record);
    pthread_mutex_unlock(&busy->lock);
}

static void append(bson_t *array, size_t i, const struct refusal *refusal)
{
    bson_t item;
    json_item_begin(array, (uint32_t)i, &item);
    json_text(&item, "key", refusal->key);
    json_text(&item, "owner", refusal->owner);
    json_text(&item, "reason", lh_why_word(refusal->why));
    json_number(&item, "n", refusal->n);
    json_time(&item, "at", refusal->at_ms, 0);
    bson_append_document_end(array, &item);
}

void busy_get(struct request *request)
{
    struct busy *busy = request->server->busy;
    char text[24] = "";
    int64_t after = 0;
    bool given;
    if (!request_decode(request, "after", text, sizeof text, &given))
        return;
    if (given && !text_number(text, &after)) {
        answer_failure(request, MHD_HTTP_BAD_REQUEST, "invalid",
                       "after must be the \"next\" of an earlier reply");
        return;
    }
    bson_t json, array;
    size_t n = 0;
    json_init(&json, NULL);
    bson_append_array_begin(&json, "busy", -1, &array);
    pthread_mutex_lock(&busy->lock);
    for (size_t i = 0; i < MOST_REFUSALS; i++) {
        if (busy->refusals[i].number > after)
            append(&array, n++, &busy->refusals[i]);
    }
    int64_t next = busy->number > after ? busy->number : after;
    pthread_mutex_unlock(&busy->lock);
    bson_append_array_end(&json, &array);
    json_number(&json, "next", next);
    answer_json(request, MHD_HTTP_OK, &json);
}
