/* SPDX-License-Identifier: Apache-2.0
 * A command that destroys something asks first on a terminal, needs --yes elsewhere, and can be
 * forbidden by LEASEHOLD_PROTECT=break,cleanup,migrate in a production shell. A command that only
 * releases the leases of dead processes (reap) does not ask. */
#include "common/confirm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The commands that LEASEHOLD_PROTECT may name. */
static const char *const protectable[] = {"break", "cleanup", "migrate", "reap", "torture"};

static bool can_be_named(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof protectable / sizeof protectable[0]; i++) {
        if (strlen(protectable[i]) == len && strncmp(protectable[i], name, len) == 0)
            return true;
    }
    return false;
}

int confirm_allowed(const char *name, lh_error *error)
{
    static const char separators[] = ", \t\r\n";
    const char *at = getenv("LEASEHOLD_PROTECT");
    for (at = at ? at + strspn(at, separators) : ""; *at; at += strspn(at, separators)) {
        size_t len = strcspn(at, separators);
        /* A misspelt name must not leave a command unprotected. */
        if (!can_be_named(at, len))
            return out_fail(error, LH_CONFIG,
                            "LEASEHOLD_PROTECT names \"%.*s\": it can protect from break, cleanup, "
                            "migrate, reap, torture",
                            len > 60 ? 60 : (int)len, at);
        if (strlen(name) == len && strncmp(name, at, len) == 0)
            return out_fail(error, LH_DENIED, "LEASEHOLD_PROTECT forbids %s in this environment",
                            name);
        at += len;
    }
    return LH_OK;
}

bool confirm_can_ask(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int confirm_ask(const char *question, lh_error *error)
{
    (void)fflush(stdout);
    fprintf(stderr, "%s [y/N] ", question);
    char answer[16] = "";
    bool yes = fgets(answer, sizeof answer, stdin) &&
               (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
    if (yes)
        return LH_OK;
    return out_fail(error, LH_DENIED, "nothing was changed: the answer was not yes");
}
