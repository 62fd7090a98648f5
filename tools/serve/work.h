/* SPDX-License-Identifier: Apache-2.0
 * The workers: threads that call the library, which blocks. */
#ifndef SERVE_WORK_H
#define SERVE_WORK_H

#include <leasehold/leasehold.h>
#include <stdbool.h>

/* Part of what is to be done; the worker gives it back to `run`, and does not touch it afterwards. */
struct job {
    struct job *next;
    void (*run)(struct job *job);
};

/* The part's whole. */
#define JOB_OWNER(job, type) ((type *)(void *)((char *)(job)-offsetof(type, job)))

struct work;

/* LH_OK, or LH_MEMORY. */
int work_new(struct work **ret_work, lh_error *error);
/* False when MOST_JOBS are there already; nothing was done then. */
bool work_push(struct work *work, struct job *job);
/* For what must be done, whatever the load: it undoes something. */
void work_push_always(struct work *work, struct job *job);
/* Jobs that wait. */
size_t work_queued(struct work *work);
/* Lets the workers do what there is, and ends them. NULL: nothing is done. */
void work_stop(struct work *work);
/* Frees it after it was stopped; does, here, what came since. NULL: nothing is done. */
void work_free(struct work *work);

#endif
