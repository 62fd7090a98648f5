#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clones, updates and deletes repositories, several at once, each by one worker at a time.

    worker.py FROM TO [WAIT] <jobs      FROM/owner/name is copied to TO/owner/name

A job is a line: NAME clone|pull|delete OWNER/REPO. A repository that stays busy for WAIT seconds
(30 if not given) sends its job back to the queue, three times at most. SIGTERM or SIGINT ends the
waits and the commands, releases the leases, and prints which jobs are not done. Exit status: 0; 1:
a job failed or is not done."""
import asyncio
import collections
import contextlib
import os
import signal
import sys
from pathlib import Path

import leasehold
from repo_lock import CommandFailed, LockTimeoutError, run, shutdown_repo_lock, with_repo_lock

WORKERS = 4
MOST_ATTEMPTS = 3


async def clone(lease, source, target):
    """Into a folder beside it first: the target is a whole repository, or does not exist."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{target.name}.new-*"):  # by a worker that was killed
        await run(lease, "rm", "-rf", "--", left)
    fresh = f"{target}.new-{lease.token}"
    await run(lease, "git", "clone", "--quiet", "--", source, fresh)
    os.rename(fresh, target)


async def pull(lease, _, target):
    await run(lease, "git", "-C", target, "pull", "--quiet", "--ff-only")


async def delete(lease, _, target):
    await run(lease, "rm", "-rf", "--", target)


WORK = {"clone": clone, "pull": pull, "delete": delete}


class Worker:
    def __init__(self, source, target, wait=30):
        self.source, self.target, self.wait = source, Path(target), float(wait)
        self.queue = collections.deque()
        self.left, self.ok = set(), True

    def add(self, name, what, repo):
        self.left.add(name)
        self.queue.append((name, WORK[what], repo, MOST_ATTEMPTS))

    async def do(self, name, work, repo, attempts):
        source, target = f"{self.source}/{repo}", self.target / repo
        try:
            await with_repo_lock(repo, name, lambda lease: work(lease, source, target), self.wait)
            self.settle(name, True, "done")
        except LockTimeoutError as busy:
            why = f"{repo} is held by {busy.holder.owner}" if busy.holder else busy
            if attempts > 1:
                self.queue.append((name, work, repo, attempts - 1))
                print(f"{name}: retried, {why}", flush=True)
            else:
                self.settle(name, False, f"failed, {why}")
        except (CommandFailed, OSError, leasehold.Error) as why:
            self.settle(name, False, f"failed, {why}")

    def settle(self, name, ok, how):
        self.left.remove(name)
        self.ok = self.ok and ok
        print(f"{name}: {how}", flush=True)

    async def work(self):
        while self.queue:
            await self.do(*self.queue.popleft())

    async def run(self):
        try:
            await asyncio.gather(*(self.work() for _ in range(WORKERS)))
        finally:
            await shutdown_repo_lock()


async def main():
    worker = Worker(*sys.argv[1:])
    for line in sys.stdin:
        worker.add(*line.split())
    running = asyncio.ensure_future(worker.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    for name in sorted(worker.left):
        print(f"{name}: not done", flush=True)
    return int(bool(worker.left) or not worker.ok)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
