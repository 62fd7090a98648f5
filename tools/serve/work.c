/* SPDX-License-Identifier: Apache-2.0
 * A ring of lanes, two a client, and a handful of threads. A lane whose turn it is gives one job
 * and goes to the end. No client has all workers, so that a worker is left for a client with few
 * requests, however many another client sends.
 *
 * If the database hangs, the workers and then the lanes fill up; requests that need no worker
 * continue. */
#include "serve/work.h"

#include <pthread.h>
#include <stdlib.h>

#include "serve/clients.h"

struct work {
    struct clients *clients;
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct lane *first, **last; /* those with jobs that may be done now */
    size_t queued;
    bool ends;
    int n_threads;
    pthread_t threads[WORKERS];
};

void lane_init(struct lane *lane, struct client *client, unsigned most)
{
    lane->client = client;
    lane->last = &lane->first;
    lane->most = most;
}

/* Its turn comes, if it has a job, and a worker left to it. */
static void list_locked(struct work *work, struct lane *lane)
{
    if (lane->listed || !lane->first || lane->running >= lane->most)
        return;
    lane->listed = true;
    lane->next = NULL;
    *work->last = lane;
    work->last = &lane->next;
    pthread_cond_signal(&work->come);
}

static struct job *take_locked(struct work *work)
{
    struct lane *lane = work->first;
    work->first = lane->next;
    if (!work->first)
        work->last = &work->first;
    lane->listed = false;
    struct job *job = lane->first;
    lane->first = job->next;
    if (!lane->first)
        lane->last = &lane->first;
    lane->running++;
    work->queued--;
    list_locked(work, lane);
    return job;
}

static void *do_jobs(void *arg)
{
    struct work *work = arg;
    pthread_mutex_lock(&work->lock);
    for (;;) {
        while (!work->first && !(work->ends && work->queued == 0))
            pthread_cond_wait(&work->come, &work->lock);
        if (!work->first)
            break;
        struct job *job = take_locked(work);
        struct lane *lane = job->lane;
        pthread_mutex_unlock(&work->lock);
        job->run(job);
        pthread_mutex_lock(&work->lock);
        lane->running--;
        list_locked(work, lane);
        if (work->ends && work->queued == 0)
            pthread_cond_broadcast(&work->come);
        pthread_mutex_unlock(&work->lock);
        clients_unref(work->clients, lane->client);
        pthread_mutex_lock(&work->lock);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

int work_new(struct clients *clients, struct work **ret_work, lh_error *error)
{
    struct work *work = calloc(1, sizeof *work);
    if (!work)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->come, NULL);
    work->clients = clients;
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

void work_push(struct work *work, struct lane *lane, struct job *job)
{
    (void)clients_ref(work->clients, lane->client);
    job->lane = lane;
    job->next = NULL;
    pthread_mutex_lock(&work->lock);
    *lane->last = job;
    lane->last = &job->next;
    work->queued++;
    list_locked(work, lane);
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
        struct job *job = take_locked(work);
        struct lane *lane = job->lane;
        job->run(job);
        lane->running--;
        list_locked(work, lane);
        clients_unref(work->clients, lane->client);
    }
    (void)pthread_cond_destroy(&work->come);
    (void)pthread_mutex_destroy(&work->lock);
    free(work);
}
