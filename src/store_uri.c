/* SPDX-License-Identifier: Apache-2.0
 * A connection string may hold a password, and the driver's own messages quote what they could not parse: nothing that
 * comes from it is ever put into a message here, but host names that the driver understood. */
#include "store_uri.h"

#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "store_uri_parts.h"

#define HEARTBEAT_MS 2000

/* What is wrong with the user name and password, or NULL. Looked at before the driver is asked: it takes what follows the
 * first '@' for a host, and would look for a host that is part of a password, and say so. */
static const char *userinfo_fault(const char *uri)
{
    const char *scheme_end = strstr(uri, "://");
    if (!scheme_end)
        return NULL;
    const char *hosts = scheme_end + 3, *last_at = strrchr(hosts, '@');
    if (!last_at)
        return NULL;
    if (hosts + strcspn(hosts, "/?#[]") < last_at)
        return "its user name or password has a character that must be percent-encoded (: / ? # [ ] @ %), or an option "
               "has an "
               "'@', which is %40 there";
    if (strchr(hosts, '@') != last_at)
        return "it has more than one '@': write '@' in a user name or password as %40";
    for (const char *c = hosts; c < last_at; c++)
        if (*c == '%' && strspn(c + 1, "0123456789abcdefABCDEF") < 2)
            return "its user name or password has a '%' that begins no percent-code: write it as %25";
    return NULL;
}

/* What is wrong with it as a text, or NULL: a line feed at its end would be part of the database's name, or of an option's value. */
static const char *text_fault(const char *uri)
{
    size_t len;
    if (lh_trim(uri, &len) != uri || uri[len])
        return "it has white space around it, as a file or a variable may add (a line feed, a blank): take it off "
               "(lh_trim())";
    if (lh_text_check("connection string", uri, len, 0, SIZE_MAX, NULL) != LH_OK)
        return "it has a control character in it, or is not UTF-8";
    return strstr(uri, "%00") ? "it has a %00, at which texts end" : NULL;
}

/* The same sentence for what the connection string says, with its code. */
static int in_uri(int outcome, lh_error *error)
{
    if (outcome != LH_INVALID)
        return outcome;
    if (error)
        error->code = LH_CONFIG;
    return LH_CONFIG;
}

static int check_database(const lh_uri_parts *parts, lh_error *error)
{
    if (!parts->database.at)
        return LH_OK;
    char *name = lh_uri_decode(parts->database);
    int outcome = name ? in_uri(lh_database_check("database name in the connection string", name, error), error)
                       : lh_fail_memory(error);
    free(name);
    return outcome;
}

/* The likely fault of a URI that the driver refused: without quoting anything of it. */
static const char *likely_fault(const char *uri)
{
    if (strncmp(uri, "mongodb://", 10) != 0 && strncmp(uri, "mongodb+srv://", 14) != 0)
        return "it does not begin with mongodb:// or mongodb+srv://";
    const char *hosts = strstr(uri, "://") + 3;
    if (!*hosts || *hosts == '/' || *hosts == '?')
        return "it names no host";
    if (strchr(hosts, '?') && !strchr(hosts, '/'))
        return "its options must stand behind a '/': mongodb://host/?option=value";
    return "a host, a port or an option in it is not valid";
}

static int refuse_weak_write_concern(mongoc_uri_t *uri, lh_error *error)
{
    const mongoc_write_concern_t *concern = mongoc_uri_get_write_concern(uri);
    int32_t w = mongoc_write_concern_get_w(concern);
    if (w != MONGOC_WRITE_CONCERN_W_DEFAULT && w != MONGOC_WRITE_CONCERN_W_MAJORITY)
        return lh_fail(error, LH_CONFIG,
                       "the URI asks for a write concern weaker than a majority, which can lose a grant at a failover: "
                       "leave w out of it, or say w=majority");
    if (mongoc_write_concern_journal_is_set(concern) && !mongoc_write_concern_get_journal(concern))
        return lh_fail(
            error, LH_CONFIG,
            "the URI asks for unjournalled writes (journal=false), which can lose a grant in a crash: leave it out");
    return LH_OK;
}

/* The keeper's and the watcher's, which they keep for themselves. */
#define OWN_CONNECTIONS 2

/* Sets a timeout unless the URI has a shorter one. */
static bool bound(mongoc_uri_t *uri, const char *option, int64_t ms)
{
    int32_t theirs = mongoc_uri_get_option_as_int32(uri, option, 0);
    if (theirs > 0 && theirs < ms)
        return true;
    return mongoc_uri_set_option_as_int32(uri, option, (int32_t)ms);
}

static bool bound_all(mongoc_uri_t *uri, const lh_store_options *options, int64_t socket_timeout_ms)
{
    /* Commands are repeated by us, by lease id; the driver's retryable writes would add a write to a table of the server's
     * for each of ours (measured: src/README.md). */
    bool good =
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false) &&
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, false) &&
        bound(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, socket_timeout_ms) &&
        bound(uri, MONGOC_URI_CONNECTTIMEOUTMS, socket_timeout_ms) &&
        bound(uri, MONGOC_URI_SOCKETTIMEOUTMS, socket_timeout_ms) &&
        bound(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, socket_timeout_ms) &&
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)options->pool_size + OWN_CONNECTIONS);
    /* Between two looks at a server the driver sends nothing after an election but errors: 10 s is its default. */
    if (!mongoc_uri_has_option(uri, MONGOC_URI_HEARTBEATFREQUENCYMS))
        good = good && mongoc_uri_set_option_as_int32(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS);
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_read_prefs_destroy(primary);
    const char *app_name = options->app_name ? options->app_name : "leasehold";
    if (options->app_name || !mongoc_uri_get_appname(uri))
        good = good && mongoc_uri_set_appname(uri, app_name);
    return good;
}

static _Thread_local bool parsing;

bool lh_store_uri_is_parsing(void)
{
    return parsing;
}

static mongoc_uri_t *parse_quietly(const char *text)
{
    bson_error_t ignored; /* it may quote the password */
    parsing = true;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &ignored);
    parsing = false;
    return uri;
}

int lh_store_uri_parse(const lh_store_options *options, int64_t socket_timeout_ms, mongoc_uri_t **ret_uri,
                       lh_error *error)
{
    const char *fault = text_fault(options->uri);
    if (!fault)
        fault = userinfo_fault(options->uri);
    lh_uri_parts parts;
    int outcome = !fault && lh_uri_split(options->uri, &parts) ? check_database(&parts, error) : LH_OK;
    if (outcome != LH_OK)
        return outcome;
    mongoc_uri_t *uri = fault ? NULL : parse_quietly(options->uri);
    if (!uri)
        return lh_fail(error, LH_CONFIG, "the connection string does not parse: %s",
                       fault ? fault : likely_fault(options->uri));
    outcome = refuse_weak_write_concern(uri, error);
    if (outcome == LH_OK)
        outcome = lh_store_tls_check(uri, options->allow_insecure_tls, error);
    if (outcome == LH_OK && !bound_all(uri, options, socket_timeout_ms))
        outcome = lh_fail(error, LH_INVALID, "app_name has more than %d bytes", MONGOC_HANDSHAKE_APPNAME_MAX);
    if (outcome != LH_OK)
        mongoc_uri_destroy(uri);
    else
        *ret_uri = uri;
    return outcome;
}
