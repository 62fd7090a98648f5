/* SPDX-License-Identifier: Apache-2.0
 * The feature compatibility version, and the collection's validator. */
#include "migrate/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "lease/lease.h"
#include "protocol/pipeline.h"
#include "store/store_refused.h"
#include "store/store_run.h"

#define NAMES_ROOM 200

/* If the server does not permit the check, or does not know the command, the check passes: the real
 * commands report the problem. */
static int forgive(int outcome)
{
    return outcome == LH_DENIED || outcome == LH_SERVER || outcome == LH_CONFIG ? LH_OK : outcome;
}

/* ---- The version ------------------------------------------------------------------------------*/

int lh_fit_check_version(lh_store *store, int64_t deadline, lh_error *error)
{
    bson_t reply, *command = BCON_NEW("getParameter", BCON_INT32(1), "featureCompatibilityVersion",
                                      BCON_INT32(1));
    lh_call call = {.what = "read the feature compatibility version",
                    .command = command,
                    .db = "admin",
                    .deadline = deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_run(store, &call, &reply, NULL, error);
    bson_iter_t top, version;
    if (outcome != LH_OK)
        outcome = forgive(outcome);
    else if (bson_iter_init(&top, &reply) &&
             bson_iter_find_descendant(&top, "featureCompatibilityVersion.version", &version) &&
             BSON_ITER_HOLDS_UTF8(&version) && strtod(bson_iter_utf8(&version, NULL), NULL) < 6.0)
        outcome = lh_store_fail_old_compatibility(bson_iter_utf8(&version, NULL), error);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}

/* ---- The validator ----------------------------------------------------------------------------*/

typedef struct {
    lh_store *store;
    int64_t deadline;
    bson_t validator; /* empty: no validator that refuses writes */
} rule;

static bool text_is(const bson_t *entry, const char *path, const char *text)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, entry) && bson_iter_find_descendant(&top, path, &value) &&
           BSON_ITER_HOLDS_UTF8(&value) && strcmp(bson_iter_utf8(&value, NULL), text) == 0;
}

static int read_rule(void *arg, const bson_t *entry)
{
    rule *r = arg;
    bson_iter_t top, value;
    bson_t view;
    const uint8_t *data;
    uint32_t len;
    if (text_is(entry, "options.validationAction", "warn") ||
        text_is(entry, "options.validationLevel", "off") || !bson_iter_init(&top, entry) ||
        !bson_iter_find_descendant(&top, "options.validator", &value) ||
        !BSON_ITER_HOLDS_DOCUMENT(&value))
        return 0;
    bson_iter_document(&value, &len, &data);
    bson_destroy(&r->validator);
    if (bson_init_static(&view, data, len))
        bson_copy_to(&view, &r->validator);
    else
        bson_init(&r->validator);
    return 0;
}

/* Runs {aggregate: 1, pipeline, let} on `document` alone; nothing is read from the collection, and
 * nothing is written. *ret_there: the pipeline let the document pass. *ret_document is initialised
 * in any case, and then holds the result. */
static int pass_through(const rule *r, const bson_t *document, const bson_t *stages,
                        const bson_t *let, bool *ret_there, bson_t *ret_document, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, reply, pipeline, stage, list;
    bson_iter_t one, top, first;
    const char *key;
    char buffer[16];
    uint32_t n = 1;
    BSON_APPEND_INT32(&command, "aggregate", 1);
    BSON_APPEND_ARRAY_BEGIN(&command, "pipeline", &pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "0", &stage);
    BSON_APPEND_ARRAY_BEGIN(&stage, "$documents", &list);
    bson_t literal;
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &literal);
    BSON_APPEND_DOCUMENT(&literal, "$literal", document); /* stored values are not expressions */
    bson_append_document_end(&list, &literal);
    bson_append_array_end(&stage, &list);
    bson_append_document_end(&pipeline, &stage);
    for (bool more = bson_iter_init(&one, stages); more && bson_iter_next(&one);) {
        (void)bson_uint32_to_string(n++, &key, buffer, sizeof buffer);
        bson_append_iter(&pipeline, key, -1, &one);
    }
    bson_append_array_end(&command, &pipeline);
    BSON_APPEND_DOCUMENT(&command, "cursor", &(bson_t)BSON_INITIALIZER);
    if (let)
        BSON_APPEND_DOCUMENT(&command, "let", let);
    lh_call call = {.what = "try the collection's validator",
                    .command = &command,
                    .deadline = r->deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_run(r->store, &call, &reply, NULL, error);
    *ret_there = outcome == LH_OK && bson_iter_init(&top, &reply) &&
                 bson_iter_find_descendant(&top, "cursor.firstBatch.0", &first) &&
                 BSON_ITER_HOLDS_DOCUMENT(&first);
    bson_init(ret_document);
    if (*ret_there) {
        const uint8_t *data;
        uint32_t len;
        bson_t view;
        bson_iter_document(&first, &len, &data);
        if (bson_init_static(&view, data, len)) {
            bson_destroy(ret_document);
            bson_copy_to(&view, ret_document);
        }
    }
    bson_destroy(&command);
    bson_destroy(&reply);
    return outcome;
}

/* Replaces the document by what the operation makes of it. */
static int apply(const rule *r, lh_op what, const lh_vars *vars, bson_t *document, lh_error *error)
{
    bson_t command = BSON_INITIALIZER, stages, let, made;
    bson_iter_t update, variables;
    const uint8_t *data;
    uint32_t len;
    bool there = false;
    lh_pipeline_command(r->store->pipelines, what, true, r->store->collection, vars, &command);
    int outcome = lh_fail(error, LH_BUG, "an operation's command has no pipeline");
    if (bson_iter_init_find(&update, &command, "update") && BSON_ITER_HOLDS_ARRAY(&update) &&
        bson_iter_init_find(&variables, &command, "let") && BSON_ITER_HOLDS_DOCUMENT(&variables)) {
        bson_iter_array(&update, &len, &data);
        (void)bson_init_static(&stages, data, len);
        bson_iter_document(&variables, &len, &data);
        (void)bson_init_static(&let, data, len);
        outcome = pass_through(r, document, &stages, &let, &there, &made, error);
        if (there) {
            bson_destroy(document);
            bson_copy_to(&made, document);
        }
        bson_destroy(&made);
    }
    bson_destroy(&command);
    return outcome;
}

/* The top-level fields that the validator requires and leases do not have; "" if there is none. */
static void name_required(const rule *r, const bson_t *document, char names[NAMES_ROOM])
{
    bson_iter_t top, list, one;
    *names = '\0';
    if (!bson_iter_init(&top, &r->validator) ||
        !bson_iter_find_descendant(&top, "$jsonSchema.required", &list) ||
        !BSON_ITER_HOLDS_ARRAY(&list) || !bson_iter_recurse(&list, &one))
        return;
    while (bson_iter_next(&one)) {
        size_t len = strlen(names);
        if (!BSON_ITER_HOLDS_UTF8(&one) || bson_has_field(document, bson_iter_utf8(&one, NULL)))
            continue;
        int more = snprintf(names + len, NAMES_ROOM - len, "%s\"%.60s\"",
                            len ? ", " : "it requires ", bson_iter_utf8(&one, NULL));
        if (more < 0 || (size_t)more >= NAMES_ROOM - len)
            names[len] = '\0';
    }
}

static int fail_refused(const rule *r, const bson_t *document, const char *when, lh_error *error)
{
    char names[NAMES_ROOM], advice[LH_ADVICE_ROOM];
    name_required(r, document, names);
    if (!*names) {
        char *json = bson_as_relaxed_extended_json(&r->validator, NULL);
        (void)snprintf(names, sizeof names, "%.150s", json ? json : "");
        lh_cut_utf8(names, 150);
        bson_free(json);
    }
    lh_store_validator_advice(r->store->db, r->store->collection, advice);
    return lh_fail(error, LH_REASON_VALIDATOR,
                   "the validator of %s.%s refuses the document of a lease that is %s (%s): %s",
                   r->store->db, r->store->collection, when, names, advice);
}

/* LH_CONFIG: the validator refuses the document. */
static int judge(const rule *r, const bson_t *document, const char *when, lh_error *error)
{
    bson_t stages = BSON_INITIALIZER, stage, passed;
    bool there = false;
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT(&stage, "$match", &r->validator);
    bson_append_document_end(&stages, &stage);
    int outcome = pass_through(r, document, &stages, NULL, &there, &passed, error);
    if (outcome == LH_OK && !there)
        outcome = fail_refused(r, document, when, error);
    else
        outcome = forgive(outcome);
    bson_destroy(&passed);
    bson_destroy(&stages);
    return outcome;
}

/* The documents of a key in each state: one process holds it and another waits; the first releases
 * it, which grants it to the second; the second releases it; a third shares it. */
static int try_rule(const rule *r, lh_error *error)
{
    static const char key[] = "leasehold:validator";
    static const struct {
        lh_op what;
        int who;
        const char *when;
    } steps[] = {{LH_OP_ACQUIRE_EXCLUSIVE, 0, "held"},
                 {LH_OP_WAIT_EXCLUSIVE, 1, "waited for"},
                 {LH_OP_RELEASE, 0, "handed on"},
                 {LH_OP_RELEASE, 1, "released"},
                 {LH_OP_ACQUIRE_SHARED, 2, "shared"}};
    bson_t document = BSON_INITIALIZER;
    int outcome = LH_OK;
    char ids[3][LH_LEASE_ID_ROOM];
    /* As an upsert begins; the server adds the _id. */
    BSON_APPEND_UTF8(&document, "workspace_id", key);
    for (size_t i = 0; i < 3 && outcome == LH_OK; i++)
        outcome = lh_lease_id_new(ids[i], error);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && outcome == LH_OK; i++) {
        lh_vars vars = lh_lease_vars(r->store, key, ids[steps[i].who]);
        vars.owner = r->store->owner;
        vars.ttl_ms = LH_TTL_DEFAULT_MS;
        vars.set = atomic_load(&r->store->topology) == LH_TOPOLOGY_SET;
        if (steps[i].what == LH_OP_WAIT_EXCLUSIVE) {
            vars.claim_ms = LH_TTL_DEFAULT_MS;
            vars.max_waiters = 1;
        }
        outcome = apply(r, steps[i].what, &vars, &document, error);
        if (outcome != LH_OK) { /* the document could not be made, so it cannot be checked */
            outcome = forgive(outcome);
            break;
        }
        outcome = judge(r, &document, steps[i].when, error);
    }
    bson_destroy(&document);
    return outcome;
}

int lh_fit_check_validator(lh_store *store, int64_t deadline, lh_error *error)
{
    rule r = {.store = store, .deadline = deadline, .validator = BSON_INITIALIZER};
    bson_t *command = BCON_NEW("listCollections", BCON_INT32(1), "filter", "{", "name",
                               BCON_UTF8(store->collection), "}");
    lh_call call = {.what = "read the collection's validator",
                    .command = command,
                    .deadline = deadline,
                    .kind = LH_CALL_BARE};
    int outcome = forgive(lh_store_each(store, &call, read_rule, &r, error));
    bson_destroy(command);
    if (outcome == LH_OK && !bson_empty(&r.validator))
        outcome = try_rule(&r, error);
    bson_destroy(&r.validator);
    return outcome;
}
