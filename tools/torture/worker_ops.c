/* SPDX-License-Identifier: Apache-2.0
 * The operations. Every acquire names its call as its purpose ("3.0.17": process, life, number), so
 * that each commit can be matched with its call, even if no reply came. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "torture/worker.h"

static void random_key(struct worker *worker, char key[16])
{
    (void)snprintf(key, 16, "k%u", worker_dice(worker, (uint32_t)worker->torture->keys));
}

static void begin_line(struct worker *worker, bson_t *line, const char *event, const char *op,
                       const char *key)
{
    history_begin(&worker->history, line, event);
    BSON_APPEND_INT64(line, "n", worker->n);
    BSON_APPEND_UTF8(line, "op", op);
    BSON_APPEND_UTF8(line, "key", key);
}

static void begin_call(struct worker *worker, bson_t *line, const char *op, const char *key)
{
    worker->n++;
    begin_line(worker, line, "call", op, key);
}

static void begin_end(struct worker *worker, bson_t *line, const char *op, const char *key,
                      int outcome)
{
    begin_line(worker, line, "end", op, key);
    BSON_APPEND_UTF8(line, "outcome", lh_outcome_word(outcome));
}

/* On a lease: the call's line, then whatever is done, then this. */
static void call_on(struct worker *worker, const char *op, const char *key, const char *lease)
{
    bson_t line;
    begin_call(worker, &line, op, key);
    BSON_APPEND_UTF8(&line, "lease", lease);
    (void)history_write(&worker->history, &line);
}

static void end_on(struct worker *worker, const char *op, const char *key, const char *lease,
                   int outcome)
{
    bson_t line;
    begin_end(worker, &line, op, key, outcome);
    BSON_APPEND_UTF8(&line, "lease", lease);
    (void)history_write(&worker->history, &line);
}

static lh_lease **empty_hand(struct worker *worker)
{
    for (size_t i = 0; i < HANDS; i++)
        if (!worker->hand[i])
            return &worker->hand[i];
    return NULL;
}

/* HANDS: nothing is held. */
static size_t full_hand(struct worker *worker)
{
    size_t from = worker_dice(worker, HANDS);
    for (size_t i = 0; i < HANDS; i++)
        if (worker->hand[(from + i) % HANDS])
            return (from + i) % HANDS;
    return HANDS;
}

static void end_acquire(struct worker *worker, const char *key, int outcome, const lh_lease *lease,
                        const lh_record *busy, const lh_error *error)
{
    bson_t line;
    begin_end(worker, &line, "acquire", key, outcome);
    if (outcome == LH_OK) {
        BSON_APPEND_UTF8(&line, "lease", lh_lease_id(lease));
        BSON_APPEND_INT64(&line, "token", lh_lease_token(lease));
        BSON_APPEND_BOOL(&line, "shared", lh_lease_mode(lease) == LH_SHARED);
        BSON_APPEND_INT64(&line, "ttl_ms", lh_lease_ttl_ms(lease));
    } else {
        const lh_holder *holder = busy ? lh_record_holder(busy, 0) : NULL;
        BSON_APPEND_UTF8(&line, "message", error->message);
        if (holder) {
            BSON_APPEND_UTF8(&line, "holder", holder->purpose);
            BSON_APPEND_INT64(&line, "holder_token", holder->token);
        }
    }
    (void)history_write(&worker->history, &line);
}

/* Leaves the queue after a while, unless it is granted before. */
static int acquire_or_cancel(struct worker *worker, const char *key,
                             const lh_acquire_options *options, lh_lease **ret_lease,
                             lh_record **ret_busy, lh_error *error)
{
    lh_waiting *waiting = NULL;
    int outcome = lh_acquire_start(worker->store, key, options, &waiting, error);
    if (outcome != LH_OK)
        return outcome;
    worker_doze(worker, worker_dice(worker, 300));
    if (worker_dice(worker, 4) == 0)
        return lh_waiting_finish(waiting, ret_lease, ret_busy, error);
    outcome = lh_waiting_cancel(waiting, error);
    if (outcome == LH_OK)
        (void)snprintf(error->message, sizeof error->message, "cancelled");
    return outcome == LH_OK ? LH_CANCELLED : outcome;
}

/* Continues to sample a lease, which is kept, whether it is valid or not. */
static void look_on(struct worker *worker, lh_lease *lease, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        worker_believe(worker, lease);
        torture_nap(20);
    }
}

/* A write that depends on an earlier read. */
static int read_and_write(struct worker *worker, lh_lease *lease, const char *who)
{
    int64_t seen = 0;
    int outcome = writes_read(worker->writes, lease, &seen);
    if (outcome != LH_OK)
        return outcome;
    look_on(worker, lease, worker_dice(worker, worker->torture->faults & FAULT_PAUSE ? 40 : 10));
    return writes_add(worker->writes, lease, who, seen);
}

/* By the fence or the guard, on data of the caller's. */
static void write_under(struct worker *worker, lh_lease *lease)
{
    char who[48];
    uint32_t way = worker_dice(worker, worker->torture->is_set ? 4 : 3);
    if (lh_lease_mode(lease) == LH_SHARED)
        return;
    call_on(worker, "write", lh_lease_key(lease), lh_lease_id(lease));
    (void)snprintf(who, sizeof who, "%d.%d.%lld", worker->history.p, worker->history.life,
                   (long long)worker->n);
    int outcome = way == 0   ? writes_add(worker->writes, lease, who, WRITES_BLIND)
                  : way <= 2 ? read_and_write(worker, lease, who)
                             : writes_guarded(worker->writes, lease, who);
    end_on(worker, "write", lh_lease_key(lease), lh_lease_id(lease), outcome);
}

void worker_acquire(struct worker *worker)
{
    char key[16], purpose[48];
    lh_lease *lease = NULL, **hand = empty_hand(worker);
    lh_record *busy = NULL;
    lh_error error = LH_ERROR_INIT;
    bson_t line;
    if (!hand)
        return;
    random_key(worker, key);
    lh_acquire_options options = LH_ACQUIRE_OPTIONS_INIT;
    uint32_t way = worker_dice(worker, 100);
    options.mode = worker_dice(worker, 100) < 30 ? LH_SHARED : LH_EXCLUSIVE;
    options.ttl_ms = 1000 + worker_dice(worker, 1500);
    options.claim_ms = 1000 + worker_dice(worker, 500);
    options.by_hand = worker_dice(worker, 2) == 0;
    options.wait_ms = way < 55                      ? 0
                      : worker_dice(worker, 3) == 0 ? 4000
                                                    : 50 + worker_dice(worker, 1500);
    options.purpose = purpose;
    begin_call(worker, &line, "acquire", key);
    BSON_APPEND_BOOL(&line, "shared", options.mode == LH_SHARED);
    BSON_APPEND_INT64(&line, "ttl_ms", options.ttl_ms);
    BSON_APPEND_INT64(&line, "wait_ms", options.wait_ms);
    BSON_APPEND_BOOL(&line, "by_hand", options.by_hand);
    (void)snprintf(purpose, sizeof purpose, "%d.%d.%lld", worker->history.p, worker->history.life,
                   (long long)worker->n);
    (void)history_write(&worker->history, &line);
    int outcome = way >= 88 ? acquire_or_cancel(worker, key, &options, &lease, &busy, &error)
                            : lh_acquire(worker->store, key, &options, &lease, &busy, &error);
    end_acquire(worker, key, outcome, lease, busy, &error);
    if (outcome == LH_OK) {
        *hand = lease;
        worker_believe(worker, lease);
        if (options.by_hand && worker_dice(worker, 3) ==
                                   0) { /* works until its lease has ended, and does not notice */
            worker_doze(worker, options.ttl_ms + 100);
            worker_come_late(worker);
        } else {
            write_under(worker, lease);
        }
    }
    lh_record_free(busy);
}

void worker_renew(struct worker *worker)
{
    size_t hand = full_hand(worker);
    if (hand == HANDS)
        return;
    lh_lease *lease = worker->hand[hand];
    int64_t ttl_ms = worker_dice(worker, 2) == 0 ? 0 : 1000 + worker_dice(worker, 1500);
    call_on(worker, "renew", lh_lease_key(lease), lh_lease_id(lease));
    int outcome = lh_lease_renew(lease, ttl_ms, NULL, NULL);
    end_on(worker, "renew", lh_lease_key(lease), lh_lease_id(lease), outcome);
}

void worker_release(struct worker *worker)
{
    size_t hand = full_hand(worker);
    if (hand == HANDS)
        return;
    lh_lease *lease = worker->hand[hand];
    call_on(worker, "release", lh_lease_key(lease), lh_lease_id(lease));
    int outcome = lh_lease_release(lease, NULL);
    end_on(worker, "release", lh_lease_key(lease), lh_lease_id(lease), outcome);
    worker_believe(worker, lease);
    worker_forget(worker, hand);
}

/* Lease ids that were handed on are in a folder, as files KEY.ID; the process that renames a file
 * takes the lease. */
void worker_transfer(struct worker *worker)
{
    char id[LH_LEASE_ID_LEN + 1], path[512];
    size_t hand = full_hand(worker);
    if (hand == HANDS)
        return;
    lh_lease *lease = worker->hand[hand];
    const char *key = lh_lease_key(lease);
    bson_t line;
    call_on(worker, "transfer", key, lh_lease_id(lease));
    int outcome = lh_lease_transfer(lease, "whoever reads his mail", id, NULL);
    begin_end(worker, &line, "transfer", key, outcome);
    BSON_APPEND_UTF8(&line, "lease", lh_lease_id(lease));
    if (outcome == LH_OK)
        BSON_APPEND_UTF8(&line, "to", id);
    (void)history_write(&worker->history, &line);
    if (outcome == LH_OK) {
        (void)snprintf(path, sizeof path, "%s/%s.%s", worker->torture->mail, key, id);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0)
            (void)close(fd);
    }
    /* From the call on it is not valid: the sender goes on looking at it for a while. */
    look_on(worker, lease, 3);
    worker_forget(worker, hand);
}

/* Finds a letter and takes it: the file's name. */
static bool take_letter(struct worker *worker, char *name, size_t size)
{
    DIR *mail = opendir(worker->torture->mail);
    bool taken = false;
    char path[512];
    for (struct dirent *entry; mail && !taken && (entry = readdir(mail));) {
        if (entry->d_name[0] != 'k' || !strchr(entry->d_name, '.'))
            continue;
        (void)snprintf(name, size, "%s", entry->d_name);
        (void)snprintf(path, sizeof path, "%s/%s", worker->torture->mail, name);
        taken = unlink(path) == 0;
    }
    if (mail)
        (void)closedir(mail);
    return taken;
}

void worker_take_mail(struct worker *worker)
{
    char name[300];
    lh_lease *lease = NULL, **hand = empty_hand(worker);
    if (!hand || !take_letter(worker, name, sizeof name))
        return;
    char *id = name + strcspn(name, ".");
    *id++ = '\0';
    call_on(worker, "renew", name, id);
    int outcome = lh_lease_attach(worker->store, name, id, &lease, NULL);
    if (outcome == LH_OK)
        outcome = lh_lease_renew(lease, 0, NULL, NULL);
    end_on(worker, "renew", name, id, outcome);
    if (!lease)
        return;
    worker_believe(worker, lease);
    if (outcome == LH_OK)
        *hand = lease;
    else
        lh_lease_free(lease);
}

/* A renewal or a release of a lease that was released, transferred or lost: it must change
 * nothing. */
void worker_come_late(struct worker *worker)
{
    lh_lease *lease = NULL;
    if (worker->n_old == 0)
        return;
    size_t n = worker->n_old < REMEMBERED ? worker->n_old : REMEMBERED;
    bool newest = worker_dice(worker, 2) == 0;
    const struct old_lease *old =
        &worker->old[newest ? (worker->n_old - 1) % REMEMBERED : worker_dice(worker, (uint32_t)n)];
    bool renew = worker_dice(worker, 2) == 0;
    const char *op = renew ? "renew" : "release";
    if (lh_lease_attach(worker->store, old->key, old->id, &lease, NULL) != LH_OK)
        return;
    call_on(worker, op, old->key, old->id);
    int outcome = renew ? lh_lease_renew(lease, 1000 + worker_dice(worker, 1500), NULL, NULL)
                        : lh_lease_release(lease, NULL);
    end_on(worker, op, old->key, old->id, outcome);
    if (renew)
        worker_believe(worker, lease);
    lh_lease_free(lease);
}

void worker_break(struct worker *worker)
{
    char key[16];
    lh_record *record = NULL;
    random_key(worker, key);
    if (lh_status(worker->store, key, &record, NULL) != LH_OK)
        return;
    const lh_holder *holder = lh_record_holder(record, 0);
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "torture";
    options.token = holder && record->holders == 1 ? holder->token : -1;
    lh_record_free(record);
    bson_t line;
    begin_call(worker, &line, "break", key);
    BSON_APPEND_INT64(&line, "token", options.token);
    (void)history_write(&worker->history, &line);
    record = NULL;
    int outcome = lh_break(worker->store, key, &options, &record, NULL);
    begin_end(worker, &line, "break", key, outcome);
    (void)history_write(&worker->history, &line);
    lh_record_free(record);
}

void worker_write(struct worker *worker)
{
    size_t hand = full_hand(worker);
    if (hand < HANDS)
        write_under(worker, worker->hand[hand]);
}

void worker_cleanup(struct worker *worker)
{
    lh_cleanup_options options = LH_CLEANUP_OPTIONS_INIT;
    options.older_than_ms = 1000;
    bson_t line;
    begin_call(worker, &line, "cleanup", "");
    (void)history_write(&worker->history, &line);
    int outcome = lh_cleanup(worker->store, &options, NULL, NULL);
    begin_end(worker, &line, "cleanup", "", outcome);
    (void)history_write(&worker->history, &line);
}
