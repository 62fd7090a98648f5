#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the Python module adds to the library: microseconds for an acquire and a release, on a store
that is off, where C sends no command; how soon a signal ends a wait; and many waits on one loop.

    LEASEHOLD_BUILD=build tests/bench/module.py [URI [WAITERS]]

Without a URI only the first is measured. Prints one line for each figure. Needs a build with
tests."""
import asyncio
import math
import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve()
os.environ.setdefault("LEASEHOLD_LIBRARY", str(BUILD / "src" / "libleasehold.so.0"))
sys.path.insert(0, str(ROOT / "tools/bindings/python"))
import leasehold  # noqa: E402
from leasehold import aio  # noqa: E402

TIMES, ROUNDS = 20000, 5


def in_c():
    program = BUILD / "tests/bench_module"
    return float(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


def in_python(store):
    begin = time.perf_counter()
    for _ in range(TIMES):
        with store.acquire("k"):
            pass
    return (time.perf_counter() - begin) * 1e6 / TIMES


async def in_asyncio():
    async with aio.Store(None, rollout="off") as store:
        begin = time.perf_counter()
        for _ in range(TIMES // 10):
            async with store.acquire("k"):
                pass
        return (time.perf_counter() - begin) * 1e7 / TIMES


def overhead():
    with leasehold.Store(None, rollout="off") as store:
        c, python = (
            min(measure() for _ in range(ROUNDS)) for measure in (in_c, lambda: in_python(store))
        )
    print(
        f"acquire and release, no server: C {c:.1f} us, Python {python:.1f} us, the module adds"
        f" {python - c:.1f} us; asyncio"
        f" {min(asyncio.run(in_asyncio()) for _ in range(ROUNDS)):.1f} us"
    )


class Stop(Exception):
    pass


def stop(number, frame):
    raise Stop


def interruption(store, number):
    times = []
    signal.signal(number, stop)
    with store.acquire("k"):
        for _ in range(20):
            sent = []

            def send():
                while not store.status("k").waiters:
                    pass
                sent.append(time.monotonic())
                os.kill(os.getpid(), number)

            thread = threading.Thread(target=send)
            thread.start()
            try:
                store.acquire("k", wait=60)
            except Stop:
                times.append((time.monotonic() - sent[0]) * 1000)
            thread.join()
            assert not store.status("k").waiters
    print(
        f"{signal.Signals(number).name} ends a wait, out of the queue: median"
        f" {statistics.median(times):.1f} ms, most {max(times):.1f} ms"
    )


async def crowd(uri, database, waiters):
    async with aio.Store(uri, database) as store:
        held = await store.acquire("crowd")

        async def wait():
            async with store.acquire("crowd", wait=math.inf, ttl=600):
                return True

        begin = time.monotonic()
        tasks = [asyncio.ensure_future(wait()) for _ in range(waiters)]
        while (await store.status("crowd")).waiters < waiters:
            await asyncio.sleep(0.1)
        queued = time.monotonic()
        threads = len(
            [
                thread
                for thread in threading.enumerate()
                if thread.name.startswith(("leasehold", "MainThread"))
            ]
        )
        everything = len(os.listdir("/proc/self/task"))
        await held.release()
        granted = len([each for each in await asyncio.gather(*tasks) if each])
        print(
            f"{waiters} waits on one loop: queued in {queued - begin:.1f} s, {threads} threads of"
            f" Python ({everything} with the library's and the driver's); {granted} granted one"
            f" after the other in {time.monotonic() - queued:.1f} s"
        )


def main():
    overhead()
    if len(sys.argv) > 1:
        uri, waiters = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, 2 * waiters),) * 2)
        with leasehold.Store(uri, "bench_module", at_open="migrate") as store:
            for number in (signal.SIGINT, signal.SIGTERM):
                interruption(store, number)
            asyncio.run(crowd(uri, "bench_module", waiters))


if __name__ == "__main__":
    main()
