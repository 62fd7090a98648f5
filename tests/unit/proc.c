/* SPDX-License-Identifier: Apache-2.0
 * Processes that live, have died, and only look as if. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"

/* A child that tells its name and then does `rest`. */
static pid_t start(char text[LH_PROC_ROOM], void (*rest)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char mine[LH_PROC_ROOM] = {0};
        lh_proc_self(mine);
        if (write(ends[1], mine, sizeof mine) == (ssize_t)sizeof mine)
            rest();
        _exit(0);
    }
    assert_int_equal(read(ends[0], text, LH_PROC_ROOM), LH_PROC_ROOM);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return pid;
}

static void stay(void)
{
    for (;;)
        (void)pause();
}

static void *stay_in_thread(void *unused)
{
    stay();
    return unused;
}

/* The process goes on, and its first thread is shown as a zombie. */
static void leave_by_thread(void)
{
    pthread_t thread;
    (void)pthread_create(&thread, NULL, stay_in_thread, NULL);
    pthread_exit(NULL);
}

static void wait_for_zombie(pid_t pid)
{
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_the_living_and_the_dead(void **state)
{
    (void)state;
    char self[LH_PROC_ROOM], child[LH_PROC_ROOM];
    lh_proc_self(self);
    assert_true(lh_proc_place(self) > 16);
    assert_false(lh_proc_is_dead(self, self));
    pid_t pid = start(child, stay);
    assert_false(lh_proc_is_dead(self, child));
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_false(lh_proc_is_dead(self, child));
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for_zombie(pid);
    assert_true(lh_proc_is_dead(self, child));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(lh_proc_is_dead(self, child));
}

static void test_who_has_lost_its_first_thread_lives(void **state)
{
    (void)state;
    char self[LH_PROC_ROOM], child[LH_PROC_ROOM], path[64], line[256] = "";
    lh_proc_self(self);
    pid_t pid = start(child, leave_by_thread);
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 500 && !strstr(line, ") Z "); i++) {
        (void)usleep(10000);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof line, file));
        (void)fclose(file);
    }
    assert_non_null(strstr(line, ") Z "));
    assert_false(lh_proc_is_dead(self, child));
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for_zombie(pid);
    assert_true(lh_proc_is_dead(self, child));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_what_is_no_such_text_is_not_dead(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/",
                                      "///",
                                      "a/1/2/3",
                                      "a/1/2/0/5",
                                      "a/1/2/-7/5",
                                      "a/1/2/99999999999/5",
                                      "a/1/2/2147483646/",
                                      "a/1/2/2147483646/5x",
                                      "a/1/2/2147483646/-5",
                                      "b/1/2/2147483646/5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lh_proc_is_dead("a/1/2/7/5", bad[i]));
        assert_false(lh_proc_is_dead(bad[i], bad[i]) && i < 4);
    }
    assert_true(lh_proc_is_dead("a/1/2/7/5", "a/1/2/2147483646/5"));
    assert_false(lh_proc_is_dead("", "a/1/2/2147483646/5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_living_and_the_dead),
        cmocka_unit_test(test_who_has_lost_its_first_thread_lives),
        cmocka_unit_test(test_what_is_no_such_text_is_not_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
