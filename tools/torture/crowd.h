/* SPDX-License-Identifier: Apache-2.0
 * The processes of a run, and their faults. */
#ifndef TORTURE_CROWD_H
#define TORTURE_CROWD_H

#include "torture/deployment.h"
#include "torture/history.h"
#include "torture/torture.h"

enum { CROWD_MAX = 64, CROWD_FAULTS = 8 };

struct crowd_report {
    int64_t faults[CROWD_FAULTS]; /* by bit of FAULT_… */
    char failed[160];             /* a process that ended otherwise than it should; "": none */
};

extern const char *const crowd_fault_words[CROWD_FAULTS];

/* Starts the processes, applies the run's faults to them and to the deployment until the run's time
 * is over, and ends the processes. `stop` (a signal's flag) ends it sooner. */
void crowd_run(const struct torture *torture, struct deployment *deployment,
               const struct history *history, const volatile int *stop,
               struct crowd_report *report);

/* In a process that was started by crowd_run(): reads its task. False: this process was not started
 * by crowd_run(). */
bool crowd_is_member(struct torture *ret_torture, int *ret_p, int *ret_life);

#endif
