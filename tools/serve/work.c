/* SPDX-License-Identifier: Apache-2.0
 * A queue and a handful of threads. A database that hangs fills the workers and then the queue; whatever needs none goes on. */
#include "work.h"

#include <pthread.h>
#include <stdlib.h>

#include "server.h"

struct work {
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct job *first, **last;
    size_t queued;
    bool ends;
    int n_threads;
    pthread_t threads[WORKERS];
};

static void *do_jobs(void *arg)
{
    struct work *work = arg;
    pthread_mutex_lock(&work->lock);
    for (;;) {
        while (!work->first && !work->ends)
            pthread_cond_wait(&work->come, &work->lock);
        struct job *job = work->first;
        if (!job)
            break;
        work->first = job->next;
        if (!work->first)
            work->last = &work->first;
        work->queued--;
        pthread_mutex_unlock(&work->lock);
        job->run(job);
        pthread_mutex_lock(&work->lock);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

int work_new(struct work **ret_work, lh_error *error)
{
    struct work *work = calloc(1, sizeof *work);
    if (!work)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->come, NULL);
    work->last = &work->first;
    for (; work->n_threads < WORKERS; work->n_threads++) {
        if (pthread_create(&work->threads[work->n_threads], NULL, do_jobs, work) != 0) {
            work_stop(work);
            work_free(work);
            return out_fail(error, LH_MEMORY, "the system has no thread left");
        }
        (void)pthread_setname_np(work->threads[work->n_threads], "serve-worker");
    }
    *ret_work = work;
    return LH_OK;
}

static void push_locked(struct work *work, struct job *job)
{
    job->next = NULL;
    *work->last = job;
    work->last = &job->next;
    work->queued++;
    pthread_cond_signal(&work->come);
}

bool work_push(struct work *work, struct job *job)
{
    pthread_mutex_lock(&work->lock);
    bool room = work->queued < MOST_JOBS;
    if (room)
        push_locked(work, job);
    pthread_mutex_unlock(&work->lock);
    return room;
}

void work_push_always(struct work *work, struct job *job)
{
    pthread_mutex_lock(&work->lock);
    push_locked(work, job);
    pthread_mutex_unlock(&work->lock);
}

size_t work_queued(struct work *work)
{
    pthread_mutex_lock(&work->lock);
    size_t queued = work->queued;
    pthread_mutex_unlock(&work->lock);
    return queued;
}

void work_stop(struct work *work)
{
    if (!work)
        return;
    pthread_mutex_lock(&work->lock);
    work->ends = true;
    pthread_cond_broadcast(&work->come);
    pthread_mutex_unlock(&work->lock);
    for (int i = 0; i < work->n_threads; i++)
        (void)pthread_join(work->threads[i], NULL);
    work->n_threads = 0;
}

void work_free(struct work *work)
{
    if (!work)
        return;
    while (work->first) {
        struct job *job = work->first;
        work->first = job->next;
        job->run(job);
    }
    (void)pthread_cond_destroy(&work->come);
    (void)pthread_mutex_destroy(&work->lock);
    free(work);
}
