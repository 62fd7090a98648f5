/* SPDX-License-Identifier: Apache-2.0
 * RFC 9112 lets a server be strict, and nobody who writes requests by a library notices.
 *
 * libmicrohttpd hands out names and values, which say nothing of what it has passed over: what
 * is behind a NUL, a folded line, a bare line feed. But up to 0.9.77 it cuts the head up in
 * place: each part is a string where it was received, its separator overwritten by NULs. So the
 * parts must lie one behind the other, from the method to the end, with nothing between them but
 * what belongs there. Where they do not, something was passed over. From 1.0 on libmicrohttpd
 * refuses all that itself (MHD_OPTION_STRICT_FOR_CLIENT). */
#include "serve/framing.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

/* Headers that we, or libmicrohttpd, take one value of. */
static const char *const single[] = {"Authorization", "Content-Length", "Content-Type",
                                     "Expect",        "Host",           "Idempotency-Key",
                                     "Last-Event-ID", "Lease-Id",       "Transfer-Encoding"};

struct head {
    const char *at;   /* where the next part begins; NULL: that is not looked at */
    const char *name; /* of the header that is wrong */
    const char *wrong;
    uint64_t seen; /* of `single`, a bit each */
    bool length, chunked;
};

static bool fail(struct head *head, const char *name, const char *wrong)
{
    head->name = name;
    head->wrong = wrong;
    return false;
}

/* `part` begins where the one before it ended, and `separator` bytes come behind it. */
static bool follows(struct head *head, const char *part, size_t len, size_t separator)
{
    if (head->at && part != head->at)
        return fail(head, "", "a NUL, a folded line, a bare line feed or an extra blank");
    if (head->at)
        head->at = part + len + separator;
    return true;
}

static bool is_name(const char *name)
{
    static const char letters[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *name && strspn(name, letters) == strlen(name);
}

static bool is_value(const char *value)
{
    for (const char *at = value; *at; at++) {
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7F)
            return false;
    }
    return true;
}

static bool is_single(struct head *head, const char *name)
{
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (strcasecmp(name, single[i]) != 0)
            continue;
        if (head->seen & bit)
            return false;
        head->seen |= bit;
    }
    return true;
}

static bool check(struct head *head, const char *name, const char *value)
{
    enum { COLON = 1, LINE_END = 2 };
    if (!is_name(name))
        return fail(head, "",
                    "a header's name with a blank, or with another character that is not allowed");
    if (!follows(head, name, strlen(name), COLON))
        return false;
    while (head->at && (*head->at == ' ' || *head->at == '\t') && head->at < value)
        head->at++;
    if (!follows(head, value, strlen(value), LINE_END))
        return false;
    if (!is_value(value))
        return fail(head, name, "a control character in the value");
    if (!is_single(head, name))
        return fail(head, name, "this header may occur only once");
    head->length |= strcasecmp(name, "Content-Length") == 0;
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        head->chunked = true;
        if (strcasecmp(value, "chunked") != 0)
            return fail(head, name, "only chunked is allowed");
    }
    return true;
}

static enum MHD_Result check_next(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    return check(arg, name, value ? value : "") ? MHD_YES : MHD_NO;
}

/* 0.9.x: its memory is as the parts above expect it. */
static bool cuts_in_place(void)
{
    return strncmp(MHD_get_version(), "0.9.", 4) == 0;
}

static size_t head_size(const struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

static bool is_clear(struct request *request, struct head *head, const char *method,
                     const char *path, const char *version)
{
    enum { BLANK = 1, LINE_END = 2 };
    size_t size = head_size(request);
    head->at = cuts_in_place() ? method : NULL;
    if (!follows(head, method, strlen(method), BLANK) ||
        !follows(head, path, request->uri_len, BLANK) ||
        !follows(head, version, strlen(version), LINE_END))
        return false;
    (void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, check_next, head);
    if (head->wrong)
        return false;
    if (head->at && !follows(head, method + size - LINE_END, 0, LINE_END)) /* the empty line */
        return false;
    if (head->chunked && head->length)
        return fail(head, "Content-Length", "not together with Transfer-Encoding");
    if (head->chunked && strcmp(version, "HTTP/1.1") != 0)
        return fail(head, "Transfer-Encoding", "not in HTTP/1.0");
    return true;
}

bool framing_is_clear(struct request *request, const char *method, const char *path,
                      const char *version)
{
    struct head head = {0};
    if (is_clear(request, &head, method, path, version)) {
        request->closes = head.chunked; /* servers differ about the end of a chunk, too: nothing is
                                           read after the chunks */
        return true;
    }
    request->closes = true;
    answer_failure(request, MHD_HTTP_BAD_REQUEST, "framing",
                   "the head can be read in more than one way: %s%s%s", head.name,
                   *head.name ? ": " : "", head.wrong);
    return false;
}

size_t framing_arguments(const char *uri)
{
    size_t n = 0;
    for (const char *at = strchr(uri, '?'); at; at = strchr(at + 1, '&'))
        n++;
    return n;
}
