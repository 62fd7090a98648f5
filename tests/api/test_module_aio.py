# SPDX-License-Identifier: Apache-2.0
"""leasehold.aio: waits without threads, cancellations that leave nothing behind, blocks that end
when their lease is lost."""
import asyncio
import functools
import importlib
import inspect
import math
import os
import threading

import pytest
from conftest import URI
from module import leasehold, shared
from leasehold import aio

WAITERS = 200
observer = shared  # the same keys, seen without asyncio


@pytest.fixture(scope="module")
def shared_store(observer, module_database):
    store = aio.Store(URI, module_database.name, owner="ann")
    asyncio.run(store.open())
    yield store
    asyncio.run(store.close())


@pytest.fixture
def with_store(shared_store):
    """Runs a coroutine function in a loop of its own, with the store."""
    return lambda test: asyncio.run(asyncio.wait_for(test(shared_store), 60))


def queue_of(observer, key):
    return len(observer.status(key).queue)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def asynchronous(test):
    """The test's own coroutine function, with a store of its loop; what it does last is checked by
    the observer."""
    arguments = list(inspect.signature(test).parameters.values())[1:]

    def run(with_store, **fixtures):
        with_store(lambda store: test(store, **fixtures))

    run.__signature__ = inspect.Signature(
        [
            inspect.Parameter("with_store", inspect.Parameter.KEYWORD_ONLY),
            *(argument.replace(kind=inspect.Parameter.KEYWORD_ONLY) for argument in arguments),
        ]
    )
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@asynchronous
async def test_a_lease_ends_with_its_block(store, observer):
    async with store.acquire("k", purpose="build") as lease:
        assert (
            lease.valid
            and (await store.status("k")).token == lease.token == observer.status("k").token
        )
        with pytest.raises(leasehold.Busy) as busy:
            await store.acquire("k")
        assert busy.value.holder.purpose == "build"
        with pytest.raises(leasehold.WaitTimeout):
            async with store.acquire("k", wait=0.1):
                pass
    assert observer.status("k").state == "free" and not lease.valid
    lease = await store.acquire("k")
    assert await lease.note() is None
    await lease.release(note="v7")
    async with await store.acquire("k") as lease:
        assert (await lease.note()).text == "v7"
        await lease.renew(60)
        assert lease.remaining > 50
        fresh = await lease.transfer("bob")
    attached = store.attach("k", fresh)
    await attached.renew()
    await attached.keep()
    await attached.release()


@asynchronous
async def test_many_keys_and_paths(store, observer):
    async with store.acquire_many(["a", "b"], wait=1) as leases:
        assert leases.valid and [lease.key for lease in leases] == ["a", "b"]
        waiting = asyncio.ensure_future(store.acquire_many(["b", "c"], wait=math.inf))
        await until(lambda: queue_of(observer, "b"))
    async with await waiting:
        assert observer.status("c").state == "held"
    async with store.acquire("org", path=True):
        with pytest.raises(leasehold.Busy):
            await store.acquire("org/file", path=True)
        with pytest.raises(leasehold.WaitTimeout):
            await store.acquire("org/file", path=True, wait=0.1)


@asynchronous
async def test_feedback_is_called_in_the_loop(store):
    held, seen = await store.acquire("f"), []

    def feedback(status, place):
        seen.append((status.holders[0].owner, place, asyncio.get_running_loop()))
        releasing.append(asyncio.ensure_future(held.release()))

    releasing = []
    async with store.acquire("f", wait=math.inf, feedback=feedback):
        assert seen[0] == ("ann", 0, asyncio.get_running_loop())
    await asyncio.gather(*releasing)


@asynchronous
async def test_waits_need_no_threads(store, observer):
    """There are as many threads as with one. Some are cancelled; each of the others is granted."""
    held, granted = await store.acquire("crowd"), []

    async def wait(number):
        async with store.acquire("crowd", wait=math.inf, ttl=60):
            granted.append(number)

    await asyncio.gather(
        *(store.status("crowd") for _ in range(20))
    )  # now the threads for commands are there
    tasks = [asyncio.ensure_future(wait(0))]
    await until(lambda: queue_of(observer, "crowd") == 1)
    threads = len(os.listdir("/proc/self/task"))
    tasks += [asyncio.ensure_future(wait(number)) for number in range(1, WAITERS)]
    await until(lambda: queue_of(observer, "crowd") == WAITERS)
    assert len(os.listdir("/proc/self/task")) == threads
    assert (
        len([thread for thread in threading.enumerate() if thread.name.startswith("leasehold")])
        <= 3
    )
    for task in tasks[10:]:
        task.cancel()
    await asyncio.gather(*tasks[10:], return_exceptions=True)
    await until(lambda: queue_of(observer, "crowd") == 10)
    await held.release()
    await asyncio.gather(*tasks[:10])
    assert sorted(granted) == list(range(10))


@pytest.mark.parametrize("way", ["key", "path", "many"])
def test_a_cancellation_leaves_no_trace(with_store, observer, way):
    async def test(store):
        waits = {
            "key": lambda: store.acquire("k", wait=math.inf),
            "path": lambda: store.acquire("k", wait=math.inf, path=True),
            "many": lambda: store.acquire_many(["j", "k"], wait=math.inf),
        }
        async with store.acquire("k"):
            for delay in (
                0,
                0.001,
                0.003,
                0.01,
                0.1,
                None,
            ):  # before, during and after the first command
                task = asyncio.ensure_future(waits[way]())
                if delay is None:
                    await until(lambda: queue_of(observer, "k"))
                else:
                    await asyncio.sleep(delay)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert queue_of(observer, "k") == 0 and observer.status("j").state == "free"
        assert observer.status("k").state == "free"

    with_store(test)


@asynchronous
async def test_a_cancellation_gives_back_what_was_granted_meanwhile(store, observer):
    """The release grants the key to a task that is cancelled at about the same time: never a lease
    that nobody has."""
    for delay in (0, 0.001, 0.002, 0.004, 0.008):
        held = await store.acquire("k")
        task = asyncio.ensure_future(store.acquire("k", wait=math.inf))
        await until(lambda: queue_of(observer, "k"))
        releasing = asyncio.ensure_future(held.release())
        await asyncio.sleep(delay)
        task.cancel()
        await releasing
        try:
            await (await task).release()
        except asyncio.CancelledError:
            pass
        assert observer.status("k").state == "free"


@asynchronous
async def test_a_timeout_of_asyncio_ends_a_wait(store, observer):
    async with store.acquire("k"):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(store.acquire("k", wait=math.inf), 0.05)
        assert queue_of(observer, "k") == 0


@asynchronous
async def test_a_loss_cancels_the_block(store, module_database):
    async def lose(lease):
        module_database.workspace_locks.delete_one({"_id": lease.key})

    reached, lost = [], []
    with pytest.raises(leasehold.Lost, match="ended before") as why:
        async with store.acquire("lost", ttl=1, on_lost=lost.append) as lease:
            await lose(lease)
            try:
                await asyncio.sleep(60)
            finally:
                reached.append("cancelled")
    assert (
        reached == ["cancelled"]
        and lost == [lease]
        and isinstance(why.value.__cause__, asyncio.CancelledError)
    )
    with pytest.raises(leasehold.Lost):
        async with store.acquire_many(["lost", "kept"], ttl=1) as leases:
            await lose(leases[0])
            await asyncio.sleep(60)
    assert (await store.status("kept")).state == "free"
    await asyncio.sleep(0)  # the task is not cancelled any more
    if hasattr(asyncio.current_task(), "cancelling"):
        assert asyncio.current_task().cancelling() == 0


@asynchronous
async def test_a_loss_that_is_noticed_late_cancels_nothing_else(store, module_database):
    """The loss is reported while the block is at its end."""
    with pytest.raises(leasehold.Lost):
        async with store.acquire("late", by_hand=True) as lease:
            module_database.workspace_locks.delete_one({"_id": "late"})
            with pytest.raises(leasehold.Lost):
                await asyncio.shield(lease.renew())
    await asyncio.sleep(0.05)


@asynchronous
async def test_a_cancellation_of_others_stays_one(store, observer):
    async def work():
        async with store.acquire("k"):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(work())
    await until(lambda: observer.status("k").state == "held")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert observer.status("k").state == "free"
    with pytest.raises(ZeroDivisionError):
        async with store.acquire("k"):
            1 / 0


@asynchronous
async def test_events_as_they_happen(store):
    kinds = []
    async for event in store.watch(["k"]):
        kinds.append(event.kind)
        if event.kind == "opened":
            await (await store.acquire("k")).release()
        if event.kind == "released":
            break
    assert kinds == ["opened", "granted", "released"]
    async with store.watch() as events:
        assert (await events.__anext__()).kind == "opened"
    assert [event async for event in events] == []
    with pytest.raises(leasehold.Invalid):
        async for event in store.watch(after="nonsense"):
            pass


@asynchronous
async def test_operators_calls(store):
    with pytest.raises(leasehold.Lost):
        async with store.acquire("k"):
            await operate(store)
    assert (await store.cleanup(older_than=3600)).removed == 0


async def operate(store):
    assert [status.key for status in await store.list("k")] == ["k"]
    assert (await store.stats()).exclusive == 1 and (await store.reap()).alive
    assert (await store.migrate()).index == "present" and await store.doctor()
    assert (await store.break_("k", "a test")).token
    assert store.metrics().acquired and store.observed().rollout == "enforce"


def test_closing_ends_the_waits(observer, module_database):
    async def main():
        store = await aio.Store(URI, module_database.name).open()
        with observer.acquire("k"):
            tasks = [asyncio.ensure_future(store.acquire("k", wait=math.inf)) for _ in range(3)]
            await until(lambda: queue_of(observer, "k") == 3)
            await store.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {leasehold.Closed} and queue_of(
                observer, "k"
            ) == 0
        with pytest.raises(leasehold.Closed):
            await store.acquire("k")

    asyncio.run(main())


def test_a_store_that_is_not_open_says_so():
    with pytest.raises(RuntimeError, match="not open"):
        aio.Store(URI).acquire("k")


def test_it_has_what_the_other_one_has():
    for kind in ("Store", "Lease", "Leases", "Stream"):
        there, here = (set(dir(getattr(module, kind))) for module in (leasehold, aio))
        assert {name for name in there - here if not name.startswith("_")} <= {
            "next",
            "fileno",
            "warnings",
            "index",
            "count",
        }, kind
        for name in here:
            if not name.startswith("_"):
                assert getattr(getattr(aio, kind), name).__doc__, f"{kind}.{name}"
    assert (
        "wait" in inspect.signature(aio.Store.acquire).parameters
        and "rollout" in inspect.signature(aio.Store.__init__).parameters
    )


@pytest.mark.parametrize("name", ["uvloop", "anyio"])
def test_other_loops(name, observer, module_database):
    library = importlib.import_module(name)

    async def main():
        async with aio.Store(URI, module_database.name) as store:
            held = await store.acquire("k")
            waiting = asyncio.ensure_future(store.acquire("k", wait=math.inf))
            await until(lambda: queue_of(observer, "k"))
            if name == "anyio":
                with library.move_on_after(0.1) as scope:
                    await store.acquire("k", wait=math.inf)
                assert scope.cancelled_caught
                await until(lambda: queue_of(observer, "k") == 1)
            await held.release()
            async with await waiting as lease:
                module_database.workspace_locks.delete_one({"_id": "k"})
                with pytest.raises(leasehold.Lost):
                    await lease.renew()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.sleep(10)
                raise asyncio.CancelledError

    runner = (
        functools.partial(library.run, main)
        if name == "anyio"
        else functools.partial(_run_on, library.new_event_loop, main)
    )
    with pytest.raises(leasehold.Lost):
        runner()


def _run_on(new_loop, main):
    loop = new_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
