/* SPDX-License-Identifier: Apache-2.0
 * A server has only one failCommand: tests that run side by side take turns
 * (tests/cli/test_unknown.py does it too). */
#include "turn.h"

int take_turn(const char *uri)
{
    char path[256];
    const char *folder = getenv("TMPDIR"), *port = strchr(strchr(uri, ':') + 1, ':');
    (void)snprintf(path, sizeof path, "%s/leasehold-failpoint-%d", folder ? folder : "/tmp",
                   port ? atoi(port + 1) : 0);
    int turn = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (turn >= 0 && flock(turn, LOCK_EX) != 0) {
        (void)close(turn);
        turn = -1;
    }
    return turn;
}
