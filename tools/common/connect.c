/* SPDX-License-Identifier: Apache-2.0
 * From options and environment to an open store. The connection string passes through here and is
 * never printed: not in an error, not in a note, not with --verbose. */
#include "common/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

enum { CLOSE_MS = 50 };

/* Reads until the end, at most `size` bytes; -1 with errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, buffer + len, size - len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return -1;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

/* Copies the variable's value, without the white space around it, to `buffer`; NULL: it is not set.
 * A longer value is cut to one byte more than the limit, so that the limit then refuses it. */
static const char *from_environment(const char *name, char *buffer, size_t size)
{
    const char *text = getenv(name);
    size_t len = 0;
    if (text)
        text = lh_trim(text, &len);
    if (len > 0)
        (void)snprintf(buffer, size, "%.*s", (int)len, text);
    return len > 0 ? buffer : NULL;
}

/* The file's text without the white space around it. */
static int uri_from_file(const char *path, char *buffer, lh_error *error)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read_all(fd, buffer, CONNECT_URI_SIZE - 1);
    int why = errno;
    if (fd >= 0 && !is_stdin)
        (void)close(fd);
    if (len < 0)
        return out_fail(error, LH_CONFIG, "the URI file %s cannot be read: %s", path,
                        strerror(why));
    buffer[len] = '\0';
    size_t trimmed, all = strlen(buffer);
    const char *start = lh_trim(buffer, &trimmed);
    memmove(buffer, start, trimmed);
    buffer[trimmed] = '\0';
    if (all < (size_t)len || len == CONNECT_URI_SIZE - 1 || !*buffer || strpbrk(buffer, "\r\n"))
        return out_fail(error, LH_CONFIG,
                        "the URI file %s must hold one line of text: the connection string", path);
    return LH_OK;
}

/* Flags come first, then the environment, the specific variable before the general one. */
int connect_find_uri(const struct cli *cli, char buffer[CONNECT_URI_SIZE], const char **ret_uri,
                     lh_error *error)
{
    const struct opt_value *uri = &cli->args.opt[OPT_URI], *file = &cli->args.opt[OPT_URI_FILE];
    bool file_is_flag = file->given && !file->from_env;
    if (uri->given && !uri->from_env && file_is_flag)
        return out_fail(error, LH_INVALID, "either --uri or --uri-file");
    if (uri->given && !(uri->from_env && file_is_flag)) {
        *ret_uri = uri->text;
        return LH_OK;
    }
    if (file->given) {
        *ret_uri = buffer;
        return uri_from_file(file->text, buffer, error);
    }
    *ret_uri = from_environment("MONGODB_URI", buffer, CONNECT_URI_SIZE);
    if (*ret_uri)
        return LH_OK;
    return out_fail(error, LH_INVALID,
                    "which MongoDB? Set LEASEHOLD_URI=mongodb://host/ in the environment, or use "
                    "--uri-file FILE or --uri URI");
}

/* Checks LEASEHOLD_MODE, for every command: an unknown mode is neither enforced nor ignored without
 * a message. Commands of operators are done in every mode. */
static int find_rollout(const struct cli *cli, int *ret_rollout, lh_error *error)
{
    char buffer[16];
    const char *mode = from_environment("LEASEHOLD_MODE", buffer, sizeof buffer);
    int rollout = LH_ENFORCE;
    while (mode && rollout <= LH_OFF && strcmp(mode, lh_rollout_word(rollout)) != 0)
        rollout++;
    if (rollout > LH_OFF)
        return out_fail(error, LH_CONFIG, "LEASEHOLD_MODE must be enforce, observe or off");
    *ret_rollout = cli->command->holds ? rollout : LH_ENFORCE;
    return LH_OK;
}

int64_t connect_timeout_ms(const struct cli *cli)
{
    return cli_number(cli, OPT_TIMEOUT, 10000);
}

const char *connect_audit(const struct cli *cli)
{
    const char *name = cli_text(cli, OPT_AUDIT);
    return name && strcmp(name, "on") == 0 ? "" : name && *name ? name : NULL;
}

const char *connect_owner(void)
{
    static char owner[LH_OWNER_MAX + 2];
    return from_environment("LEASEHOLD_OWNER", owner, sizeof owner);
}

int connect_options(const struct cli *cli, int64_t timeout_ms, const char *owner,
                    char buffer[CONNECT_URI_SIZE], lh_store_options *ret_options, lh_error *error)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    int code = find_rollout(cli, &options.rollout, error);
    if (code == LH_OK)
        code = connect_find_uri(cli, buffer, &options.uri, error);
    if (code != LH_OK && options.rollout != LH_OFF) /* which needs none */
        return code;
    options.db = cli_text(cli, OPT_DB);
    options.collection = cli_text(cli, OPT_COLLECTION);
    options.audit = connect_audit(cli);
    options.owner = owner;
    options.timeout_ms = timeout_ms;
    options.pool_size = 2;
    options.for_others =
        !cli->command->takes_command;     /* only `run` lives as long as what it acquires */
    options.at_open = LH_AT_OPEN_NOTHING; /* a command that needs the index checks it */
    options.allow_insecure_tls = cli_flag(cli, OPT_INSECURE_TLS);
    if (options.allow_insecure_tls) /* also with --quiet */
        fprintf(stderr,
                "leasehold: --insecure-tls: the checks of TLS that the connection string switches "
                "off are NOT made. Another server may pose as yours, and learn the password\n");
    *ret_options = options;
    return LH_OK;
}

int connect_open(const struct cli *cli, const lh_store_options *options,
                 char buffer[CONNECT_URI_SIZE], lh_store **ret_store, lh_error *error)
{
    int code = lh_store_open(options, ret_store, error);
    explicit_bzero(buffer, CONNECT_URI_SIZE);
    const char *warning;
    for (size_t i = 0;
         code == LH_OK && !cli->out.quiet && (warning = lh_store_warning(*ret_store, i)); i++)
        fprintf(stderr, "leasehold: %s\n", warning);
    return code;
}

int connect_store(const struct cli *cli, int64_t timeout_ms, const char *owner,
                  lh_store **ret_store, lh_error *error)
{
    char buffer[CONNECT_URI_SIZE];
    lh_store_options options;
    int code = connect_options(cli, timeout_ms, owner, buffer, &options, error);
    return code == LH_OK ? connect_open(cli, &options, buffer, ret_store, error) : code;
}

int connect_lease(const struct cli *cli, lh_store **ret_store, lh_lease **ret_lease,
                  lh_error *error)
{
    const char *id = cli_text(cli, OPT_LEASE);
    if (!id)
        return out_fail(error, LH_INVALID,
                        "which lease? --lease ID, as acquire printed it, or LEASEHOLD_LEASE=ID");
    int code = connect_store(cli, connect_timeout_ms(cli), connect_owner(), ret_store, error);
    return code == LH_OK ? lh_lease_attach(*ret_store, cli_key(cli), id, ret_lease, error) : code;
}

static void *close_store(void *store)
{
    lh_store_close(store);
    return NULL;
}

/* The driver waits up to half a second for its monitor thread. A user at a prompt should not wait
 * for that. The driver sends its goodbye to the server before this wait, so the goodbye gets some
 * time, and then the process ends (see main). */
void connect_close(lh_store *store, int code)
{
    bool patient = code == LH_UNKNOWN;
    pthread_t thread;
    if (!store)
        return;
    if (patient || pthread_create(&thread, NULL, close_store, store) != 0) {
        lh_store_close(store);
        return;
    }
    const struct timespec until = clock_after(CLOCK_REALTIME, CLOSE_MS);
    (void)pthread_timedjoin_np(thread, NULL, &until);
}
