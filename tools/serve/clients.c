/* SPDX-License-Identifier: Apache-2.0
 * A table of the clients that have something open. No client can use up a resource: the limits for
 * one client leave room for others. */
#include "serve/clients.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bound {
    unsigned all, one;
};

struct clients {
    pthread_mutex_t lock;
    struct bound bounds[SHARES];
    enum may address_may; /* what one without a token may do */
    unsigned taken[SHARES], n_unnamed;
    struct table table; /* by address; that of a token is empty */
};

int clients_new(const struct config *config, struct clients **ret_clients, lh_error *error)
{
    struct clients *clients = calloc(1, sizeof *clients);
    if (!clients)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&clients->lock, NULL);
    table_init(&clients->table);
    clients->address_may = config->token_file ? MAY_LOOK_IN : MAY_CALL;
    const struct bound bounds[SHARES] = {
        [SHARE_REQUESTS] = {MOST_REQUESTS, MOST_REQUESTS / 2},
        [SHARE_WAITS] = {config->max_waits, config->max_waits_per_client},
        [SHARE_EVENTS] = {MOST_SUBSCRIBERS, MOST_SUBSCRIBERS / 2},
        [SHARE_LISTS] = {MOST_LISTS, MOST_LISTS / 2},
        [SHARE_SESSIONS] = {MOST_SESSIONS, MOST_SESSIONS / 2},
        [SHARE_CONNECTIONS] = {MOST_CONNECTIONS, MOST_OF_A_CLIENT},
    };
    memcpy(clients->bounds, bounds, sizeof bounds);
    *ret_clients = clients;
    return LH_OK;
}

static void free_client(struct entry *entry, void *arg)
{
    (void)arg;
    free(entry);
}

/* The remaining clients have no other reference, because every holder of a reference has ended. */
void clients_free(struct clients *clients)
{
    if (!clients)
        return;
    table_each(&clients->table, free_client, NULL);
    (void)pthread_mutex_destroy(&clients->lock);
    free(clients);
}

static struct client *add_locked(struct clients *clients, const char *address, enum may may)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    (void)snprintf(client->address, sizeof client->address, "%s", address);
    atomic_init(&client->may, (int)may);
    lane_init(&client->calls, client, MOST_CALLERS);
    lane_init(&client->waits, client, MOST_QUEUERS);
    client->refs = 1;
    table_add(&clients->table, address, &client->entry);
    return client;
}

struct client *clients_new_token(struct clients *clients)
{
    pthread_mutex_lock(&clients->lock);
    struct client *client = add_locked(clients, "", MAY_LOOK_IN);
    pthread_mutex_unlock(&clients->lock);
    return client;
}

struct client *clients_of_address(struct clients *clients, const char *address)
{
    pthread_mutex_lock(&clients->lock);
    struct client *client = (struct client *)table_find(&clients->table, address);
    while (client && (!*client->address || strcmp(client->address, address) != 0))
        client = (struct client *)client->entry.next;
    if (client)
        client->refs++;
    else
        client = add_locked(clients, address, clients->address_may);
    pthread_mutex_unlock(&clients->lock);
    return client;
}

struct client *clients_ref(struct clients *clients, struct client *client)
{
    pthread_mutex_lock(&clients->lock);
    client->refs++;
    pthread_mutex_unlock(&clients->lock);
    return client;
}

void clients_unref(struct clients *clients, struct client *client)
{
    if (!client)
        return;
    pthread_mutex_lock(&clients->lock);
    bool last = --client->refs == 0;
    if (last)
        table_remove(&client->entry);
    pthread_mutex_unlock(&clients->lock);
    if (last)
        free(client);
}

void clients_rename(struct clients *clients, struct client *client, const char *name)
{
    pthread_mutex_lock(&clients->lock);
    if (name)
        (void)snprintf(client->name, sizeof client->name, "%s", name);
    else if (*client->name != '#')
        (void)snprintf(client->name, sizeof client->name, "#%u", ++clients->n_unnamed);
    pthread_mutex_unlock(&clients->lock);
}

void clients_name(struct clients *clients, const struct client *client,
                  char name[CLIENT_NAME_MAX + 1])
{
    *name = '\0';
    if (!client)
        return;
    pthread_mutex_lock(&clients->lock);
    strcpy(name, client->name);
    pthread_mutex_unlock(&clients->lock);
}

int clients_take(struct clients *clients, struct client *client, enum share share)
{
    const struct bound *bound = &clients->bounds[share];
    pthread_mutex_lock(&clients->lock);
    int result = client->taken[share] >= bound->one    ? SHARE_OVER
                 : clients->taken[share] >= bound->all ? SHARE_FULL
                                                       : SHARE_TAKEN;
    if (result == SHARE_TAKEN) {
        client->taken[share]++;
        clients->taken[share]++;
    }
    pthread_mutex_unlock(&clients->lock);
    return result;
}

void clients_give(struct clients *clients, struct client *client, enum share share)
{
    pthread_mutex_lock(&clients->lock);
    client->taken[share]--;
    clients->taken[share]--;
    pthread_mutex_unlock(&clients->lock);
}

unsigned clients_taken(struct clients *clients, enum share share)
{
    pthread_mutex_lock(&clients->lock);
    unsigned taken = clients->taken[share];
    pthread_mutex_unlock(&clients->lock);
    return taken;
}

unsigned clients_most(const struct clients *clients, enum share share)
{
    return clients->bounds[share].one;
}
