# SPDX-License-Identifier: Apache-2.0
"""An acquire from its start to its end: what the blocking and the asyncio interface share.

    attempt.start()            one round trip; the caller may be in the queue now
    attempt.fileno()           readable when there is something to see; -1: nothing to wait for
    attempt.is_settled()       after each time that it was readable
    attempt.finish()           sets attempt.handles, of the leases, or raises
    attempt.abandon()          instead of finish(), or after it: leaves the queue, or releases what
                               was granted, whatever an exception interrupted

There are three ways to wait, because of what C offers: not at all (`Once`), as an entry in the
store's table (`Queued`), and in a thread of its own (`Apart`: paths, several keys, feedback)."""
from __future__ import annotations

import ctypes
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from ctypes import byref
from dataclasses import dataclass
from typing import Any, Optional

from . import _c
from ._c import AcquireOptions, lib
from ._errors import Busy, check, error_from
from ._handle import Handle, Stopper
from ._records import Status, holder_at, status_from
from ._text import all_to_c, from_c, to_c, to_ms

Feedback = Callable[[Status, int], object]


@dataclass
class Request:
    """The request."""

    keys: Sequence[str]
    many: bool
    options: AcquireOptions
    feedback: Optional[Feedback] = None
    on_lost: Optional[Callable[[Any], object]] = None

    def attempt(self, handle: Handle) -> Attempt:
        if self.options.wait_ms == 0:
            return Once(handle, self)
        if self.many or self.options.path or self.feedback:
            return Apart(handle, self)
        return Queued(handle, self)


def request_for(
    keys: Sequence[str],
    many: bool,
    ttl: float,
    wait: float,
    shared: bool,
    feedback: Optional[Feedback],
    **others: Any,
) -> Request:
    """`others`: options by their name in C; texts as str, and times in seconds."""
    for name in ("owner", "purpose", "lease_id"):
        others[name] = to_c(others.get(name))
    options = AcquireOptions(ttl_ms=to_ms(ttl), wait_ms=to_ms(wait), mode=int(shared), **others)
    return Request(keys, many, options, feedback)


class Attempt:
    #: whether finish() waits where fileno() is -1
    may_block = False

    def __init__(self, handle: Handle, request: Request) -> None:
        self._handle, self._request = handle, request
        self.keys, n = request.keys, len(request.keys)
        self._keys = all_to_c(request.keys)
        self._outputs = (ctypes.c_void_p * n)()
        size = ctypes.sizeof(ctypes.c_void_p)
        #: of the leases; whoever frees one makes it null for all
        self.handles = [ctypes.c_void_p.from_buffer(self._outputs, i * size) for i in range(n)]
        self._busy = ctypes.POINTER(_c.Record)()
        self._details, self._outcome = _c.Error(), _c.OK

    def start(self) -> None:
        raise NotImplementedError

    def fileno(self) -> int:
        return -1

    def is_settled(self) -> bool:
        return True

    def finish(self) -> None:
        """Sets the handles, or raises. Once the attempt is settled, it blocks for a moment at most
        (for an entry in the audit trail)."""
        if self._outcome != _c.OK:
            raise self._refusal()

    def abandon(self) -> None:
        """Nothing stays held, and nothing in the queue."""
        for handle in self.handles:
            if handle:
                self._handle.open_or_closed(lambda: lib.lh_lease_release(handle, None))
                free_lease(handle)

    def wait(self) -> None:
        """Blocks until the attempt is settled. Signal handlers run meanwhile, and what they raise
        ends it."""
        poller = select.poll()
        if self.fileno() < 0:
            return
        poller.register(self.fileno(), select.POLLIN)
        while True:
            poller.poll()
            if self.is_settled():
                return

    def _call(self, pointer: ctypes.c_void_p) -> int:
        """The call that does not return before the end."""
        options, busy, details = byref(self._request.options), byref(self._busy), self._details
        if self._request.many:
            return int(
                lib.lh_acquire_many(
                    pointer,
                    self._keys,
                    len(self._keys),
                    options,
                    self._outputs,
                    busy,
                    byref(details),
                )
            )
        return int(
            lib.lh_acquire(pointer, self._keys[0], options, self._outputs, busy, byref(details))
        )

    def _refusal(self) -> Exception:
        error = error_from(self._outcome, self._details)
        if isinstance(error, Busy) and self._busy:
            record = self._busy.contents
            error.holder, error.key = holder_at(self._busy, 0), from_c(record.key)
            error.why = from_c(lib.lh_why_word(record.why))
            error.retry_after = record.retry_after_ms / 1000
        return error

    def __del__(self) -> None:
        if getattr(self, "_busy", None):
            lib.lh_record_free(self._busy)


class Once(Attempt):
    """Asks once."""

    def start(self) -> None:
        with self._handle as pointer:
            self._outcome = self._call(pointer)


class Queued(Attempt):
    """An entry in the store's table, which needs no thread."""

    may_block = True

    def __init__(self, handle: Handle, request: Request) -> None:
        super().__init__(handle, request)
        self._waiting = ctypes.c_void_p()

    def start(self) -> None:
        with self._handle as pointer:
            check(
                lib.lh_acquire_start(
                    pointer,
                    self._keys[0],
                    byref(self._request.options),
                    byref(self._waiting),
                    byref(self._details),
                ),
                self._details,
            )

    def fileno(self) -> int:
        return int(lib.lh_waiting_fd(self._waiting))

    def finish(self) -> None:
        self._outcome = lib.lh_waiting_finish(
            self._waiting, self._outputs, byref(self._busy), byref(self._details)
        )
        self._waiting = ctypes.c_void_p()
        super().finish()

    def abandon(self) -> None:
        waiting, self._waiting = self._waiting, ctypes.c_void_p()
        # An exception may have come right behind lh_waiting_finish(), which then has left a mark.
        if waiting and not self._outputs[0] and self._details.code == _c.OK:
            self._handle.open_or_closed(lambda: lib.lh_waiting_cancel(waiting, None))
        super().abandon()


class Apart(Attempt, Stopper):
    """A thread of its own, which lh_cancel_now() ends."""

    def __init__(self, handle: Handle, request: Request) -> None:
        super().__init__(handle, request)
        self._cancel = Cancel()
        request.options.cancel = self._cancel.pointer
        self._news: deque[tuple[Status, int]] = deque()
        self._callback = _c.Feedback(self._from_c)
        if request.feedback:
            request.options.feedback = ctypes.cast(self._callback, ctypes.c_void_p)
        self._failure: Optional[Exception] = None
        self._reader, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="leasehold-wait", daemon=True)
        handle.stops(self)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._handle as pointer:
                self._outcome = self._call(pointer)
        except Exception as why:
            self._failure = why
        finally:
            self._close_writer()  # which makes the other end readable for good

    def _from_c(self, _: object, record: Any, place: int) -> None:
        self._news.append((status_from(record), place))
        os.write(self._writer, b"n")

    def fileno(self) -> int:
        return self._reader

    def is_settled(self) -> bool:
        """Gives the news to the feedback, in the caller's thread."""
        ended = not os.read(self._reader, 64)
        while self._news and self._request.feedback:
            self._request.feedback(*self._news.popleft())
        return ended

    def finish(self) -> None:
        self._thread.join()
        if self._failure:
            raise self._failure
        super().finish()

    def stop(self) -> None:
        self._cancel.now()

    def abandon(self) -> None:
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()
        super().abandon()

    def __del__(self) -> None:
        super().__del__()
        if hasattr(self, "_reader"):
            os.close(self._reader)
            self._close_writer()

    def _close_writer(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
        self._writer = -1


class Cancel:
    """Ends a call in another thread. It must live as long as the call."""

    def __init__(self) -> None:
        self.pointer, details = ctypes.c_void_p(), _c.Error()
        check(lib.lh_cancel_new(byref(self.pointer), byref(details)), details)

    def now(self) -> None:
        lib.lh_cancel_now(self.pointer)

    def __del__(self) -> None:
        lib.lh_cancel_free(self.pointer)


def free_lease(handle: ctypes.c_void_p) -> None:
    pointer = handle.value
    handle.value = None
    lib.lh_lease_free(pointer)
