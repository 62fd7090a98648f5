# SPDX-License-Identifier: Apache-2.0
"""Calls of C that give one thing after the other, in a thread of their own."""
from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Optional, TypeVar, Union

from . import _c
from ._attempt import Cancel
from ._errors import Closed, Error, check
from ._handle import Handle, Stopper

if TYPE_CHECKING:
    from ctypes import c_void_p

    from ._store import Store

T = TypeVar("T")
Put = Callable[[T], None]


class Source(Stopper, Generic[T]):
    """What a stream reads: `call(pointer, cancel, put, details)` makes the call of C, in the
    stream's thread."""

    def __init__(
        self, name: str, call: Callable[[c_void_p, c_void_p, Put[T], _c.Error], int]
    ) -> None:
        self.name, self._call, self._cancel = name, call, Cancel()
        self._thread: Optional[threading.Thread] = None
        self.is_stopped = False

    def start(self, handle: Handle, put: Put[T], end: Callable[[Optional[Error]], None]) -> None:
        """Both are called in the stream's thread; `end` once, after the last thing."""
        handle.stops(self)
        self._thread = threading.Thread(
            target=self._run, args=(handle, put, end), name=f"leasehold-{self.name}", daemon=True
        )
        self._thread.start()

    def _run(self, handle: Handle, put: Put[T], end: Callable[[Optional[Error]], None]) -> None:
        details = _c.Error()
        try:
            with handle as pointer:
                outcome = self._call(pointer, self._cancel.pointer, put, details)
            check(_c.OK if outcome == _c.CANCELLED else outcome, details)
            end(None)
        except Closed:
            end(None)
        except Error as why:
            end(why)

    def stop(self) -> None:
        self.is_stopped = True
        self._cancel.now()

    def join(self) -> None:
        if self._thread:
            self._thread.join()


class Stream(Iterator[T]):
    """One thing after the other, as it happens, until it is closed; as a context manager at the end
    of the block. It keeps its store. Events not taken yet stay in memory, without a bound."""

    def __init__(self, store: Store, source: Source[T]) -> None:
        self._store, self._source = store, source
        self._queue: queue.SimpleQueue[Union[tuple[T], Error, None]] = queue.SimpleQueue()
        self._end: Union[Error, None, bool] = False
        put, ends = self._queue.put, self._queue.put  # not self: its thread must not keep it
        source.start(store._handle, lambda found: put((found,)), ends)

    def next(self, timeout: Optional[float] = None) -> T:
        """The next one. Raises TimeoutError if none comes within `timeout` seconds, StopIteration
        once the stream is closed, and `Error` if it cannot continue."""
        if self._end is False:
            try:
                found = self._queue.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError from None
            if isinstance(found, tuple):
                return found[0]
            self._end = found
        if isinstance(self._end, Error):
            raise self._end
        raise StopIteration

    def __next__(self) -> T:
        return self.next()

    def close(self) -> None:
        """Ends it, within about half a second."""
        self._source.stop()
        self._source.join()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        source = getattr(self, "_source", None)
        if source and self._end is False and not source.is_stopped:
            warnings.warn(
                f"the {source.name} was forgotten: close it, or use it in a `with` block",
                ResourceWarning,
                source=self,
            )
            source.stop()
