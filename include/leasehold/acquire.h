/* SPDX-License-Identifier: Apache-2.0
 *
 * Acquiring the lease on a key. */
#ifndef LEASEHOLD_ACQUIRE_H
#define LEASEHOLD_ACQUIRE_H

#include <leasehold/record.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_TTL_MIN_MS     1000 /* one second */
#define LH_TTL_MAX_MS     (7 * 24 * 3600 * INT64_C(1000))
#define LH_TTL_DEFAULT_MS 30000

typedef struct lh_acquire_options {
    size_t size;
    int64_t ttl_ms; /* 1,000 … 604,800,000 (7 days); default 30,000 */
    int mode;       /* LH_EXCLUSIVE (default) or LH_SHARED */
    /* 1–256 bytes, shown to other users; it proves nothing. NULL: the store's */
    const char *owner;
    const char *purpose; /* up to 1,024 bytes, shown to other users; NULL: none */
    /* LH_LEASE_ID_LEN hexadecimal digits from a good random source, never used before. This is for
     * a caller that records the id before the acquire, and continues with the id after a crash. It
     * must first wait for at least `timeout_ms`, until no request of the crashed process, such as a
     * release in the background, can still arrive. NULL: the library draws one. */
    const char *lease_id;
    int64_t timeout_ms; /* for one command and its retries; 0 (default): the store's */
    int64_t wait_ms;    /* how long to wait in the queue; 0 (default): ask once; LH_FOREVER */
    /* How long a waiter may be silent before it is skipped, and how long a grant may stay unclaimed
     * before it ends: 1,000 … 60,000, at most the ttl; default 5,000. A waiter sends three beats in
     * this time. */
    int64_t claim_ms;
    /* true: the caller renews the lease. false (default): the store's keeper renews it at a third
     * of the ttl, until it is released, its handle is freed, or the store is closed. */
    bool by_hand;
    bool path;   /* the key is a path, such as org/project/file: see lh_acquire() */
    bool resume; /* take over the lease that this owner already holds: see lh_acquire() */
    /* Ends the wait from another thread; NULL: nothing does. It must outlive the call. */
    lh_cancel *cancel;
    /* Reports the current holder and the time remaining (`record`) and the number of waiters ahead
     * (`place`): once when the wait begins, and at each change that the library notices. It is
     * called in the thread that waits in lh_acquire() or lh_waiting_finish(), and borrows the
     * record. */
    void (*feedback)(void *arg, const lh_record *record, uint32_t place);
    void *feedback_arg;
} lh_acquire_options;

#define LH_ACQUIRE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_acquire_options), LH_TTL_DEFAULT_MS, LH_EXCLUSIVE, NULL, NULL, NULL, 0, 0, 5000, \
            false, false, false, NULL, NULL, NULL                                                  \
    }
LH_API void lh_acquire_options_init(lh_acquire_options *options, size_t size);

/* Acquires the lease on `key` with one command; the server decides by its own clock. (The first
 * acquire of a store that was opened with LH_AT_OPEN_NOTHING checks the index before that.) With
 * `wait_ms` the caller stays in the key's queue, first come, first served, until the lease is
 * granted, the time is over, or the wait is cancelled. A waiter that gives up is removed from the
 * queue.
 *
 * LH_OK: granted, and acknowledged by a majority. Free *ret_lease with lh_lease_free(). After a
 *   wait, lh_lease_remaining_ms() may at first be no more than claim_ms; the keeper extends the
 *   lease to the full ttl within a tenth of a second.
 * LH_BUSY: another holder has the key, or the wait is over. If `ret_busy` is not NULL, *ret_busy
 *   describes the holder; free it with lh_record_free().
 * LH_CANCELLED, LH_CLOSED: the wait was ended; nothing is held.
 * LH_UNKNOWN: the reply was lost, and so were the replies to all retries with the same lease id.
 *   The server may have granted the lease; do not rely on it. error->lease_id names it. The keeper
 *   releases it in the background as soon as a server responds; lh_store_close() releases the rest;
 *   otherwise it ends with its ttl. Never reuse the id.
 * LH_LOST: the reply came after the end of the lease, or was repeatedly too late to be relied on.
 * LH_UNREACHABLE: certainly not granted.
 * LH_DATA: the connection broke, and the key's document has a field twice, which makes some servers
 *   crash. The command was not sent again.
 * LH_INVALID, LH_DENIED, LH_CONFIG (such as: no unique index), LH_SERVER, LH_FORKED, LH_MEMORY.
 *
 * `path`: the key consists of parts with a '/' between them, none of them empty; otherwise
 * LH_INVALID. A lease on `org` excludes leases on everything below it (org/project,
 * org/project/file), and each of those excludes a lease on `org`. Two shared leases do not exclude
 * each other. It takes two round trips: the key itself is acquired, and then the keys above and
 * below it are read. If any of them is held, the key is released, and LH_BUSY names the path that
 * is held (record->key, with LH_WHY_PATH). If two callers ask for org and org/project at the same
 * moment without waiting, both may be refused, but at most one is granted.
 *   - All programs that use a tree must set `path`. An ordinary lease on org excludes paths below
 *     it, but an acquire of org/project without `path` does not look at org.
 *   - Waiting: the queue of the key itself is first come, first served. After that, the caller of
 *     an upper path goes before the callers of paths below it. The upper caller keeps its key, so
 *     that nothing new is granted below, and waits until the leases below have ended. A lower
 *     caller releases its key, and joins the end of the queue again when the path above is free.
 *     Both poll, at intervals that grow to 250 ms. While a path is always held, nothing below it is
 *     granted.
 *   - Cost: the read covers the documents of all keys below this one, and free ones too until they
 *     are cleaned up.
 *   - Not allowed with lh_acquire_start(), nor, while waiting, with a `lease_id`: LH_INVALID.
 *
 * `resume`: for a backend that was restarted and continues with what it held. If exactly this owner
 * holds the key exclusively, the key is granted to it again, ahead of the queue, by one command,
 * with a new lease id and a higher token. The old lease ends as if transferred, and its holder gets
 * LH_LOST at the next renewal. Between the two leases invariant 1 is waived: the old holder, if it
 * still runs, may rely on its lease until its deadline. (Fencing tokens still protect the data.) An
 * owner is a name, not a proof: use this only if the name belongs to one instance (host, service
 * and number), and set `owner` in these options. A key that another owner holds, or whose document
 * cannot be read, is busy as usual. Exclusive leases only: LH_INVALID. */
LH_API int lh_acquire(lh_store *store, const char *key, const lh_acquire_options *options,
                      lh_lease **ret_lease, lh_record **ret_busy, lh_error *error);

/* Acquires the lease (and waits for it, if the options ask for that), calls `fn`, and releases the
 * lease. `fn` returns LH_OK or an outcome of its own; it should check lh_lease_valid() between its
 * steps. The result of the release is not reported: the lease ends with its ttl at the latest.
 *
 * LH_OK: `fn` returned LH_OK, and the lease was valid until then. LH_LOST: `fn` returned LH_OK, but
 * the lease had ended before that. Otherwise the outcome of lh_acquire() or of `fn`. */
LH_API int lh_with_lease(lh_store *store, const char *key, const lh_acquire_options *options,
                         int (*fn)(void *arg, lh_lease *lease), void *arg, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
