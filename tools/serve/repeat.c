/* SPDX-License-Identifier: Apache-2.0
 * A hash table, and for each client a list of its grants by age. */
#include "serve/repeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "serve/clients.h"

enum { BUCKETS = 4096 };

struct repeats {
    struct clients *clients;
    uint64_t seed; /* nobody outside knows which names share a bucket */
    struct repeat *bucket[BUCKETS];
    struct client *first; /* those that have grants */
    unsigned n;           /* grants */
};

/* FNV-1a. */
static uint64_t hash_of(uint64_t hash, const char *bytes, size_t len)
{
    hash ^= UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t fingerprint_of(const struct request *request)
{
    return hash_of(0, request->body ? request->body : "", request->body_len);
}

/* The length keeps the parts apart. Only one method has these. */
static char *name_of(const struct request *request, const char *idempotency_key)
{
    char *name = NULL;
    if (asprintf(&name, "%zu/%s/%s", strlen(request->key), request->key, idempotency_key) < 0)
        return NULL;
    return name;
}

static struct repeat **place_of(struct repeats *repeats, const struct client *client,
                                const char *name)
{
    struct repeat **at = &repeats->bucket[hash_of(repeats->seed, name, strlen(name)) % BUCKETS];
    while (*at && ((*at)->client != client || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

int repeats_new(struct clients *clients, struct repeats **ret_repeats, lh_error *error)
{
    struct repeats *repeats = calloc(1, sizeof *repeats);
    if (!repeats)
        return out_fail(error, LH_MEMORY, "out of memory");
    repeats->clients = clients;
    ssize_t got = getrandom(&repeats->seed, sizeof repeats->seed, GRND_NONBLOCK);
    (void)got; /* without, only speed may suffer */
    *ret_repeats = repeats;
    return LH_OK;
}

/* ---- a client's grants ---- */

static void add_grant(struct repeats *repeats, struct repeat *repeat)
{
    struct client *client = repeat->client;
    if (client->n_repeats++ == 0) {
        client->repeats_next = repeats->first;
        client->repeats_link = &repeats->first;
        if (client->repeats_next)
            client->repeats_next->repeats_link = &client->repeats_next;
        repeats->first = client;
    }
    repeat->older = client->newest;
    *(repeat->older ? &repeat->older->newer : &client->oldest) = repeat;
    client->newest = repeat;
    repeats->n++;
}

static void remove_grant(struct repeats *repeats, struct repeat *repeat)
{
    struct client *client = repeat->client;
    *(repeat->older ? &repeat->older->newer : &client->oldest) = repeat->newer;
    *(repeat->newer ? &repeat->newer->older : &client->newest) = repeat->older;
    repeats->n--;
    if (--client->n_repeats > 0)
        return;
    *client->repeats_link = client->repeats_next;
    if (client->repeats_next)
        client->repeats_next->repeats_link = client->repeats_link;
}

void repeats_forget(struct repeats *repeats, struct repeat *repeat)
{
    *place_of(repeats, repeat->client, repeat->name) = repeat->next;
    if (*repeat->lease_id)
        remove_grant(repeats, repeat);
    clients_unref(repeats->clients, repeat->client);
    explicit_bzero(repeat->lease_id, sizeof repeat->lease_id);
    free(repeat->name);
    free(repeat);
}

static void make_room(struct repeats *repeats)
{
    const struct client *most = repeats->first;
    for (const struct client *client = most; client; client = client->repeats_next) {
        if (client->n_repeats > most->n_repeats)
            most = client;
    }
    repeats_forget(repeats, most->oldest);
}

void repeats_grant(struct repeats *repeats, struct repeat *repeat, const char *lease_id)
{
    repeat->ask = NULL;
    repeat->until_ms = serve_now_ms() + REPEAT_MS;
    strcpy(repeat->lease_id, lease_id);
    add_grant(repeats, repeat);
    if (repeats->n > MOST_REPEATS)
        make_room(repeats);
}

void repeats_revoke(struct repeats *repeats)
{
    for (struct client *client = repeats->first, *next; client; client = next) {
        next = client->repeats_next;
        for (unsigned n = atomic_load(&client->revoked) ? client->n_repeats : 0; n > 0; n--)
            repeats_forget(repeats, client->oldest); /* the last may free the client */
    }
}

/* ---- looking up ---- */

struct repeat *repeats_enter(struct repeats *repeats, const struct request *request,
                             const char *idempotency_key)
{
    char *name = name_of(request, idempotency_key);
    struct repeat **at = name ? place_of(repeats, request->client, name) : NULL;
    if (at && *at && *(*at)->lease_id && (*at)->until_ms <= serve_now_ms())
        repeats_forget(repeats, *at);
    if (at)
        at = place_of(repeats, request->client, name);
    if (at && *at) {
        free(name);
        return *at;
    }
    struct repeat *repeat = at ? calloc(1, sizeof *repeat) : NULL;
    if (!repeat) {
        free(name);
        return NULL;
    }
    *at = repeat;
    repeat->client = clients_ref(repeats->clients, request->client);
    repeat->name = name;
    repeat->fingerprint = fingerprint_of(request);
    return repeat;
}

bool repeats_same(const struct repeat *repeat, const struct request *request)
{
    return repeat->fingerprint == fingerprint_of(request);
}

void repeats_free(struct repeats *repeats)
{
    if (!repeats)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (repeats->bucket[i])
            repeats_forget(repeats, repeats->bucket[i]);
    }
    free(repeats);
}
