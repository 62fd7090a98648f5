/* SPDX-License-Identifier: Apache-2.0
 * Put in front of every file by scripts/coverage: the command line ends by _exit(), which would
 * lose what was counted. */
#ifndef COVERAGE_H
#define COVERAGE_H

#include <unistd.h>

void __gcov_dump(void);

#define _exit(code) (__gcov_dump(), (_exit)(code))

#endif
