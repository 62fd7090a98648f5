/* SPDX-License-Identifier: Apache-2.0
 * Tokens are a line each, so that one can be exchanged while the other is still in use; `#` begins a comment. They are
 * compared over their whole length with every one there is: the time says nothing of how far a guess was right. */
#include "auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "../out.h"

enum { MOST_TOKENS = 64, SHORTEST = 16, LONGEST = 256 };

struct tokens {
    size_t n;
    char token[MOST_TOKENS][LONGEST]; /* filled up with NUL */
};

struct auth {
    const char *path[2]; /* of clients, of admins */
    bool open[2];        /* everybody on this machine may read or write it */
    pthread_mutex_t lock;
    struct tokens tokens[2];
};

static int add_line(struct tokens *tokens, char *line, const char *path, int number, lh_error *error)
{
    char *token = line + strspn(line, " \t");
    token[strcspn(token, "\r\n")] = '\0';
    for (size_t len = strlen(token); len > 0 && strchr(" \t", token[len - 1]); len--)
        token[len - 1] = '\0';
    size_t len = strlen(token);
    if (!*token || *token == '#')
        return LH_OK;
    if (len < SHORTEST || len > LONGEST || strpbrk(token, " \t"))
        return out_fail(error, LH_CONFIG, "%s, line %d: a token is %d to %d characters without blanks, one a line",
                        path, number, SHORTEST, LONGEST);
    if (tokens->n == MOST_TOKENS)
        return out_fail(error, LH_CONFIG, "%s: more than %d tokens", path, MOST_TOKENS);
    memcpy(tokens->token[tokens->n++], token, len);
    return LH_OK;
}

static int read_file(const char *path, struct tokens *tokens, bool *ret_open, lh_error *error)
{
    struct stat info;
    char *line = NULL; /* of any length: the rest of a long comment is no token */
    size_t size = 0;
    FILE *file = path ? fopen(path, "re") : NULL;
    int code = LH_OK, number = 0;
    memset(tokens, 0, sizeof *tokens);
    if (!path)
        return LH_OK;
    if (!file)
        return out_fail(error, LH_CONFIG, "the token file %s cannot be read: %s", path, strerror(errno));
    *ret_open = fstat(fileno(file), &info) == 0 && info.st_mode & (S_IROTH | S_IWOTH);
    while (code == LH_OK && getline(&line, &size, file) >= 0)
        code = add_line(tokens, line, path, ++number, error);
    if (code == LH_OK && ferror(file))
        code = out_fail(error, LH_CONFIG, "the token file %s cannot be read: %s", path, strerror(errno));
    if (code == LH_OK && tokens->n == 0)
        code = out_fail(error, LH_CONFIG, "the token file %s holds no token", path);
    (void)fclose(file);
    if (line)
        explicit_bzero(line, size);
    free(line);
    return code;
}

int auth_reload(struct auth *auth, lh_error *error)
{
    struct tokens *fresh = calloc(2, sizeof *fresh);
    int code = LH_OK;
    if (!fresh)
        return out_fail(error, LH_MEMORY, "out of memory");
    for (int i = 0; i < 2 && code == LH_OK; i++)
        code = read_file(auth->path[i], &fresh[i], &auth->open[i], error);
    if (code == LH_OK) {
        pthread_mutex_lock(&auth->lock);
        memcpy(auth->tokens, fresh, sizeof auth->tokens);
        pthread_mutex_unlock(&auth->lock);
    }
    explicit_bzero(fresh, 2 * sizeof *fresh);
    free(fresh);
    return code;
}

int auth_new(const char *token_file, const char *admin_token_file, struct auth **ret_auth, lh_error *error)
{
    struct auth *auth = calloc(1, sizeof *auth);
    if (!auth)
        return out_fail(error, LH_MEMORY, "out of memory");
    (void)pthread_mutex_init(&auth->lock, NULL);
    auth->path[0] = token_file;
    auth->path[1] = admin_token_file;
    int code = auth_reload(auth, error);
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
    explicit_bzero(auth->tokens, sizeof auth->tokens);
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

/* Which of them it is, from 1; 0: none. Looks at all of all. */
static unsigned find(const struct tokens *tokens, const char given[LONGEST])
{
    unsigned found = 0;
    for (size_t i = 0; i < tokens->n; i++) {
        unsigned char differs = 0;
        for (size_t k = 0; k < LONGEST; k++)
            differs = (unsigned char)(differs | (tokens->token[i][k] ^ given[k]));
        unsigned same = ((unsigned)differs - 1U) >> 8 & 1U; /* 1 for no difference, without a branch */
        found |= (unsigned)(i + 1) * same;
    }
    return found;
}

enum may auth_check(struct auth *auth, const char *authorization, unsigned *ret_number)
{
    char given[LONGEST] = {0};
    enum may may = auth_needs_token(auth) ? MAY_LOOK_IN : MAY_CALL;
    *ret_number = 0;
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return may;
    const char *token = authorization + 7 + strspn(authorization + 7, " ");
    size_t len = strlen(token);
    if (len < SHORTEST || len > LONGEST)
        return may;
    memcpy(given, token, len);
    pthread_mutex_lock(&auth->lock);
    unsigned client = find(&auth->tokens[0], given), admin = find(&auth->tokens[1], given);
    pthread_mutex_unlock(&auth->lock);
    explicit_bzero(given, sizeof given);
    *ret_number = admin ? MOST_TOKENS + admin : client;
    return admin ? MAY_BREAK : client ? MAY_CALL : may;
}
