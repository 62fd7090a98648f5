# SPDX-License-Identifier: Apache-2.0
"""Leases on keys, kept in MongoDB: libleasehold for Python, without anything to compile.

    with leasehold.Store("mongodb://db0,db1,db2/?replicaSet=rs") as store:
        with store.acquire("project:42", wait=10) as lease:   # renewed until it is released
            rebuild(lease.token)                              # check lease.valid between the steps
        with store.acquire_many(["project:1", "project:2"]):  # all of them, or none
            ...
        for status in store.list(prefix="project:"):          # who holds what
            print(status.key, [holder.owner for holder in status.holders])
        with store.watch(prefix="project:") as events:        # what happens, as it happens
            for event in events:
                print(event.kind, event.key, event.owner)

What everything means is in leasehold.h. Times are seconds here. A store may be used by any number
of threads: calls let go of the interpreter's lock. Do not fork with an open store. `Error` is
raised for whatever is not done, `Busy` and `Lost` are kinds of it."""
from __future__ import annotations

import builtins
import ctypes
import math
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Optional, Union

from ._c import (BUSY, CANCELLED, LOST, NEVER, OK, AcquireOptions, BreakOptions, EachEvent,
                 EachRecord, ListOptions, Observed, Record, ReleaseOptions, StoreOptions,
                 WatchOptions, byref, lib)
from ._c import Error as _Details
from ._c import Event as _Event
from ._c import Note as _Note

__all__ = ["Store", "Lease", "Leases", "Watch", "Status", "Holder", "Note", "Event", "Error",
           "Busy", "Lost", "key_join", "version"]


@dataclass(frozen=True)
class Holder:
    owner: str
    host: str
    purpose: str
    pid: int
    shared: bool
    token: int
    remaining: float  #: seconds; infinite where there is no end


@dataclass(frozen=True)
class Note:
    """What a holder left for whoever holds the key next."""

    text: str
    token: int  #: of the lease under which it was written
    at: float  #: seconds since 1970


@dataclass(frozen=True)
class Status:
    key: str
    state: str  #: "free", "held" or "malformed"
    problem: str
    token: int
    holders: tuple[Holder, ...]
    waiters: int
    released_how: str  #: "release", "expire", "transfer" or "break"; "" where that is unknown
    released_by: str
    released_reason: str
    note: Optional[Note]


@dataclass(frozen=True)
class Event:
    """What happened to a key. Texts are "" and numbers 0 where there is nothing to say."""

    #: "opened", "gap", "granted", "renewed", "released", "transferred", "broken", "expired",
    #: "queued", "left", "removed", "spoilt"
    kind: str
    id: str  #: for `after`
    key: str
    at: float  #: when, in seconds since 1970, by the server's clock
    how: str
    owner: str
    host: str
    purpose: str
    pid: int
    shared: bool
    token: int
    expires_at: float  #: infinite where there is no end
    by: str
    reason: str
    note: str


class Error(Exception):
    """`code` is the outcome's word ("unreachable", "config", …), `reason` the word for its cause
    ("mongos", "timeout", …), or "". `lease_id` is the lease in doubt if the code is "unknown"."""

    def __init__(self, code: str, message: str, lease_id: str = "", server_code: int = 0,
                 reason: str = "") -> None:
        super().__init__(message)
        self.code, self.lease_id, self.server_code = code, lease_id, server_code
        self.reason = reason


class Busy(Error):
    """Another holder has the key (`why`), or the wait is over (`reason` is "timeout"). An outcome:
    defer the work."""

    def __init__(self, message: str, why: str, holder: Optional[Holder], retry_after: float,
                 reason: str = "") -> None:
        super().__init__("busy", message, reason=reason)
        self.why, self.holder, self.retry_after = why, holder, retry_after


class Lost(Error):
    """The lease has ended, or was never this caller's. Stop what is done under it."""


def version() -> str:
    return _text(lib.lh_version())


def key_join(*parts: str) -> str:
    """"project", "42" → project:42, whatever is in the parts."""
    texts = _texts(parts)
    key, details = ctypes.c_void_p(), _Details()
    _check(lib.lh_key_join(texts, len(parts), byref(key), byref(details)), details)
    try:
        return _text(ctypes.cast(key, ctypes.c_char_p).value)
    finally:
        lib.lh_string_free(key)


class _Releasable:
    """What is released at the end of a block."""

    def release(self) -> None:
        raise NotImplementedError

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self.release()
        except Error:
            if kind is None:
                raise


class Lease(_Releasable):
    """One grant. As a context manager it is released at the end; a failure to is only raised where
    nothing else was."""

    def __init__(self, handle: ctypes.c_void_p, key: str) -> None:
        self._handle, self.key = handle, key
        #: a capability: whoever knows it may renew and release
        self.id = _text(lib.lh_lease_id(handle))

    @property
    def valid(self) -> bool:
        """May the holder still work? False for ever once the local deadline has passed."""
        return bool(lib.lh_lease_valid(self._handle))

    @property
    def enforced(self) -> bool:
        """False where the store observes, or is off: others may be at the same work."""
        return bool(lib.lh_lease_enforced(self._handle))

    @property
    def refusal(self) -> Optional[Error]:
        """What acquire() would have raised, were the lease enforced."""
        found = lib.lh_lease_refusal(self._handle)
        if not found:
            return None
        error = found.contents
        return Error(_text(lib.lh_outcome_word(error.code)), _text(error.message),
                     reason=_reason(error))

    @property
    def remaining(self) -> float:
        return lib.lh_lease_remaining_ms(self._handle) / 1000

    @property
    def token(self) -> int:
        """The fencing token: send it along with what is written."""
        return int(lib.lh_lease_token(self._handle))

    def renew(self, ttl: float = 0) -> None:
        details = _Details()
        _check(lib.lh_lease_renew(self._handle, _ms(ttl), None, byref(details)), details)

    def release(self, note: Optional[str] = None) -> None:
        """`note`: for whoever holds the key next: a version, an etag, what was changed."""
        details, options = _Details(), ReleaseOptions(note=_bytes(note))
        _check(lib.lh_lease_release_with(self._handle, byref(options), byref(details)), details)

    def note(self) -> Optional[Note]:
        """What the holder before left. None: nothing, or somebody held the key since; then
        everything may be different."""
        details, found = _Details(), ctypes.POINTER(_Note)()
        _check(lib.lh_lease_note(self._handle, byref(found), byref(details)), details)
        if not found:
            return None
        return Note(_text(found.contents.text), found.contents.token, found.contents.at_ms / 1000)

    def transfer(self, to_owner: str) -> str:
        """Hands it on; the new lease's id."""
        details, fresh = _Details(), (ctypes.c_char * 33)()
        _check(lib.lh_lease_transfer(self._handle, _bytes(to_owner), fresh, byref(details)),
               details)
        return _text(fresh.value)

    def __enter__(self) -> Lease:
        return self

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            lib.lh_lease_free(handle)


class Leases(_Releasable, Sequence[Lease]):
    """The leases on several keys, in the order of the keys. As a context manager all are released
    at the end."""

    def __init__(self, leases: Iterable[Lease]) -> None:
        self._leases = tuple(leases)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # of Sequence: an int or a slice
        return self._leases[index]

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def valid(self) -> bool:
        return all(lease.valid for lease in self._leases)

    @property
    def remaining(self) -> float:
        """Of the one that ends first."""
        return min(lease.remaining for lease in self._leases)

    def release(self) -> None:
        """Releases each, and then raises the first failure, if there was one."""
        failures = []
        for lease in self._leases:
            try:
                lease.release()
            except Error as why:
                failures.append(why)
        if failures:
            raise failures[0]

    def __enter__(self) -> Leases:
        return self


class Watch(Iterator[Event]):
    """The events of a store, in order, until it is closed; as a context manager at the end of the
    block. Close it before the store. What nobody has taken yet is kept, in memory, without a
    bound."""

    def __init__(self, store: ctypes.c_void_p, keys: Iterable[str], prefix: Optional[str],
                 after: Optional[str]) -> None:
        texts = _texts(keys)
        options = WatchOptions(keys=texts, n_keys=len(texts), prefix=_bytes(prefix),
                               after=_bytes(after))
        self._cancel, details = ctypes.c_void_p(), _Details()
        _check(lib.lh_cancel_new(byref(self._cancel), byref(details)), details)
        options.cancel = self._cancel
        self._queue: queue.SimpleQueue[Union[Event, Exception, None]] = queue.SimpleQueue()
        self._ended: Union[Exception, None, bool] = False
        self._thread = threading.Thread(target=self._run, args=(store, options),
                                        name="leasehold-watch", daemon=True)
        self._thread.start()

    def _run(self, store: ctypes.c_void_p, options: WatchOptions) -> None:
        def each(_: object, event: ctypes._Pointer[_Event]) -> int:
            self._queue.put(_event(event.contents))
            return 0

        details = _Details()
        outcome = lib.lh_watch(store, byref(options), EachEvent(each), None, byref(details))
        try:
            if outcome != CANCELLED:
                _check(outcome, details)
            self._queue.put(None)
        except Error as why:
            self._queue.put(why)

    def next(self, timeout: Optional[float] = None) -> Event:
        """The next event. Raises TimeoutError where none comes in time, StopIteration once it is
        closed, and Error if it cannot go on."""
        if self._ended is False:
            try:
                told = self._queue.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError from None
            if isinstance(told, Event):
                return told
            self._ended = told
        if isinstance(self._ended, Exception):
            raise self._ended
        raise StopIteration

    def __next__(self) -> Event:
        return self.next()

    def close(self) -> None:
        """Ends it, within about half a second."""
        if self._cancel:
            lib.lh_cancel_now(self._cancel)
            self._thread.join()
            lib.lh_cancel_free(self._cancel)
            self._cancel = ctypes.c_void_p()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()


class Store:
    """One collection of leases on one deployment. `at_open`: "nothing", "verify" (the index is
    there) or "migrate". `rollout`: "enforce", "observe" (nobody is refused), "off" (nothing is
    asked; `uri` may be None), or "environment" (as LEASEHOLD_MODE says)."""

    def __init__(self, uri: Optional[str], db: Optional[str] = None,
                 collection: Optional[str] = None, owner: Optional[str] = None,
                 timeout: float = 10, clock_skew: float = 0.5, max_shared: int = 128,
                 at_open: str = "verify", max_waiters: int = 1000,
                 rollout: str = "enforce") -> None:
        self._handle: Optional[ctypes.c_void_p] = None
        options = StoreOptions(uri=_bytes(uri), db=_bytes(db), collection=_bytes(collection),
                               owner=_bytes(owner), timeout_ms=_ms(timeout),
                               clock_skew_ms=_ms(clock_skew), max_waiters=max_waiters,
                               max_shared=max_shared,
                               at_open=("nothing", "verify", "migrate").index(at_open),
                               rollout=("enforce", "observe", "off", "environment").index(rollout))
        handle, details = ctypes.c_void_p(), _Details()
        _check(lib.lh_store_open(byref(options), byref(handle), byref(details)), details)
        self._handle = handle

    def acquire(self, key: str, ttl: float = 30, wait: float = 0, shared: bool = False,
                owner: Optional[str] = None, purpose: Optional[str] = None,
                lease_id: Optional[str] = None, by_hand: bool = False,
                path: bool = False) -> Lease:
        """Raises Busy where somebody else holds it; `wait`: seconds in the queue, or math.inf."""
        options = AcquireOptions(ttl_ms=_ms(ttl), mode=int(shared), owner=_bytes(owner),
                                 purpose=_bytes(purpose), lease_id=_bytes(lease_id),
                                 wait_ms=_ms(wait), by_hand=by_hand, path=path)
        handle, busy, details = ctypes.c_void_p(), ctypes.POINTER(Record)(), _Details()
        outcome = lib.lh_acquire(self._open(), _bytes(key), byref(options), byref(handle),
                                 byref(busy), byref(details))
        _check_busy(outcome, busy, details)
        return Lease(handle, key)

    def acquire_many(self, keys: Sequence[str], ttl: float = 30, wait: float = 0,
                     shared: bool = False, owner: Optional[str] = None,
                     purpose: Optional[str] = None, by_hand: bool = False) -> Leases:
        """All of the keys or none, in any order: those who want some of the same never wait for
        each other in a circle."""
        options = AcquireOptions(ttl_ms=_ms(ttl), mode=int(shared), owner=_bytes(owner),
                                 purpose=_bytes(purpose), wait_ms=_ms(wait), by_hand=by_hand)
        texts = _texts(keys)
        handles = (ctypes.c_void_p * len(keys))()
        busy, details = ctypes.POINTER(Record)(), _Details()
        outcome = lib.lh_acquire_many(self._open(), texts, len(keys), byref(options), handles,
                                      byref(busy), byref(details))
        _check_busy(outcome, busy, details)
        return Leases(Lease(ctypes.c_void_p(handle), key) for handle, key in zip(handles, keys))

    def attach(self, key: str, lease_id: str) -> Lease:
        """A lease that somebody else acquired: renew it first."""
        handle, details = ctypes.c_void_p(), _Details()
        outcome = lib.lh_lease_attach(self._open(), _bytes(key), _bytes(lease_id), byref(handle),
                                      byref(details))
        _check(outcome, details)
        return Lease(handle, key)

    def status(self, key: str) -> Status:
        found, details = ctypes.POINTER(Record)(), _Details()
        _check(lib.lh_status(self._open(), _bytes(key), byref(found), byref(details)), details)
        try:
            return _status(found)
        finally:
            lib.lh_record_free(found)

    def list(self, prefix: Optional[str] = None, owner: Optional[str] = None,
             expired: bool = False, malformed: bool = False, free: bool = False,
             limit: int = 0) -> builtins.list[Status]:
        """What is held or cannot be read, in the order of keys; with `free` also what is free."""
        found: builtins.list[Status] = []

        def each(_: object, record: ctypes._Pointer[Record]) -> int:
            found.append(_status(record))
            return 0

        options = ListOptions(prefix=_bytes(prefix), owner=_bytes(owner), expired=expired,
                              malformed=malformed, free_too=free, limit=limit)
        details = _Details()
        _check(lib.lh_list(self._open(), byref(options), EachRecord(each), None, byref(details)),
               details)
        return found

    def watch(self, keys: Iterable[str] = (), prefix: Optional[str] = None,
              after: Optional[str] = None) -> Watch:
        """What happens to these keys, and to all that begin with the prefix; without either to all.
        `after`: an event's id, to go on behind it. Uses a thread of its own."""
        return Watch(self._open(), keys, prefix, after)

    def break_(self, key: str, reason: str, by: Optional[str] = None, token: int = -1) -> Status:
        """For operators: takes the key from whoever holds it. Raises Lost where nobody does, or not
        with that token. What was broken."""
        options = BreakOptions(reason=_bytes(reason), by=_bytes(by), token=token)
        found, details = ctypes.POINTER(Record)(), _Details()
        outcome = lib.lh_break(self._open(), _bytes(key), byref(options), byref(found),
                               byref(details))
        _check(outcome, details)
        try:
            return _status(found)
        finally:
            lib.lh_record_free(found)

    def observed(self) -> dict[str, int]:
        """What was let pass: granted, contended, failed, lost, skipped. All 0 in a store that
        enforces."""
        counts, details = Observed(), _Details()
        _check(lib.lh_store_observed(self._open(), byref(counts), byref(details)), details)
        return {name: getattr(counts, name) for name, _ in Observed._fields_[2:]}

    def close(self) -> None:
        """Ends all waiting, and releases what is held. No other thread may be inside of a call, but
        for those that wait."""
        handle, self._handle = self._handle, None
        if handle:
            lib.lh_store_close(handle)

    def _open(self) -> ctypes.c_void_p:
        if not self._handle:
            raise ValueError("the store is closed")
        return self._handle

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()


def _bytes(text: Optional[str]) -> Optional[bytes]:
    """For C, which ends a text at its first NUL: none is cut short. Lone surrogates are no UTF-8,
    and raise too."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"a text must be str, not {type(text).__name__}")
    encoded = str.encode(text)
    if b"\0" in encoded:
        raise ValueError(f"a NUL in a text: {text!r}")
    return encoded


def _texts(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    if isinstance(texts, (str, bytes)):
        raise TypeError("several texts are wanted: a list of them, not one, which would be taken "
                        "as its characters")
    encoded = [_bytes(text) for text in texts]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def _text(text: Optional[bytes]) -> str:
    return (text or b"").decode("utf-8", "replace")


def _ms(seconds: float) -> int:
    return NEVER if math.isinf(seconds) else round(seconds * 1000)


def _holder(record: ctypes._Pointer[Record], i: int) -> Optional[Holder]:
    found = lib.lh_record_holder(record, i)
    if not found:
        return None
    h = found.contents
    remaining = math.inf if h.remaining_ms == NEVER else h.remaining_ms / 1000
    return Holder(_text(h.owner), _text(h.host), _text(h.purpose), h.pid, bool(h.mode), h.token,
                  remaining)


def _status(found: ctypes._Pointer[Record]) -> Status:
    record = found.contents
    all_holders = (_holder(found, i) for i in range(record.holders))
    holders = tuple(holder for holder in all_holders if holder)
    note = None
    if record.note:
        note = Note(_text(record.note), record.note_token, record.note_at_ms / 1000)
    return Status(_text(record.key), ("free", "held", "malformed")[record.state],
                  _text(record.problem), record.token, holders, record.waiters,
                  _text(record.released_how), _text(record.released_by),
                  _text(record.released_reason), note)


def _event(e: _Event) -> Event:
    expires = math.inf if e.expires_at_ms == NEVER else e.expires_at_ms / 1000
    return Event(_text(lib.lh_event_word(e.kind)), _text(e.id), _text(e.key), e.at_ms / 1000,
                 _text(e.how), _text(e.owner), _text(e.host), _text(e.purpose), e.pid,
                 bool(e.mode), e.token, expires, _text(e.by), _text(e.reason), _text(e.note))


def _check_busy(outcome: int, busy: ctypes._Pointer[Record], details: _Details) -> None:
    """As _check, with who holds it."""
    if outcome == BUSY and busy:
        record = busy.contents
        told = Busy(_text(details.message), _text(lib.lh_why_word(record.why)), _holder(busy, 0),
                    record.retry_after_ms / 1000, _reason(details))
        lib.lh_record_free(busy)
        raise told
    _check(outcome, details)


def _reason(details: _Details) -> str:
    return _text(lib.lh_reason_word(details.reason))


def _check(outcome: int, details: _Details) -> None:
    if outcome == OK:
        return
    word, message = _text(lib.lh_outcome_word(outcome)), _text(details.message)
    if outcome == BUSY:
        raise Busy(message, "", None, 0, _reason(details))
    kind = Lost if outcome == LOST else Error
    raise kind(word, message, _text(details.lease_id), details.server_code, _reason(details))
