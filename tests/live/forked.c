/* SPDX-License-Identifier: Apache-2.0
 * A store does not survive fork(): the child is told so by every call, and the parent goes on. */
#include "live.h"

#include <sys/wait.h>
#include <unistd.h>

static int refuse(void *arg, const lh_record *record)
{
    (void)arg;
    (void)record;
    return 1;
}

/* The number of the first call that did something else, else 0. */
static int try_everything(lh_store *store, lh_lease *lease)
{
    lh_error error;
    lh_lease *other = NULL;
    lh_record *record = NULL;
    lh_cleanup_report cleaned;
    lh_migrate_report migrated;
    lh_break_options breaking = LH_BREAK_OPTIONS_INIT;
    breaking.reason = "test";
    if (lh_acquire(store, "other", NULL, &other, NULL, &error) != LH_FORKED || !strstr(error.message, "fork"))
        return 1;
    if (lh_lease_renew(lease, 0, NULL, &error) != LH_FORKED)
        return 2;
    if (lh_lease_release(lease, &error) != LH_FORKED)
        return 3;
    if (lh_lease_attach(store, "k", lh_lease_id(lease), &other, &error) != LH_FORKED)
        return 4;
    if (lh_status(store, "k", &record, &error) != LH_FORKED)
        return 5;
    if (lh_list(store, NULL, refuse, NULL, &error) != LH_FORKED)
        return 6;
    if (lh_break(store, "k", &breaking, NULL, &error) != LH_FORKED)
        return 7;
    if (lh_cleanup(store, NULL, &cleaned, &error) != LH_FORKED)
        return 8;
    if (lh_migrate(store, NULL, &migrated, &error) != LH_FORKED)
        return 9;
    if (other || record)
        return 10;
    lh_lease_free(lease);
    lh_store_close(store); /* harms nobody */
    return 0;
}

static void test_the_child_is_told_and_the_parent_goes_on(void **state)
{
    ground *g = *state;
    lh_lease *lease = take(g, "k");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_everything(g->store, lease));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(state_of(g, "k"), LH_HELD);
    expect(g, LH_OK, lh_lease_renew(lease, 0, NULL, &g->error));
    give(g, lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {live_test(test_the_child_is_told_and_the_parent_goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
