# SPDX-License-Identifier: Apache-2.0
"""Waits of the Python module: signals and other threads end them, and nothing stays behind."""
import math
import os
import signal
import threading
import time

import pytest
from conftest import URI
from module import leasehold, shared


store = shared


@pytest.fixture
def held(store):
    """A lease that others wait for. A wait that does not end would get it after a while, and the
    test would fail."""
    with store.acquire("k") as lease:
        rescue = threading.Timer(20, lease.release)
        rescue.start()
        yield lease
        rescue.cancel()


def queue_of(store, key="k"):
    return [waiter.owner for waiter in store.status(key).queue]


def when(condition, act):
    """Acts in another thread once the condition is true."""

    def run():
        end = time.monotonic() + 15
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class Stop(Exception):
    pass


@pytest.fixture
def handler():
    """A handler of SIGTERM and SIGINT that raises; both as they were afterwards."""

    def stop(number, frame):
        raise Stop(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, old in before.items():
        signal.signal(number, old)


WAYS = {
    "key": lambda store, **how: store.acquire("k", owner="bob", wait=math.inf, **how),
    "path": lambda store, **how: store.acquire("k", owner="bob", wait=math.inf, path=True, **how),
    "many": lambda store, **how: store.acquire_many(["j", "k"], owner="bob", wait=math.inf, **how),
    "feedback": lambda store, **how: store.acquire(
        "k", owner="bob", wait=math.inf, feedback=lambda *_: None, **how
    ),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("way", WAYS)
def test_what_a_signal_handler_raises_ends_a_wait(store, held, handler, way, number):
    signalled = []
    thread = when(
        lambda: queue_of(store) == ["bob"],
        lambda: (signalled.append(time.monotonic()), os.kill(os.getpid(), number)),
    )
    with pytest.raises(Stop):
        WAYS[way](store)
    print(f"{way} {number.name}: {(time.monotonic() - signalled[0]) * 1000:.1f} ms")
    thread.join()
    assert queue_of(store) == [] and store.status("j").state == "free"
    held.release()
    assert store.status("k").state == "free"


def test_a_signal_handler_that_returns_does_not_end_it(store, held):
    calls = []
    before = signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
    thread = when(lambda: queue_of(store) == ["bob"], lambda: os.kill(os.getpid(), signal.SIGTERM))
    release = when(lambda: calls, held.release)  # the handler runs during the wait
    try:
        with store.acquire("k", owner="bob", wait=math.inf) as lease:
            assert calls and lease.valid
    finally:
        signal.signal(signal.SIGTERM, before)
    thread.join()
    release.join()


def test_an_end_of_a_wait_by_time_is_its_own_exception(store, held):
    with pytest.raises(leasehold.WaitTimeout) as late:
        store.acquire("k", wait=0.1)
    assert isinstance(late.value, TimeoutError) and isinstance(late.value, leasehold.Busy)
    assert (late.value.reason, late.value.why, late.value.holder.owner, late.value.key) == (
        "timeout",
        "held",
        "ann",
        "k",
    )
    with pytest.raises(leasehold.Busy) as busy:
        store.acquire("k")
    assert not isinstance(busy.value, TimeoutError) and busy.value.reason == "held"
    with pytest.raises(leasehold.WaitTimeout):
        store.acquire_many(["j", "k"], wait=0.1)
    assert queue_of(store) == []


def test_feedback_comes_in_the_waiting_thread(store, held):
    seen = []

    def feedback(status, place):
        seen.append((status.holders[0].owner, place, threading.get_ident()))
        held.release()

    with store.acquire("k", owner="bob", wait=math.inf, feedback=feedback) as lease:
        assert lease.valid and seen[0] == ("ann", 0, threading.get_ident())


def test_what_feedback_raises_ends_the_wait(store, held):
    with pytest.raises(ZeroDivisionError):
        store.acquire("k", owner="bob", wait=math.inf, feedback=lambda *_: 1 / 0)
    assert queue_of(store) == []


@pytest.mark.parametrize("way", WAYS)
def test_closing_the_store_ends_the_waits_of_all_threads(store, module_database, held, way):
    outcomes = []
    other = leasehold.Store(URI, module_database.name, owner="bob")

    def wait():
        try:
            outcomes.append(WAYS[way](other))
        except leasehold.Error as why:
            outcomes.append(why)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    when(lambda: len(queue_of(store)) == (3 if way != "many" else 1), other.close).join()
    for thread in threads:
        thread.join(10)
    assert len(outcomes) == 3 and {type(each) for each in outcomes} <= {
        leasehold.Closed,
        leasehold.Error,
    }
    assert queue_of(store) == []


def test_a_signal_handler_may_close_the_store(store, module_database, held):
    other = leasehold.Store(URI, module_database.name, owner="bob")
    before = signal.signal(signal.SIGTERM, lambda *_: other.close())
    thread = when(lambda: queue_of(store) == ["bob"], lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(leasehold.Closed):
            other.acquire("k", wait=math.inf)
    finally:
        signal.signal(signal.SIGTERM, before)
    thread.join()
    with pytest.raises(leasehold.Closed):
        other.status("k")


def test_a_store_is_closed_when_the_last_call_returns(module_database):
    """From a callback within a call, and while other threads call."""
    other, closed_inside = leasehold.Store(URI, module_database.name), []
    module_database.workspace_locks.insert_one(
        {"_id": "old", "workspace_id": "old", "expires_at": 0}
    )
    failures = []

    def close(*_):
        other.close()  # when the cleanup returns
        closed_inside.append(other)

    def ask():
        try:
            while True:
                other.status("k")
        except leasehold.Closed:
            pass
        except Exception as why:
            failures.append(why)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert other.cleanup(older_than=3600, progress=close).removed == 1 and closed_inside
    other.close()
    for thread in threads:
        thread.join(10)
    assert not failures
