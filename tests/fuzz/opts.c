/* SPDX-License-Identifier: Apache-2.0
 * The command line's parser: each line of the input is a word of it. A connection string that was
 * taken is blackened where `ps` would show it. */
#include "common/opts.h"

#include <bson/bson.h>

#include "fuzz.h"

enum { MOST = 64 };

static void values_are_in_range(const struct args *args, const struct opt_spec *specs)
{
    for (; specs->name; specs++) {
        const struct opt_value *value = &args->opt[specs->id];
        if (!value->given)
            continue;
        if (specs->kind == OPT_DURATION || specs->kind == OPT_NUMBER)
            must(value->number >= specs->min && value->number <= specs->max);
        if (specs->kind != OPT_FLAG)
            must(value->text);
    }
}

/* Where one word holds the connection string, it was taken, and nothing of it is left there. */
static void secrets_are_black(const struct args *args, int argc, char **argv)
{
    int words = 0;
    const char *value = NULL;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--uri=", 6) == 0) {
            words++;
            value = argv[i] + 6;
        } else if (strcmp(argv[i], "--uri") == 0) {
            words += 2; /* the next word may be the one that was taken */
        }
    if (words == 1 && args->n_owned == 1 && strlen(args->owned[0]) == strlen(value) &&
        /* else it may have been another option's value, or the command's word */
        strstr(args->owned[0], "://"))
        must(value[strspn(value, "x")] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = as_string(data, size), *rest = text, *argv[MOST + 2] = {text};
    int argc = 1, at = 0;
    char name[] = "leasehold";
    argv[0] = name;
    while (argc < MOST && rest)
        argv[argc++] = strsep(&rest, "\n");
    struct args args;
    lh_error error = LH_ERROR_INIT;
    must(args_init(&args, argc));
    (void)opts_wants_json(argc, argv);
    const struct opt_spec *const tables[OPTS_TABLES] = {opts_lease, NULL};
    int code = opts_parse_globals(argc, argv, &args, &at, &error);
    if (code == LH_OK && at < argc)
        code = opts_parse_command(argc - at, argv + at, tables, size % 2 == 0, &args, &error);
    must(code == LH_OK || code == LH_INVALID);
    if (code == LH_OK) {
        values_are_in_range(&args, opts_global);
        values_are_in_range(&args, opts_lease);
        must(args.n_words < argc && args.n_rest < argc);
    } else {
        must(strlen(error.message) < sizeof error.message && *error.message);
    }
    secrets_are_black(&args, argc, argv);
    args_fini(&args);
    free(text);
    return 0;
}
