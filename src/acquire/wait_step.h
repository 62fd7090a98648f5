/* SPDX-License-Identifier: Apache-2.0
 * What a waiter does next: a pure step from a state and an event to a state and actions. No lock,
 * no clock, no I/O: the rest of wait*.c has those around it.
 *
 *     state           DUE       ANSWERED                    GRANTED            STOP
 *     NEW             ASKING    -                           -                  SETTLED
 *     QUEUED          ASKING    -                           SETTLED or SPENT   LEAVING
 *     ASKING          -         QUEUED, LEAVING or SETTLED  SETTLED_ASKING or  STOPPING
 *                                                           ASKING_SPENT
 *     ASKING_SPENT    -         SPENT, LEAVING or SETTLED   -                  STOPPING
 *     SPENT           RETIRING  -                           -                  LEAVING
 *     RETIRING        -         QUEUED with a new id,       -                  STOPPING
 *                               SPENT, LEAVING or SETTLED
 *     STOPPING        -         LEAVING                     -                  -
 *     LEAVING         -         (LEFT:) SETTLED             -                  -
 *     SETTLED_ASKING  -         SETTLED                     -                  -
 *
 * CLOSE settles the first six; a command under way makes that SETTLED_ASKING. ENDED and MISSED
 * change no state: they only make a command due. tests/unit/wait_step.c tries every event in every
 * state. */
#ifndef LH_WAIT_STEP_H
#define LH_WAIT_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "lease/lease_acquire.h"

typedef enum {
    LH_WAIT_NEW,            /* nothing was sent */
    LH_WAIT_QUEUED,         /* no command is under way; the next one is due at `ask_at` */
    LH_WAIT_ASKING,         /* the question is under way */
    LH_WAIT_ASKING_SPENT,   /* as well, and its lease id is used up: a grant came too late */
    LH_WAIT_SPENT,          /* it has to leave the queue under that id, and continue with another */
    LH_WAIT_RETIRING,       /* it does so */
    LH_WAIT_STOPPING,       /* the wait is over; the command under way has to end first: what is
                             * asked after the leaving would queue again */
    LH_WAIT_LEAVING,        /* it leaves the queue for good */
    LH_WAIT_SETTLED_ASKING, /* it has its outcome; an answer is still to come */
    LH_WAIT_SETTLED         /* it has its outcome */
} lh_wait_state;

typedef struct {
    lh_wait_state state;
    bool own_id;    /* the caller chose the lease id: there is no other */
    bool stored;    /* it may stand in the queue, or hold, under this id */
    int64_t ask_at; /* INT64_MAX: nothing is due */
    /* until then a question that was not answered may arrive, and queue it (again) */
    int64_t sure_at;
    int64_t place; /* as last heard; -1: not known */
    int64_t token; /* of another's grant that settled it; 0: none did */
    int outcome;   /* once settled; while it leaves: what it is to be */
} lh_wait_core;

typedef enum {
    LH_WAIT_DUE,     /* `ask_at` is reached, or it has just come */
    LH_WAIT_REPLIED, /* the question's answer; or that to leaving under the spent id */
    LH_WAIT_GRANTED, /* another's command named its id */
    LH_WAIT_STOP,    /* its time is over, or it was cancelled: `outcome` */
    LH_WAIT_LEFT,    /* the answer to leaving for good */
    LH_WAIT_CLOSE,   /* the store closes, and takes all out of their queues itself */
    LH_WAIT_MISSED,  /* its beat found it in no queue */
    LH_WAIT_ENDED    /* the holder's end has passed, and it is the first of this store */
} lh_wait_event_kind;

typedef struct {
    lh_wait_event_kind kind;
    int64_t now; /* LEFT: of the sending */
    int outcome; /* ANSWERED, GRANTED, STOP, LEFT */
    /* ANSWERED */
    lh_next next;
    bool granted; /* with a lease, which is kept (`outcome` LH_OK) or cannot be */
    bool unsure;  /* an attempt was not answered, and may be applied until `sure_at` */
    int64_t sure_at;
    int64_t place;     /* LH_BUSY */
    int64_t token;     /* of the lease, or of who holds the key; GRANTED: of the grant */
    int64_t jitter_ms; /* 0 … LH_WAIT_RETRY_MS */
    bool spends;       /* GRANTED: if it is not believed, the id is used up; else it is a hint */
    bool has_record;   /* LEFT: it is known who holds the key */
} lh_wait_event;

/* Actions, in the order in which they are to be done. */
enum {
    LH_WAIT_DO_ASK = 1,    /* send the question */
    LH_WAIT_DO_RETIRE = 2, /* leave the queue under the spent id */
    LH_WAIT_DO_LEAVE = 4,  /* leave the queue for good, as soon as the state is LEAVING */
    LH_WAIT_DO_DRAW = 8,   /* draw a new lease id; if that fails: lh_wait_settle_core() */
    LH_WAIT_DO_NOTE = 16,  /* remember who holds it, and when that ends */
    LH_WAIT_DO_DOUBT = 32, /* the id may hold, or be queued: a doubt */
    LH_WAIT_DO_SETTLE = 64 /* report the outcome */
};

#define LH_WAIT_RACE_MS  10  /* others won the race for a fresh key */
#define LH_WAIT_RETRY_MS 250 /* no server answered */

/* `core` becomes what it is after `event`. Returns the actions. An event that means nothing in this
 * state changes nothing. */
unsigned lh_wait_step(lh_wait_core *core, const lh_wait_event *event);

/* The same for an outcome that no event brought. */
unsigned lh_wait_settle_core(lh_wait_core *core, int outcome);

bool lh_wait_is_under_way(lh_wait_state state); /* a command */
bool lh_wait_is_waiting(lh_wait_state state);   /* it belongs into the table */
bool lh_wait_is_settled(lh_wait_state state);
/* May a grant by another's command be believed? */
bool lh_wait_hears(lh_wait_state state);

#endif
