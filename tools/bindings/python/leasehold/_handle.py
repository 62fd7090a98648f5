# SPDX-License-Identifier: Apache-2.0
"""The handle of a store in C, which outlives every call on it.

C allows a store to be closed only while no other thread is in a call. Here any thread, callback or
signal handler may close it: calls are counted, and the last one out closes it."""
from __future__ import annotations

import atexit
import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from ctypes import byref
from types import TracebackType
from typing import Optional

from . import _c, _log
from ._c import lib
from ._errors import Closed, check
from ._text import from_c

_open: weakref.WeakSet[Handle] = weakref.WeakSet()


class Stopper:
    """A long call in another thread, which can be ended."""

    def stop(self) -> None:
        raise NotImplementedError


class Losses:
    """Calls the functions that want to hear of the loss of a lease."""

    def __init__(self, of_all: Optional[Callable[[str, str], object]]) -> None:
        self._of_all = of_all
        self._of_one: dict[str, list[Callable[[], object]]] = {}
        self._threads: list[int] = []  # the library's, during a call
        self.callback = _c.OnLost(self._from_c)

    def add(self, lease_id: str, fn: Callable[[], object]) -> None:
        self._of_one.setdefault(lease_id, []).append(fn)

    def forget(self, lease_id: str) -> list[Callable[[], object]]:
        """Those that were not called yet."""
        return self._of_one.pop(lease_id, [])

    def report(self, lease_id: str) -> None:
        """Calls each of them once, whichever thread comes first."""
        for fn in self.forget(lease_id):
            self._call(fn)

    def _from_c(self, _: object, key: bytes, lease_id: bytes) -> None:
        self._threads.append(threading.get_ident())
        try:
            name = from_c(lease_id)
            self.report(name)
            if self._of_all:
                self._call(self._of_all, from_c(key), name)
        finally:
            self._threads.remove(threading.get_ident())

    def are_reported_here(self) -> bool:
        """Whether this thread is in a callback of the library."""
        return threading.get_ident() in self._threads

    @staticmethod
    def _call(fn: Callable[..., object], *arguments: str) -> None:
        try:
            fn(*arguments)
        except Exception:
            _log.logger.exception("on_lost raised an exception")


class Handle:
    """`with handle as pointer:` around each call on the store, and on its leases."""

    def __init__(
        self, options: _c.StoreOptions, on_lost: Optional[Callable[[str, str], object]]
    ) -> None:
        self.losses = Losses(on_lost)
        self._log = _log.callback
        self._pointer = ctypes.c_void_p()
        self._closing, self._closed = False, threading.Event()
        self.forget_calls()
        self._stoppers: weakref.WeakSet[Stopper] = weakref.WeakSet()
        options.on_lost = ctypes.cast(self.losses.callback, ctypes.c_void_p)
        options.log = ctypes.cast(self._log, ctypes.c_void_p)
        _log.take_the_drivers_lines()
        details = _c.Error()
        check(lib.lh_store_open(byref(options), byref(self._pointer), byref(details)), details)
        _open.add(self)

    def forget_calls(self) -> None:
        """Those of other threads do not exist in a forked child."""
        self._lock = threading.RLock()
        self._callers: list[int] = []  # their thread's ident, once for each call

    @property
    def is_open(self) -> bool:
        return bool(self._pointer) and not self._closing

    def __enter__(self) -> ctypes.c_void_p:
        with self._lock:
            # Counted before the look: a signal handler may close the store between the two.
            self._callers.append(threading.get_ident())
            if not self._closing:
                return self._pointer
        self.__exit__(None, None, None)
        raise Closed("the store is closed", code="closed", reason="store_closed")

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        with self._lock:
            self._callers.remove(threading.get_ident())
            last = self._closing and not self._callers
        if last:
            self._close_now()

    def open_or_closed(self, call: Callable[[], object]) -> None:
        """Makes a call that is allowed before the store is closed and after, but not meanwhile."""
        try:
            with self:
                call()
        except Closed:
            self._closed.wait()
            call()

    def stops(self, stopper: Stopper) -> None:
        """Closing the store stops it."""
        with self._lock:
            self._stoppers.add(stopper)

    def close(self) -> None:
        """Ends all waits, and releases what is held. In a callback or a signal handler that
        interrupts a call of this thread, the store is closed as soon as that call returns."""
        if self.losses.are_reported_here():
            raise RuntimeError("a store cannot be closed by its own on_lost callback")
        with self._lock:
            first, self._closing = not self._closing, True
            idle, mine = not self._callers, threading.get_ident() in self._callers
            stoppers = list(self._stoppers) if first else []
        for stopper in stoppers:
            stopper.stop()
        if idle:
            self._close_now()
        elif not mine:
            self._closed.wait()

    def _close_now(self) -> None:
        with self._lock:
            pointer, self._pointer = self._pointer, ctypes.c_void_p()
        if pointer:
            lib.lh_store_close(pointer)
            self._closed.set()
        self._closed.wait()


def _forget_calls() -> None:
    for handle in list(_open):
        handle.forget_calls()


os.register_at_fork(after_in_child=_forget_calls)


@atexit.register
def _close_all() -> None:
    """The library's threads must not call Python while the interpreter ends."""
    for handle in list(_open):
        handle.close()
    _log.leave_the_drivers_lines()
