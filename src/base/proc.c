/* SPDX-License-Identifier: Apache-2.0
 * Processes, beyond their numbers: those are used again, by later processes, other containers,
 * after a reboot.
 *
 * A pid belongs to a pid namespace, which has a number that the kernel gives to no other while one
 * of its processes lives; and is used again only by processes that start later. So boot, namespace,
 * pid and start time together name one process for ever. The start time is told as the reader's
 * time namespace has it: that must be the same too. */
#include "base/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The text of a small file; false when it cannot be read. */
static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* The first 16 digits of 32: 64 random bits. */
static bool read_boot(char boot[17])
{
    char text[64];
    size_t n = 0;
    if (!read_file("/proc/sys/kernel/random/boot_id", text, sizeof text))
        return false;
    for (const char *c = text; *c && n < 16; c++)
        if (isxdigit((unsigned char)*c))
            boot[n++] = *c;
    boot[n] = '\0';
    return n == 16;
}

/* The number of "pid:[4026531836]"; 0: there is no such namespace (an older kernel), or it is not
 * told. */
static unsigned long read_namespace(const char *path)
{
    char text[64];
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *number = strchr(text, '[');
    return number ? strtoul(number + 1, NULL, 10) : 0;
}

typedef struct {
    char state;
    long threads;
    unsigned long long started; /* ticks since the boot */
} look;

/* Fields 3, 20 and 22; the second, the name in brackets, may have anything in it. */
static bool read_stat(const char *path, look *ret)
{
    char text[1024];
    if (!read_file(path, text, sizeof text))
        return false;
    const char *at = strrchr(text, ')');
    return at &&
           sscanf(
               at + 1,
               " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %*s %llu",
               &ret->state, &ret->threads, &ret->started) == 3;
}

void lh_proc_self(char text[LH_PROC_ROOM])
{
    char boot[17];
    look self;
    unsigned long pids = read_namespace("/proc/self/ns/pid");
    text[0] = '\0';
    if (pids != 0 && read_boot(boot) && read_stat("/proc/self/stat", &self))
        (void)snprintf(text, LH_PROC_ROOM, "%s/%lu/%lu/%ld/%llu", boot, pids,
                       read_namespace("/proc/self/ns/time"), (long)getpid(), self.started);
}

size_t lh_proc_place(const char *text)
{
    size_t len = 0;
    for (int slashes = 0; slashes < 3; slashes++) {
        const char *slash = strchr(text + len, '/');
        if (!slash)
            return 0;
        len = (size_t)(slash - text) + 1;
    }
    return len;
}

/* Does /proc show the processes by the numbers that this process knows them by? Not where it was
 * mounted in another namespace. */
static bool is_proc_ours(void)
{
    char text[32], self[32];
    ssize_t n = readlink("/proc/self", text, sizeof text - 1);
    (void)snprintf(self, sizeof self, "%ld", (long)getpid());
    return n > 0 && (size_t)n == strlen(self) && memcmp(text, self, (size_t)n) == 0;
}

bool lh_proc_is_dead(const char *self, const char *text)
{
    size_t place = lh_proc_place(self);
    char *end, path[64];
    look now;
    if (place == 0 || strncmp(self, text, place) != 0)
        return false;
    long pid = strtol(text + place, &end, 10);
    if (pid <= 0 || pid > 0x7fffffff || *end != '/' || !isdigit((unsigned char)end[1]))
        return false;
    unsigned long long started = strtoull(end + 1, &end, 10);
    if (*end != '\0')
        return false;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return true;
    /* There is one. A process that may not be looked at (hidepid) has no file, and counts as
     * alive. */
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!is_proc_ours() || !read_stat(path, &now))
        return false;
    /* A zombie waits for its parent to look; while other threads of it live only its first one has
     * ended. */
    return now.started != started || ((now.state == 'Z' || now.state == 'X') && now.threads <= 1);
}
