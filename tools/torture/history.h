/* SPDX-License-Identifier: Apache-2.0
 * The history of a run: JSON lines, one when a call begins and one when it ends, what a process
 * believes, what was done to it, and what the deployment committed. One file for all processes:
 * each line is one write at the file's end.
 *
 *   run      seed, grace_ms, oplog (were the commits read?)
 *   start    a process began: p (which), life (how often it was restarted)
 *   call     p, life, n (its number), op, key, and what was asked
 *   end      the same, and outcome, lease, token, or whom `busy` named
 *   belief   lh_lease_remaining_ms() of a lease: 0 is "not valid"
 *   lost     on_lost was called
 *   fault    kind, p (-1: the deployment), ms: how long it may be felt; clocks_ms: how far apart it
 * set the servers' clocks. Other programs may write these lines too, such as scripts/faults wrote
 * key, who, token: a write that is in the data, each key's in order; seen: how many were when it
 * read; or older: it was guarded, and found so many of older tokens commit key, doc: what is stored
 * from then on, null when it was removed; seq: the order
 *
 *   hole     the oplog was cut off before it was read: what was committed is not known
 *   done     the run is over, and all of it is here
 *
 * t is CLOCK_BOOTTIME in nanoseconds: one host, so real time is exact. (A commit's is the server's,
 * converted; its seq is exact.) */
#ifndef TORTURE_HISTORY_H
#define TORTURE_HISTORY_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

struct history {
    int fd;
    int p, life; /* of the process that writes; the parent is -1 */
};

int64_t history_now(void);

/* Opens the file for appending; `fresh`: creates it, which fails where there is one. False with
 * errno. */
bool history_open(struct history *history, const char *path, bool fresh);
void history_close(struct history *history);

/* A line that says what happened now; to be filled, and written (which destroys it). */
void history_begin(const struct history *history, bson_t *line, const char *event);
void history_begin_at(const struct history *history, bson_t *line, const char *event, int64_t t);
bool history_write(const struct history *history, bson_t *line);

#endif
