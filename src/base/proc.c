/* SPDX-License-Identifier: Apache-2.0
 * Identifies processes by more than their pid, since pids are reused: by later processes, in other
 * containers, and after a reboot.
 *
 * A pid belongs to a pid namespace. The kernel does not reuse the number of a namespace while one
 * of its processes lives. Within a namespace, a pid is reused only by a process that starts later.
 * So boot, namespace, pid and start time together identify one process for ever. The start time
 * depends on the reader's time namespace, so that has to be the same too. */
#include "base/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a small file. False: it cannot be read. */
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

/* Reads the first 16 of 32 digits: 64 random bits. */
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

/* The number in "pid:[4026531836]". 0: there is no such namespace (an older kernel), or it cannot
 * be read. */
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

/* Reads fields 3, 20 and 22. The second field, the name in brackets, can contain anything. */
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

/* Whether /proc shows processes by the pids of our own namespace. It does not if it was mounted in
 * another namespace. */
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
    /* A process with this pid exists. If its file may not be read (hidepid), it counts as alive. */
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!is_proc_ours() || !read_stat(path, &now))
        return false;
    /* A zombie is dead, but only if it has no other threads: a process whose first thread has ended
     * looks like a zombie while the others live. */
    return now.started != started || ((now.state == 'Z' || now.state == 'X') && now.threads <= 1);
}
