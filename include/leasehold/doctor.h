/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking a deployment, and the roles that its users need. */
#ifndef LEASEHOLD_DOCTOR_H
#define LEASEHOLD_DOCTOR_H

#include <leasehold/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Three kinds of users, each with the fewest privileges: a backend that holds leases; the program
 * that runs the migration; and operators, who list, break and clean up. */
enum { LH_ROLE_RUNTIME = 0, LH_ROLE_SETUP = 1, LH_ROLE_OPS = 2 };

/* Returns the roles for the collection that the options name, as {"roles": [{"createRole":
 * "leaseholdRuntime", …}, …Setup, …Ops]}: commands to run on the database of the leases. No server
 * is contacted. Without a `uri` the default names are used.
 *
 * LH_OK: free *ret_json with lh_string_free(). LH_INVALID, LH_CONFIG: as lh_store_open().
 * LH_MEMORY. */
LH_API int lh_roles(const lh_store_options *options, char **ret_json, lh_error *error);

enum {
    LH_SEVERITY_NOTE = 0,    /* good to know */
    LH_SEVERITY_WARNING = 1, /* leases work, at the risk that the finding names */
    LH_SEVERITY_ERROR = 2,   /* leases do not work, or a guarantee does not hold */
};
/* "note", "warning" or "error". */
LH_API const char *lh_severity_word(int severity);

/* One finding; borrowed for the call. Sentences may change between versions; ids stay:
 *
 *   deployment         a mongos, a shard or config server that is reached directly, a server older
 *                      than 6.0, or a certificate that is not accepted; nothing else was checked
 *   compatibility      the feature compatibility version is below 6.0 (needs getParameter)
 *   validator          the collection's validator refuses documents of leases (needs
 *                      listCollections)
 *   privilege          the user lacks a privilege of its role
 *   no_access_control, no_tls
 *                      anyone who reaches the server, or the network path to it, can do anything
 *   standalone, few_members, arbiter, member_down
 *                      how many members may fail before no majority is left for a grant
 *   clock_offset       the clocks of two members differ by more than the grace (a warning: by more
 *                      than half of it)
 *   server_defect, driver_defect
 *                      a known defect of the version in use
 *   collection, index, duplicates
 *                      these prevent grants
 *   other_index        another unique index, which prevents grants
 *   ttl_index          an index by which the server deletes documents: an error if it deletes
 *                      leases that are held or whose grace is not over; otherwise a note
 *   not_enforced       the store observes or is off
 *   trial, trial_left, not_tried
 *                      leases were tried and something failed; the document of the trial could not
 *                      be removed; leases were not tried, and why (a note)
 *   malformed, no_end, too_long, leaked, no_token
 *                      documents: unreadable; without an end; with an end further away than
 *                      LH_TTL_MAX_MS; past their end for a day and not taken over; written by older
 *                      code
 *   odd_key            documents whose workspace_id is a string that cannot be a key
 *   other_id           documents whose _id is a string other than their key: harmless, but
 *                      surprising */
typedef struct lh_finding {
    const char *id;
    int severity; /* LH_SEVERITY_… */
    /* of an error: the outcome of calls because of it (LH_CONFIG, LH_DENIED, LH_DATA); otherwise
     * LH_OK */
    int outcome;
    uint64_t count;         /* of documents, keys or members; at least 1 */
    const char *what;       /* what was found, and where */
    const char *what_to_do; /* about it */
} lh_finding;

typedef struct lh_doctor_options {
    size_t size;
    int role; /* LH_ROLE_…: the intended role of the URI's user; default LH_ROLE_RUNTIME */
    /* 1: if no error was found, try leases on a key of its own: see lh_doctor(). 0 (default):
     * change nothing */
    int trial;
} lh_doctor_options;

#define LH_DOCTOR_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(lh_doctor_options), LH_ROLE_RUNTIME, 0                                              \
    }
LH_API void lh_doctor_options_init(lh_doctor_options *options, size_t size);

/* Checks the deployment and changes nothing: the user's privileges, the topology, the clock and
 * version of each member, the collection and its index, and every document (one pass, in constant
 * memory). If the user lacks the privilege for a check, that is itself a finding. Clocks are
 * compared by each member's reply to `hello`, taken in the middle of the shortest of five round
 * trips; hidden members are not seen. Call it on a store that was opened with LH_AT_OPEN_NOTHING.
 *
 * With `trial` it then acquires, is refused, renews, waits, is granted by a release, and releases,
 * on a key that cannot be guessed ("leasehold:trial:" and 128 random bits), and removes that
 * document. It needs the role of the runtime. If the trial is killed, its lease ends by itself and
 * the next trial removes the document. If the user may not remove documents, the document stays,
 * and is free. A store with `audit` records the trial in its audit trail.
 *
 * `each` borrows a finding, and returns 0 to continue; any other value ends the call with
 * LH_STOPPED.
 *
 * LH_OK: everything was checked, whatever was found. LH_STOPPED. LH_DENIED: the user name or the
 * password is wrong. LH_UNREACHABLE, LH_INVALID, LH_SERVER, LH_FORKED, … */
LH_API int lh_doctor(lh_store *store, const lh_doctor_options *options,
                     int (*each)(void *arg, const lh_finding *finding), void *arg, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
