/* SPDX-License-Identifier: Apache-2.0
 *
 * Leasehold: leases on keys, stored in MongoDB. This header includes all others but mongo.h.
 *
 * A lease is a lock that ends by itself. The holder of the lease on a key (a workspace, a
 * repository, a document) may work on it until the lease ends, is released, or is broken by an
 * operator:
 *
 *     lh_store_options options = LH_STORE_OPTIONS_INIT;
 *     options.uri = "mongodb://db0,db1,db2/?replicaSet=rs";
 *     lh_store *store;
 *     lh_error error = LH_ERROR_INIT;
 *     if (lh_store_open(&options, &store, &error) != LH_OK)
 *         die(error.message);
 *
 *     lh_lease *lease;
 *     switch (lh_acquire(store, "project:42", NULL, &lease, NULL, &error)) {
 *     case LH_OK:
 *         rebuild(lh_lease_token(lease));         // check lh_lease_valid() between the steps
 *         lh_lease_release(lease, &error);
 *         lh_lease_free(lease);
 *         break;
 *     case LH_BUSY:                               // another holder works on it: try again later
 *         break;
 *     default:
 *         log(error.message);
 *     }
 *     lh_store_close(store);
 *
 * Conventions
 *   - Functions that can fail return an `lh_outcome` as int. Outputs (`ret_…`) are written only on
 *     LH_OK, unless the text names another outcome; otherwise they are untouched. `error` may be
 *     NULL.
 *   - A list of outcomes that ends in `…` continues with the outcomes that all calls to a server
 *     share: LH_UNREACHABLE, LH_DENIED, LH_CONFIG, LH_SERVER, LH_FORKED, LH_MEMORY. Of these, only
 *     LH_UNREACHABLE may be temporary. LH_DENIED, LH_CONFIG and LH_SERVER need an operator: the
 *     server would refuse again. The message describes what to do, if that is known.
 *   - Times: `…_ms` is in milliseconds. `…_at_ms` is an instant of the server's wall clock, in
 *     milliseconds since 1970 UTC, or LH_NEVER for a lock without an end.
 *   - Strings are NUL-terminated UTF-8. Strings in results belong to the result.
 *   - Structs that the caller allocates begin with `size`: options, reports, lh_error. Initialise
 *     them with their `_INIT` macro, or from another language with their `_init` function, and
 *     leave `size` alone. That allows a program and a library of different versions:
 *       - A newer library uses the defaults for options that the program does not know, and writes
 *         nothing beyond the program's size of a report or an lh_error.
 *       - An older library refuses a call (LH_INVALID) if the options have a nonzero byte that the
 *         library does not know. Later versions add only options whose value 0 means "off" or the
 *         default.
 *       - A size that no version has, such as 0, is LH_INVALID, and nothing was done. An lh_error
 *         whose size is 0 or absurd was not initialised, and its message reports that.
 *         lh_waiting_finish() and lh_waiting_cancel() free nothing in this case: call again.
 *     A NULL options pointer means all defaults. A report may be NULL.
 *   - Callbacks come with an `arg`, which the library passes back and never looks at. A call that
 *     needs a callback takes it as an argument (`each`, `fn`); optional callbacks are among the
 *     options, each with an `…_arg` of its own. A callback returns void if it only reports, or an
 *     int: 0 to continue, any other value to stop. It is called in the thread of the call, and not
 *     after the call returns. A callback for which this is not so names its thread in its comment,
 *     and can have an `…_free`. The library calls `…_free` with the arg, exactly once, when it will
 *     not call the callback again, also if the call that received the callback fails. (Options that
 *     are refused because of their size are not read, and nothing is freed.)
 *   - `…_free(NULL)` and `lh_store_close(NULL)` do nothing.
 *   - A store may be used by any number of threads. So may a lease, but not while another thread
 *     frees it.
 *   - The library prints nothing, never exits, installs no signal handler, and starts no thread
 *     unless the text says so. A store has at most three: a keeper (it renews leases, serves
 *     waiters, and settles acquires of unknown outcome), a watcher (on a replica set, while there
 *     are waiters), and one that calls `on_lost`. Each is started when it is first needed, and
 *     joined by lh_store_close().
 *   - A store does not survive fork(): in the child every call returns LH_FORKED.
 *
 * The guarantees are the invariants that src/README.md lists by number; the text refers to them. */
#ifndef LEASEHOLD_H
#define LEASEHOLD_H

#include <leasehold/base.h>
#include <leasehold/error.h>
#include <leasehold/version.h>

#include <leasehold/key.h>
#include <leasehold/log.h>
#include <leasehold/metrics.h>
#include <leasehold/rollout.h>
#include <leasehold/store.h>

#include <leasehold/acquire.h>
#include <leasehold/lease.h>
#include <leasehold/many.h>
#include <leasehold/note.h>
#include <leasehold/record.h>
#include <leasehold/wait.h>

#include <leasehold/audit.h>
#include <leasehold/break.h>
#include <leasehold/cleanup.h>
#include <leasehold/doctor.h>
#include <leasehold/migrate.h>
#include <leasehold/reap.h>
#include <leasehold/stats.h>
#include <leasehold/status.h>
#include <leasehold/watch.h>

#endif
