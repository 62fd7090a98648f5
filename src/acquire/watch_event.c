/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/watch_event.h"
#include "protocol/doc.h"

#include <stdlib.h>
#include <string.h>

/* The event's entry with the id of the grant. */
static void complete(void *arg, const lh_grant *entry)
{
    lh_grant *grant = arg; /* the beat in `wake` */
    if (memcmp(entry->id, grant->id, LH_LEASE_ID_LEN) == 0 && entry->token > 0) {
        grant->token = entry->token;
        grant->expires_at_ms = entry->expires_at_ms;
    }
}

void lh_watch_read(const bson_t *event, void (*granted)(void *arg, const lh_grant *grant),
                   void *arg)
{
    bson_iter_t value;
    if (!bson_iter_init_find(&value, event, "wake") || !BSON_ITER_HOLDS_UTF8(&value))
        return;
    const char *at = bson_iter_utf8(&value, NULL);
    while (strlen(at) >= LH_LEASE_ID_LEN) {
        lh_grant grant = {.beat = -1};
        memcpy(grant.id, at, LH_LEASE_ID_LEN);
        at += LH_LEASE_ID_LEN;
        int64_t beat = *at == ':' ? strtoll(at + 1, NULL, 10) : -1;
        lh_doc_each_grant(event, complete, &grant);
        if (grant.token > 0) /* else the event is incomplete: only a hint */
            grant.beat = beat;
        granted(arg, &grant);
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
}
