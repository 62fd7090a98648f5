/* SPDX-License-Identifier: Apache-2.0
 * What destroys something is asked about on a terminal, needs --yes off it, and can be
 * forbidden. */
#ifndef COMMON_CONFIRM_H
#define COMMON_CONFIRM_H

#include "common/cli.h"

/* LH_DENIED when LEASEHOLD_PROTECT names the command, LH_CONFIG when it names what it can't protect
 * from, else LH_OK. */
int confirm_allowed(const char *name, lh_error *error);

/* Is there somebody to ask? */
bool confirm_can_ask(void);

/* Asks on stderr, reads stdin. LH_OK for yes, else LH_DENIED. */
int confirm_ask(const char *question, lh_error *error);

#endif
