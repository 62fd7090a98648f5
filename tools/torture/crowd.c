/* SPDX-License-Identifier: Apache-2.0
 * A store does not survive fork(), so each process is this program again, started anew. Its task is
 * in its environment, and the connection string, which may contain a password, comes through a
 * pipe. */
#include "torture/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/out.h"

#define MEMBER    "LEASEHOLD_TORTURE_PROCESS"
#define TICK_MS   10
#define GOODBYE_S 20

const char *const crowd_fault_words[CROWD_FAULTS] = {"pause", "kill",     "old",    "stepdown",
                                                     "lag",   "rollback", "errors", "killops"};

/* How often, in ms, on the average. */
static const uint32_t every_ms[CROWD_FAULTS] = {900, 2500, 2500, 7000, 1800, 8000, 800, 1500};

struct member {
    pid_t pid; /* 0: it is gone */
    int life;
    int64_t awake; /* stopped until then; 0: it runs */
};

struct crowd {
    const struct torture *torture;
    struct deployment *deployment;
    const struct history *history;
    struct crowd_report *report;
    struct member member[CROWD_MAX];
    uint64_t dice;
    int64_t next[CROWD_FAULTS], mend_at,
        calm_at; /* calm_at: no other fault of the deployment before */
    char old_id[40];
    int64_t old_until;
    bool stopped; /* the processes are being killed, because somebody stopped the run */
};

/* ---- Starting -------------------------------------------------------------------------------- */

static void in_the_child(const struct torture *torture, int p, int life, int uri_fd)
{
    char what[PATH_MAX + 1024];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left behind */
    (void)snprintf(what, sizeof what, "%d %d %" PRIu64 " %d %" PRId64 " %u %d %d %s %s %s\n%s", p,
                   life, torture->seed, torture->keys, torture->until, torture->faults,
                   torture->is_set, torture->insecure_tls, torture->db, torture->app,
                   torture->history, torture->mail);
    (void)setenv(MEMBER, what, 1);
    (void)dup2(uri_fd, STDIN_FILENO);
    (void)setpgid(0, 0); /* a signal for the parent's group is the parent's affair */
    char *const argv[] = {(char[]){"leasehold-torture"}, NULL};
    (void)execv("/proc/self/exe", argv);
    _exit(127);
}

static void start(struct crowd *crowd, int p)
{
    struct member *member = &crowd->member[p];
    int ends[2];
    member->pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    size_t len = strlen(crowd->torture->uri);
    pid_t pid = fork(); /* the child only calls exec: no store is used in it */
    if (pid == 0)
        in_the_child(crowd->torture, p, member->life, ends[0]);
    (void)close(ends[0]);
    if (pid > 0 && write(ends[1], crowd->torture->uri, len) == (ssize_t)len)
        member->pid = pid;
    (void)close(ends[1]);
}

bool crowd_is_member(struct torture *torture, int *ret_p, int *ret_life)
{
    static char uri[16384], db[128], app[128], history[PATH_MAX], mail[512];
    const char *what = getenv(MEMBER);
    int insecure_tls = 0, is_set = 0;
    if (!what)
        return false;
    int n =
        sscanf(what, "%d %d %" SCNu64 " %d %" SCNd64 " %u %d %d %127s %127s %4095[^\n] %511[^\n]",
               ret_p, ret_life, &torture->seed, &torture->keys, &torture->until, &torture->faults,
               &is_set, &insecure_tls, db, app, history, mail);
    size_t len = 0;
    for (ssize_t got;
         len < sizeof uri - 1 && (got = read(STDIN_FILENO, uri + len, sizeof uri - 1 - len)) > 0;)
        len += (size_t)got;
    torture->uri = uri;
    torture->is_set = is_set != 0;
    torture->insecure_tls = insecure_tls != 0;
    torture->db = db;
    torture->app = app;
    torture->history = history;
    torture->mail = mail;
    return n == 12 && len > 0;
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void note_fault(struct crowd *crowd, int fault, int p, int64_t ms)
{
    bson_t line;
    history_begin(crowd->history, &line, "fault");
    BSON_APPEND_UTF8(&line, "kind", crowd_fault_words[fault]);
    BSON_APPEND_INT32(&line, "p", p);
    if (p >= 0)
        BSON_APPEND_INT32(&line, "life", crowd->member[p].life);
    BSON_APPEND_INT64(&line, "ms", ms);
    (void)history_write(crowd->history, &line);
    crowd->report->faults[fault]++;
}

/* A process that runs; -1: none does. */
static int some_member(struct crowd *crowd)
{
    int p = (int)torture_dice(&crowd->dice, (uint32_t)crowd->torture->processes);
    return crowd->member[p].pid && !crowd->member[p].awake ? p : -1;
}

static void pause_one(struct crowd *crowd, int64_t now)
{
    int p = some_member(crowd);
    int64_t ms = 300 + torture_dice(&crowd->dice, 3000);
    if (p < 0)
        return;
    note_fault(crowd, 0, p, ms + 1000);
    (void)kill(crowd->member[p].pid, SIGSTOP);
    crowd->member[p].awake = now + ms * 1000000;
}

/* It has stopped itself, and said so in the history. */
static void note_stopped(struct crowd *crowd, struct member *member)
{
    uint32_t ms =
        TORTURE_STOP_MIN_MS + torture_dice(&crowd->dice, TORTURE_STOP_MAX_MS - TORTURE_STOP_MIN_MS);
    member->awake = history_now() + ms * INT64_C(1000000);
    crowd->report->faults[0]++;
}

static void kill_one(struct crowd *crowd)
{
    int p = some_member(crowd);
    if (p < 0)
        return;
    struct member *member = &crowd->member[p];
    note_fault(crowd, 1, p, 1000);
    (void)kill(member->pid, SIGKILL);
    (void)waitpid(member->pid, NULL, 0);
    member->life++;
    start(crowd, p);
}

/* An old lock appears on a key that is free, and is deleted by its id a while later. */
static void plant_old(struct crowd *crowd, int64_t now)
{
    char key[16];
    if (*crowd->old_id || crowd->mend_at || now < crowd->calm_at)
        return;
    (void)snprintf(crowd->old_id, sizeof crowd->old_id, "old%" PRId64, now);
    bool planted = false;
    for (int i = 0; i < 8 && !planted; i++) { /* the key has to be free just then */
        (void)snprintf(key, sizeof key, "k%u",
                       torture_dice(&crowd->dice, (uint32_t)crowd->torture->keys));
        planted = deployment_put_old(crowd->deployment, key, crowd->old_id);
    }
    if (planted) {
        note_fault(crowd, 2, -1, 1500);
        crowd->old_until = now + INT64_C(1500000000);
    } else {
        *crowd->old_id = '\0';
    }
}

static void do_fault(struct crowd *crowd, int fault, int64_t now)
{
    int64_t ms;
    if (fault == 0) {
        pause_one(crowd, now);
    } else if (fault == 1) {
        kill_one(crowd);
    } else if (fault == 2) {
        plant_old(crowd, now);
    } else if (now >= crowd->calm_at &&
               deployment_fault(crowd->deployment, 1U << fault, &crowd->dice, &ms)) {
        int64_t took_ms = (history_now() - now) / 1000000;
        note_fault(crowd, fault, -1, ms + took_ms + 2000);
        crowd->mend_at = now + ms * 1000000;
        crowd->calm_at = history_now() + INT64_C(200000000) + (fault == 4 ? ms * 1000000 : 0);
    }
}

static void set_next(struct crowd *crowd, int fault)
{
    uint32_t ms = every_ms[fault];
    if (fault < 2) /* of each process as often, however many they are */
        ms = ms * 8 / (uint32_t)crowd->torture->processes;
    crowd->next[fault] =
        history_now() + (int64_t)(ms / 2 + torture_dice(&crowd->dice, ms)) * 1000000;
}

static void wake(struct crowd *crowd, int64_t now)
{
    for (int p = 0; p < crowd->torture->processes; p++) {
        struct member *member = &crowd->member[p];
        if (member->awake && now >= member->awake) {
            (void)kill(member->pid, SIGCONT);
            member->awake = 0;
        }
    }
    if (crowd->mend_at && now >= crowd->mend_at) {
        deployment_mend(crowd->deployment);
        crowd->mend_at = 0;
    }
    if (*crowd->old_id && now >= crowd->old_until && !crowd->mend_at) {
        (void)deployment_delete_old(crowd->deployment, crowd->old_id);
        *crowd->old_id = '\0';
    }
}

/* ---- The run --------------------------------------------------------------------------------- */

/* Collects the processes that have ended, and returns the number of the others. The clock is read
 * after the end of a process is noticed, because a fault may have taken the last seconds of the
 * run. */
static int reap(struct crowd *crowd)
{
    int there = 0, status;
    for (int p = 0; p < crowd->torture->processes; p++) {
        struct member *member = &crowd->member[p];
        if (!member->pid)
            continue;
        pid_t changed = waitpid(member->pid, &status, WNOHANG | WUNTRACED);
        if (changed == member->pid && WIFSTOPPED(status) && WSTOPSIG(status) == TORTURE_STOP_SIGNAL)
            note_stopped(crowd, member);
        if (changed == 0 ||
            (changed == member->pid && WIFSTOPPED(status))) { /* running, or stopped by whomever */
            there++;
            continue;
        }
        member->pid = 0;
        bool well = history_now() >= crowd->torture->until && WIFEXITED(status) &&
                    WEXITSTATUS(status) == EXIT_DONE;
        if (!well && !crowd->stopped && !*crowd->report->failed)
            (void)snprintf(crowd->report->failed, sizeof crowd->report->failed,
                           "process %d ended with %s %d", p,
                           WIFSIGNALED(status) ? "signal" : "status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return there;
}

/* A process that the run kills has ended as expected. */
static void kill_all(struct crowd *crowd)
{
    for (int p = 0; p < crowd->torture->processes; p++) {
        struct member *member = &crowd->member[p];
        if (!member->pid)
            continue;
        (void)kill(member->pid, SIGKILL);
        (void)waitpid(member->pid, NULL, 0);
        member->pid = 0;
    }
}

static void end_all(struct crowd *crowd)
{
    int64_t patience = history_now() + GOODBYE_S * INT64_C(1000000000);
    for (int p = 0; p < crowd->torture->processes; p++)
        crowd->member[p].awake = crowd->member[p].awake ? 1 : 0;
    crowd->mend_at = crowd->old_until = 1;
    wake(crowd, INT64_MAX);
    while (reap(crowd) > 0) {
        wake(crowd, INT64_MAX); /* who stopped itself just then */
        if (history_now() < patience) {
            torture_nap(TICK_MS);
            continue;
        }
        kill_all(crowd);
        if (!*crowd->report->failed)
            (void)snprintf(crowd->report->failed, sizeof crowd->report->failed,
                           "a process did not end within %d s", GOODBYE_S);
    }
}

void crowd_run(const struct torture *torture, struct deployment *deployment,
               const struct history *history, const volatile int *stop, struct crowd_report *report)
{
    struct crowd crowd = {
        .torture = torture, .deployment = deployment, .history = history, .report = report};
    crowd.dice = torture_seed(torture->seed, 1000, 0);
    for (int p = 0; p < torture->processes; p++)
        start(&crowd, p);
    for (int fault = 0; fault < CROWD_FAULTS; fault++)
        set_next(&crowd, fault);
    while (!*stop && history_now() < torture->until && !*report->failed) {
        torture_nap(TICK_MS);
        int64_t now = history_now();
        wake(&crowd, now);
        for (int fault = 0; fault < CROWD_FAULTS; fault++)
            if ((torture->faults & (1U << fault)) && now >= crowd.next[fault]) {
                do_fault(&crowd, fault, now);
                set_next(&crowd, fault);
            }
        (void)reap(&crowd);
    }
    crowd.stopped = *stop != 0;
    if (*stop || *report->failed)
        kill_all(&crowd);
    end_all(&crowd);
}
