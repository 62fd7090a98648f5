/* SPDX-License-Identifier: Apache-2.0
 * A hash table, and for each client a list of its grants by age. */
#include "serve/repeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/clients.h"

struct repeats {
    struct clients *clients;
    struct table table;
    struct client *first; /* those that have grants */
    unsigned n;           /* grants */
};

static uint64_t fingerprint_of(const struct request *request)
{
    return table_hash(0, request->body ? request->body : "", request->body_len);
}

/* The length keeps the parts apart. Only one method has these. */
static char *name_of(const struct request *request, const char *idempotency_key)
{
    char *name = NULL;
    if (asprintf(&name, "%zu/%s/%s", strlen(request->key), request->key, idempotency_key) < 0)
        return NULL;
    return name;
}

static struct repeat *find(const struct repeats *repeats, const struct client *client,
                           const char *name)
{
    struct repeat *repeat = (struct repeat *)table_find(&repeats->table, name);
    while (repeat && (repeat->client != client || strcmp(repeat->name, name) != 0))
        repeat = (struct repeat *)repeat->entry.next;
    return repeat;
}

int repeats_new(struct clients *clients, struct repeats **ret_repeats, lh_error *error)
{
    struct repeats *repeats = calloc(1, sizeof *repeats);
    if (!repeats)
        return out_fail(error, LH_MEMORY, "out of memory");
    repeats->clients = clients;
    table_init(&repeats->table);
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
    table_remove(&repeat->entry);
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
    struct repeat *repeat = name ? find(repeats, request->client, name) : NULL;
    if (repeat && *repeat->lease_id && repeat->until_ms <= serve_now_ms()) {
        repeats_forget(repeats, repeat);
        repeat = NULL;
    }
    if (repeat || !name || !(repeat = calloc(1, sizeof *repeat))) {
        free(name);
        return repeat;
    }
    table_add(&repeats->table, name, &repeat->entry);
    repeat->client = clients_ref(repeats->clients, request->client);
    repeat->name = name;
    repeat->fingerprint = fingerprint_of(request);
    return repeat;
}

bool repeats_same(const struct repeat *repeat, const struct request *request)
{
    return repeat->fingerprint == fingerprint_of(request);
}

static void forget_entry(struct entry *entry, void *arg)
{
    repeats_forget(arg, (struct repeat *)entry);
}

void repeats_free(struct repeats *repeats)
{
    if (!repeats)
        return;
    table_each(&repeats->table, forget_entry, repeats);
    free(repeats);
}
