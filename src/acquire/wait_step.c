/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/wait_step.h"

#include <leasehold/error.h>

#include "base/assert.h"

bool lh_wait_is_under_way(lh_wait_state state)
{
    return state == LH_WAIT_ASKING || state == LH_WAIT_ASKING_SPENT || state == LH_WAIT_RETIRING ||
           state == LH_WAIT_STOPPING || state == LH_WAIT_SETTLED_ASKING;
}

bool lh_wait_is_waiting(lh_wait_state state)
{
    return state < LH_WAIT_STOPPING;
}

bool lh_wait_is_settled(lh_wait_state state)
{
    return state >= LH_WAIT_SETTLED_ASKING;
}

bool lh_wait_hears(lh_wait_state state)
{
    return state == LH_WAIT_QUEUED || state == LH_WAIT_ASKING;
}

static unsigned ask_at(lh_wait_core *core, lh_wait_state state, int64_t at)
{
    core->state = state;
    core->ask_at = at;
    return 0;
}

unsigned lh_wait_settle_core(lh_wait_core *core, int outcome)
{
    lh_assert(!lh_wait_is_settled(core->state));
    /* what was under way while it was leaving has ended */
    core->state = lh_wait_is_waiting(core->state) && lh_wait_is_under_way(core->state)
                      ? LH_WAIT_SETTLED_ASKING
                      : LH_WAIT_SETTLED;
    core->outcome = outcome;
    return LH_WAIT_DO_SETTLE;
}

static unsigned leave(lh_wait_core *core, lh_wait_state state, int outcome)
{
    core->state = state;
    core->outcome = outcome;
    return LH_WAIT_DO_LEAVE;
}

static unsigned due(lh_wait_core *core)
{
    switch (core->state) {
    case LH_WAIT_NEW:
    case LH_WAIT_QUEUED:
        (void)ask_at(core, LH_WAIT_ASKING, INT64_MAX);
        return LH_WAIT_DO_ASK;
    case LH_WAIT_SPENT:
        (void)ask_at(core, LH_WAIT_RETIRING, INT64_MAX);
        return LH_WAIT_DO_RETIRE;
    default:
        return 0;
    }
}

/* ---- Answers ----------------------------------------------------------------------------------*/

/* May an ask that ended so have been applied? What failed otherwise surely was not, or was given
 * back. */
static bool may_be_stored(int outcome)
{
    return outcome == LH_OK || outcome == LH_BUSY || outcome == LH_UNKNOWN || outcome == LH_MEMORY;
}

/* With another id it begins anew. */
static unsigned begin_anew(lh_wait_core *core, int64_t now)
{
    core->stored = false;
    core->place = -1;
    (void)ask_at(core, LH_WAIT_QUEUED, now);
    return core->own_id ? lh_wait_settle_core(core, LH_LOST) : LH_WAIT_DO_DRAW;
}

static unsigned queued(lh_wait_core *core, const lh_wait_event *event, lh_wait_state idle)
{
    core->place = event->place;
    /* a grant came meanwhile: this answer is older */
    (void)ask_at(core, idle, idle == LH_WAIT_SPENT ? event->now : INT64_MAX);
    if (event->place < 0) /* the queue is full, or cannot be read */
        return LH_WAIT_DO_NOTE | lh_wait_settle_core(core, LH_BUSY);
    return LH_WAIT_DO_NOTE;
}

/* `idle`: its state if it goes on waiting under this id. */
static unsigned take_reply(lh_wait_core *core, const lh_wait_event *event, lh_wait_state idle)
{
    core->state = idle;
    if (event->next == LH_NEXT_RACE)
        return ask_at(core, idle, event->now + LH_WAIT_RACE_MS);
    if (event->next == LH_NEXT_NEW_ID)
        return begin_anew(core, event->now);
    if (event->granted)
        return lh_wait_settle_core(core, event->outcome);
    switch (event->outcome) {
    case LH_BUSY:
        return queued(core, event, idle);
    case LH_UNKNOWN:
    case LH_UNREACHABLE:
        return ask_at(core, idle, event->now + LH_WAIT_RETRY_MS + event->jitter_ms);
    default: /* refused, or there is no memory for the answer: by now it is queued, perhaps */
        return core->stored ? leave(core, LH_WAIT_LEAVING, event->outcome)
                            : lh_wait_settle_core(core, event->outcome);
    }
}

/* It was settled by another's grant while it was asked for. Did the question arrive after that
 * grant had ended, and others had the key? Then the id was new to the server, and holds or is
 * queued for nobody. */
static bool is_stray(const lh_wait_core *core, const lh_wait_event *event)
{
    if (core->token == 0)
        return false;
    return event->granted
               ? event->token > core->token
               : event->outcome == LH_BUSY && event->place >= 0 && event->token >= core->token;
}

static unsigned answered(lh_wait_core *core, const lh_wait_event *event)
{
    lh_wait_state state = core->state;
    lh_assert(lh_wait_is_under_way(state));
    if (state == LH_WAIT_SETTLED_ASKING) {
        core->state = LH_WAIT_SETTLED;
        return is_stray(core, event) ? LH_WAIT_DO_DOUBT : 0;
    }
    core->stored = core->stored || may_be_stored(event->outcome);
    if (event->unsure)
        core->sure_at = event->sure_at;
    if (state == LH_WAIT_STOPPING) { /* whoever stopped it leaves */
        core->state = LH_WAIT_LEAVING;
        return 0;
    }
    return take_reply(core, event, state == LH_WAIT_ASKING ? LH_WAIT_QUEUED : LH_WAIT_SPENT);
}

/* ---- Other events -----------------------------------------------------------------------------*/

static unsigned granted(lh_wait_core *core, const lh_wait_event *event)
{
    bool asking = core->state == LH_WAIT_ASKING;
    if (!lh_wait_hears(core->state))
        return 0;
    if (event->outcome == LH_OK || event->outcome == LH_LOST) { /* lost: the id is in doubt */
        core->token = event->token;
        return lh_wait_settle_core(core, event->outcome);
    }
    core->stored = true;
    if (event->spends)
        return ask_at(core, asking ? LH_WAIT_ASKING_SPENT : LH_WAIT_SPENT, event->now);
    return asking ? 0 : ask_at(core, LH_WAIT_QUEUED, event->now);
}

static unsigned stop(lh_wait_core *core, int outcome)
{
    if (core->state == LH_WAIT_NEW)
        return lh_wait_settle_core(core, outcome);
    if (!lh_wait_is_waiting(core->state))
        return 0;
    lh_wait_state next = lh_wait_is_under_way(core->state) ? LH_WAIT_STOPPING : LH_WAIT_LEAVING;
    return leave(core, next, outcome);
}

static unsigned left(lh_wait_core *core, const lh_wait_event *event)
{
    int outcome = core->outcome;
    unsigned doubt = event->outcome != LH_OK || event->now < core->sure_at ? LH_WAIT_DO_DOUBT : 0;
    lh_assert(core->state == LH_WAIT_LEAVING);
    if (event->outcome == LH_UNREACHABLE && core->stored)
        outcome = LH_UNKNOWN;
    else if (event->outcome != LH_OK)
        outcome = event->outcome;
    else if (outcome == LH_BUSY && !event->has_record)
        outcome = LH_MEMORY;
    return doubt | lh_wait_settle_core(core, outcome);
}

unsigned lh_wait_step(lh_wait_core *core, const lh_wait_event *event)
{
    bool idle = core->state == LH_WAIT_QUEUED || core->state == LH_WAIT_SPENT;
    switch (event->kind) {
    case LH_WAIT_DUE:
        return due(core);
    case LH_WAIT_REPLIED:
        return answered(core, event);
    case LH_WAIT_GRANTED:
        return granted(core, event);
    case LH_WAIT_STOP:
        return stop(core, event->outcome);
    case LH_WAIT_LEFT:
        return left(core, event);
    case LH_WAIT_CLOSE:
        return lh_wait_is_waiting(core->state) ? lh_wait_settle_core(core, LH_CLOSED) : 0;
    case LH_WAIT_MISSED:
    case LH_WAIT_ENDED:
        return idle ? ask_at(core, core->state, event->now) : 0;
    }
    return 0;
}
