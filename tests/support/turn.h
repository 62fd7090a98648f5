/* SPDX-License-Identifier: Apache-2.0
 * A server has only one failCommand: tests that run side by side take turns
 * (tests/cli/test_unknown.py does it too). */
#ifndef TURN_H
#define TURN_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Waits for its turn on the server of `uri`, which lasts until the descriptor is closed; -1: it
 * cannot be had. */
int take_turn(const char *uri);

#endif
