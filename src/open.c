/* SPDX-License-Identifier: Apache-2.0
 * Opening and closing: where the layers meet. Nothing below includes this. */
#include "acquire/keeper.h"
#include "acquire/wait_close.h"
#include "acquire/wait_table.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "lease/lease_close.h"
#include "lease/lease_held.h"
#include "protocol/pipeline.h"
#include "rollout.h"
#include "store/index.h"
#include "store/store.h"
#include "trial.h"

static int look_at_index(lh_store *store, const lh_store_options *options, lh_error *error)
{
    switch (options->at_open) {
    case LH_AT_OPEN_VERIFY:
        return lh_index_require(store, INT64_MAX, lh_store_deadline(store, 0), error);
    case LH_AT_OPEN_MIGRATE:
        return lh_migrate(store, options->migrate, NULL, error);
    default:
        return LH_OK;
    }
}

static void free_parts(lh_store *store)
{
    lh_wait_fini(store);
    lh_held_free(store);
    lh_rollout_free(store);
}

static const lh_hooks hooks = {.granted = lh_wait_granted,
                               .doubted = lh_keeper_settle_doubts,
                               .missed = lh_rollout_missed,
                               .trial = lh_trial,
                               .last = free_parts};

/* Each room's part of the store, from the bottom up. */
static int make_parts(lh_store *store, const lh_store_options *options, lh_error *error)
{
    store->hooks = &hooks;
    store->pipelines = lh_pipelines_new();
    int outcome = store->pipelines ? LH_OK : lh_fail_memory(error);
    if (outcome == LH_OK)
        outcome = lh_held_new(store, options, error);
    if (outcome == LH_OK)
        outcome = lh_wait_init(store, error);
    if (outcome == LH_OK)
        outcome = lh_rollout_new(store, error);
    return outcome;
}

static int prepare(lh_store *store, const lh_store_options *options, lh_error *error)
{
    lh_log_init(store, options);
    int outcome = make_parts(store, options, error);
    if (outcome == LH_OK && store->rollout != LH_OFF)
        outcome = lh_rollout_judge(store, look_at_index(store, options, error));
    return outcome;
}

/* The store frees them when it is closed. */
static void take_arguments(lh_store *store, const lh_store_options *options)
{
    store->held->on_lost_free = options->on_lost_free;
    store->log.arg_free = options->log_free;
}

static void free_arguments(const lh_store_options *options)
{
    if (options->on_lost_free)
        options->on_lost_free(options->on_lost_arg);
    if (options->log_free)
        options->log_free(options->log_arg);
}

int lh_store_open(const lh_store_options *options, lh_store **ret_store, lh_error *error)
{
    lh_store *store = NULL;
    lh_store_options o;
    if (!options)
        return lh_fail(error, LH_INVALID,
                       "no options were given: initialise them with LH_STORE_OPTIONS_INIT");
    int outcome = lh_store_options_take(&o, options, error);
    if (outcome != LH_OK)
        return outcome;
    int64_t began_us = lh_clock_us();
    outcome = lh_store_new(&o, &store, error);
    if (outcome == LH_OK)
        outcome = prepare(store, &o, error);
    if (store)
        lh_log(store,
               &(lh_log_event){.event = LH_LOG_OPENED,
                               .outcome = outcome,
                               .duration_us = lh_clock_us() - began_us},
               error);
    if (outcome == LH_OK) {
        take_arguments(store, &o);
        *ret_store = store;
    } else {
        lh_store_close(store);
        free_arguments(&o);
    }
    return outcome;
}

void lh_store_close(lh_store *store)
{
    if (!store)
        return;
    int64_t began_us = lh_clock_us();
    bool here = lh_store_check(store, NULL) == LH_OK;
    if (here) {
        int64_t deadline = lh_store_deadline(store, 0);
        lh_wait_stop(store, deadline);
        lh_held_release_all(store, deadline);
    }
    lh_store_shut(store);
    lh_pipelines_free(store->pipelines);
    store->pipelines = NULL;
    if (store->held && store->held->on_lost_free) /* its threads are joined: nobody calls on_lost */
        store->held->on_lost_free(store->held->on_lost_arg);
    if (here)
        lh_log(store,
               &(lh_log_event){.event = LH_LOG_CLOSED, .duration_us = lh_clock_us() - began_us},
               NULL);
    lh_log_fini(store);
    lh_store_unref(store);
}
