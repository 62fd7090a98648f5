/* SPDX-License-Identifier: Apache-2.0
 * Lines wait in a ring of bytes for the thread that writes them. When it is full, or writing
 * fails, lines are dropped and counted; the next that can be written says how many. The
 * descriptor stays as it is: others may share it. */
#include "serve/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/json.h"
#include "serve/clients.h"

enum { RING = 256 * 1024, PART = 32 * 1024, MOST_PATH = 1024, FLUSH_MS = 1000 };

struct log {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool ends, done;
    char ring[RING];
    /* What is being written. Not on the stack, which a cancelled thread leaves without a return:
     * the address sanitizer would take what comes after for an overflow. */
    char part[PART];
    size_t first, len;
    uint64_t dropped, told; /* lines; how many of them were told of */
};

/* ---- a line ---- */

static void begin(bson_t *json, const char *what)
{
    bson_init(json);
    json_time(json, "time", clock_wall_ms(), 0);
    json_text(json, "log", what);
}

/* Destroys `json`. NULL: memory is out. */
static char *line_of(bson_t *json, size_t *ret_len)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_len);
    if (!to) {
        bson_destroy(json);
        return NULL;
    }
    json_write(to, json);
    fputc('\n', to);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

static char *line_of_note(const char *message, size_t *ret_len)
{
    bson_t json;
    begin(&json, "note");
    json_text(&json, "message", message);
    return line_of(&json, ret_len);
}

/* ---- the ring ---- */

static bool put(struct log *log, const char *text, size_t len)
{
    if (len > RING - log->len)
        return false;
    size_t at = (log->first + log->len) % RING, part = len < RING - at ? len : RING - at;
    memcpy(log->ring + at, text, part);
    memcpy(log->ring, text + part, len - part);
    log->len += len;
    return true;
}

/* Before the next line: that lines are missing here. Not before there is room again for many, so
 * that it is said once. */
static bool put_gap(struct log *log)
{
    char message[96];
    size_t len;
    if (log->dropped == log->told)
        return true;
    if (log->len > RING / 2)
        return false;
    (void)snprintf(message, sizeof message,
                   "lines dropped here, because stderr could not be written: %" PRIu64,
                   log->dropped - log->told);
    char *text = line_of_note(message, &len);
    bool there = text && put(log, text, len);
    free(text);
    if (there)
        log->told = log->dropped;
    return there;
}

static void print(struct log *log, bson_t *json)
{
    size_t len;
    char *text = line_of(json, &len);
    pthread_mutex_lock(&log->lock);
    if (!text || !put_gap(log) || !put(log, text, len))
        log->dropped++;
    else
        pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->lock);
    free(text);
}

/* ---- writing ---- */

static unsigned count_lines(const char *text, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

/* Not all can be written when the disk is full, or nobody is at the other end. Returns how many
 * bytes were. */
static size_t write_all(const char *text, size_t len)
{
    size_t written = 0;
    while (written < len) {
        ssize_t n = write(STDERR_FILENO, text + written, len - written);
        if (n < 0 && errno != EINTR)
            return written;
        written += n > 0 ? (size_t)n : 0;
    }
    return written;
}

static void *keep_writing(void *arg)
{
    struct log *log = arg;
    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->len == 0 && !log->ends)
            pthread_cond_wait(&log->changed, &log->lock);
        size_t len = log->len < PART ? log->len : PART;
        if (len == 0)
            break;
        len = len < RING - log->first ? len : RING - log->first;
        memcpy(log->part, log->ring + log->first, len);
        log->first = (log->first + len) % RING;
        log->len -= len;
        pthread_mutex_unlock(&log->lock);
        size_t written = write_all(log->part, len);
        pthread_mutex_lock(&log->lock);
        log->dropped += count_lines(log->part + written, len - written);
    }
    log->done = true;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

int log_new(struct log **ret_log, lh_error *error)
{
    pthread_condattr_t clock;
    struct log *log = calloc(1, sizeof *log);
    if (!log)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&log->lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&log->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    if (pthread_create(&log->thread, NULL, keep_writing, log) != 0) {
        free(log);
        return out_fail(error, LH_MEMORY, "the system has no thread left");
    }
    (void)pthread_setname_np(log->thread, "serve-log");
    *ret_log = log;
    return LH_OK;
}

/* If nobody reads, the thread hangs in write(), which can be cancelled. It holds no lock there. */
void log_free(struct log *log)
{
    if (!log)
        return;
    const struct timespec until = clock_after(CLOCK_MONOTONIC, FLUSH_MS);
    pthread_mutex_lock(&log->lock);
    log->ends = true;
    pthread_cond_signal(&log->changed);
    while (!log->done && pthread_cond_timedwait(&log->changed, &log->lock, &until) == 0)
        continue;
    bool done = log->done;
    pthread_mutex_unlock(&log->lock);
    if (!done)
        (void)pthread_cancel(log->thread);
    (void)pthread_join(log->thread, NULL);
    (void)pthread_cond_destroy(&log->changed);
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

/* ---- what is said ---- */

/* The path, cut between two characters where it is long. */
static void append_path(bson_t *json, const char *path)
{
    char cut[MOST_PATH + sizeof "…"];
    size_t len = strlen(path);
    if (len <= MOST_PATH) {
        json_text(json, "path", path);
        return;
    }
    for (len = MOST_PATH; len > 0 && ((unsigned char)path[len] & 0xC0) == 0x80; len--)
        continue;
    (void)snprintf(cut, sizeof cut, "%.*s…", (int)len, path);
    json_text(json, "path", cut);
}

void log_request(const struct request *request, bool sent)
{
    bson_t json;
    char name[CLIENT_NAME_MAX + 1];
    if (request->server->out->quiet)
        return;
    clients_name(request->server->clients, request->client, name);
    begin(&json, "request");
    json_text(&json, "client", request->address);
    json_text(&json, "token", *name ? name : NULL);
    json_text(&json, "method", request->method);
    append_path(&json, request->path);
    json_number_or_null(&json, "status", request->status, 0);
    bson_append_bool(&json, "sent", -1, sent);
    json_number(&json, "us", serve_now_us() - request->began_us);
    print(request->server->log, &json);
}

void log_note(const struct server *server, const char *format, ...)
{
    char line[1024];
    bson_t json;
    va_list args;
    if (server->out->quiet)
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    begin(&json, "note");
    json_text(&json, "message", line);
    print(server->log, &json);
}

uint64_t log_dropped(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t dropped = log->dropped;
    pthread_mutex_unlock(&log->lock);
    return dropped;
}
