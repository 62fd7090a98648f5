/* SPDX-License-Identifier: Apache-2.0
 * The workers: threads that call the library, which blocks. Jobs of a lane are begun in their
 * order, and lanes take turns. */
#ifndef SERVE_WORK_H
#define SERVE_WORK_H

#include <leasehold/leasehold.h>
#include <stdbool.h>

struct client;
struct clients;

/* The common part of all jobs; the worker passes it to `run`, and does not touch it afterwards. */
struct job {
    struct job *next;
    struct lane *lane;
    void (*run)(struct job *job);
};

/* The part's whole. */
#define JOB_OWNER(job, type) ((type *)(void *)((char *)(job)-offsetof(type, job)))

/* Jobs of a client: those that wait, and how many are being done. */
struct lane {
    struct client *client;
    struct job *first, **last;
    struct lane *next; /* whose turn comes after */
    unsigned running, most;
    bool listed; /* among those whose turn comes */
};

void lane_init(struct lane *lane, struct client *client, unsigned most);

struct work;

/* LH_OK, or LH_MEMORY. */
int work_new(struct clients *clients, struct work **ret_work, lh_error *error);
/* Does the job when it is the lane's turn; keeps a reference to the client meanwhile. The number
 * of jobs is bounded by whoever makes them: clients_take(). */
void work_push(struct work *work, struct lane *lane, struct job *job);
/* Jobs that wait. */
size_t work_queued(struct work *work);
/* Lets the workers finish their jobs, and ends them. NULL: nothing is done. */
void work_stop(struct work *work);
/* Frees it after it was stopped; does, here, what came since. NULL: nothing is done. */
void work_free(struct work *work);

#endif
