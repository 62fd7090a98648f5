/* SPDX-License-Identifier: Apache-2.0
 * scheme://[user[:password]@]host[,host…][/[database]][?option=value[&option=value…]] */
#include "store/store_uri_parts.h"

#include <stdlib.h>
#include <string.h>

/* What stands before the first of `ends`; the rest begins with it, or is empty. */
static lh_span take_until(lh_span *rest, const char *ends)
{
    lh_span part = {rest->at, 0};
    while (part.len < rest->len && !strchr(ends, rest->at[part.len]))
        part.len++;
    rest->at += part.len;
    rest->len -= part.len;
    return part;
}

static bool skip(lh_span *rest, char c)
{
    if (rest->len == 0 || *rest->at != c)
        return false;
    rest->at++;
    rest->len--;
    return true;
}

bool lh_uri_split(const char *uri, lh_uri_parts *ret_parts)
{
    bool srv = strncmp(uri, "mongodb+srv://", 14) == 0;
    if (!srv && strncmp(uri, "mongodb://", 10) != 0)
        return false;
    lh_span rest = {strstr(uri, "://") + 3, 0};
    rest.len = strlen(rest.at);
    *ret_parts = (lh_uri_parts){.srv = srv};
    lh_span hosts = take_until(&rest, "/?");
    const char *at = memrchr(hosts.at, '@', hosts.len);
    if (at) {
        lh_span users = {hosts.at, (size_t)(at - hosts.at)};
        ret_parts->user = take_until(&users, ":");
        if (skip(&users, ':'))
            ret_parts->password = users;
        hosts = (lh_span){at + 1, hosts.len - (size_t)(at + 1 - hosts.at)};
    }
    ret_parts->hosts = hosts;
    if (skip(&rest, '/')) {
        lh_span database = take_until(&rest, "?");
        if (database.len > 0)
            ret_parts->database = database;
    }
    if (skip(&rest, '?'))
        ret_parts->options = rest;
    return true;
}

bool lh_uri_next(lh_span *list, char separator, lh_span *ret_item)
{
    if (list->len == 0)
        return false;
    const char ends[] = {separator, '\0'};
    *ret_item = take_until(list, ends);
    (void)skip(list, separator);
    return true;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = memchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c, 16);
    return at ? (int)(at - digits) : -1;
}

char *lh_uri_decode(lh_span text)
{
    char *decoded = malloc(text.len + 1), *to = decoded;
    for (size_t i = 0; decoded && i < text.len; i++) {
        bool code = text.at[i] == '%' && i + 2 < text.len;
        int high = code ? digit(text.at[i + 1]) : -1, low = code ? digit(text.at[i + 2]) : -1;
        if (high >= 0 && low >= 0) {
            *to++ = (char)(high * 16 + low);
            i += 2;
        } else {
            *to++ = text.at[i];
        }
    }
    if (decoded)
        *to = '\0';
    return decoded;
}
