/* SPDX-License-Identifier: Apache-2.0
 * A line is written at once, so that lines of several threads do not mix. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../json.h"

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void begin(bson_t *json, const char *what)
{
    bson_init(json);
    json_time(json, "time", wall_ms(), 0);
    json_text(json, "log", what);
}

static void print(bson_t *json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to) {
        bson_destroy(json);
        return;
    }
    json_write(to, json);
    fputc('\n', to);
    if (fclose(to) == 0) {
        ssize_t written = write(STDERR_FILENO, text, len);
        (void)written; /* whom to tell? */
    }
    free(text);
}

void log_request(const struct request *request, bool sent)
{
    bson_t json;
    if (request->server->out->quiet)
        return;
    begin(&json, "request");
    json_text(&json, "client", request->client.address);
    json_number_or_null(&json, "token", request->client.token, 0);
    json_text(&json, "method", request->method);
    json_text(&json, "path", request->path);
    json_number_or_null(&json, "status", request->status, 0);
    bson_append_bool(&json, "sent", -1, sent);
    json_number(&json, "us", serve_now_us() - request->began_us);
    print(&json);
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
    print(&json);
}
