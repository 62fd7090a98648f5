/* SPDX-License-Identifier: Apache-2.0
 * The doctor: checks the topology, the members' clocks, and known defects of server and driver
 * versions. */
#include "operate/doctor_members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operate/doctor.h"
#include "operate/doctor_finding.h"
#include "store/store_members.h"

typedef struct {
    lh_doctor_state *d;
    bool set;
    unsigned bearing, arbiters;
    struct {
        bool known;
        int64_t offset_ms, doubt_ms;
        char host[128];
    } ahead, behind; /* the two clocks that differ most */
} looking;

typedef struct {
    int part[3];
} version;

/* Reads "6.0.5" or "6.0.5-rc1". A part that cannot be read counts as 0. */
static version read_version(const char *text)
{
    version v = {{0}};
    for (int i = 0; i < 3 && *text >= '0' && *text <= '9'; i++) {
        char *end;
        v.part[i] = (int)strtol(text, &end, 10);
        text = *end == '.' ? end + 1 : end;
    }
    return v;
}

static int compare(version a, version b)
{
    for (int i = 0; i < 3; i++)
        if (a.part[i] != b.part[i])
            return a.part[i] < b.part[i] ? -1 : 1;
    return 0;
}

/* Known defects, from the projects' own records (jira.mongodb.org, and the CVE list). */
static const struct defect {
    version from, fixed;
    bool of_driver, only_set;
    int severity;
    const char *what, *what_to_do;
} defects[] = {
    {.from = {{6, 0, 0}},
     .fixed = {{6, 0, 6}},
     .only_set = true,
     .severity = LH_SEVERITY_WARNING,
     .what = "SERVER-75205: if it steps down while its read tickets are exhausted, it can hang "
             "until it is restarted",
     .what_to_do = "upgrade it to 6.0.6 or newer"},
    {.from = {{0, 0, 0}},
     .fixed = {{1, 25, 0}},
     .of_driver = true,
     .severity = LH_SEVERITY_NOTE,
     .what = "CVE-2023-0437: the check of some strings that are not UTF-8 never ends",
     .what_to_do = "use 1.25.0 or newer, or a distribution's package that has the fix (Debian's "
                   "has it, under its old number)"},
};

static void judge_version(lh_doctor_state *d, bool set, bool driver, const char *subject,
                          const char *text)
{
    version v = read_version(text);
    for (size_t i = 0; *text && i < sizeof defects / sizeof *defects; i++) {
        const struct defect *defect = &defects[i];
        if (defect->of_driver == driver && (set || !defect->only_set) &&
            compare(v, defect->from) >= 0 && compare(v, defect->fixed) < 0)
            lh_doctor_report(
                d, (lh_kind){driver ? "driver_defect" : "server_defect", defect->severity, LH_OK},
                1, defect->what_to_do, "%s is version %s, which has %s", subject, text,
                defect->what);
    }
}

static void look_at(void *arg, const lh_member *member)
{
    looking *l = arg;
    l->arbiters += member->is_arbiter;
    l->bearing += member->bears_data;
    if (member->unasked)
        return;
    if (!member->answers) {
        lh_doctor_report(
            l->d, (lh_kind){"member_down", LH_SEVERITY_WARNING, LH_OK}, 1,
            "start it, or remove it from the set's configuration: grants need a majority",
            "the member %s does not respond", member->host);
        return;
    }
    judge_version(l->d, l->set, false, member->host, member->version);
    if (!member->bears_data)
        return;
    if (!l->ahead.known || member->offset_ms > l->ahead.offset_ms) {
        l->ahead.known = true;
        l->ahead.offset_ms = member->offset_ms;
        l->ahead.doubt_ms = member->doubt_ms;
        (void)snprintf(l->ahead.host, sizeof l->ahead.host, "%s", member->host);
    }
    if (!l->behind.known || member->offset_ms < l->behind.offset_ms) {
        l->behind.known = true;
        l->behind.offset_ms = member->offset_ms;
        l->behind.doubt_ms = member->doubt_ms;
        (void)snprintf(l->behind.host, sizeof l->behind.host, "%s", member->host);
    }
}

static void judge_clocks(looking *l)
{
    int64_t grace_ms = l->d->store->clock_skew_ms,
            doubt_ms = l->ahead.doubt_ms + l->behind.doubt_ms;
    int64_t surely_ms = l->ahead.offset_ms - l->behind.offset_ms - doubt_ms;
    if (surely_ms <= 0 || 2 * surely_ms <= grace_ms)
        return;
    bool bad = surely_ms > grace_ms;
    lh_doctor_report(
        l->d,
        (lh_kind){"clock_offset", bad ? LH_SEVERITY_ERROR : LH_SEVERITY_WARNING,
                  bad ? LH_CONFIG : LH_OK},
        1,
        "synchronise the clocks of all members with the same time service (NTP), or set a larger "
        "clock_skew_ms in all programs",
        "the clock of %s is %" PRId64 " ms ahead of that of %s (± %" PRId64
        " ms); the grace is %" PRId64 " ms%s",
        l->ahead.host, l->ahead.offset_ms - l->behind.offset_ms, l->behind.host, doubt_ms, grace_ms,
        bad ? ": after a failover a lease can be taken over while its holder still relies on it"
            : "");
}

static void judge_topology(const looking *l)
{
    if (!l->set) {
        lh_doctor_report(l->d, (lh_kind){"standalone", LH_SEVERITY_NOTE, LH_OK}, 1,
                         "in production use a replica set of three members",
                         "this is a standalone server: it is only as durable as its disk, and "
                         "waiters poll instead of being notified");
        return;
    }
    if (l->arbiters > 0)
        lh_doctor_report(l->d, (lh_kind){"arbiter", LH_SEVERITY_WARNING, LH_OK}, l->arbiters,
                         "replace the arbiter by a member that keeps data",
                         "the set has an arbiter, which acknowledges no writes: with one member "
                         "down there may be a primary, but no majority for a grant");
    if (l->bearing == 1)
        lh_doctor_report(l->d, (lh_kind){"few_members", LH_SEVERITY_NOTE, LH_OK}, 1,
                         "in production use three members",
                         "only one member keeps the data: there is no failover");
    else if (l->bearing == 2)
        lh_doctor_report(l->d, (lh_kind){"few_members", LH_SEVERITY_WARNING, LH_OK}, 2,
                         "add a third member",
                         "two members keep the data, and a grant needs both of them: if either is "
                         "down, nothing is granted");
}

int lh_doctor_members(lh_doctor_state *d)
{
    lh_error why = LH_ERROR_INIT;
    looking l = {.d = d, .set = atomic_load(&d->store->topology) == LH_TOPOLOGY_SET};
    judge_version(d, l.set, true, "the MongoDB C driver", lh_store_driver());
    int outcome = lh_store_members(d->store, d->deadline, look_at, &l, &why);
    if (outcome != LH_OK)
        return lh_doctor_failed(d, &why);
    judge_topology(&l);
    judge_clocks(&l);
    return LH_OK;
}
