/* SPDX-License-Identifier: Apache-2.0
 * The rules are those of the drivers' authentication specification. Values are never printed. */
#include "store/store_uri_auth.h"

#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/key.h"
#include "store/store_uri_options.h"
#include "store/store_uri_parts.h"

typedef enum { MAY, MUST, NEVER } need;

static const struct mechanism {
    const char *name;
    need user, password;
    bool external; /* authSource can only be $external */
} mechanisms[] = {
    {"SCRAM-SHA-1", MUST, MUST, false}, {"SCRAM-SHA-256", MUST, MUST, false},
    {"PLAIN", MUST, MUST, false},       {"GSSAPI", MUST, MAY, true},
    {"MONGODB-X509", MAY, NEVER, true}, {"MONGODB-AWS", MAY, MAY, true},
};

#define X509 "MONGODB-X509"
#define AWS  "MONGODB-AWS"

static const struct mechanism *find(const char *name)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (strcmp(mechanisms[i].name, name) == 0)
            return &mechanisms[i];
    return NULL;
}

static int fail(lh_error *error, const char *mechanism, const char *what)
{
    return lh_fail(error, LH_CONFIG, "the connection string has authMechanism=%s, %s", mechanism,
                   what);
}

static int check_credentials(const lh_uri_parts *parts, const struct mechanism *m, lh_error *error)
{
    bool user = parts->user.at, password = parts->password.at;
    if (m->user == MUST && !user)
        return fail(error, m->name,
                    "and has no user: write mongodb://user:password@host/, or leave it out");
    if (m->password == MUST && !password)
        return fail(error, m->name, "and has no password: write mongodb://user:password@host/");
    if (m->password == NEVER && password)
        return fail(error, m->name, "with which no password is sent: leave the password out");
    if (strcmp(m->name, AWS) == 0 && user != password)
        return fail(error, m->name,
                    "which needs an access key as the user and its secret as the password, or "
                    "neither of them");
    return LH_OK;
}

static int check_source(const char *source, const struct mechanism *m, lh_error *error)
{
    bool external = strcmp(source, "$external") == 0;
    if (m && m->external && !external)
        return fail(error, m->name,
                    "whose users are not in a database: leave authSource out, or write $external");
    if (external && (!m || strncmp(m->name, "SCRAM", 5) == 0))
        return lh_fail(
            error, LH_CONFIG,
            "the connection string has authSource=$external, where no passwords are kept: name the "
            "database of the user, or an authMechanism (MONGODB-X509, PLAIN, GSSAPI, MONGODB-AWS)");
    return LH_OK;
}

/* One of KEY:VALUE,KEY:VALUE. */
static int check_property(lh_span item, const lh_uri_parts *parts, const struct mechanism *m,
                          lh_error *error)
{
    static const struct {
        const char *key, *mechanism;
    } known[] = {{"SERVICE_NAME", "GSSAPI"},
                 {"CANONICALIZE_HOST_NAME", "GSSAPI"},
                 {"AWS_SESSION_TOKEN", AWS}};
    lh_span key = item;
    const char *colon = memchr(item.at, ':', item.len);
    key.len = colon ? (size_t)(colon - item.at) : 0;
    size_t i = 0, n = sizeof known / sizeof *known;
    while (i < n &&
           (strlen(known[i].key) != key.len || strncasecmp(known[i].key, key.at, key.len) != 0))
        i++;
    if (i == n || colon + 1 == item.at + item.len)
        return lh_fail(error, LH_CONFIG,
                       "authMechanismProperties in the connection string has a part that the "
                       "driver does not know: write KEY:VALUE, with commas between several; the "
                       "keys are SERVICE_NAME, CANONICALIZE_HOST_NAME and AWS_SESSION_TOKEN");
    if (!m || strcmp(m->name, known[i].mechanism) != 0)
        return lh_fail(
            error, LH_CONFIG,
            "the connection string has the property %s, which is only for authMechanism=%s",
            known[i].key, known[i].mechanism);
    lh_span value = {colon + 1, item.len - key.len - 1};
    bool boolean = (value.len == 4 && strncasecmp(value.at, "true", 4) == 0) ||
                   (value.len == 5 && strncasecmp(value.at, "false", 5) == 0);
    if (strcmp(known[i].key, "CANONICALIZE_HOST_NAME") == 0 && !boolean)
        return lh_fail(error, LH_CONFIG,
                       "CANONICALIZE_HOST_NAME in the connection string must be true or false: the "
                       "driver knows no "
                       "other value");
    if (strcmp(m->name, AWS) == 0 && !parts->user.at)
        return fail(error, m->name, "with a session token, but without its access key and secret");
    return LH_OK;
}

static int check_properties(const lh_uri_parts *parts, const struct mechanism *m, lh_error *error)
{
    char *value = lh_uri_option_value(parts, "authMechanismProperties");
    lh_span list = {value, value ? strlen(value) : 0}, item;
    int outcome = LH_OK;
    while (outcome == LH_OK && lh_uri_next(&list, ',', &item))
        outcome = check_property(item, parts, m, error);
    free(value);
    return outcome;
}

/* A user's name without its percent-codes. Passwords may be anything. */
static int check_user(const lh_uri_parts *parts, lh_error *error)
{
    if (!parts->user.at)
        return LH_OK;
    char *user = lh_uri_decode(parts->user);
    if (!user)
        return lh_fail_memory(error);
    int outcome = *user ? lh_text_check("user in the connection string", user, strlen(user), 1,
                                        SIZE_MAX, error)
                        : lh_fail(error, LH_CONFIG,
                                  "the connection string has an '@' and no user before it: write "
                                  "mongodb://user:password@host/, or mongodb://host/");
    free(user);
    if (outcome == LH_INVALID && error)
        error->code = LH_CONFIG, error->reason = 0;
    return outcome == LH_INVALID ? LH_CONFIG : outcome;
}

static int check_together(const lh_uri_parts *parts, const char *name, const char *source,
                          lh_error *error)
{
    const struct mechanism *m = name ? find(name) : NULL;
    if (name && strcmp(name, "MONGODB-OIDC") == 0)
        return fail(error, name, "which this library does not support: use another mechanism");
    if (name && strcmp(name, "MONGODB-CR") == 0)
        return fail(error, name, "which servers have not supported since 4.0: leave it out");
    if (name && !m)
        return lh_fail(
            error, LH_CONFIG,
            "the connection string names an authMechanism that does not exist: use SCRAM-SHA-256, "
            "SCRAM-SHA-1, MONGODB-X509, PLAIN, GSSAPI or MONGODB-AWS, in capital letters");
    int outcome = m ? check_credentials(parts, m, error) : LH_OK;
    if (outcome == LH_OK && !m && parts->user.at && !parts->password.at)
        outcome =
            lh_fail(error, LH_CONFIG,
                    "the connection string has a user and no password: write "
                    "mongodb://user:password@host/, or an authMechanism that needs no password");
    if (outcome == LH_OK && source)
        outcome = check_source(source, m, error);
    return outcome == LH_OK ? check_properties(parts, m, error) : outcome;
}

int lh_uri_auth_check(const lh_uri_parts *parts, lh_error *error)
{
    char *name = lh_uri_option_value(parts, "authMechanism"),
         *source = lh_uri_option_value(parts, "authSource");
    int outcome = check_user(parts, error);
    if (outcome == LH_OK)
        outcome = check_together(parts, name, source, error);
    free(name);
    free(source);
    return outcome;
}

int lh_uri_auth_certificate(const mongoc_uri_t *uri, lh_error *error)
{
    const char *name = mongoc_uri_get_auth_mechanism(uri);
    if (!name || strcasecmp(name, X509) != 0)
        return LH_OK;
    /* The driver reads the certificate's subject where it has none: a segmentation fault in a
     * thread of its own. */
    if (!mongoc_uri_get_tls(uri))
        return fail(error, X509, "and no TLS: add tls=true and tlsCertificateKeyFile=FILE");
    if (!mongoc_uri_has_option(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE))
        return fail(error, X509, "and no certificate: add tlsCertificateKeyFile=FILE");
    return LH_OK;
}
