/* SPDX-License-Identifier: Apache-2.0
 * The document decoder, on bytes of which only the length and the end are right. (The driver checks
 * no more of what a server sends.) The first byte chooses the time. */
#include "protocol/doc.h"

#include "fuzz.h"
#include "protocol/doc_instant.h"
#include "protocol/doc_record.h"

static void text_is_good(const char *text)
{
    must(bson_utf8_validate(text, strlen(text), false));
}

static void record_is_good(const lh_record *record, const char *problem)
{
    const lh_holder *holder;
    const lh_waiter *waiter;
    must(record);
    /* a token that cannot grow is no fault of the document, and shuts the key all the same */
    bool at_end = strstr(record->problem, "its maximum");
    must((record->state == LH_MALFORMED) == (problem || at_end));
    must(!problem || strcmp(record->problem, problem) == 0);
    text_is_good(record->key);
    text_is_good(record->problem);
    text_is_good(record->released_how);
    text_is_good(record->released_owner);
    text_is_good(record->released_by);
    text_is_good(record->released_reason);
    for (size_t i = 0; (holder = lh_record_holder(record, i)); i++) {
        text_is_good(holder->owner);
        text_is_good(holder->purpose);
    }
    for (size_t i = 0; (waiter = lh_record_waiter(record, i)); i++)
        text_is_good(waiter->owner);
    must(record->state != LH_HELD || lh_record_holder(record, 0));
}

static void see_grant(void *arg, const lh_grant *grant)
{
    must(strlen(grant->id) == LH_LEASE_ID_LEN);
    ++*(int *)arg;
}

static void decode(const bson_t *document, int64_t now_ms)
{
    char problem[128], reply_problem[128];
    bool is_bad = lh_doc_problem(document, problem, sizeof problem);
    bool reply_is_bad = lh_doc_reply_problem(document, reply_problem, sizeof reply_problem);
    lh_record *record = lh_doc_record(document, now_ms, 1000);
    record_is_good(record, is_bad ? problem : NULL);
    lh_record_free(record);
    record = lh_doc_reply_record(document, 1000);
    record_is_good(record, reply_is_bad ? reply_problem : NULL);
    lh_record_free(record);

    lh_mine mine;
    lh_doc_mine(document, "0123456789abcdef0123456789abcdef", &mine);
    (void)lh_doc_is_freed(document, 0);
    (void)lh_doc_is_held_alone(document, 1000);
    (void)lh_doc_place(document);
    (void)lh_doc_waiting(document);
    int grants = 0;
    lh_doc_each_grant(document, see_grant, &grants);
    bson_iter_t field;
    int64_t ms;
    if (bson_iter_init(&field, document))
        while (bson_iter_next(&field))
            (void)lh_doc_instant(&field, &ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6 || size > 65536)
        return 0;
    int64_t now_ms = data[0] < 128    ? INT64_C(1767225600000) + data[0]
                     : data[0] == 255 ? INT64_MAX
                                      : INT64_MIN;
    size_t len = size - 1;
    uint8_t *copy = malloc(len);
    must(copy);
    memcpy(copy, data + 1, len);
    for (int i = 0; i < 4; i++)
        copy[i] = (uint8_t)(len >> 8 * i);
    copy[len - 1] = 0;
    bson_t document;
    if (bson_init_static(&document, copy, len))
        decode(&document, now_ms);
    free(copy);
    return 0;
}
