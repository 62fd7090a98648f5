/* SPDX-License-Identifier: Apache-2.0
 * Lines of the history → events. */
#include <bson/bson.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "torture/check.h"
#include "torture/field.h"

#define CLOCKS_MS 100 /* where nobody stepped a clock */

static const char *const kinds[EV_KINDS] = {
    [EV_RUN] = "run",       [EV_START] = "start", [EV_CALL] = "call",   [EV_END] = "end",
    [EV_BELIEF] = "belief", [EV_LOST] = "lost",   [EV_FAULT] = "fault", [EV_COMMIT] = "commit",
    [EV_WROTE] = "wrote",   [EV_HOLE] = "hole",   [EV_DONE] = "done"};
static const char *const ops[OP_COUNT] = {
    [OP_ACQUIRE] = "acquire",   [OP_RENEW] = "renew", [OP_RELEASE] = "release",
    [OP_TRANSFER] = "transfer", [OP_BREAK] = "break", [OP_CLEANUP] = "cleanup",
    [OP_WRITE] = "write",       [OP_OTHER] = "?"};

static void copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
}

static struct who read_who(const char *purpose)
{
    struct who who;
    long long n;
    if (sscanf(purpose, "%d.%d.%lld", &who.p, &who.life, &n) != 3)
        return (struct who){.p = -1};
    who.n = n;
    return who;
}

static void read_holder(struct holder *holder, const char *id, const bson_t *from, bool shared)
{
    copy(holder->id, sizeof holder->id, id);
    holder->who = read_who(field_text(from, "purpose"));
    holder->token = field_number(from, "token", 0);
    holder->expires_at = field_number(from, "expires_at", CHECK_NEVER);
    holder->acquired_at = field_number(from, "acquired_at", 0);
    holder->renewed_at = field_number(from, "renewed_at", 0);
    holder->shared = shared;
}

static size_t count(const bson_t *map)
{
    return (size_t)bson_count_keys(map);
}

static bool read_holders(struct state *state, const bson_t *doc)
{
    bson_t shared, one;
    bson_iter_t entry;
    const char *id = field_text(doc, "id");
    bool readers = strncmp(id, "shared:", 7) == 0 && field_part(doc, "shared", &shared);
    bool freed = *id && strcmp(id, state->released_id) == 0 &&
                 field_number(doc, "expires_at", CHECK_NEVER) <= state->released_at;
    if (!readers && freed)
        return true;
    state->holders = calloc(readers ? count(&shared) + 1 : 1, sizeof *state->holders);
    if (!state->holders)
        return false;
    if (!readers) {
        read_holder(&state->holders[state->n_holders++], id, doc, false);
        return true;
    }
    for (bool good = bson_iter_init(&entry, &shared); good && bson_iter_next(&entry);)
        if (field_part(&shared, bson_iter_key(&entry), &one))
            read_holder(&state->holders[state->n_holders++], bson_iter_key(&entry), &one, true);
    return true;
}

static bool read_waiters(struct state *state, const bson_t *doc)
{
    bson_t waiters, one;
    bson_iter_t entry;
    if (!field_part(doc, "waiters", &waiters))
        return true;
    state->waiters = calloc(count(&waiters) + 1, sizeof *state->waiters);
    for (bool good = state->waiters && bson_iter_init(&entry, &waiters);
         good && bson_iter_next(&entry);) {
        struct queued *queued = &state->waiters[state->n_waiters];
        if (!field_part(&waiters, bson_iter_key(&entry), &one))
            continue;
        copy(queued->id, sizeof queued->id, bson_iter_key(&entry));
        queued->who = read_who(field_text(&one, "purpose"));
        queued->since = field_number(&one, "since", 0);
        queued->beat_at = field_number(&one, "beat_at", 0);
        queued->claim_ms = field_number(&one, "claim_ms", 0);
        queued->shared = strcmp(field_text(&one, "mode"), "shared") == 0;
        state->n_waiters++;
    }
    return state->waiters != NULL;
}

static bool read_commit(struct event *event, const bson_t *line)
{
    bson_t doc, released, id = BSON_INITIALIZER;
    bson_iter_t value;
    struct state *state = event->state = calloc(1, sizeof *state);
    if (!state)
        return false;
    state->wall = field_number(line, "wall", 0);
    if (bson_iter_init_find(&value, line, "id"))
        BSON_APPEND_VALUE(&id, "", bson_iter_value(&value));
    char *as_text = bson_as_relaxed_extended_json(&id, NULL);
    copy(state->doc_id, sizeof state->doc_id, as_text ? as_text : "");
    bson_free(as_text);
    bson_destroy(&id);
    state->removed = !field_part(line, "doc", &doc);
    if (state->removed)
        return true;
    state->end = field_number(&doc, "expires_at", CHECK_NEVER);
    if (field_part(&doc, "released", &released)) {
        copy(state->released_id, sizeof state->released_id, field_text(&released, "id"));
        copy(state->released_how, sizeof state->released_how, field_text(&released, "how"));
        state->released_at = field_number(&released, "at", 0);
    }
    return read_holders(state, &doc) && read_waiters(state, &doc);
}

static void free_state(struct state *state)
{
    if (!state)
        return;
    free(state->holders);
    free(state->waiters);
    free(state);
}

static int index_of(const char *word, const char *const *words, int n)
{
    int i = 0;
    while (i < n && strcmp(word, words[i]) != 0)
        i++;
    return i;
}

static bool read_line(struct check *check, struct event *event, const bson_t *line)
{
    int kind = index_of(field_text(line, "e"), kinds, EV_KINDS),
        op = index_of(field_text(line, "op"), ops, OP_COUNT);
    if (kind == EV_KINDS)
        return false;
    event->kind = (enum event_kind)kind;
    event->op = op == OP_COUNT ? OP_OTHER : (enum op)op;
    event->t = field_number(line, "t", 0);
    event->who = (struct who){(int)field_number(line, "p", -1), (int)field_number(line, "life", 0),
                              field_number(line, "n", 0)};
    copy(event->key, sizeof event->key, field_text(line, "key"));
    copy(event->outcome, sizeof event->outcome, field_text(line, "outcome"));
    copy(event->fault, sizeof event->fault, field_text(line, "kind"));
    copy(event->id, sizeof event->id, field_text(line, "lease"));
    copy(event->to, sizeof event->to, field_text(line, "to"));
    event->token = field_number(line, "token", 0);
    event->remaining_ms = field_number(line, "remaining_ms", 0);
    event->ttl_ms = field_number(line, "ttl_ms", 0);
    event->wait_ms = field_number(line, "wait_ms", 0);
    event->ms = field_number(line, "ms", 0);
    event->seq = field_number(line, "seq", 0);
    event->holder_token = field_number(line, "holder_token", -1);
    event->holder = read_who(field_text(line, event->kind == EV_WROTE ? "who" : "holder"));
    event->seen = field_number(line, "seen", -1);
    event->older = field_number(line, "older", -1);
    event->shared = field_flag(line, "shared");
    event->by_hand = field_flag(line, "by_hand");
    event->end = SIZE_MAX;
    int64_t clocks_ms =
        CLOCKS_MS + field_number(line, "clocks_ms", 0); /* of a fault: how far it sets them apart */
    check->clocks_ms = clocks_ms > check->clocks_ms ? clocks_ms : check->clocks_ms;
    if (event->kind == EV_RUN) {
        check->oplog = field_flag(line, "oplog");
        check->grace_ms = field_number(line, "grace_ms", 500);
        check->seed = field_number(line, "seed", 0);
        check->start = event->t;
    }
    check->hole = check->hole || event->kind == EV_HOLE;
    check->done = check->done || event->kind == EV_DONE;
    return event->kind != EV_COMMIT || read_commit(event, line);
}

static int compare(const void *one, const void *two)
{
    const struct event *a = one, *b = two;
    if (a->kind == EV_COMMIT && b->kind == EV_COMMIT)
        return a->seq < b->seq ? -1 : a->seq > b->seq;
    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

/* If some commits are missing, the others prove nothing, because the states between them are not
 * known. */
static void leave_out_commits(struct check *check)
{
    size_t kept = 0;
    for (size_t i = 0; i < check->n; i++) {
        struct event *event = &check->events[i];
        if (event->kind == EV_COMMIT)
            free_state(event->state);
        else
            check->events[kept++] = *event;
    }
    check->n = kept;
    check->oplog = false;
}

/* A commit's time is only what a clock said: none is earlier than the one before it. */
static void order(struct check *check)
{
    int64_t last = 0;
    for (size_t i = 0; i < check->n; i++)
        if (check->events[i].kind == EV_COMMIT) {
            if (check->events[i].t < last)
                check->events[i].t = last;
            last = check->events[i].t;
        }
    qsort(check->events, check->n, sizeof *check->events, compare);
    for (size_t i = 0; i < check->n; i++) {
        struct event *event = &check->events[i];
        if (event->kind != EV_END)
            continue;
        for (size_t j = i; j-- > 0;) /* a process makes one call at a time: its last one */
            if (check->events[j].kind == EV_CALL &&
                check_same_who(&check->events[j].who, &event->who)) {
                check->events[j].end = i;
                event->end = j;
                break;
            }
    }
}

bool check_read(struct check *check, FILE *file, char message[200])
{
    char *text_line = NULL;
    size_t size = 0, room = 0, n_line = 0;
    ssize_t len;
    bool good = true;
    *check = (struct check){.grace_ms = 500};
    check->violations = calloc(CHECK_VIOLATIONS, sizeof *check->violations);
    while (good && (len = getline(&text_line, &size, file)) > 0) {
        n_line++;
        if (check->n == room) {
            room = room ? 2 * room : 1024;
            struct event *more = realloc(check->events, room * sizeof *more);
            if (!more) {
                good = false;
                break;
            }
            check->events = more;
        }
        bson_error_t why;
        bson_t *line = bson_new_from_json((const uint8_t *)text_line, len, &why);
        struct event *event = &check->events[check->n];
        *event = (struct event){.line = n_line};
        good = line && read_line(check, event, line);
        check->n += good;
        if (!good && event->state)
            free(event->state);
        bson_destroy(line);
    }
    free(text_line);
    if (ferror(file)) /* the lines after it are unknown */
        (void)snprintf(message, 200, "it cannot be read after line %zu: %s", n_line,
                       strerror(errno));
    else if (!good || !check->violations)
        (void)snprintf(message, 200, "line %zu is not a line of a history", n_line);
    else if (check->n == 0 || !check->start)
        (void)snprintf(message, 200, "this is not a history: no line describes the run");
    else if (!check->done)
        (void)snprintf(message, 200,
                       "it ends before its run: it was cut off after line %zu, or its torture "
                       "process was killed",
                       n_line);
    else {
        if (check->hole)
            leave_out_commits(check);
        order(check);
        return true;
    }
    return false;
}

void check_fini(struct check *check)
{
    for (size_t i = 0; i < check->n; i++)
        free_state(check->events[i].state);
    free(check->events);
    free(check->violations);
}
