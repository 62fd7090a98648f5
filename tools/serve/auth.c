/* SPDX-License-Identifier: Apache-2.0
 * Each line has one token, TOKEN or NAME:TOKEN, so that a token can be replaced while the old token
 * is still in use; `#` begins a comment. A token is compared over its whole length with every known
 * token, so that the time does not show how much of a guess was right. */
#include "serve/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/clients.h"

enum { MOST_TOKENS = 64, SHORTEST = 16, LONGEST = 256, MOST_BYTES = 1 << 20 };

struct token {
    char text[LONGEST]; /* filled up with NUL */
    char name[CLIENT_NAME_MAX + 1];
    int line;
    enum may may;
    struct client *client; /* a reference */
};

/* Of all files. */
struct tokens {
    size_t n;
    struct token token[2 * MOST_TOKENS];
};

struct auth {
    struct clients *clients;
    const char *path[2]; /* of clients, of admins */
    bool open[2];        /* everybody on this machine may read or write it */
    pthread_mutex_t lock;
    struct tokens *tokens;
};

/* ---- a file ---- */

struct reader {
    struct tokens *tokens;
    const char *const *path; /* of all files */
    int file, line;
    size_t n; /* tokens of this file */
    lh_error *error;
};

static int fail(const struct reader *reader, const char *what)
{
    return out_fail(reader->error, LH_CONFIG, "%s, line %d: %s", reader->path[reader->file],
                    reader->line, what);
}

/* The token on this line; the text before the token is its name. NULL: the line has no valid
 * token. */
static const char *split(char *text, const char **ret_name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-";
    char *colon = strchr(text, ':');
    *ret_name = colon ? text : "";
    if (!colon)
        return text;
    *colon = '\0';
    return strlen(text) <= CLIENT_NAME_MAX && strspn(text, letters) == strlen(text) ? colon + 1
                                                                                    : NULL;
}

static const char *wrong_with(const char *token)
{
    for (const char *at = token; *at; at++) {
        if (*at == ' ' || *at == '\t')
            return "a token has no blanks: write one token on each line";
        if (*at < ' ' || *at > '~')
            return "a token is printable ASCII";
    }
    return strlen(token) < SHORTEST || strlen(token) > LONGEST ? "a token has 16 to 256 characters"
                                                               : NULL;
}

static int add_token(struct reader *reader, const char *name, const char *text)
{
    struct tokens *tokens = reader->tokens;
    char what[512];
    for (size_t i = 0; i < tokens->n; i++) {
        const struct token *other = &tokens->token[i];
        if (strncmp(other->text, text, LONGEST) != 0)
            continue;
        (void)snprintf(what, sizeof what, "the same token as in %s, line %d: remove one of the two",
                       reader->path[other->may == MAY_BREAK], other->line);
        return fail(reader, what);
    }
    if (reader->n == MOST_TOKENS)
        return fail(reader, "a file holds 64 tokens at most");
    struct token *token = &tokens->token[tokens->n++];
    memcpy(token->text, text, strlen(text));
    (void)snprintf(token->name, sizeof token->name, "%s", name);
    token->line = reader->line;
    token->may = reader->file == 1 ? MAY_BREAK : MAY_CALL;
    reader->n++;
    return LH_OK;
}

static int add_line(struct reader *reader, char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\r')
        line[--len] = '\0';
    if (strlen(line) != len)
        return fail(reader, "it contains a NUL: a token file is plain text");
    if (strchr(line, '\r'))
        return fail(reader, "a carriage return inside: lines end with a line feed");
    char *text = line + strspn(line, " \t");
    for (len = strlen(text); len > 0 && strchr(" \t", text[len - 1]); len--)
        text[len - 1] = '\0';
    if (!*text || *text == '#')
        return LH_OK;
    const char *name, *token = split(text, &name), *wrong = token ? wrong_with(token) : NULL;
    if (!token)
        return fail(reader, "the name before the first ':' has 1 to 64 of A-Z a-z 0-9 . _ @ -; a "
                            "token that has a ':' itself, and no name, is written :TOKEN");
    return wrong ? fail(reader, wrong) : add_token(reader, name, token);
}

static int add_lines(struct reader *reader, char *text, size_t len)
{
    int code = LH_OK;
    reader->line = 1;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0 || strncmp(text, "\xff\xfe", 2) == 0 ||
        strncmp(text, "\xfe\xff", 2) == 0)
        return fail(reader, "it begins with a byte order mark: save it as plain ASCII");
    for (char *at = text, *next; code == LH_OK && at < text + len; at = next, reader->line++) {
        char *end = memchr(at, '\n', (size_t)(text + len - at));
        end = end ? end : text + len;
        *end = '\0';
        next = end + 1;
        code = add_line(reader, at, (size_t)(end - at));
    }
    return code;
}

/* All of it into `text`, which has room for MOST_BYTES and one. -1: errno. */
static ssize_t read_all(int fd, char *text)
{
    size_t len = 0;
    for (ssize_t n; len <= MOST_BYTES; len += (size_t)n) {
        n = read(fd, text + len, MOST_BYTES + 1 - len);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
    }
    text[len] = '\0';
    return (ssize_t)len;
}

/* A pipe, or another file that could block, is refused, because the file is read again later, while
 * requests are served. */
static int open_file(const char *path, bool *ret_open, int *ret_fd, lh_error *error)
{
    struct stat info = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &info) != 0) {
        int why = errno;
        if (fd >= 0)
            (void)close(fd);
        return out_fail(error, LH_CONFIG, "the token file %s cannot be read: %s", path,
                        strerror(why));
    }
    if (!S_ISREG(info.st_mode)) {
        (void)close(fd);
        return out_fail(
            error, LH_CONFIG,
            "the token file %s is not a regular file, which the server could read again", path);
    }
    *ret_open = info.st_mode & (S_IROTH | S_IWOTH);
    *ret_fd = fd;
    return LH_OK;
}

static int read_file(struct reader *reader, bool *ret_open)
{
    const char *path = reader->path[reader->file];
    int fd = -1, code = open_file(path, ret_open, &fd, reader->error);
    if (code != LH_OK)
        return code;
    char *text = malloc(MOST_BYTES + 2);
    ssize_t len = text ? read_all(fd, text) : 0;
    if (!text)
        code = out_fail(reader->error, LH_MEMORY, "out of memory");
    else if (len < 0)
        code = out_fail(reader->error, LH_CONFIG, "the token file %s cannot be read: %s", path,
                        strerror(errno));
    else if (len > MOST_BYTES)
        code = out_fail(reader->error, LH_CONFIG, "the token file %s has more than 1 MiB", path);
    else
        code = add_lines(reader, text, (size_t)len);
    if (code == LH_OK && reader->n == 0)
        code = out_fail(reader->error, LH_CONFIG, "the token file %s holds no token", path);
    (void)close(fd);
    if (text)
        explicit_bzero(text, MOST_BYTES + 2);
    free(text);
    return code;
}

/* ---- all of them ---- */

static void free_tokens(struct clients *clients, struct tokens *tokens)
{
    if (!tokens)
        return;
    for (size_t i = 0; i < tokens->n; i++)
        clients_unref(clients, tokens->token[i].client);
    explicit_bzero(tokens, sizeof *tokens);
    free(tokens);
}

static const struct token *find_same(const struct tokens *tokens, const struct token *token)
{
    for (size_t i = 0; tokens && i < tokens->n; i++) {
        if (memcmp(tokens->token[i].text, token->text, LONGEST) == 0)
            return &tokens->token[i];
    }
    return NULL;
}

/* Each token gets the client that the same token had before. False: out of memory. */
static bool give_clients(struct auth *auth, struct tokens *fresh)
{
    for (size_t i = 0; i < fresh->n; i++) {
        const struct token *old = find_same(auth->tokens, &fresh->token[i]);
        fresh->token[i].client =
            old ? clients_ref(auth->clients, old->client) : clients_new_token(auth->clients);
        if (!fresh->token[i].client)
            return false;
    }
    return true;
}

static void put_in_force(const struct auth *auth, const struct tokens *fresh)
{
    for (size_t i = 0; i < fresh->n; i++) {
        const struct token *token = &fresh->token[i];
        clients_rename(auth->clients, token->client, *token->name ? token->name : NULL);
        atomic_store(&token->client->may, (int)token->may);
    }
}

static unsigned revoke_others(const struct tokens *old, const struct tokens *fresh)
{
    unsigned n = 0;
    for (size_t i = 0; old && i < old->n; i++) {
        if (find_same(fresh, &old->token[i]))
            continue;
        atomic_store(&old->token[i].client->may, MAY_LOOK_IN);
        atomic_store(&old->token[i].client->revoked, true);
        n++;
    }
    return n;
}

int auth_reload(struct auth *auth, unsigned *ret_revoked, lh_error *error)
{
    struct tokens *fresh = calloc(1, sizeof *fresh);
    bool open[2] = {false};
    int code = LH_OK;
    *ret_revoked = 0;
    if (!fresh)
        return out_fail(error, LH_MEMORY, "out of memory");
    for (int i = 0; i < 2 && code == LH_OK; i++) {
        struct reader reader = {.tokens = fresh, .path = auth->path, .file = i, .error = error};
        if (auth->path[i])
            code = read_file(&reader, &open[i]);
    }
    if (code == LH_OK && !give_clients(auth, fresh))
        code = out_fail(error, LH_MEMORY, "out of memory");
    if (code != LH_OK) {
        free_tokens(auth->clients, fresh);
        return code;
    }
    pthread_mutex_lock(&auth->lock);
    struct tokens *old = auth->tokens;
    put_in_force(auth, fresh);
    *ret_revoked = revoke_others(old, fresh);
    auth->tokens = fresh;
    memcpy(auth->open, open, sizeof open);
    pthread_mutex_unlock(&auth->lock);
    free_tokens(auth->clients, old);
    return LH_OK;
}

int auth_new(struct clients *clients, const char *token_file, const char *admin_token_file,
             struct auth **ret_auth, lh_error *error)
{
    unsigned none;
    struct auth *auth = calloc(1, sizeof *auth);
    if (!auth)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&auth->lock, NULL);
    auth->clients = clients;
    auth->path[0] = token_file;
    auth->path[1] = admin_token_file;
    int code = auth_reload(auth, &none, error);
    if (code == LH_OK)
        *ret_auth = auth;
    else
        auth_free(auth);
    return code;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    free_tokens(auth->clients, auth->tokens);
    (void)pthread_mutex_destroy(&auth->lock);
    free(auth);
}

const char *auth_open_file(const struct auth *auth)
{
    return auth->open[0] ? auth->path[0] : auth->open[1] ? auth->path[1] : NULL;
}

bool auth_needs_token(const struct auth *auth)
{
    return auth->path[0] != NULL;
}

/* The number of the matching token, from 1; 0: none. Compares with all tokens completely. A token
 * occurs only once. */
static size_t find(const struct tokens *tokens, const char given[LONGEST])
{
    size_t found = 0;
    for (size_t i = 0; i < tokens->n; i++) {
        unsigned char differs = 0;
        for (size_t k = 0; k < LONGEST; k++)
            differs = (unsigned char)(differs | (tokens->token[i].text[k] ^ given[k]));
        unsigned same =
            ((unsigned)differs - 1U) >> 8 & 1U; /* 1 for no difference, without a branch */
        found |= (i + 1) * same;
    }
    return found;
}

struct client *auth_client(struct auth *auth, const char *authorization)
{
    char given[LONGEST] = {0};
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return NULL;
    const char *token = authorization + 7 + strspn(authorization + 7, " ");
    size_t len = strlen(token);
    if (len < SHORTEST || len > LONGEST)
        return NULL;
    memcpy(given, token, len);
    pthread_mutex_lock(&auth->lock);
    size_t found = find(auth->tokens, given);
    struct client *client =
        found ? clients_ref(auth->clients, auth->tokens->token[found - 1].client) : NULL;
    pthread_mutex_unlock(&auth->lock);
    explicit_bzero(given, sizeof given);
    return client;
}
