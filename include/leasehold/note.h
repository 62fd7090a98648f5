/* SPDX-License-Identifier: Apache-2.0
 *
 * Notes: a text that a holder leaves for the next one, such as a version, an etag, or a summary of
 * its changes.
 *
 * A note exists only while nobody has held the key exclusively since it was left. The note is
 * cleared if a holder leaves none, dies, is broken, or hands the lease on. So if a note names a
 * state that the next holder knows, nothing has changed since; if there is no note, anything may
 * have changed. Readers (LH_SHARED) keep the note, unless one of them leaves another note. But if
 * the last of them ends without a release, the note is cleared. Programs without Leasehold that
 * update the document in place, and do not write its `released`, keep the note until the end of
 * their lock. */
#ifndef LEASEHOLD_NOTE_H
#define LEASEHOLD_NOTE_H

#include <leasehold/lease.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_release_options {
    size_t size;
    /* Up to LH_TEXT_MAX bytes of UTF-8 without control characters; NULL or "": no note */
    const char *note;
    /* How long the key stays taken after the release, but no longer than the lease would have
     * lasted; 0: not at all. 0 … 604,800,000 (7 days) */
    int64_t keep_ms;
} lh_release_options;

#define LH_RELEASE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_release_options), NULL, 0                                                        \
    }
LH_API void lh_release_options_init(lh_release_options *options, size_t size);

/* Releases the lease as lh_lease_release() does, with one command, and leaves a note. The next
 * holder can read it with lh_lease_note(), and lh_watch() reports it. A second release does not
 * change the note.
 *
 * With keep_ms the key stays taken, although this lease ends at once: nobody is granted the key
 * before now + keep_ms or the end of the lease, whichever is sooner, by the server's clock. Then
 * the key is free at once, without clock_skew_ms. The key stays taken even if the process dies, and
 * only lh_break() shortens the time. Use keep_ms for work that is due once in a period, on several
 * machines. A record shows `kept`. Only for an exclusive lease. To keep the key longer, renew the
 * lease first with a longer ttl.
 *
 * LH_INVALID: the note is too long or not valid, keep_ms is out of range, or the lease is shared.
 * No command was sent, and the lease is still held; but for an attached lease that was not renewed,
 * the handle has ended. LH_UNKNOWN: the note may be missing, also if the lease is released in the
 * background. With keep_ms nothing is sent again: the key is free at the end of the lease at the
 * latest, and not sooner than asked for. Otherwise as lh_lease_release(). */
LH_API int lh_lease_release_with(lh_lease *lease, const lh_release_options *options,
                                 lh_error *error);

typedef struct lh_note {
    const char *text;
    int64_t token; /* of the last lease that was released with a note */
    int64_t at_ms; /* when that was */
} lh_note;

/* The note that the previous holder left. If this process acquired the lease without waiting, the
 * note came with the grant and no command is sent. After a wait, for many keys, and for an attached
 * lease (once renewed), the first call reads it in one round trip.
 *
 * LH_OK: *ret_note is the note, which lives as long as the handle, or NULL if there is none.
 * LH_LOST: the key's document does not show the lease; the handle is not changed. LH_INVALID,
 * LH_UNREACHABLE, LH_DENIED, LH_SERVER, LH_FORKED, LH_MEMORY. */
LH_API int lh_lease_note(lh_lease *lease, const lh_note **ret_note, lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
