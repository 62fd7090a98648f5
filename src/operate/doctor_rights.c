/* SPDX-License-Identifier: Apache-2.0
 * The doctor: finds out as which user we are authenticated, and whether it has the rights of its
 * role. */
#include "operate/doctor_rights.h"

#include "operate/doctor.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "operate/doctor_finding.h"
#include "store/index.h"
#include "store/rights.h"
#include "store/store_members.h"
#include "store/store_run.h"

typedef struct {
    lh_doctor_state *d;
    const bson_t *status;
    const char *user;
} search;

static void report_missing(void *arg, const lh_right *right)
{
    search *s = arg;
    char place[LH_RIGHT_ROOM], to_do[320];
    if (lh_rights_has(s->status, right))
        return;
    lh_rights_place(right, place);
    (void)snprintf(to_do, sizeof to_do,
                   "give it the role: leasehold doctor --roles prints the roles for createRole%s",
                   strcmp(right->action, "changeStream") == 0
                       ? "; until then waiters poll instead of being notified"
                       : "");
    s->d->denied = true;
    lh_doctor_report(s->d, (lh_kind){"privilege", LH_SEVERITY_ERROR, LH_DENIED}, 1, to_do,
                     "the user %s lacks %s on %s", s->user, right->action, place);
}

/* There is no authenticated user. If the collection can be read all the same, the server has no
 * access control. */
static int judge_nobody(lh_doctor_state *d)
{
    bool empty;
    lh_error why = LH_ERROR_INIT;
    int outcome = lh_index_is_empty(d->store, d->deadline, &empty, &why);
    if (outcome != LH_OK)
        return lh_doctor_failed(d, &why);
    lh_doctor_report(d, (lh_kind){"no_access_control", LH_SEVERITY_WARNING, LH_OK}, 1,
                     "start it with access control, and give each program the role that it needs "
                     "(leasehold doctor --roles)",
                     "the server requires no password: anyone who reaches its port may take, break "
                     "and delete every lease");
    return LH_OK;
}

int lh_doctor_rights(lh_doctor_state *d)
{
    lh_error why = LH_ERROR_INIT;
    bson_t reply,
        *command = BCON_NEW("connectionStatus", BCON_INT32(1), "showPrivileges", BCON_BOOL(true));
    lh_call call = {.what = "identify the user",
                    .command = command,
                    .db = "admin",
                    .deadline = d->deadline,
                    .kind = LH_CALL_BARE};
    int outcome = lh_store_run(d->store, &call, &reply, NULL, &why);
    /* Every user may run this command, so the failure is about the password, and nothing else can
     * be checked. */
    if (outcome != LH_OK) {
        lh_error_give(d->error, &why);
    } else if (!lh_store_is_private(d->store)) {
        lh_doctor_report(
            d, (lh_kind){"no_tls", LH_SEVERITY_WARNING, LH_OK}, 1,
            "set up TLS on the server, and add tls=true (and tlsCAFile) to the connection string",
            "other hosts are reached without TLS: an eavesdropper can read lease ids, and renew "
            "and release leases with them");
    }
    char *user = lh_rights_user(&reply);
    search s = {.d = d, .status = &reply, .user = user};
    if (outcome == LH_OK && user)
        lh_rights_of_role(d->options->role,
                          &(lh_rights_on){d->store->db, d->store->collection, d->store->audit},
                          report_missing, &s);
    else if (outcome == LH_OK)
        outcome = judge_nobody(d);
    bson_free(user);
    bson_destroy(command);
    bson_destroy(&reply);
    return outcome;
}
