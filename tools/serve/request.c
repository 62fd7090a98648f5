/* SPDX-License-Identifier: Apache-2.0
 * What a request says, read from libmicrohttpd. */
#include "serve/request.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_argument(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result add_size(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    size_t *size = arg;
    (void)kind;
    *size += strlen(name) + (value ? strlen(value) : 0) + 4; /* ": " and the line's end */
    return MHD_YES;
}

size_t request_head_size(const struct request *request)
{
    size_t size = 0;
    (void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, add_size, &size);
    return size;
}

struct search {
    const char *const *known;
    char *unknown;
    uint64_t seen; /* a bit each */
    bool good;
};

static enum MHD_Result is_known(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct search *search = arg;
    (void)kind, (void)value;
    for (size_t i = 0; search->known && search->known[i]; i++) {
        uint64_t bit = UINT64_C(1) << i;
        size_t len = strcspn(search->known[i], "*");
        bool again = search->known[i][len] == '*' || !(search->seen & bit);
        if (again && strlen(name) == len && memcmp(search->known[i], name, len) == 0) {
            search->seen |= bit;
            return MHD_YES;
        }
    }
    (void)snprintf(search->unknown, 64, "%s", name);
    search->good = false;
    return MHD_NO;
}

bool request_knows_arguments(const struct request *request, const char *const *known,
                             char unknown[64])
{
    struct search search = {.known = known, .unknown = unknown, .good = true};
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, is_known, &search);
    return search.good;
}

void request_suspend(struct request *request)
{
    request->handed = true;
    request->suspended = true;
    MHD_suspend_connection(request->connection);
}

bool request_gone(const struct request *request)
{
    struct pollfd poller = {.fd = request->fd, .events = POLLRDHUP};
    return poll(&poller, 1, 0) == 1 && (poller.revents & (POLLRDHUP | POLLHUP | POLLERR));
}
