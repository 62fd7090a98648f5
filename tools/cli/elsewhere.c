/* SPDX-License-Identifier: Apache-2.0
 * Commands that are separate programs, in separate packages: `leasehold serve` runs
 * leasehold-serve, as git does. The program is searched in the folder of this program, then in
 * PATH. */
#include "cli/elsewhere.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The program beside this one; false when its name does not fit. */
static bool find_beside(const char *program, char path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    size_t folder = (size_t)(strrchr(path, '/') - path) + 1;
    if (folder + strlen(program) >= PATH_MAX)
        return false;
    strcpy(path + folder, program);
    return true;
}

static void execute(const char *program, char **line)
{
    char path[PATH_MAX];
    errno = ENOENT;
    if (find_beside(program, path))
        (void)execv(path, line);
    if (errno == ENOENT)
        (void)execvp(program, line);
}

int elsewhere_run(const struct cli *cli, int argc, char **argv, int at)
{
    const char *program = cli->command->program;
    lh_error error = LH_ERROR_INIT;
    char **line = calloc((size_t)argc + 1, sizeof *line);
    if (!line)
        return EXIT_BUG;
    char name[NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "%s", program);
    int n = 0;
    line[n++] = name;
    for (int i = 1; i < argc; i++) {
        bool dashes = i == at - 1 && cli->args.dashes;
        if (i != at && !dashes)
            line[n++] = argv[i];
    }
    opts_uncover(&cli->args);
    execute(program, line);
    int why = errno;
    free(line);
    if (why == ENOENT)
        out_fail(&error, LH_INVALID,
                 "the program %s is not installed; the package of that name has it", program);
    else
        out_fail(&error, LH_CONFIG, "the program %s cannot be run: %s", program, strerror(why));
    return out_error(&cli->out, &error);
}
