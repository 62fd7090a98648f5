/* SPDX-License-Identifier: Apache-2.0
 * A connection string may hold a password, and the driver's own messages quote what they could not
 * parse: nothing that comes from it is ever put into a message here, but host names that the driver
 * understood. */
#include "store/store_uri.h"

#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/key.h"
#include "base/name.h"
#include "store/store_tls.h"
#include "store/store_uri_auth.h"
#include "store/store_uri_options.h"
#include "store/store_uri_parts.h"

#define HEARTBEAT_MS 2000

/* What is wrong with the user name and password, or NULL. Looked at before the driver is asked: it
 * takes what follows the first '@' for a host, and would look for a host that is part of a
 * password, and say so. */
static const char *userinfo_fault(const char *uri)
{
    const char *scheme_end = strstr(uri, "://");
    if (!scheme_end)
        return NULL;
    const char *hosts = scheme_end + 3, *last_at = strrchr(hosts, '@');
    if (!last_at)
        return NULL;
    if (hosts + strcspn(hosts, "/?#[]") < last_at)
        return "its user name or password has a character that must be percent-encoded (: / ? # [ "
               "] @ %), or an option has an '@': write it as %40";
    if (strchr(hosts, '@') != last_at)
        return "it has more than one '@': write '@' in a user name or password as %40";
    for (const char *c = hosts; c < last_at; c++)
        if (*c == '%' && strspn(c + 1, "0123456789abcdefABCDEF") < 2)
            return "its user name or password has a '%' that begins no percent-code: write it as "
                   "%25";
    return NULL;
}

/* What is wrong with it as a text, or NULL: a line feed at its end would be part of the database's
 * name, or of an option's value. */
static const char *text_fault(const char *uri)
{
    size_t len;
    if (lh_trim(uri, &len) != uri || uri[len])
        return "it has white space around it, such as a line feed or a blank from a file or a "
               "variable: remove the white space (lh_trim())";
    if (lh_text_check("connection string", uri, len, 0, SIZE_MAX, NULL) != LH_OK)
        return "it has a control character in it, or is not UTF-8";
    return strstr(uri, "%00") ? "it has a %00, which would end the text there" : NULL;
}

/* The same sentence for what the connection string says, with its code. */
static int in_uri(int outcome, lh_error *error)
{
    if (outcome != LH_INVALID)
        return outcome;
    if (error)
        error->code = LH_CONFIG, error->reason = 0;
    return LH_CONFIG;
}

static int check_database(const lh_uri_parts *parts, lh_error *error)
{
    if (!parts->database.at)
        return LH_OK;
    char *name = lh_uri_decode(parts->database);
    int outcome =
        name ? in_uri(lh_database_check("database name in the connection string", name, error),
                      error)
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
        return "its options must come after a '/': mongodb://host/?option=value";
    return "a host or a port in it is not valid, or two of its options contradict each other";
}

static int refuse_weak_write_concern(mongoc_uri_t *uri, lh_error *error)
{
    const mongoc_write_concern_t *concern = mongoc_uri_get_write_concern(uri);
    int32_t w = mongoc_write_concern_get_w(concern);
    if (w != MONGOC_WRITE_CONCERN_W_DEFAULT && w != MONGOC_WRITE_CONCERN_W_MAJORITY)
        return lh_fail(error, LH_REASON_WRITE_CONCERN,
                       "the URI asks for a write concern weaker than a majority, which can lose a "
                       "grant at a failover: leave w out, or write w=majority");
    if (mongoc_write_concern_journal_is_set(concern) && !mongoc_write_concern_get_journal(concern))
        return lh_fail(error, LH_REASON_WRITE_CONCERN,
                       "the URI asks for unjournalled writes (journal=false), which can lose a "
                       "grant in a crash: leave it out");
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

/* Each command carries its own. The URI's would go along with those that take none (listIndexes,
 * connectionStatus), which the server refuses then. */
static void override_concerns(mongoc_uri_t *uri)
{
    mongoc_read_concern_t *none = mongoc_read_concern_new();
    mongoc_write_concern_t *server_s = mongoc_write_concern_new();
    mongoc_uri_set_read_concern(uri, none);
    mongoc_uri_set_write_concern(uri, server_s);
    mongoc_read_concern_destroy(none);
    mongoc_write_concern_destroy(server_s);
}

static bool bound_all(mongoc_uri_t *uri, const lh_store_options *options, int64_t socket_timeout_ms)
{
    /* Commands are repeated by us, by lease id; the driver's retryable writes would add a write to
     * a table of the server's for each of ours (measured: src/FIGURES.md). */
    bool good = mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false) &&
                mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, false) &&
                bound(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, socket_timeout_ms) &&
                bound(uri, MONGOC_URI_CONNECTTIMEOUTMS, socket_timeout_ms) &&
                bound(uri, MONGOC_URI_SOCKETTIMEOUTMS, socket_timeout_ms) &&
                bound(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, socket_timeout_ms) &&
                mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE,
                                               (int32_t)options->pool_size + OWN_CONNECTIONS);
    /* Between two looks at a server the driver sends nothing after an election but errors: 10 s is
     * its default. */
    if (!mongoc_uri_has_option(uri, MONGOC_URI_HEARTBEATFREQUENCYMS))
        good = good &&
               mongoc_uri_set_option_as_int32(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS);
    /* the driver would close connections above it after each use */
    if (mongoc_uri_has_option(uri, "minpoolsize"))
        good = good && mongoc_uri_set_option_as_int32(uri, "minpoolsize", 0);
    override_concerns(uri);
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

/* Hosts are names, but for sockets' paths. */
static int check_hosts(const lh_uri_parts *parts, lh_error *error)
{
    lh_span list = parts->hosts, item;
    int outcome = LH_OK;
    while (outcome == LH_OK && lh_uri_next(&list, ',', &item)) {
        char *host = lh_uri_decode(item);
        if (!host)
            return lh_fail_memory(error);
        if (*host && !strchr(host, '/'))
            outcome =
                in_uri(lh_name_check("host in the connection string", host, 300, error), error);
        free(host);
    }
    return outcome;
}

/* All that is judged before the driver reads it. LH_CONFIG with what is wrong. */
static int check_text(const char *uri, lh_uri_parts *ret_parts, lh_remarks *remarks,
                      lh_error *error)
{
    const char *fault = text_fault(uri);
    if (!fault)
        fault = userinfo_fault(uri);
    if (!fault && !lh_uri_split(uri, ret_parts))
        fault = likely_fault(uri);
    if (fault)
        return lh_fail(error, LH_CONFIG, "the connection string does not parse: %s", fault);
    int outcome = check_hosts(ret_parts, error);
    if (outcome == LH_OK)
        outcome = check_database(ret_parts, error);
    if (outcome == LH_OK)
        outcome = lh_uri_options_check(ret_parts, remarks, error);
    return outcome == LH_OK ? lh_uri_auth_check(ret_parts, error) : outcome;
}

/* Does the driver refuse the option by itself? Those about logins go together, and were judged
 * before. */
static bool is_refused(lh_span item, const lh_uri_option *option)
{
    char *text = NULL;
    const char *base =
        strncmp(option->name, "srv", 3) == 0 ? "mongodb+srv://a.b.invalid" : "mongodb://host";
    if (strncmp(option->name, "auth", 4) == 0 ||
        asprintf(&text, "%s/?readPreference=secondary&%.*s", base, (int)item.len, item.at) < 0)
        return false;
    mongoc_uri_t *uri = parse_quietly(text);
    mongoc_uri_destroy(uri);
    free(text);
    return !uri;
}

/* The driver does not say what it did not like, or quotes it. */
static int fail_unparsed(const char *uri, const lh_uri_parts *parts, lh_error *error)
{
    lh_span list = parts->options, item;
    while (lh_uri_next(&list, '&', &item)) {
        const lh_uri_option *option =
            lh_uri_option_find((lh_span){item.at, strcspn(item.at, "=&")});
        if (option && is_refused(item, option))
            return lh_fail(
                error, LH_CONFIG,
                "the connection string does not parse: the driver refuses the value of %s",
                option->name);
    }
    return lh_fail(error, LH_CONFIG, "the connection string does not parse: %s", likely_fault(uri));
}

static int parse(const lh_store_options *options, int64_t socket_timeout_ms, mongoc_uri_t **ret_uri,
                 lh_remarks *remarks, lh_error *error)
{
    lh_uri_parts parts;
    int outcome = check_text(options->uri, &parts, remarks, error);
    if (outcome != LH_OK)
        return outcome;
    mongoc_uri_t *uri = parse_quietly(options->uri);
    if (!uri)
        return fail_unparsed(options->uri, &parts, error);
    outcome = refuse_weak_write_concern(uri, error);
    if (outcome == LH_OK)
        outcome = lh_store_tls_check(uri, options->allow_insecure_tls, error);
    if (outcome == LH_OK)
        outcome = lh_uri_options_taken(&parts, uri, remarks, error);
    if (outcome == LH_OK)
        outcome = lh_uri_auth_certificate(uri, error);
    if (outcome == LH_OK && !bound_all(uri, options, socket_timeout_ms))
        outcome = lh_fail_memory(error);
    if (outcome != LH_OK)
        mongoc_uri_destroy(uri);
    else
        *ret_uri = uri;
    return outcome;
}

int lh_store_uri_parse(const lh_store_options *options, int64_t socket_timeout_ms,
                       mongoc_uri_t **ret_uri, lh_remarks *remarks, lh_error *error)
{
    int outcome = parse(options, socket_timeout_ms, ret_uri, remarks, error);
    if (outcome == LH_CONFIG && error && error->reason == 0)
        error->reason = LH_REASON_URI;
    return outcome;
}
