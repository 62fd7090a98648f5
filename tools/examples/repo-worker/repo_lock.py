# SPDX-License-Identifier: Apache-2.0
"""A mutex for each repository, for all workers on all hosts.

    await with_repo_lock("owner/name", "job 17", fn)   # await fn(lease), as the only one
    await shutdown_repo_lock()                         # at the end of the program

LockTimeoutError: the repository stayed busy; let the queue retry the job. Lost: the lease ended
while fn ran, and fn was cancelled. What fn raises passes through; the lock is released then too.
The connection is opened at the first use, by LEASEHOLD_URI and so on; LEASEHOLD_MODE=off needs no
server, for tests of programs that use this."""
import asyncio
import contextlib
import os
import signal

import leasehold
from leasehold import aio

LockTimeoutError = leasehold.WaitTimeout
GRACE = 5  # seconds for a process to end by itself, while the lease is held
_opening = None  # the task that opens the store: only one, however many callers begin at once


async def _store():
    global _opening
    if _opening is None:
        _opening = asyncio.ensure_future(aio.Store.from_environment(at_open="migrate").open())
    opening = _opening
    try:
        return await asyncio.shield(opening)
    except leasehold.Error:
        if _opening is opening:
            _opening = None  # the next caller tries again
        raise


async def with_repo_lock(repo, job, fn, wait=30):
    store = await _store()
    async with store.acquire(leasehold.key_join("repo", repo), wait=wait, purpose=job) as lease:
        return await fn(lease)


async def shutdown_repo_lock():
    """Ends the waits, and releases what is held."""
    global _opening
    if _opening is not None:
        opening, _opening = _opening, None
        await (await opening).close()


class CommandFailed(Exception):
    pass


async def run(lease, *command):
    """Runs a command under the lease. It ends, with all that it started, if the task is
    cancelled: at once if the lease was lost, since another holder may come."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        await _end(process, min(GRACE, lease.remaining))
        raise
    if status != 0:
        raise CommandFailed(f"{command[0]}: exit status {status}")


async def _end(process, grace):
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), grace)
        except asyncio.TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
