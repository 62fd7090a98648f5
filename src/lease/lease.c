/* SPDX-License-Identifier: Apache-2.0
 * A lease's life on this side: its id, its local deadline, its commands. (Acquiring is in
 * lease_acquire.c, the handle in lease_handle.c.)
 *
 * Home of the client's part of invariants 1, 4 and 5: what may be believed, and until when. A
 * deadline is anchored at CLOCK_BOOTTIME before the send of the command that was answered; a passed
 * one is final; once a release was sent, nothing makes the lease valid again.
 *
 * Threads: a lease's own lock guards what changes; that of `held` the list of held leases. */
#include "lease/lease.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/key.h"
#include "base/shell.h"
#include "lease/audit.h"
#include "lease/lease_handle.h"
#include "lease/lease_held.h"
#include "lease/lease_run.h"
#include "protocol/doc.h"
#include "protocol/doc_record.h"
#include "store/store.h"

/* Of what another program gave an end in a far future: so that no sum overflows. */
#define LASTS_MAX (INT64_MAX / 4)

int lh_lease_id_new(char ret_id[LH_LEASE_ID_ROOM], lh_error *error)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[LH_LEASE_ID_LEN / 2];
    ssize_t n;
    do
        n = getrandom(bytes, sizeof bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof bytes)
        return lh_fail(error, LH_BUG, "the system provides no random bytes");
    for (size_t i = 0; i < sizeof bytes; i++) {
        ret_id[2 * i] = digits[bytes[i] >> 4];
        ret_id[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_id[LH_LEASE_ID_LEN] = '\0';
    return LH_OK;
}

int lh_lease_check_ttl(int64_t ttl_ms, lh_error *error)
{
    if (ttl_ms >= LH_TTL_MIN_MS && ttl_ms <= LH_TTL_MAX_MS)
        return LH_OK;
    return lh_fail(error, LH_INVALID,
                   "ttl_ms is %lld: it must be 1,000 (a second) to 604,800,000 (7 days)",
                   (long long)ttl_ms);
}

lh_vars lh_lease_vars(const lh_store *store, const char *key, const char *lease_id)
{
    lh_vars vars = {.key = key,
                    .me = lease_id,
                    .owner = store->owner,
                    .host = store->host,
                    .pid = store->pid,
                    .grace_ms = store->clock_skew_ms,
                    .max_shared = store->max_shared,
                    .set = atomic_load(&store->topology) == LH_TOPOLOGY_SET};
    /* With the beginning of the id: a program that takes the document over without a word of this
     * leaves it behind. */
    if (*store->proc && !store->for_others)
        (void)snprintf(vars.proc, sizeof vars.proc, "%s/%.8s", store->proc, lease_id);
    return vars;
}

int lh_lease_fail_unreadable(const char *key, const char *problem, lh_error *error)
{
    char word[LH_WORD_ROOM];
    lh_shell_key(key, word);
    return lh_fail(error, LH_REASON_UNREADABLE,
                   "the document of this key cannot be read: %s; run `leasehold status %s`",
                   problem, word);
}

static const char no_keeping[] = "keep_ms is for an exclusive lease, and this one is shared";

typedef struct {
    const char *key, *id;
    int64_t token; /* 0: unknown */
    const lh_release_options *options;
    bool whole;               /* not by the short form */
    const lh_audit_end *line; /* for the trail; NULL: the trail does not have its grant */
} releasing;

/* LH_OK also when it was released before, or ended and nobody took over. */
static int send_release(lh_store *store, const releasing *r, lh_context context, lh_error *error)
{
    lh_reply reply;
    lh_vars vars = lh_lease_vars(store, r->key, r->id);
    vars.token = r->token;
    vars.note = r->options ? r->options->note : NULL;
    vars.keep_ms = r->options ? r->options->keep_ms : 0;
    lh_op op = vars.keep_ms > 0 ? LH_OP_RELEASE_KEPT : LH_OP_RELEASE;
    int outcome = lh_lease_run(store, &(lh_operation){op, r->whole, &vars, context}, &reply, error);
    const lh_mine *mine = &reply.mine;
    char problem[128];
    if (outcome == LH_OK && !reply.wrote && !mine->ended) {
        if (reply.there && lh_doc_reply_problem(&reply.document, problem, sizeof problem))
            outcome = lh_lease_fail_unreadable(r->key, problem, error);
        else if (mine->holds && vars.keep_ms > 0)
            outcome = lh_fail(error, LH_INVALID, "%s", no_keeping);
        else if (!reply.maybe) /* else an attempt whose reply was lost released it */
            outcome =
                lh_fail(error, LH_REASON_NOT_HOLDER,
                        "the lease does not hold the key, or no longer does: nothing was changed");
    }
    if (outcome == LH_OK && mine->ended && r->line) {
        lh_ended ended = lh_doc_ended(&reply.document);
        lh_audit_end all = *r->line;
        all.owner = all.owner ? all.owner : ended.owner;
        all.at_ms = ended.at_ms;
        (void)lh_audit_ended(store, &all, 1, error);
    }
    bson_destroy(&reply.bson);
    return outcome;
}

bool lh_lease_release_id(lh_store *store, const char *key, const char *lease_id, int64_t ttl_ms,
                         lh_context context)
{
    int outcome = send_release(store, &(releasing){.key = key, .id = lease_id}, context, NULL);
    if (outcome == LH_UNKNOWN || outcome == LH_UNREACHABLE)
        lh_held_doubt(store, key, lease_id, ttl_ms, true);
    return outcome == LH_OK;
}

int lh_lease_leave_queue(lh_store *store, const char *key, const char *lease_id, lh_context context,
                         lh_record **ret_record, lh_error *error)
{
    lh_reply reply;
    lh_vars vars = lh_lease_vars(store, key, lease_id);
    int outcome =
        lh_lease_run(store, &(lh_operation){LH_OP_RELEASE, true, &vars, context}, &reply, error);
    if (outcome == LH_OK && ret_record)
        *ret_record = reply.there ? lh_doc_reply_record(&reply.document, store->clock_skew_ms)
                                  : lh_doc_free_record(key, 0);
    bson_destroy(&reply.bson);
    return outcome;
}

int lh_lease_give_back(lh_lease *lease, int64_t timeout_ms)
{
    lh_store *store = lease->store;
    (void)lh_lease_end(lease);
    lh_assert(!lh_lease_believed(lease));
    int left =
        lh_lease_leave_queue(store, lease->key, lease->id,
                             (lh_context){lh_store_deadline(store, timeout_ms), NULL}, NULL, NULL);
    if (left != LH_OK)
        lh_held_doubt(store, lease->key, lease->id, lh_lease_ttl_ms(lease), true);
    return left;
}

static int64_t remaining_ms_locked(const lh_lease *lease)
{
    bool mine = !lease->over && lease->store->pid == getpid(); /* a forked child holds nothing */
    int64_t ms = mine ? lease->deadline - lh_clock_ms() : 0;
    return ms > 0 ? ms : 0;
}

int lh_lease_log(lh_lease *lease, int event, int64_t began_us, int outcome, const lh_error *error)
{
    lh_log(lease->store,
           &(lh_log_event){.event = event,
                           .outcome = outcome,
                           .duration_us = lh_clock_us() - began_us,
                           .token = lh_lease_token(lease),
                           .count = 1,
                           .key = lease->key,
                           .lease = lease->id},
           error);
    return outcome;
}

/* The descriptor's timer: at the deadline; at once (0); never (INT64_MAX). */
static void set_alarm_locked(const lh_lease *lease, int64_t at_ms)
{
    if (lease->lost_fd < 0 || !lease->enforced)
        return;
    struct itimerspec spec = {0}; /* switches it off */
    if (at_ms != INT64_MAX)
        spec.it_value =
            (struct timespec){.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 + 1};
    (void)timerfd_settime(lease->lost_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

bool lh_lease_end(lh_lease *lease)
{
    pthread_mutex_lock(&lease->lock);
    bool was_valid = remaining_ms_locked(lease) > 0;
    if (!lease->over)
        set_alarm_locked(lease, INT64_MAX);
    lease->over = lease->given_up = true;
    pthread_mutex_unlock(&lease->lock);
    lh_held_remove(lease);
    return was_valid;
}

void lh_lease_lose(lh_lease *lease)
{
    lh_store *store = lease->store;
    pthread_mutex_lock(&lease->lock);
    bool news = !lease->over;
    lease->over = true;
    if (news)
        set_alarm_locked(lease, 0);
    pthread_mutex_unlock(&lease->lock);
    /* whoever said so first takes it out of the list, and so knows whether it was there, and is to
     * be told */
    if (!news)
        return;
    bool was_held = lh_held_remove(lease);
    lh_log(store,
           &(lh_log_event){.event = LH_LOG_LOST,
                           .outcome = LH_LOST,
                           .token = lh_lease_token(lease),
                           .key = lease->key,
                           .lease = lease->id},
           NULL);
    if (!lease->enforced)
        store->hooks->missed(store);
    else if (was_held && store->held->on_lost)
        store->held->on_lost(store->held->on_lost_arg, lease->key, lease->id);
}

int lh_lease_lost_fd(lh_lease *lease)
{
    if (!lease)
        return -1;
    bool locked = lh_lease_lock(lease);
    if (lease->lost_fd < 0) {
        lease->lost_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (lease->token != 0 && !lease->over)
            set_alarm_locked(lease, lease->deadline);
        else if (lease->over && !lease->given_up) /* lost, and told before there was a descriptor */
            set_alarm_locked(lease, 0);
    }
    int fd = lease->lost_fd;
    lh_lease_unlock(lease, locked);
    return fd;
}

/* A release that keeps the key is not sent again: nothing may free the key sooner. */
static void doubt_release(lh_lease *lease, bool keeps)
{
    int64_t ttl_ms = lh_lease_ttl_ms(lease);
    ttl_ms = ttl_ms > 0 ? ttl_ms : LH_TTL_DEFAULT_MS;
    if (keeps)
        lh_held_bar(lease->store, lease->key, lease->id, ttl_ms);
    else
        lh_held_doubt(lease->store, lease->key, lease->id, ttl_ms, true);
}

static int release(lh_lease *lease, const lh_release_options *o, lh_error *error)
{
    lh_assert(lease && !lease->absent);
    bool keeps = o && o->keep_ms > 0;
    if (keeps && lease->mode == LH_SHARED)
        return lh_fail(error, LH_INVALID, "%s", no_keeping);
    if (error)
        error->message[0] = '\0'; /* on LH_OK it is the trail's */
    pthread_mutex_lock(&lease->lock);
    bool again =
        /* the short form does not say that it was done before (nor when: that is for the trail) */
        lease->given_up;
    pthread_mutex_unlock(&lease->lock);
    (void)lh_lease_end(lease);
    lh_assert(!lh_lease_believed(lease)); /* from before its release is sent */
    int64_t token = lh_lease_token(lease);
    lh_audit_end line = {.event = "released",
                         .key = lease->key,
                         .owner = lease->attached ? NULL : lease->owner,
                         .token = token};
    bool whole =
        again || lease->store->audit || lease->mode == LH_SHARED || atomic_load(&lease->crowded);
    int outcome = send_release(lease->store,
                               &(releasing){.key = lease->key,
                                            .id = lease->id,
                                            .token = token,
                                            .options = o,
                                            .whole = whole,
                                            .line = lease->in_trail ? &line : NULL},
                               (lh_context){lh_store_deadline(lease->store, 0), NULL}, error);
    if (outcome == LH_UNKNOWN)
        doubt_release(lease, keeps);
    return outcome;
}

int lh_core_release(lh_lease *lease, const lh_release_options *o, lh_error *error)
{
    lh_error mine = LH_ERROR_INIT;
    int64_t began_us = lh_clock_us();
    error = error ? error : &mine;
    int outcome = release(lease, o, error);
    return lh_lease_log(lease, LH_LOG_RELEASE, began_us, outcome, error);
}

int64_t lh_lease_expires_after(const lh_store *store, int64_t ttl_ms, int64_t sent)
{
    return sent + ttl_ms + atomic_load(&store->held->clock_ahead);
}

int64_t lh_lease_lasts(const struct lh_mine *mine, int64_t ttl_ms)
{
    int64_t left_ms = mine->expires_at_ms - mine->now_ms; /* it holds: this is more than 0 */
    if (left_ms > LASTS_MAX)
        left_ms = LASTS_MAX;
    return left_ms > ttl_ms ? left_ms : ttl_ms;
}

int64_t lh_lease_deadline(int64_t sent, int64_t lasts_ms)
{
    return sent + lasts_ms - LH_DRIFT_MS(lasts_ms);
}

int lh_lease_believe(const lh_granted *granted, lh_lease **ret_lease, lh_error *error)
{
    lh_store *store = granted->store;
    const lh_acquire_options *o = granted->o;
    lh_assert(granted->deadline > 0 && o->owner && strlen(granted->id) == LH_LEASE_ID_LEN);
    if (!lh_held_forget_doubt(store, granted->id)) {
        lh_held_doubt(store, granted->key, granted->id, o->ttl_ms, true);
        return lh_fail(error, LH_REASON_ID_USED,
                       "the outcome of an earlier acquire with this lease id is unknown, and the "
                       "lease is being released: use each id for one lease only");
    }
    lh_lease *lease = lh_lease_new(store, granted->key, granted->id, o->owner);
    if (!lease)
        return lh_fail_memory(error);
    lease->mode = o->mode;
    lease->deadline = granted->deadline;
    lease->token = granted->token;
    lease->ttl_ms = o->ttl_ms;
    lease->expires_at_ms = granted->expires_at_ms;
    atomic_store(&lease->by_hand, o->by_hand);
    atomic_store(&lease->crowded, granted->crowded);
    atomic_store(&lease->unclaimed, granted->unclaimed);
    (void)lh_held_add(lease);
    *ret_lease = lease;
    return LH_OK;
}

bool lh_lease_extend(lh_lease *lease, const lh_renewed *renewed)
{
    int64_t deadline = lh_lease_deadline(renewed->sent, renewed->lasts_ms);
    bool doubted = lh_lease_token(lease) == 0 && !lh_held_forget_doubt(lease->store, lease->id);
    pthread_mutex_lock(&lease->lock);
    bool first = lease->token == 0;
    bool late = lh_clock_ms() >= (first ? deadline : lease->deadline);
    bool good = !doubted && !lease->over && !late && (first || renewed->token == lease->token);
    if (good) {
        if (first || deadline > lease->deadline)
            lease->deadline = deadline;
        lease->token = renewed->token;
        lease->ttl_ms = renewed->ttl_ms;
        if (renewed->expires_at_ms > lease->expires_at_ms)
            lease->expires_at_ms = renewed->expires_at_ms;
        set_alarm_locked(lease, lease->deadline);
    }
    bool given_up = lease->given_up;
    pthread_mutex_unlock(&lease->lock);
    if (!good && !given_up)
        /* the server extended it */
        lh_held_doubt(lease->store, lease->key, lease->id, renewed->ttl_ms, false);
    return good;
}

static bool extend_by_hand(lh_lease *lease, const lh_mine *mine, int64_t sent)
{
    bool good = lh_lease_extend(lease, &(lh_renewed){.sent = sent,
                                                     .lasts_ms = lh_lease_lasts(mine, mine->ttl_ms),
                                                     .token = mine->token,
                                                     .ttl_ms = mine->ttl_ms,
                                                     .expires_at_ms = mine->expires_at_ms});
    pthread_mutex_lock(&lease->lock);
    if (good)
        lease->mode = mine->mode; /* an attached lease learns it here */
    pthread_mutex_unlock(&lease->lock);
    return good;
}

static int judge_renewal(lh_lease *lease, const lh_vars *vars, const lh_reply *reply,
                         lh_record **ret_record, lh_error *error)
{
    const bson_t *document = reply->there ? &reply->document : NULL;
    char problem[128];
    lh_mine mine = reply->mine;
    if (!document && reply->wrote)
        mine = (lh_mine){.holds = true,
                         .written = true,
                         .mode = LH_EXCLUSIVE,
                         .token = vars->token,
                         .ttl_ms = vars->ttl_ms,
                         .now_ms = lh_lease_expires_after(lease->store, 0, reply->sent),
                         .expires_at_ms =
                             lh_lease_expires_after(lease->store, vars->ttl_ms, reply->sent)};
    if (mine.holds && mine.written)
        return extend_by_hand(lease, &mine, reply->sent)
                   ? LH_OK
                   : lh_fail(error, LH_REASON_ENDED,
                             "the lease ended before the reply to the renewal came");
    if (document && lh_doc_reply_problem(document, problem, sizeof problem))
        return lh_lease_fail_unreadable(lease->key, problem, error);
    if (ret_record)
        *ret_record = document ? lh_doc_reply_record(document, lease->store->clock_skew_ms)
                               : lh_doc_free_record(lease->key, mine.now_ms);
    return lh_fail(error,
                   !document                      ? LH_REASON_GONE
                   : mine.lapsed || mine.released ? LH_REASON_ENDED
                                                  : LH_REASON_SUPERSEDED,
                   "%s",
                   !document       ? "the lease is lost: its document was removed"
                   : mine.lapsed   ? "the lease has ended: it was not renewed in time"
                   : mine.released ? "the lease has ended, and was released or taken over"
                                   : "the lease is lost: the key has another holder, or is free");
}

static int renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error)
{
    lh_assert(lease && !lease->absent);
    lh_assert(ttl_ms == 0 || (ttl_ms >= LH_TTL_MIN_MS && ttl_ms <= LH_TTL_MAX_MS));
    int64_t deadline = lh_store_deadline(lease->store, 0);
    pthread_mutex_lock(&lease->lock);
    int64_t token = lease->token;
    if (ttl_ms == 0)
        ttl_ms = lease->ttl_ms; /* 0 of an attached one: what the document says */
    if (token != 0 && lease->deadline < deadline)
        deadline = lease->deadline; /* an answer after that is worth nothing */
    bool over = lease->over || (token != 0 && remaining_ms_locked(lease) == 0);
    pthread_mutex_unlock(&lease->lock);
    if (over) {
        lh_lease_lose(lease);
        return lh_fail(error, LH_REASON_ENDED,
                       "the lease has ended: it was released, or not renewed in time");
    }
    lh_reply reply;
    lh_vars vars = lh_lease_vars(lease->store, lease->key, lease->id);
    vars.ttl_ms = ttl_ms;
    vars.token = token;
    vars.foreign = lease->attached;
    /* of which only the whole form tells what it is */
    bool whole = lease->mode == LH_SHARED || lease->attached;
    int outcome = lh_lease_run(
        lease->store, &(lh_operation){LH_OP_RENEW, whole, &vars, {deadline, NULL}}, &reply, error);
    if (outcome == LH_OK)
        outcome = judge_renewal(lease, &vars, &reply, ret_record, error);
    else if (outcome == LH_UNKNOWN) /* no harm if it was applied */
        outcome = lh_fail(error, LH_REASON_TIMED_OUT,
                          "cannot renew the lease: no reply came in time. The lease is still valid "
                          "for %lld ms: try again",
                          (long long)lh_lease_left_ms(lease));
    bson_destroy(&reply.bson);
    if (outcome == LH_UNREACHABLE && token != 0 && lh_lease_left_ms(lease) == 0)
        outcome = lh_fail(error, LH_REASON_ENDED,
                          "the lease has ended: no server replied to its renewal in time");
    if (outcome == LH_LOST)
        lh_lease_lose(lease);
    return outcome;
}

int lh_core_renew(lh_lease *lease, int64_t ttl_ms, lh_record **ret_record, lh_error *error)
{
    lh_record *record = NULL;
    lh_error mine = LH_ERROR_INIT;
    int64_t began_us = lh_clock_us();
    error = error ? error : &mine;
    int outcome = renew(lease, ttl_ms, ret_record ? &record : NULL, error);
    if (outcome == LH_LOST && ret_record)
        *ret_record = record;
    return lh_lease_log(lease, LH_LOG_RENEW, began_us, outcome, error);
}

int64_t lh_lease_left_ms(const lh_lease *lease)
{
    bool locked = lh_lease_lock(lease);
    int64_t ms = remaining_ms_locked(lease);
    lh_lease_unlock(lease, locked);
    return ms;
}

bool lh_lease_believed(const lh_lease *lease)
{
    return lh_lease_left_ms(lease) > 0;
}
