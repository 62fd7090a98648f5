/* SPDX-License-Identifier: Apache-2.0
 * The child of `leasehold run`: a process group of its own, which has the terminal if we had it,
 * and which ends when we are killed. After fork() only async-signal-safe calls are made, because
 * other threads exist by then. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run.h"

/* ---- the guard ---- */

/* Reads until the other end is closed. Each value is the group to guard, or 0 for none. */
static void guard_main(int fd)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)prctl(PR_SET_NAME, "leasehold-guard");
    for (int other = 0; other <= STDERR_FILENO; other++)
        (void)close(other); /* nobody waits for the end of our output because of it */
    pid_t group = 0, heard;
    ssize_t n;
    while ((n = read(fd, &heard, sizeof heard)) != 0) {
        if (n == sizeof heard)
            group = heard;
    }
    if (group > 0)
        (void)kill(-group, SIGKILL);
    _exit(0);
}

bool guard_start(struct guard *guard)
{
    int fds[2];
    pid_t parent = getpid();
    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    guard->pid = fork();
    if (guard->pid == 0) {
        (void)close(fds[1]);
        if (getppid() == parent)
            guard_main(fds[0]);
        _exit(0);
    }
    (void)close(fds[0]);
    guard->fd = fds[1];
    return guard->pid > 0;
}

void guard_watch(const struct guard *guard, pid_t group)
{
    ssize_t n = write(guard->fd, &group, sizeof group);
    (void)n; /* it is gone then; the parent-death signal still is there */
}

void guard_stop(struct guard *guard)
{
    guard_watch(guard, 0);
    (void)close(guard->fd);
    while (guard->pid > 0 && waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *guard = (struct guard){.pid = -1, .fd = -1};
}

/* ---- starting ---- */

/* In the child. Returns only when it could not be done. */
static void become(char *const *argv, char *const *environment, const sigset_t *mask, pid_t parent,
                   bool on_terminal)
{
    (void)setpgid(0, 0);
    if (on_terminal)
        (void)tcsetpgrp(STDIN_FILENO, getpid());
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before that call */
        _exit(EXIT_SIGNAL + SIGKILL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    (void)execvpe(argv[0], argv, environment);
}

int child_start(struct child *child, char *const *argv, char *const *environment,
                const sigset_t *mask)
{
    int report[2], why = 0;
    pid_t parent = getpid();
    *child = (struct child){.pid = -1};
    if (pipe2(report, O_CLOEXEC) < 0)
        return errno;
    child->on_terminal = isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
    child->pid = fork();
    if (child->pid == 0) {
        become(argv, environment, mask, parent, child->on_terminal);
        why = errno;
        ssize_t n = write(report[1], &why, sizeof why);
        (void)n;
        _exit(127);
    }
    if (child->pid < 0)
        why = errno;
    (void)close(report[1]);
    if (child->pid > 0) {
        (void)setpgid(child->pid, child->pid); /* the child does this too: either may be first */
        ssize_t n;
        while ((n = read(report[0], &why, sizeof why)) < 0 && errno == EINTR)
            continue;
        if (n == sizeof why)
            (void)waitpid(child->pid, NULL, 0);
    }
    (void)close(report[0]);
    if (why)
        child_leave_terminal(child);
    return why;
}

/* ---- running ---- */

void child_signal(const struct child *child, int signal)
{
    (void)kill(-child->pid, signal);
    (void)kill(-child->pid, SIGCONT);
}

bool child_group_exists(const struct child *child)
{
    return kill(-child->pid, 0) == 0;
}

bool child_look(struct child *child)
{
    siginfo_t info = {0};
    if (child->ended || waitid(P_PID, (id_t)child->pid, &info, WEXITED | WSTOPPED | WNOHANG) < 0 ||
        info.si_pid == 0)
        return false;
    if (info.si_code == CLD_STOPPED)
        return child->on_terminal;
    child->ended = true;
    child->status = info.si_code == CLD_EXITED ? info.si_status : EXIT_SIGNAL + info.si_status;
    return false;
}

void child_stop_with(const struct child *child)
{
    (void)tcsetpgrp(STDIN_FILENO, getpgrp());
    (void)kill(getpid(), SIGSTOP);
    /* A shell has woken us: with `fg` the terminal is ours, and the child's again; with `bg` it is
     * not. */
    if (tcgetpgrp(STDIN_FILENO) == getpgrp())
        (void)tcsetpgrp(STDIN_FILENO, child->pid);
}

void child_leave_terminal(struct child *child)
{
    if (child->on_terminal)
        (void)tcsetpgrp(STDIN_FILENO, getpgrp());
    child->on_terminal = false;
}
