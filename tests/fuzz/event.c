/* SPDX-License-Identifier: Apache-2.0
 * Change events, one after the other: what the watcher reads of them, and what a watch makes of its
 * documents. Each is two bytes of length (little-endian) and a document of which only the length
 * and the end are right. */
#include "acquire/watch_event.h"
#include "fuzz.h"
#include "operate/events_change.h"
#include "operate/events_shadow.h"
#include "operate/events_watching.h"

static void see_grant(void *arg, const lh_grant *grant)
{
    must(strnlen(grant->id, LH_LEASE_ID_LEN + 1) <= LH_LEASE_ID_LEN);
    must(grant->token > 0 || grant->beat < 0);
    ++*(int *)arg;
}

static void text_is_good(const char *text)
{
    must(text && bson_utf8_validate(text, strlen(text), false));
}

static int see_event(void *arg, const lh_event *event)
{
    text_is_good(event->key);
    text_is_good(event->owner);
    text_is_good(event->purpose);
    text_is_good(event->how);
    text_is_good(event->reason);
    must(event->kind >= 0);
    ++*(int *)arg;
    return 0;
}

static void see(lh_watching *w, const bson_t *event)
{
    int grants = 0;
    lh_change change;
    lh_watch_read(event, see_grant, &grants);
    must(grants <= 4096 / LH_LEASE_ID_LEN + 2);
    if (lh_change_read(event, &change))
        must(lh_watching_change(w, &change, 1) == LH_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int told = 0;
    lh_error error = LH_ERROR_INIT;
    lh_watching w = {.options = LH_WATCH_OPTIONS_INIT,
                     .each = see_event,
                     .arg = &told,
                     .error = &error,
                     .on_set = true};
    if (size > 4096)
        return 0;
    while (size > 2) {
        size_t len = data[0] | (size_t)data[1] << 8;
        data += 2, size -= 2;
        if (len > size)
            len = size;
        if (len < 5)
            break;
        uint8_t *copy = malloc(len);
        must(copy);
        memcpy(copy, data, len);
        for (int i = 0; i < 4; i++)
            copy[i] = (uint8_t)(len >> 8 * i);
        copy[len - 1] = 0;
        bson_t event;
        if (bson_init_static(&event, copy, len))
            see(&w, &event);
        free(copy);
        data += len, size -= len;
    }
    lh_shadow_fini(&w.shadow);
    return 0;
}
