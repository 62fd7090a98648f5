/* SPDX-License-Identifier: Apache-2.0
 * The table of options, and what is checked of each by itself. */
#include "store/store_uri_options.h"

#include <ctype.h>
#include <mongoc/mongoc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/name.h"
#include "store/store_uri_parts.h"

#define H LH_URI_HONOURED
#define O LH_URI_OVERRIDDEN
#define R LH_URI_REFUSED

#define SHORTER  "if it is shorter than half of timeout_ms"
#define PRIMARY  "no effect: all commands go to the primary"
#define REPEATED "no effect: Leasehold repeats commands itself, by lease id"
#define INSECURE "unless allow_insecure_tls (--insecure-tls) permits it"
#define NO_PROXY "the driver does not support proxies, and would connect without one"

/* Those of the drivers' specification, of the C driver, and older names that the driver still
 * knows. By name. */
static const lh_uri_option table[] = {
    {"appName", H, false, NULL, "unless the program sets app_name"},
    {"authMechanism", H, true, NULL,
     "SCRAM-SHA-1, SCRAM-SHA-256, MONGODB-X509, PLAIN, GSSAPI or MONGODB-AWS"},
    {"authMechanismProperties", H, true, NULL,
     "SERVICE_NAME, CANONICALIZE_HOST_NAME or AWS_SESSION_TOKEN"},
    {"authSource", H, true, NULL, ""},
    {"canonicalizeHostname", H, true, NULL, ""},
    {"compressors", H, false, NULL, "snappy, zlib and zstd, if the driver was built with them"},
    {"connectTimeoutMS", H, false, NULL, SHORTER},
    {"directConnection", H, false, NULL, "true does not follow elections; doctor warns about it"},
    {"enableOverloadRetargeting", O, false, NULL, REPEATED},
    {"gssapiServiceName", H, true, NULL, ""},
    {"heartbeatFrequencyMS", H, false, NULL, "the default is 2,000"},
    {"journal", H, false, NULL, "true; false is refused, because a crash could lose a grant"},
    {"loadBalanced", R, false, NULL,
     "true means mongos behind a load balancer, and leases need one primary"},
    {"localThresholdMS", O, false, NULL, PRIMARY},
    {"maxAdaptiveRetries", O, false, NULL, REPEATED},
    {"maxConnecting", O, false, NULL, "no effect: pool_size limits the connections"},
    {"maxIdleTimeMS", O, false, NULL, "no effect: the driver keeps idle connections open"},
    {"maxPoolSize", O, false, NULL, "no effect: use pool_size"},
    {"maxStalenessSeconds", O, false, NULL, PRIMARY},
    {"minPoolSize", O, false, NULL, "no effect: pool_size limits the connections"},
    {"proxyHost", R, true, NULL, NO_PROXY},
    {"proxyPassword", R, true, NULL, NO_PROXY},
    {"proxyPort", R, true, NULL, NO_PROXY},
    {"proxyUsername", R, true, NULL, NO_PROXY},
    {"readConcernLevel", O, false, NULL, "no effect: each command sets the level that it needs"},
    {"readPreference", O, false, NULL, PRIMARY},
    {"readPreferenceTags", O, false, NULL, PRIMARY},
    {"replicaSet", H, false, NULL, ""},
    {"retryReads", O, false, NULL, REPEATED},
    {"retryWrites", O, false, NULL, REPEATED},
    {"safe", R, false, NULL, "an old form of w, weaker than majority"},
    {"serverMonitoringMode", O, false, NULL, "no effect: the driver chooses"},
    {"serverSelectionTimeoutMS", H, false, NULL, SHORTER},
    {"serverSelectionTryOnce", O, false, NULL, "no effect: it is for single-threaded drivers"},
    {"slaveOk", O, false, NULL, PRIMARY},
    {"socketCheckIntervalMS", O, false, NULL, "no effect: it is for single-threaded drivers"},
    {"socketTimeoutMS", H, false, NULL, SHORTER},
    {"srvMaxHosts", H, false, NULL, ""},
    {"srvServiceName", H, false, NULL, ""},
    {"ssl", H, true, MONGOC_URI_TLS, "an old name of tls"},
    {"sslAllowInvalidCertificates", R, true, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, INSECURE},
    {"sslAllowInvalidHostnames", R, true, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, INSECURE},
    {"sslCertificateAuthorityFile", H, true, MONGOC_URI_TLSCAFILE, "an old name of tlsCAFile"},
    {"sslClientCertificateKeyFile", H, true, MONGOC_URI_TLSCERTIFICATEKEYFILE,
     "an old name of tlsCertificateKeyFile"},
    {"sslClientCertificateKeyPassword", H, true, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD,
     "an old name of tlsCertificateKeyFilePassword"},
    {"timeoutMS", O, false, NULL, "no effect: use timeout_ms"},
    {"tls", H, true, NULL, ""},
    {"tlsAllowInvalidCertificates", R, true, NULL, INSECURE},
    {"tlsAllowInvalidHostnames", R, true, NULL, INSECURE},
    {"tlsCAFile", H, true, NULL, ""},
    {"tlsCertificateKeyFile", H, true, NULL, ""},
    {"tlsCertificateKeyFilePassword", H, true, NULL, ""},
    {"tlsDisableCertificateRevocationCheck", R, true, NULL, INSECURE},
    {"tlsDisableOCSPEndpointCheck", R, true, NULL, INSECURE},
    {"tlsInsecure", R, true, NULL, INSECURE},
    {"w", H, false, NULL,
     "majority; anything weaker is refused, because a failover could lose a grant"},
    {"waitQueueMultiple", O, false, NULL, "no effect: the driver no longer supports it"},
    {"waitQueueTimeoutMS", H, false, NULL, SHORTER},
    {"wTimeoutMS", O, false, NULL, "no effect: each command has its own deadline"},
    {"zlibCompressionLevel", H, false, NULL, ""},
};

const lh_uri_option *lh_uri_option_at(size_t i)
{
    return i < sizeof table / sizeof *table ? &table[i] : NULL;
}

const char *lh_uri_treatment_word(lh_uri_treatment treatment)
{
    static const char *const words[] = {[H] = "honoured", [O] = "overridden", [R] = "refused"};
    return words[treatment];
}

int lh_remark(lh_remarks *remarks, lh_error *error, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    char **list = len < 0 ? NULL : realloc(remarks->list, (remarks->n + 1) * sizeof *list);
    if (!list) {
        if (len >= 0)
            free(text);
        return lh_fail_memory(error);
    }
    remarks->list = list;
    list[remarks->n++] = text;
    return LH_OK;
}

void lh_remarks_free(lh_remarks *remarks)
{
    for (size_t i = 0; i < remarks->n; i++)
        free(remarks->list[i]);
    free(remarks->list);
    *remarks = (lh_remarks){0};
}

/* One option as it is written. */
typedef struct written {
    lh_span name, value;         /* value.at is NULL where there is no '=' */
    const lh_uri_option *option; /* NULL: unknown */
} written;

const lh_uri_option *lh_uri_option_find(lh_span name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].name) == name.len && strncasecmp(table[i].name, name.at, name.len) == 0)
            return &table[i];
    return NULL;
}

static bool next_option(lh_span *list, written *ret_one)
{
    lh_span item;
    if (!lh_uri_next(list, '&', &item))
        return false;
    const char *equals = memchr(item.at, '=', item.len);
    *ret_one = (written){.name = {item.at, equals ? (size_t)(equals - item.at) : item.len}};
    if (equals)
        ret_one->value = (lh_span){equals + 1, item.len - ret_one->name.len - 1};
    ret_one->option = lh_uri_option_find(ret_one->name);
    return true;
}

char *lh_uri_option_value(const lh_uri_parts *parts, const char *name)
{
    lh_span list = parts->options, value = {NULL, 0};
    written one;
    while (next_option(&list, &one))
        if (one.option && strcmp(one.option->name, name) == 0 && one.value.at)
            value = one.value;
    return value.at ? lh_uri_decode(value) : NULL;
}

/* ---- Unknown ones -----------------------------------------------------------------------------*/

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters left out, added, changed or swapped with their neighbour between two names; the case
 * does not count. */
static size_t slips(const char *a, size_t a_len, const char *b)
{
    enum { ROOM = 48 };
    size_t rows[3][ROOM + 1], b_len = strlen(b);
    if (a_len > ROOM || b_len > ROOM)
        return SIZE_MAX;
    for (size_t i = 0; i <= a_len; i++)
        for (size_t j = 0; j <= b_len; j++) {
            size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *over = rows[(i + 1) % 3];
            if (i == 0 || j == 0) {
                row[j] = i + j;
                continue;
            }
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]))
                row[j] = least(row[j], over[j - 2] + 1);
        }
    return rows[a_len % 3][b_len];
}

/* Of two that are equally near: that about security, and no older name. */
static bool is_likelier(const lh_uri_option *a, const lh_uri_option *b)
{
    return a->about_security != b->about_security ? a->about_security : b->driver && !a->driver;
}

/* The option that is meant, most likely; NULL: none is near. */
static const lh_uri_option *nearest(const char *name)
{
    size_t len = strlen(name), best = len < 5 ? 2 : len / 4 + 2; /* fewer slips than that */
    const lh_uri_option *found = NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t n = slips(name, len, table[i].name);
        if (n < best || (found && n == best && is_likelier(&table[i], found))) {
            best = n;
            found = &table[i];
        }
    }
    return found;
}

static bool sounds_secure(const char *name)
{
    static const char *const beginnings[] = {"tls",   "ssl",  "auth", "gssapi",
                                             "proxy", "sasl", "x509", "cert"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncasecmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

/* Does it hold a secret? Where that has an '&' in it, what is behind it looks like an option. */
static bool is_secret(const char *name)
{
    static const char *const parts[] = {"pass", "pwd", "secret", "token", "key", "properties"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasestr(name, parts[i]))
            return true;
    return false;
}

static bool has_secret_name(lh_span name)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*s", (int)least(name.len, sizeof text - 1), name.at);
    return is_secret(text);
}

static bool is_word(lh_span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.at[i]) && !strchr("_.-", name.at[i]))
            return false;
    return name.len > 0 && name.len <= 40;
}

/* `behind_secret`: its name may be a part of one. */
static int judge_unknown(const written *one, bool behind_secret, lh_remarks *remarks,
                         lh_error *error)
{
    char *name = lh_uri_decode(one->name), shown[64] = "an option whose name is not printed here";
    if (!name)
        return lh_fail_memory(error);
    if (is_word(one->name) && !behind_secret)
        (void)snprintf(shown, sizeof shown, "the option %s", name);
    size_t len;
    char *start = name + (lh_trim(name, &len) - name);
    start[len] = '\0';
    const lh_uri_option *meant = nearest(start);
    const char *guess = meant ? ", perhaps instead of " : "", *guessed = meant ? meant->name : "";
    int outcome;
    if (sounds_secure(start) || (meant && meant->about_security))
        outcome = lh_fail(
            error, LH_CONFIG,
            "the connection string has %s, which does not exist, and may be about security%s%s. "
            "Correct it or leave it out: leasehold-connection(7) lists all options",
            shown, guess, guessed);
    else
        outcome =
            lh_remark(remarks, error,
                      "the connection string has %s, which does not exist and has no effect%s%s",
                      shown, guess, guessed);
    free(name);
    return outcome;
}

/* ---- Known ones -------------------------------------------------------------------------------*/

/* Of which the value is a name. */
static size_t name_max(const lh_uri_option *option)
{
    static const struct {
        const char *name;
        size_t max;
    } names[] = {{"appName", MONGOC_HANDSHAKE_APPNAME_MAX},
                 {"replicaSet", 128},
                 {"authSource", 63},
                 {"srvServiceName", 63},
                 {"authMechanism", 32},
                 {"gssapiServiceName", 128}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(option->name, names[i].name) == 0)
            return names[i].max;
    return 0;
}

static int check_name(const lh_uri_option *option, const char *value, lh_error *error)
{
    char what[64];
    size_t max = name_max(option);
    (void)snprintf(what, sizeof what, "%s in the connection string", option->name);
    if (max == 0 || lh_name_check(what, value, max, error) == LH_OK)
        return LH_OK;
    if (error)
        error->code = LH_CONFIG, error->reason = 0;
    return LH_CONFIG;
}

static bool is_true(const char *value)
{
    static const char *const words[] = {"true", "t", "1", "yes", "y"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

static int judge_known(const written *one, const char *value, lh_remarks *remarks, lh_error *error)
{
    const lh_uri_option *option = one->option;
    if (strncmp(option->name, "proxy", 5) == 0 ||
        (strcmp(option->name, "loadBalanced") == 0 && is_true(value)))
        return lh_fail(error, LH_CONFIG,
                       "the connection string has %s, which is refused (%s): leave it out",
                       option->name, option->why);
    if (!*value && option->about_security)
        return lh_fail(error, LH_CONFIG,
                       "the connection string has %s without a value: give it one, or leave it out",
                       option->name);
    if (!*value)
        return lh_remark(remarks, error,
                         "the connection string has %s without a value, which has no effect",
                         option->name);
    return check_name(option, value, error);
}

static const char *meaning(const lh_uri_option *option)
{
    return option->driver ? option->driver : option->name;
}

static bool same_meaning(const lh_uri_option *a, const lh_uri_option *b)
{
    return strcasecmp(meaning(a), meaning(b)) == 0;
}

/* Is it given before, in the part of the list that ends where it begins? */
static int judge_again(const lh_uri_parts *parts, const written *one, const char *value,
                       lh_remarks *remarks, lh_error *error)
{
    lh_span list = {parts->options.at, (size_t)(one->name.at - parts->options.at)};
    written earlier;
    bool twice = false, differs = false;
    while (next_option(&list, &earlier)) {
        if (!earlier.option || !earlier.value.at || !same_meaning(earlier.option, one->option))
            continue;
        char *other = lh_uri_decode(earlier.value);
        if (!other)
            return lh_fail_memory(error);
        twice = twice || earlier.option == one->option;
        differs = differs || strcmp(other, value) != 0;
        free(other);
    }
    if (differs && one->option->about_security)
        return lh_fail(
            error, LH_CONFIG,
            "the connection string gives %s twice, with different values: leave one of them out",
            one->option->name);
    /* a list, by its specification */
    if (!twice || strcmp(one->option->name, "readPreferenceTags") == 0)
        return LH_OK;
    return lh_remark(remarks, error, "the connection string gives %s twice%s", one->option->name,
                     differs ? ", with different values: only one of them counts" : "");
}

static int judge(const lh_uri_parts *parts, const written *one, lh_remarks *remarks,
                 lh_error *error)
{
    char *value = lh_uri_decode(one->value);
    int outcome = value ? judge_known(one, value, remarks, error) : lh_fail_memory(error);
    if (outcome == LH_OK)
        outcome = judge_again(parts, one, value, remarks, error);
    free(value);
    return outcome;
}

int lh_uri_options_check(const lh_uri_parts *parts, lh_remarks *remarks, lh_error *error)
{
    lh_span list = parts->options;
    bool behind_secret = false;
    written one;
    int outcome = LH_OK;
    while (outcome == LH_OK && next_option(&list, &one)) {
        if (!one.value.at)
            outcome = lh_fail(error, LH_CONFIG,
                              "the connection string has %s without a value: write name=value",
                              one.option ? one.option->name : "an option");
        else if (one.option)
            outcome = judge(parts, &one, remarks, error);
        else
            outcome = judge_unknown(&one, behind_secret, remarks, error);
        behind_secret =
            one.option ? is_secret(one.option->name) : behind_secret || has_secret_name(one.name);
    }
    return outcome;
}

/* ---- What the driver made of them -------------------------------------------------------------*/

static bool is_plain(const char *name)
{
    return mongoc_uri_option_is_int32(name) || mongoc_uri_option_is_int64(name) ||
           mongoc_uri_option_is_bool(name) || mongoc_uri_option_is_utf8(name);
}

static bool is_compressed(const bson_t *compressors, lh_span item)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%.*s", (int)(item.len < 15 ? item.len : 15), item.at);
    return bson_has_field(compressors, name);
}

static int check_compressors(const mongoc_uri_t *uri, const char *value, lh_remarks *remarks,
                             lh_error *error)
{
    lh_span list = {value, strlen(value)}, item;
    size_t lost = 0;
    while (lh_uri_next(&list, ',', &item))
        lost += !is_compressed(mongoc_uri_get_compressors(uri), item);
    return lost == 0 ? LH_OK
                     : lh_remark(remarks, error,
                                 "%zu of the compressors in the connection string are unknown to "
                                 "the driver, and have "
                                 "no effect",
                                 lost);
}

static int check_taken(const written *one, const mongoc_uri_t *uri, lh_remarks *remarks,
                       lh_error *error)
{
    const char *name = meaning(one->option);
    if (strcmp(one->option->why, SHORTER) == 0 && mongoc_uri_get_option_as_int32(uri, name, 0) < 0)
        return lh_remark(remarks, error, "%s in the connection string is below 0: it has no effect",
                         one->option->name);
    if (one->value.len == 0 || one->option->treatment == O || !is_plain(name) ||
        mongoc_uri_has_option(uri, name))
        return LH_OK;
    if (one->option->about_security)
        return lh_fail(error, LH_CONFIG,
                       "this version of the driver does not know %s, or does not know its value: "
                       "leave the option out, or write a value that the driver knows",
                       one->option->name);
    return lh_remark(remarks, error,
                     "the driver does not understand %s in the connection string: it has no effect",
                     one->option->name);
}

int lh_uri_options_taken(const lh_uri_parts *parts, const mongoc_uri_t *uri, lh_remarks *remarks,
                         lh_error *error)
{
    lh_span list = parts->options;
    written one;
    int outcome = LH_OK;
    while (outcome == LH_OK && next_option(&list, &one))
        if (one.option)
            outcome = check_taken(&one, uri, remarks, error);
    char *compressors = outcome == LH_OK ? lh_uri_option_value(parts, "compressors") : NULL;
    if (compressors)
        outcome = check_compressors(uri, compressors, remarks, error);
    free(compressors);
    return outcome;
}
