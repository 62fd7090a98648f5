/* SPDX-License-Identifier: Apache-2.0
 * leasehold doctor: checks the deployment, and prints the roles that users need. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/connect.h"
#include "common/json.h"

typedef struct {
    bson_t json, list; /* with --json */
    const struct out *out;
    uint32_t n, warnings, errors;
    int exit;
} visit;

/* The exit code of several errors is that of the error to correct first: without the configuration
 * nothing works. */
static int worse_exit(int a, int b)
{
    static const int order[] = {EXIT_CONFIG, EXIT_DENIED, EXIT_DATA};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return a ? a : b;
}

static void append_finding(visit *v, const lh_finding *finding)
{
    char *to_do = out_advice(v->out, finding->what_to_do);
    bson_t one;
    json_item_begin(&v->list, v->n, &one);
    json_text(&one, "id", finding->id);
    json_text(&one, "severity", lh_severity_word(finding->severity));
    json_number(&one, "count", (int64_t)finding->count);
    json_text(&one, "what", finding->what);
    json_text(&one, "do", to_do ? to_do : finding->what_to_do);
    bson_append_document_end(&v->list, &one);
    free(to_do);
}

static void print_finding(const visit *v, const lh_finding *finding)
{
    if (finding->severity < LH_SEVERITY_WARNING && v->out->quiet)
        return;
    out_word(v->out,
             finding->severity == LH_SEVERITY_ERROR     ? OUT_BAD
             : finding->severity == LH_SEVERITY_WARNING ? OUT_WARN
                                                        : OUT_GOOD,
             lh_severity_word(finding->severity));
    printf("  %s: ", finding->id);
    out_text(finding->what);
    fputs("\n  do       ", stdout);
    char *to_do = out_advice(v->out, finding->what_to_do);
    out_text(to_do ? to_do : finding->what_to_do);
    free(to_do);
    putchar('\n');
}

static int take_finding(void *arg, const lh_finding *finding)
{
    visit *v = arg;
    if (v->out->json)
        append_finding(v, finding);
    else
        print_finding(v, finding);
    v->n++;
    v->warnings += finding->severity == LH_SEVERITY_WARNING;
    v->errors += finding->severity == LH_SEVERITY_ERROR;
    if (finding->severity == LH_SEVERITY_ERROR)
        v->exit = worse_exit(v->exit, out_exit_code(finding->outcome));
    return 0;
}

static int read_role(const struct cli *cli, int *ret_role, lh_error *error)
{
    static const char *const names[] = {
        [LH_ROLE_RUNTIME] = "runtime", [LH_ROLE_SETUP] = "setup", [LH_ROLE_OPS] = "ops"};
    const char *wanted = cli_text(cli, OPT_AS);
    *ret_role = LH_ROLE_RUNTIME;
    for (int role = LH_ROLE_RUNTIME; wanted && role <= LH_ROLE_OPS; role++)
        if (strcmp(wanted, names[role]) == 0) {
            *ret_role = role;
            return LH_OK;
        }
    return wanted ? out_fail(error, LH_INVALID, "--as must be runtime, setup or ops") : LH_OK;
}

static int examine(const struct cli *cli)
{
    lh_store *store = NULL;
    lh_error error = LH_ERROR_INIT;
    lh_doctor_options options = LH_DOCTOR_OPTIONS_INIT;
    visit v = {.out = &cli->out};
    int code = read_role(cli, &options.role, &error);
    if (code == LH_OK)
        code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), &store, &error);
    options.trial = cli_flag(cli, OPT_TRIAL);
    bson_init(&v.json);
    BSON_APPEND_ARRAY_BEGIN(&v.json, "findings", &v.list);
    if (code == LH_OK)
        code = lh_doctor(store, &options, take_finding, &v, &error);
    bson_append_array_end(&v.json, &v.list);
    connect_close(store, code);
    if (code == LH_OK && cli->out.json) {
        bson_t json;
        json_init(&json, v.warnings + v.errors > 0 ? "findings" : "ok");
        bson_concat(&json, &v.json);
        json_print(&json);
    } else if (code == LH_OK && !cli->out.quiet) {
        out_word(&cli->out, v.errors > 0 ? OUT_BAD : OUT_GOOD,
                 v.errors > 0 ? "not fit for leases" : "ok");
        printf("  %u %s, %u %s\n", v.errors, v.errors == 1 ? "error" : "errors", v.warnings,
               v.warnings == 1 ? "warning" : "warnings");
    }
    bson_destroy(&v.json);
    return code == LH_OK ? v.exit : out_error(&cli->out, &error);
}

/* Prints the createRole commands, one on each line, or all in one object. */
static void print_roles(const struct out *out, const bson_t *roles)
{
    bson_iter_t list, one;
    if (out->json) {
        bson_t json;
        json_init(&json, "ok");
        bson_concat(&json, roles);
        json_print(&json);
        return;
    }
    if (!bson_iter_init_find(&list, roles, "roles") || !bson_iter_recurse(&list, &one))
        return;
    while (bson_iter_next(&one)) {
        const uint8_t *data;
        uint32_t len;
        bson_iter_document(&one, &len, &data);
        bson_t *command = bson_new_from_data(data, len);
        json_print(command); /* and destroys it */
    }
}

static int roles(const struct cli *cli)
{
    lh_error error = LH_ERROR_INIT;
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    char *text = NULL;
    char buffer[CONNECT_URI_SIZE];
    int code = connect_find_uri(cli, buffer, &options.uri, &error);
    if (code == LH_INVALID && !cli_flag(cli, OPT_URI) && !cli_flag(cli, OPT_URI_FILE))
        code = LH_OK; /* none was given: it would only name the database */
    options.db = cli_text(cli, OPT_DB);
    options.collection = cli_text(cli, OPT_COLLECTION);
    options.audit = connect_audit(cli);
    options.allow_insecure_tls = true; /* nobody is contacted */
    if (code == LH_OK)
        code = lh_roles(&options, &text, &error);
    explicit_bzero(buffer, sizeof buffer);
    if (code != LH_OK)
        return out_error(&cli->out, &error);
    bson_error_t ignored;
    bson_t *all = bson_new_from_json((const uint8_t *)text, -1, &ignored);
    lh_string_free(text);
    if (!all) {
        out_fail(&error, LH_MEMORY, "out of memory");
        return out_error(&cli->out, &error);
    }
    print_roles(&cli->out, all);
    bson_destroy(all);
    return EXIT_DONE;
}

static int run(const struct cli *cli)
{
    return cli_flag(cli, OPT_ROLES) ? roles(cli) : examine(cli);
}

static const struct opt_spec options_table[] = {
    {OPT_AS, OPT_NAME, "as", 0, "ROLE", NULL, 0, 0,
     "the role that the URI's user should have: runtime (default), setup or ops"},
    {OPT_TRIAL, OPT_FLAG, "trial", 0, NULL, NULL, 0, 0,
     "if there is no error, try leases on a key of its own, and remove its document"},
    {OPT_ROLES, OPT_FLAG, "roles", 0, NULL, NULL, 0, 0,
     "print the roles as createRole commands, without a connection"},
    {0},
};

const struct command cmd_doctor = {
    .name = "doctor",
    .run = run,
    .holds = true,
    .options = options_table,
    .summary = "check the deployment, and print the roles that users need",
    .detail =
        "Checks privileges, topology, the clock and version of each member, the collection\n"
        "and its index, and every document. Each finding says what to do.\n"
        "Exit codes: 0 without errors (there may be warnings), else that of the worst\n"
        "error: 78 configuration, 77 a missing privilege, 65 stored data that cannot be\n"
        "read. With --quiet it leaves out notes. It changes nothing without --trial.\n"
        "--trial acquires, is refused, renews, waits and releases, so that \"ok\" means that\n"
        "leases work.\n"
        "--roles prints three roles with the fewest actions that suffice: leaseholdRuntime\n"
        "for backends (acquire, renew, release, wait, guard, status), leaseholdSetup for\n"
        "migrate, leaseholdOps for list, break, cleanup and doctor. Run each line on the\n"
        "leases' database: db.runCommand(…). An archive of another name (migrate --archive)\n"
        "must be added to leaseholdSetup by hand.",
    .example = "  $ leasehold doctor\n"
               "  error  index: leasehold.workspace_locks has no unique index on workspace_id, so "
               "nothing is granted\n"
               "    do       fix this, then run the migration (leasehold migrate --dry-run "
               "shows what it would do)\n"
               "  not fit for leases  1 error, 0 warnings\n",
};
