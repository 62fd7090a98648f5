/* SPDX-License-Identifier: Apache-2.0
 * A hash table, and a list by age: the oldest grant makes room for a new one. */
#include "repeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct repeats {
    struct repeat *bucket[BUCKETS];
    struct repeat *oldest, *newest;
    size_t n;
};

/* FNV-1a. */
static uint64_t hash_of(const char *bytes, size_t len)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

/* A token is the same from anywhere; without one the address counts. Lengths keep the parts apart. */
static char *name_of(const struct request *request, const char *idempotency_key)
{
    char *name = NULL;
    const char *address = request->client.token ? "" : request->client.address;
    if (asprintf(&name, "%u/%zu/%s/%zu/%s/%s", request->client.token, strlen(address), address, strlen(request->key),
                 request->key, idempotency_key) < 0)
        return NULL;
    return name;
}

static struct repeat **place_of(struct repeats *repeats, const char *name)
{
    struct repeat **at = &repeats->bucket[hash_of(name, strlen(name)) % BUCKETS];
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

int repeats_new(struct repeats **ret_repeats, lh_error *error)
{
    *ret_repeats = calloc(1, sizeof **ret_repeats);
    return *ret_repeats ? LH_OK : out_fail(error, LH_MEMORY, "out of memory");
}

void repeats_forget(struct repeats *repeats, struct repeat *repeat)
{
    struct repeat **at = place_of(repeats, repeat->name);
    *at = repeat->next;
    *(repeat->older ? &repeat->older->newer : &repeats->oldest) = repeat->newer;
    *(repeat->newer ? &repeat->newer->older : &repeats->newest) = repeat->older;
    repeats->n--;
    explicit_bzero(repeat->lease_id, sizeof repeat->lease_id);
    free(repeat->name);
    free(repeat);
}

/* Those whose time is over, and the oldest where there is no room; what is being asked for stays. */
static void make_room(struct repeats *repeats, int64_t now)
{
    for (struct repeat *repeat = repeats->oldest, *newer; repeat; repeat = newer) {
        newer = repeat->newer;
        if (repeat->until_ms > now && repeats->n < MOST_REPEATS)
            return;
        if (!repeat->ask)
            repeats_forget(repeats, repeat);
    }
}

struct repeat *repeats_enter(struct repeats *repeats, const struct request *request, const char *idempotency_key)
{
    int64_t now = serve_now_ms();
    make_room(repeats, now);
    char *name = name_of(request, idempotency_key);
    struct repeat **at = name ? place_of(repeats, name) : NULL;
    if (at && *at) {
        free(name);
        return *at;
    }
    struct repeat *repeat = at && repeats->n < MOST_REPEATS ? calloc(1, sizeof *repeat) : NULL;
    if (!repeat) {
        free(name);
        return NULL;
    }
    *at = repeat;
    repeat->name = name;
    repeat->fingerprint = hash_of(request->body ? request->body : "", request->body_len);
    repeat->until_ms = now + REPEAT_MS;
    repeat->older = repeats->newest;
    *(repeat->older ? &repeat->older->newer : &repeats->oldest) = repeat;
    repeats->newest = repeat;
    repeats->n++;
    return repeat;
}

bool repeats_same(const struct repeat *repeat, const struct request *request)
{
    return repeat->fingerprint == hash_of(request->body ? request->body : "", request->body_len);
}

void repeats_free(struct repeats *repeats)
{
    while (repeats && repeats->oldest)
        repeats_forget(repeats, repeats->oldest);
    free(repeats);
}
