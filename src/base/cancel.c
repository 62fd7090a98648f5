/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cancel.h"
#include "base/error.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct lh_cancel {
    int fd;
};

int lh_cancel_new(lh_cancel **ret_cancel, lh_error *error)
{
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    lh_cancel *cancel = calloc(1, sizeof *cancel);
    if (!cancel || (cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        free(cancel);
        return lh_fail(error, LH_MEMORY, "out of memory or of file descriptors");
    }
    *ret_cancel = cancel;
    return LH_OK;
}

void lh_cancel_now(lh_cancel *cancel)
{
    uint64_t one = 1;
    if (cancel && write(cancel->fd, &one, sizeof one) < 0)
        return; /* the counter is full: it was cancelled long ago */
}

void lh_cancel_free(lh_cancel *cancel)
{
    if (!cancel)
        return;
    (void)close(cancel->fd);
    free(cancel);
}

int lh_cancel_fd(const lh_cancel *cancel)
{
    return cancel ? cancel->fd : -1;
}

bool lh_cancel_is_now(const lh_cancel *cancel)
{
    struct pollfd poller = {.fd = lh_cancel_fd(cancel), .events = POLLIN};
    return cancel && poll(&poller, 1, 0) == 1;
}
