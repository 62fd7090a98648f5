/* SPDX-License-Identifier: Apache-2.0
 * The doctor: compares the connection string with the deployment. */
#include "operate/doctor_uri.h"

#include <stdio.h>

#include "operate/doctor.h"
#include "operate/doctor_finding.h"
#include "store/store_set.h"

static void report_warnings(lh_doctor_state *d)
{
    const char *warning;
    for (size_t i = 0; (warning = lh_store_warning(d->store, i)); i++)
        lh_doctor_report(
            d, (lh_kind){"uri_option", LH_SEVERITY_WARNING, LH_OK}, 1,
            "correct it, or leave it out: leasehold-connection(7) explains each option", "%s",
            warning);
}

int lh_doctor_uri(lh_doctor_state *d)
{
    lh_error why = LH_ERROR_INIT;
    lh_reach reach;
    char advice[1000];
    report_warnings(d);
    int outcome = lh_store_reach(d->store, &reach, &why);
    if (outcome != LH_OK)
        return lh_doctor_failed(d, &why);
    (void)snprintf(advice, sizeof advice,
                   "name the members and the set: mongodb://%s/?replicaSet=%s%s", reach.hosts,
                   reach.set, reach.direct ? " (without directConnection=true)" : "");
    if (*reach.set && reach.direct)
        lh_doctor_report(
            d, (lh_kind){"uri_follows_no_election", LH_SEVERITY_WARNING, LH_OK}, 1, advice,
            "the connection string names one member of the set %s, and not the set: "
            "the program does not follow elections, so nothing is granted while another "
            "member is the primary",
            reach.set);
    else if (*reach.set && reach.seeds == 1 && reach.members > 1)
        lh_doctor_report(d, (lh_kind){"uri_names_one_member", LH_SEVERITY_NOTE, LH_OK}, 1, advice,
                         "the connection string names one of the %zu members: while it is down, "
                         "programs that start cannot find the others",
                         reach.members);
    return LH_OK;
}
