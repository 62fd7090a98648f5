/* SPDX-License-Identifier: Apache-2.0
 * TLS: the checks that a connection string may switch off only with consent, and the message when
 * TLS is the reason that no server was found.
 *
 * The driver reports why a handshake failed only in sentences. This file searches them for
 * OpenSSL's own wording. An unknown sentence is passed on as it is. */
#include "store/store_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "store/store_refused.h"
#include "store/store_unanswered.h"
#include "store/store_uri.h"

#define HOSTS_ROOM 128

/* Options that let anybody pose as the server, or accept a revoked certificate. The driver turns
 * their older names into these. */
static const struct {
    const char *option, *name; /* the driver's spelling, and the usual one */
} insecure[] = {
    {MONGOC_URI_TLSINSECURE, "tlsInsecure"},
    {MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, "tlsAllowInvalidCertificates"},
    {MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, "tlsAllowInvalidHostnames"},
    {MONGOC_URI_TLSDISABLECERTIFICATEREVOCATIONCHECK, "tlsDisableCertificateRevocationCheck"},
    {MONGOC_URI_TLSDISABLEOCSPENDPOINTCHECK, "tlsDisableOCSPEndpointCheck"},
};

static int check_file(const mongoc_uri_t *uri, const char *option, const char *name,
                      lh_error *error)
{
    const char *path = mongoc_uri_get_option_as_utf8(uri, option, NULL);
    if (!path)
        return LH_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lh_fail(error, LH_REASON_TLS,
                       "the file that the connection string names as %s cannot be read: %s: %s",
                       name, path, strerror(errno));
    (void)close(fd);
    return LH_OK;
}

int lh_store_tls_check(const mongoc_uri_t *uri, bool allow_insecure, lh_error *error)
{
    for (size_t i = 0; !allow_insecure && i < sizeof insecure / sizeof *insecure; i++)
        if (mongoc_uri_get_option_as_bool(uri, insecure[i].option, false))
            return lh_fail(error, LH_REASON_TLS,
                           "the connection string has %s=true, which weakens the check of the "
                           "server's certificate, or disables it: leave this option out (tlsCAFile "
                           "names the authority to trust), or allow it by name "
                           "(allow_insecure_tls; on the command line --insecure-tls)",
                           insecure[i].name);
    int outcome = check_file(uri, MONGOC_URI_TLSCAFILE, "tlsCAFile", error);
    return outcome == LH_OK
               ? check_file(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, "tlsCertificateKeyFile", error)
               : outcome;
}

static void list_hosts(const mongoc_uri_t *uri, char list[HOSTS_ROOM])
{
    size_t len = 0;
    *list = '\0';
    for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri); host && len < HOSTS_ROOM;
         host = host->next)
        len += (size_t)snprintf(list + len, HOSTS_ROOM - len, "%s%s", len ? ", " : "",
                                host->host_and_port);
    /* its hosts are unknown before the DNS lookup */
    if (!*list && mongoc_uri_get_srv_hostname(uri))
        (void)snprintf(list, HOSTS_ROOM, "%s", mongoc_uri_get_srv_hostname(uri));
    lh_cut_utf8(list, HOSTS_ROOM - 1);
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

/* The driver gives each host's reason in brackets. Only if all reasons are of this kind is another
 * attempt useless. */
static bool all_hosts_say(const char *reasons, const char *what)
{
    size_t n = count(reasons, ": [") + count(reasons, "] [");
    return n > 0 && count(reasons, what) == n;
}

/* The fault of the certificate, and the remedy. */
static const char *certificate_advice(const char *reasons)
{
    if (strstr(reasons, "has expired"))
        return "it has expired: renew the server's certificate (or set this machine's clock)";
    if (strstr(reasons, "not yet valid"))
        return "it is not valid yet: set the clock of this machine, or of the machine that made "
               "the certificate";
    if (strstr(reasons, "mismatch"))
        return "it is for another host: connect to the name in the certificate, or get a "
               "certificate for this name";
    if (strstr(reasons, "self-signed") || strstr(reasons, "self signed") ||
        strstr(reasons, "issuer certificate"))
        return "it is not signed by an authority that this machine trusts: name the authority with "
               "tlsCAFile";
    return "check the server's certificate, and which authority tlsCAFile names";
}

int lh_store_fail_no_server(const mongoc_uri_t *uri, const bson_error_t *why, lh_error *error)
{
    char hosts[HOSTS_ROOM] = "the server";
    const char *reasons = why->message,
               *hint = "check the connection string, and that the server runs";
    if (uri)
        list_hosts(uri, hosts);
    if (all_hosts_say(reasons, "ertificate verif"))
        return lh_fail(error, LH_REASON_CERTIFICATE,
                       "the certificate of %s is not accepted: %s (%s)", hosts,
                       certificate_advice(reasons), reasons);
    if (all_hosts_say(reasons, "initialize TLS"))
        return lh_fail(
            error, LH_REASON_TLS,
            "TLS cannot be used: the file that tlsCAFile or tlsCertificateKeyFile names has no "
            "readable certificate (and key) in PEM form, or its password is wrong");
    if (strstr(reasons, "apiVersion parameter is required"))
        return lh_store_fail_refused(
            &(lh_refusal){.what = "connect", .code = LH_CODE_NO_API_VERSION, .message = reasons},
            error);
    if (uri && mongoc_uri_get_tls(uri) && strstr(reasons, "TLS handshake failed"))
        hint =
            "check that the server runs, and that it uses TLS: the connection string has tls=true";
    else if (uri && !mongoc_uri_get_tls(uri) && strstr(reasons, "socket error"))
        hint =
            "check that the server runs. If it requires TLS, add tls=true to the connection string";
    return lh_fail(error, lh_store_why_unreachable(why), "no server can be reached at %s: %s; %s",
                   hosts, hint, reasons);
}
