# SPDX-License-Identifier: Apache-2.0
"""Leases for asyncio: the calls of `leasehold`, with `await`.

    async with leasehold.aio.Store("mongodb://db0,db1,db2/?replicaSet=rs") as store:
        async with store.acquire("project:42", wait=10) as lease:   # cancelled if the lease is lost
            await rebuild(lease.token)
        async for event in store.watch(prefix="project:"):
            print(event.kind, event.key)

A wait needs no thread: it is an entry in a table of the library, and a descriptor in the loop. (A
wait for a path or for several keys, or with feedback, has a thread of its own.) A task that is
cancelled during its wait leaves the queue, and gives back what was granted meanwhile. Commands run
in a few threads of the store's own, never in the loop's. If a lease is lost inside its `async with`
block, the block is cancelled, and its end raises `Lost`, as asyncio.timeout() does it.

It works on each loop that has add_reader(), such as uvloop, and under anyio on asyncio. Each wait
uses a file descriptor: raise the limit (RLIMIT_NOFILE) for a thousand of them."""
from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Optional, TypeVar, Union, cast

from . import _store as sync
from ._attempt import Attempt, Request
from ._environment import options_from_environment
from ._errors import Closed, Error, Lost
from ._lease import Lease as SyncLease
from ._lease import LeaseFacts, LeasesFacts
from ._operate import audit_source, watch_source
from ._records import AuditEntry, Event
from ._reports import Metrics, Observed
from ._stream import Source

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

__all__ = ["Acquiring", "Lease", "Leases", "Store", "Stream"]

T = TypeVar("T")
Of = TypeVar("Of")

_WORKERS = 3  # commands at once; what waits, and what takes long, is not among them
_LEAVING_SECONDS = 5  # how long a cancellation may take; after that it ends in the background


def _signature_of(
    other: Callable[Concatenate[Of, P], Any]
) -> Callable[[Callable[..., T]], Callable[Concatenate[Any, P], T]]:
    """Gives a method the arguments of another one, for the type checker and for help()."""

    def decorate(method: Callable[..., T]) -> Callable[Concatenate[Any, P], T]:
        same: Callable[Concatenate[Any, P], T] = cast(Any, functools.wraps(other)(method))
        return same

    return decorate


def _threaded(
    method: Callable[Concatenate[Of, P], T], apart: bool = False
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """The same call in a thread: one of the store's, or one of its own if it may take long."""

    @functools.wraps(method)
    async def call(self: Any, *arguments: Any, **options: Any) -> T:
        threads: _Threads = self._threads
        run = threads.run_apart if apart else threads.run
        return await run(functools.partial(method, self._sync, *arguments, **options))

    typed: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]] = cast(Any, call)
    return typed


class _Threads:
    """The threads of a store."""

    def __init__(self) -> None:
        self._executor = concurrent.futures.ThreadPoolExecutor(_WORKERS, "leasehold")
        self._closed = False

    def submit(self, call: Callable[[], T]) -> concurrent.futures.Future[T]:
        if self._closed:
            raise Closed("the store is closed", code="closed", reason="store_closed")
        return self._executor.submit(call)

    async def run(self, call: Callable[[], T]) -> T:
        return await _shielded(self.submit(call))

    @staticmethod
    def submit_apart(call: Callable[[], T]) -> concurrent.futures.Future[T]:
        executor = concurrent.futures.ThreadPoolExecutor(1, "leasehold-long")
        future = executor.submit(call)
        executor.shutdown(wait=False)
        return future

    async def run_apart(self, call: Callable[[], T]) -> T:
        return await _shielded(self.submit_apart(call))

    async def leave(self, attempt: Attempt, last: concurrent.futures.Future[Any]) -> None:
        """Leaves nothing of an attempt, once the last call on it has ended."""
        left: concurrent.futures.Future[None] = concurrent.futures.Future()

        def abandon() -> None:
            attempt.abandon()
            left.set_result(None)

        def begin(_: object) -> None:
            try:
                self.submit(abandon)
            except Closed:  # there is nothing to wait for
                abandon()

        last.add_done_callback(begin)
        await asyncio.wait([asyncio.wrap_future(left)], timeout=_LEAVING_SECONDS)

    def shutdown(self) -> None:
        self._closed = True
        self._executor.shutdown(wait=False)


async def _shielded(future: concurrent.futures.Future[T]) -> T:
    """Its result. A cancellation does not stop what a thread has begun, or is about to."""
    return await asyncio.shield(asyncio.wrap_future(future))


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, set_ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _in_loop(fn: Callable[..., object]) -> Callable[..., None]:
    """Calls the function in this loop, from any thread, unless the loop was closed meanwhile."""
    loop = asyncio.get_running_loop()

    def call(*arguments: Any) -> None:
        try:
            loop.call_soon_threadsafe(fn, *arguments)
        except RuntimeError:
            pass

    return call


class _Block:
    """`async with`: the task is cancelled when a lease is lost, and leases are released at the
    end."""

    _task: Optional[asyncio.Task[Any]] = None
    _cancelled = False
    _cancellations = 0  # of others, before the block

    def _all(self) -> Iterable[SyncLease]:
        raise NotImplementedError

    async def release(self) -> None:
        raise NotImplementedError

    def _interrupt(self) -> None:
        if self._task and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def _enter(self) -> None:
        task = asyncio.current_task()
        self._task, self._cancelled = task, False
        self._cancellations = _cancelling(task)
        interrupt = _in_loop(self._interrupt)
        for lease in self._all():
            lease.on_lost(lambda _: interrupt())

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        ours = await self._take_back(kind)
        loss = next(filter(None, (lease._loss() for lease in self._all())), None)
        failed = kind is not None and not ours
        try:
            await self.release()
        except Error:
            if not failed and not loss:
                raise
        if loss and not failed:
            raise loss from value

    async def _take_back(self, kind: Optional[type[BaseException]]) -> bool:
        """Takes our cancellation back. Was it the one that ended the block?"""
        task, self._task = self._task, None
        if not self._cancelled or task is None:
            return False
        others = False
        if hasattr(task, "uncancel"):
            others = task.uncancel() > self._cancellations
        if kind is None or not issubclass(kind, asyncio.CancelledError):
            try:
                await asyncio.sleep(0)  # where it comes if it has not come yet
            except asyncio.CancelledError:
                if others:
                    raise
            return False
        return not others


def _cancelling(task: Optional[asyncio.Task[Any]]) -> int:
    """How many cancellations of the task were not taken back (0 before Python 3.11)."""
    count: int = task.cancelling() if task and hasattr(task, "cancelling") else 0
    return count


class Lease(_Block, LeaseFacts):
    """One grant. As an asynchronous context manager it is released at the end of the block; the
    block is cancelled if the lease is lost, and raises `Lost`."""

    def __init__(self, threads: _Threads, lease: SyncLease) -> None:
        self._threads, self._sync = threads, lease
        self._handle, self.key, self.id = lease._handle, lease.key, lease.id

    renew = _threaded(SyncLease.renew)
    transfer = _threaded(SyncLease.transfer)
    note = _threaded(SyncLease.note)
    keep = _threaded(SyncLease.keep)

    async def release(self, note: Optional[str] = None, keep: float = 0) -> None:
        await self._threads.run(lambda: self._sync.release(note, keep))

    release.__doc__ = SyncLease.release.__doc__

    def on_lost(self, fn: Callable[[Lease], object]) -> None:
        """Calls `fn(lease)` once, in this loop, if the lease ends against its holder's will."""
        call = _in_loop(fn)
        self._sync.on_lost(lambda _: call(self))

    def _all(self) -> Iterable[SyncLease]:
        return [self._sync]

    async def __aenter__(self) -> Lease:
        self._enter()
        return self


class Leases(_Block, LeasesFacts[Lease]):
    """The leases on several keys, in the order of the keys. As an asynchronous context manager all
    are released at the end of the block, as a `Lease` is."""

    async def release(self) -> None:
        """Releases all of them at once, and then raises the first failure, if there was one."""
        results = await asyncio.gather(*(lease.release() for lease in self), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _all(self) -> Iterable[SyncLease]:
        return [lease._sync for lease in self]

    async def __aenter__(self) -> Leases:
        self._enter()
        return self


AnyHeld = TypeVar("AnyHeld", bound=_Block)


class Acquiring(Awaitable[AnyHeld], Generic[AnyHeld]):
    """What acquire() returns: to `await`, or for `async with`."""

    def __init__(
        self, store: Store, request: Request, wrap: Callable[[list[Lease]], AnyHeld]
    ) -> None:
        self._store, self._request, self._wrap = store, request, wrap
        self._held: Optional[AnyHeld] = None

    def __await__(self) -> Generator[Any, None, AnyHeld]:
        return self._acquire().__await__()

    async def _acquire(self) -> AnyHeld:
        store, threads = self._store._sync, self._store._threads
        attempt = self._request.attempt(store._handle)
        last: concurrent.futures.Future[Any] = threads.submit(attempt.start)
        try:
            await _shielded(last)
            apart = not await _settled(attempt) and attempt.may_block
            last = (threads.submit_apart if apart else threads.submit)(attempt.finish)
            await _shielded(last)
        except Error:
            raise
        except BaseException:
            await threads.leave(attempt, last)
            raise
        return self._wrap(self._leases(attempt))

    def _leases(self, attempt: Attempt) -> list[Lease]:
        threads = self._store._threads
        leases = [Lease(threads, lease) for lease in self._store._sync._leases(attempt)]
        if self._request.on_lost:
            for lease in leases:
                lease.on_lost(self._request.on_lost)
        return leases

    async def __aenter__(self) -> AnyHeld:
        self._held = await self._acquire()
        self._held._enter()
        return self._held

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._held is not None:
            await self._held.__aexit__(kind, value, trace)


async def _settled(attempt: Attempt) -> bool:
    """Waits until the attempt is; False: it has no descriptor to wait for."""
    fd = attempt.fileno()
    while fd >= 0:
        await _readable(fd)
        if attempt.is_settled():
            return True
    return False


class Stream(AsyncIterator[T]):
    """One thing after the other, as it happens: for `async for`. It begins with the first one that
    is asked for, and ends when it is closed or dropped, or at the end of its `async with` block. It
    uses a thread."""

    def __init__(self, store: Store, source: Source[T]) -> None:
        self._store, self._source = store, source
        self._queue: Optional[asyncio.Queue[Union[tuple[T], Error, None]]] = None
        self._end: Union[Error, None, bool] = False

    def _start(self) -> asyncio.Queue[Union[tuple[T], Error, None]]:
        if self._queue is None:
            queue: asyncio.Queue[Union[tuple[T], Error, None]] = asyncio.Queue()
            put = _in_loop(queue.put_nowait)  # not self: its thread must not keep it
            self._queue = queue
            self._source.start(self._store._sync._handle, lambda found: put((found,)), put)
        return self._queue

    async def __anext__(self) -> T:
        queue = self._start()
        if self._end is False:
            found = await queue.get()
            if isinstance(found, tuple):
                return found[0]
            self._end = found
        if isinstance(self._end, Error):
            raise self._end
        raise StopAsyncIteration

    async def close(self) -> None:
        """Ends it, within about half a second."""
        self._source.stop()
        await self._store._threads.run_apart(self._source.join)

    async def __aenter__(self) -> Stream[T]:
        self._start()
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        self._source.stop()


class _Sync(sync.Store):
    """Whose acquire() returns the request."""

    def _begin(self, request: Request) -> Request:
        return request


class Store:
    """One collection of leases on one deployment, and the connections to it. It is opened by
    `async with` or by open(). The options are those of `leasehold.Store`; on_lost() and feedback()
    are called in the loop. The calls of one loop are for tasks of that loop."""

    _opened: Optional[_Sync] = None

    @_signature_of(sync.Store.__init__)
    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._arguments, self._options = arguments, options
        self._threads = _Threads()

    @classmethod
    def from_environment(cls, **options: Any) -> Store:
        """The store that the command line would use: see `leasehold.Store.from_environment()`."""
        return cls(**{**options_from_environment(), **options})

    async def open(self) -> Store:
        """Opens the store, and returns it."""
        options = dict(self._options)
        if options.get("on_lost"):
            options["on_lost"] = _in_loop(options["on_lost"])
        opening = self._threads.submit(lambda: _Sync(*self._arguments, **options))
        try:
            self._opened = await _shielded(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise
        return self

    async def close(self) -> None:
        """Ends all waits and streams, and releases the leases that are held."""
        if self._opened:
            await self._threads.run_apart(self._opened.close)
        self._threads.shutdown()

    @property
    def _sync(self) -> _Sync:
        if not self._opened:
            raise RuntimeError("the store is not open: use `async with`, or await open()")
        return self._opened

    @_signature_of(sync.Store.acquire)
    def acquire(self, *arguments: Any, **options: Any) -> Acquiring[Lease]:
        request: Any = self._sync.acquire(*arguments, **options)
        return Acquiring(self, request, lambda leases: leases[0])

    @_signature_of(sync.Store.acquire_many)
    def acquire_many(self, *arguments: Any, **options: Any) -> Acquiring[Leases]:
        request: Any = self._sync.acquire_many(*arguments, **options)
        return Acquiring(self, request, Leases)

    @_signature_of(sync.Store.attach)
    def attach(self, *arguments: Any, **options: Any) -> Lease:
        return Lease(self._threads, self._sync.attach(*arguments, **options))

    def watch(
        self, keys: Iterable[str] = (), prefix: Optional[str] = None, after: Optional[str] = None
    ) -> Stream[Event]:
        return Stream(self, watch_source(keys, prefix, after))

    watch.__doc__ = sync.Store.watch.__doc__

    def follow_audit(
        self, key: Optional[str] = None, since: float = float("inf")
    ) -> Stream[AuditEntry]:
        return Stream(self, audit_source(key, since))

    follow_audit.__doc__ = sync.Store.follow_audit.__doc__

    status = _threaded(sync.Store.status)
    status_by_id = _threaded(sync.Store.status_by_id)
    break_ = _threaded(sync.Store.break_)
    list = _threaded(sync.Store.list, apart=True)
    audit = _threaded(sync.Store.audit, apart=True)
    stats = _threaded(sync.Store.stats, apart=True)
    migrate = _threaded(sync.Store.migrate, apart=True)
    cleanup = _threaded(sync.Store.cleanup, apart=True)
    reap = _threaded(sync.Store.reap, apart=True)
    doctor = _threaded(sync.Store.doctor, apart=True)

    def observed(self) -> Observed:
        return self._sync.observed()

    observed.__doc__ = sync.Store.observed.__doc__

    def metrics(self) -> Metrics:
        return self._sync.metrics()

    metrics.__doc__ = sync.Store.metrics.__doc__

    async def __aenter__(self) -> Store:
        return await self.open()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()


def _close_opened(opening: concurrent.futures.Future[_Sync]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
