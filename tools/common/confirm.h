/* SPDX-License-Identifier: Apache-2.0
 * A command that destroys something asks first on a terminal, needs --yes elsewhere, and can be
 * forbidden. */
#ifndef COMMON_CONFIRM_H
#define COMMON_CONFIRM_H

#include "common/cli.h"

/* LH_DENIED if LEASEHOLD_PROTECT names the command, LH_CONFIG if it names a word that it cannot
 * have, else LH_OK. */
int confirm_allowed(const char *name, lh_error *error);

/* Whether this is a terminal, where a user can reply. */
bool confirm_can_ask(void);

/* Asks on stderr, reads stdin. LH_OK for yes, else LH_DENIED. */
int confirm_ask(const char *question, lh_error *error);

#endif
