/* SPDX-License-Identifier: Apache-2.0
 * Checks the deployment, and changes nothing without `trial`. Findings are reported as they come,
 * in constant memory. */
#include "operate/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "operate/doctor_data.h"
#include "operate/doctor_finding.h"
#include "operate/doctor_members.h"
#include "operate/doctor_rights.h"
#include "operate/doctor_uri.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/store_contact.h"
#include "store/store_run.h"

/* Tries leases, if asked to. If not, a note says so, so that "ok" does not promise too much. */
static int try_leases(lh_doctor_state *d)
{
    const char *not_tried = !d->options->trial ? "nothing was written"
                            : d->errors        ? "fix the errors first"
                            : d->store->rollout != LH_ENFORCE
                                ? "a store that does not enforce refuses no request"
                            : d->store->hooks == NULL ? "the store was not opened"
                                                      : NULL;
    if (not_tried) {
        lh_doctor_report(
            d, (lh_kind){"not_tried", LH_SEVERITY_NOTE, LH_OK}, 1,
            "leasehold doctor --trial acquires, renews, waits and releases on a key of its own",
            "whether leases can be acquired was not tried: %s", not_tried);
        return LH_OK;
    }
    lh_tried tried;
    lh_error why = LH_ERROR_INIT;
    int outcome = d->store->hooks->trial(d->store, &tried, &why);
    if (outcome == LH_UNREACHABLE || outcome == LH_MEMORY)
        return lh_doctor_failed(d, &why);
    if (outcome != LH_OK)
        lh_doctor_report(d, (lh_kind){"trial", LH_SEVERITY_ERROR, outcome}, 1,
                         "fix what the server reports, then try again", "%s", why.message);
    if (tried.left)
        lh_doctor_report(
            d, (lh_kind){"trial_left", LH_SEVERITY_NOTE, LH_OK}, 1,
            "nothing: leasehold cleanup removes it, or the next trial by a user with the "
            "privilege \"remove\"",
            "the trial could not remove its document, since this user lacks the privilege "
            "\"remove\": the document is free, and its key is %s",
            tried.key);
    return LH_OK;
}

int lh_doctor(lh_store *store, const lh_doctor_options *options,
              int (*each)(void *arg, const lh_finding *finding), void *arg, lh_error *error)
{
    lh_doctor_options used;
    int outcome = lh_store_check(store, error);
    if (outcome == LH_OK)
        outcome = lh_doctor_options_take(&used, options, error);
    if (outcome != LH_OK)
        return outcome;
    if (!each)
        return lh_fail(error, LH_INVALID,
                       "`each` is NULL: pass a function that takes the findings");
    if (used.trial != 0 && used.trial != 1)
        return lh_fail(error, LH_INVALID, "trial is %d: it must be 0 or 1", used.trial);
    if (used.role < LH_ROLE_RUNTIME || used.role > LH_ROLE_OPS)
        return lh_fail(error, LH_INVALID, "role is %d: it must be one of LH_ROLE_…", used.role);
    lh_error mine = LH_ERROR_INIT;
    lh_doctor_state d = {.store = store,
                         .options = &used,
                         .each = each,
                         .arg = arg,
                         .deadline = lh_store_deadline(store, 0),
                         .error = error};
    outcome = lh_store_contact(store, d.deadline, &mine);
    /* a mongos, an old server, or a certificate: nothing else can be checked */
    if (outcome == LH_CONFIG) {
        lh_doctor_report(&d, (lh_kind){"deployment", LH_SEVERITY_ERROR, LH_CONFIG}, 1,
                         "connect to a replica set or a standalone server of MongoDB 6.0 or newer, "
                         "whose certificate is trusted",
                         "%s", mine.message);
        return LH_OK;
    }
    if (outcome != LH_OK)
        return lh_doctor_failed(&d, &mine);
    if (store->rollout != LH_ENFORCE)
        lh_doctor_report(
            &d, (lh_kind){"not_enforced", LH_SEVERITY_WARNING, LH_OK}, 1,
            "once all programs take part, enforce: leasehold-upgrade(7) has the steps",
            "the mode of this rollout is %s: no request is refused, and two processes may work on "
            "a key at once",
            lh_rollout_word(store->rollout));
    int (*const sides[])(lh_doctor_state *) = {lh_doctor_uri,       lh_doctor_rights,
                                               lh_doctor_members,   lh_doctor_index,
                                               lh_doctor_documents, try_leases};
    for (size_t i = 0; i < sizeof sides / sizeof *sides && outcome == LH_OK && !d.stopped; i++)
        outcome = sides[i](&d);
    return outcome == LH_OK && d.stopped ? lh_fail(error, LH_STOPPED, "stopped by the caller")
                                         : outcome;
}

int lh_roles(const lh_store_options *options, char **ret_json, lh_error *error)
{
    lh_store_options used;
    int outcome = lh_store_options_take(&used, options, error);
    if (outcome != LH_OK)
        return outcome;
    if (!used.uri)
        /* no server is contacted: a URI would only name the database */
        used.uri = "mongodb://localhost/";
    lh_store *store = NULL;
    outcome = lh_store_new(&used, &store, error);
    if (outcome != LH_OK)
        return outcome;
    bson_t all = BSON_INITIALIZER, list, command;
    BSON_APPEND_ARRAY_BEGIN(&all, "roles", &list);
    for (int role = LH_ROLE_RUNTIME; role <= LH_ROLE_OPS; role++) {
        const char index[] = {(char)('0' + role), '\0'};
        BSON_APPEND_DOCUMENT_BEGIN(&list, index, &command);
        lh_rights_append_create(role, &(lh_rights_on){store->db, store->collection, store->audit},
                                &command);
        bson_append_document_end(&list, &command);
    }
    bson_append_array_end(&all, &list);
    char *json = bson_as_relaxed_extended_json(&all, NULL);
    char *copy = json ? strdup(json) : NULL;
    if (copy)
        *ret_json = copy;
    else
        outcome = lh_fail_memory(error);
    bson_free(json);
    bson_destroy(&all);
    lh_store_shut(store);
    lh_store_unref(store);
    return outcome;
}
