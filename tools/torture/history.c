/* SPDX-License-Identifier: Apache-2.0 */
#include "torture/history.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

int64_t history_now(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

bool history_open(struct history *history, const char *path, bool fresh)
{
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | (fresh ? O_CREAT | O_EXCL : 0);
    history->fd = open(path, flags, 0600); /* lease ids are in it */
    return history->fd >= 0;
}

void history_close(struct history *history)
{
    if (history->fd >= 0)
        (void)close(history->fd);
    history->fd = -1;
}

void history_begin_at(const struct history *history, bson_t *line, const char *event, int64_t t)
{
    bson_init(line);
    BSON_APPEND_UTF8(line, "e", event);
    BSON_APPEND_INT64(line, "t", t);
    if (history->p >= 0) {
        BSON_APPEND_INT32(line, "p", history->p);
        BSON_APPEND_INT32(line, "life", history->life);
    }
}

void history_begin(const struct history *history, bson_t *line, const char *event)
{
    history_begin_at(history, line, event, history_now());
}

bool history_write(const struct history *history, bson_t *line)
{
    size_t len;
    char *text = bson_as_relaxed_extended_json(line, &len);
    bson_destroy(line);
    if (!text)
        return false;
    text[len] = '\n'; /* instead of the NUL: one write, so that lines of many processes never mix */
    ssize_t n;
    do
        n = write(history->fd, text, len + 1);
    while (n < 0 && errno == EINTR);
    bson_free(text);
    return n == (ssize_t)len + 1;
}
