/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/probe.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/out.h"
#include "serve/listen.h"

enum { PATIENCE_S = 5 };

/* "localhost" is a name that a server without tokens accepts. */
static const char question[] =
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char yes[] = "HTTP/1.1 200 ";

static int ask(int fd, lh_error *error)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    char answer[sizeof yes - 1];
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != sizeof question - 1 ||
        recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer)
        return out_fail(error, LH_UNREACHABLE, "the server did not respond within %d s",
                        PATIENCE_S);
    if (memcmp(answer, yes, sizeof answer) != 0)
        return out_fail(error, LH_UNREACHABLE,
                        "the server accepts connections, but does not reply to /healthz");
    return LH_OK;
}

int probe_run(const struct cli *cli)
{
    lh_error error = LH_ERROR_INIT;
    int fd, code = listen_connect(cli_text(cli, OPT_LISTEN), &fd, &error);
    if (code == LH_OK) {
        code = ask(fd, &error);
        (void)close(fd);
    }
    return code == LH_OK ? EXIT_DONE : out_error(&cli->out, &error);
}
