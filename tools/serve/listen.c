/* SPDX-License-Identifier: Apache-2.0
 * A Unix socket belongs to the user who serves (mode 0600): the folder and the mode decide which
 * users may call. Without tokens the server listens only on loopback, because any client that
 * reaches the port could take every lease. */
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/out.h"

enum { BACKLOG = 1024, NAME_SIZE = 256, MOST_PORT = 65535 };

static const char unix_prefix[] = "unix:";

struct listener {
    int fd;
    bool by_address;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of a Unix socket */
    struct stat there;                                    /* … as it was made */
    char name[NAME_SIZE];
};

/* A socket that nobody listens on was left behind by a server that was killed: connecting is
 * refused. Any other result means that the socket is in use: by a server, by another program, or by
 * a program of another user, which does not accept us. */
static int make_room(const struct sockaddr_un *address, lh_error *error)
{
    struct stat there;
    if (lstat(address->sun_path, &there) != 0)
        return LH_OK;
    if (!S_ISSOCK(there.st_mode))
        return out_fail(error, LH_CONFIG, "%s exists already, and is not a socket",
                        address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int why = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    if (fd >= 0)
        (void)close(fd);
    if (why == 0 || why == EAGAIN)
        return out_fail(error, LH_CONFIG, "another server listens on %s", address->sun_path);
    if (why != ECONNREFUSED)
        return out_fail(error, LH_CONFIG,
                        "%s is in use, or may be: %s. Listen elsewhere, or remove the socket if "
                        "nobody needs it",
                        address->sun_path, strerror(why));
    (void)unlink(address->sun_path);
    return LH_OK;
}

static int open_unix(struct listener *listener, const char *path, lh_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof address.sun_path)
        return out_fail(error, LH_INVALID, "--listen unix:PATH: a path of 1 to %zu bytes",
                        sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    int code = make_room(&address, error);
    if (code != LH_OK)
        return code;
    mode_t before = umask(0177);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound =
        listener->fd >= 0 && bind(listener->fd, (struct sockaddr *)&address, sizeof address) == 0;
    int why = errno;
    (void)umask(before);
    if (!bound || listen(listener->fd, BACKLOG) != 0)
        return out_fail(error, LH_CONFIG, "cannot listen on unix:%s: %s", path,
                        strerror(bound ? errno : why));
    if (lstat(path, &listener->there) == 0)
        strcpy(listener->path, path);
    (void)snprintf(listener->name, sizeof listener->name, "unix:%s", path);
    return LH_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static int name_it(struct listener *listener, lh_error *error)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char host[64], port[16];
    if (getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0 ||
        getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return out_fail(error, LH_CONFIG, "cannot read the address that the server listens on");
    bool v6 = address.ss_family == AF_INET6;
    (void)snprintf(listener->name, sizeof listener->name, "http://%s%s%s:%s", v6 ? "[" : "", host,
                   v6 ? "]" : "", port);
    return LH_OK;
}

static int open_address(struct listener *listener, const char *text, const struct addrinfo *address,
                        bool with_tokens, lh_error *error)
{
    int yes = 1;
    if (!with_tokens && !is_loopback(address->ai_addr))
        return out_fail(
            error, LH_CONFIG,
            "%s can be reached from other hosts: give --token-file, or listen on 127.0.0.1", text);
    listener->by_address = true;
    listener->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd >= 0)
        (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener->fd < 0 || bind(listener->fd, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return out_fail(error, LH_CONFIG, "cannot listen on %s: %s", text, strerror(errno));
    return name_it(listener, error);
}

/* *ret_found: to be freed with freeaddrinfo(). */
static int look_up(const char *text, struct addrinfo **ret_found, lh_error *error)
{
    char host[NAME_SIZE];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len == 0 || len >= sizeof host || !colon[1] ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return out_fail(error, LH_INVALID,
                        "--listen takes unix:PATH or HOST:PORT, like 127.0.0.1:8080");
    if (strtoul(colon + 1, NULL, 10) >
        MOST_PORT) /* getaddrinfo() would take what is left of it in 16 bits */
        return out_fail(error, LH_INVALID, "--listen %s: a port is at most %d", text, MOST_PORT);
    memcpy(host, text, len);
    host[len] = '\0';
    char *bare = host;
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        bare++;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int wrong = getaddrinfo(bare, colon + 1, &hints, ret_found);
    if (wrong != 0)
        return out_fail(error, LH_CONFIG, "--listen %s: %s", text, gai_strerror(wrong));
    return LH_OK;
}

static int open_found(struct listener *listener, const char *text, bool with_tokens,
                      lh_error *error)
{
    struct addrinfo *found;
    int code = look_up(text, &found, error);
    if (code == LH_OK) {
        code = open_address(listener, text, found, with_tokens, error);
        freeaddrinfo(found);
    }
    return code;
}

/* `address`, or the default, which is built in `room`. NULL: there is none. */
static const char *address_or_default(const char *address, char room[NAME_SIZE], lh_error *error)
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    if (address)
        return address;
    if (folder && *folder &&
        snprintf(room, NAME_SIZE, "%s%s/leasehold.sock", unix_prefix, folder) < NAME_SIZE)
        return room;
    (void)out_fail(error, LH_INVALID,
                   "where to listen? --listen unix:PATH or HOST:PORT (XDG_RUNTIME_DIR, where "
                   "the default would be, is not set)");
    return NULL;
}

/* The path of a Unix socket's address; NULL: it is another. */
static const char *unix_path(const char *address)
{
    size_t len = strlen(unix_prefix);
    return strncmp(address, unix_prefix, len) == 0 ? address + len : NULL;
}

int listen_open(const char *address, bool with_tokens, struct listener **ret_listener,
                lh_error *error)
{
    char room[NAME_SIZE];
    address = address_or_default(address, room, error);
    if (!address)
        return LH_INVALID;
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return out_fail(error, LH_MEMORY, "out of memory");
    listener->fd = -1;
    int code = unix_path(address) ? open_unix(listener, unix_path(address), error)
                                  : open_found(listener, address, with_tokens, error);
    if (code == LH_OK)
        *ret_listener = listener;
    else
        listen_close(listener);
    return code;
}

static int connect_to(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, address, len) == 0)
        return fd;
    int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

int listen_connect(const char *address, int *ret_fd, lh_error *error)
{
    char room[NAME_SIZE];
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
    struct addrinfo *found;
    address = address_or_default(address, room, error);
    const char *path = address ? unix_path(address) : NULL;
    int code = !address ? LH_INVALID : path ? LH_OK : look_up(address, &found, error);
    if (code != LH_OK)
        return code;
    if (path) {
        (void)snprintf(unix_address.sun_path, sizeof unix_address.sun_path, "%s", path);
        *ret_fd = connect_to((const struct sockaddr *)&unix_address, sizeof unix_address);
    } else {
        *ret_fd = connect_to(found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
    }
    if (*ret_fd < 0)
        return out_fail(error, LH_UNREACHABLE, "no server responds at %s: %s", address,
                        strerror(errno));
    return LH_OK;
}

int listen_fd(const struct listener *listener)
{
    return listener->fd;
}

const char *listen_name(const struct listener *listener)
{
    return listener->name;
}

bool listen_by_address(const struct listener *listener)
{
    return listener->by_address;
}

void listen_close(struct listener *listener)
{
    if (!listener)
        return;
    struct stat now;
    /* Before it is closed: until then nothing else has its inode. */
    if (*listener->path && lstat(listener->path, &now) == 0 &&
        now.st_dev == listener->there.st_dev && now.st_ino == listener->there.st_ino)
        (void)unlink(listener->path);
    if (listener->fd >= 0)
        (void)close(listener->fd);
    free(listener);
}

/* With a port, or not. */
bool listen_is_loopback_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i]);
        if (strncasecmp(host, names[i], len) != 0)
            continue;
        size_t port = host[len] == ':' ? 1 + strspn(host + len + 1, "0123456789") : 0;
        if (host[len + port] == '\0')
            return true;
    }
    return false;
}

void listen_name_client(int fd, char name[64])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    struct ucred user;
    socklen_t user_len = sizeof user;
    (void)snprintf(name, 64, "?");
    if (getpeername(fd, (struct sockaddr *)&address, &len) != 0)
        return;
    if (address.ss_family != AF_UNIX)
        (void)getnameinfo((struct sockaddr *)&address, len, name, 64, NULL, 0, NI_NUMERICHOST);
    else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &user_len) == 0)
        (void)snprintf(name, 64, "uid %u", (unsigned)user.uid);
}
