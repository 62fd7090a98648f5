/* SPDX-License-Identifier: Apache-2.0
 * leasehold key join: makes a key of parts, as lh_key_join() does. */
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/json.h"

static int run(const struct cli *cli)
{
    lh_error error = LH_ERROR_INIT;
    const struct args *args = &cli->args;
    char *key = NULL;
    int code = LH_OK;
    if (args->n_words < 2 || strcmp(args->words[0], "join") != 0)
        code = out_fail(&error, LH_INVALID, "usage: leasehold key join PART…");
    else
        code = lh_key_join((const char *const *)args->words + 1, (size_t)args->n_words - 1, &key,
                           &error);
    if (code != LH_OK)
        return out_error(&cli->out, &error);
    if (cli->out.json) {
        bson_t json;
        json_init(&json, NULL);
        json_text(&json, "key", key);
        json_print(&json);
    } else {
        puts(key);
    }
    lh_string_free(key);
    return EXIT_DONE;
}

const struct command cmd_key = {
    .name = "key",
    .run = run,
    .words = "join PART…",
    .any_words = true,
    .summary = "join parts to a key",
    .detail =
        "Prints the parts with a ':' between them. A ':' or '%' inside a part becomes %3A or\n"
        "%25, so different parts never give the same key. Programs in all languages that\n"
        "join the same parts ask for the same key. No server is asked.",
    .example = "  $ leasehold key join root github org/repo\n"
               "  root:github:org/repo\n"
               "  $ leasehold run \"$(leasehold key join project \"$id\")\" -- make\n",
};
