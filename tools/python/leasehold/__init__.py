# SPDX-License-Identifier: Apache-2.0
"""Leases on keys, kept in MongoDB: libleasehold for Python, without anything to compile.

    with leasehold.Store("mongodb://db0,db1,db2/?replicaSet=rs") as store:
        with store.acquire("project:42", wait=10) as lease:    # released at the end, renewed until then
            rebuild(lease.token)                               # look at lease.valid between the steps

What everything means is in leasehold.h. Times are seconds here. A store may be used by any number of threads: calls let go of the
interpreter's lock. Do not fork with an open store. `Error` is raised for whatever is not done, `Busy` and `Lost` are kinds of it."""
from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from types import TracebackType
from typing import Optional

from ._c import BUSY, LOST, NEVER, OK, AcquireOptions, Observed, Record, ReleaseOptions, StoreOptions, byref, lib
from ._c import Error as _Details
from ._c import Note as _Note

__all__ = ["Store", "Lease", "Status", "Holder", "Note", "Error", "Busy", "Lost", "key_join", "version"]


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
    released_how: str
    note: Optional[Note]


class Error(Exception):
    """`code` is the outcome's word ("unreachable", "config", …); `lease_id` the lease in doubt where that is "unknown"."""

    def __init__(self, code: str, message: str, lease_id: str = "", server_code: int = 0) -> None:
        super().__init__(message)
        self.code, self.lease_id, self.server_code = code, lease_id, server_code


class Busy(Error):
    """Somebody else holds the key, or the wait is over. An outcome: defer the work."""

    def __init__(self, message: str, why: str, holder: Optional[Holder], retry_after: float) -> None:
        super().__init__("busy", message)
        self.why, self.holder, self.retry_after = why, holder, retry_after


class Lost(Error):
    """The lease has ended, or was never this caller's. Stop what is done under it."""


def version() -> str:
    return _text(lib.lh_version())


def key_join(*parts: str) -> str:
    """"project", "42" → project:42, whatever is in the parts."""
    texts = (ctypes.c_char_p * len(parts))(*(_bytes(part) for part in parts))
    key, details = ctypes.c_void_p(), _Details()
    _check(lib.lh_key_join(texts, len(parts), byref(key), byref(details)), details)
    try:
        return _text(ctypes.cast(key, ctypes.c_char_p).value)
    finally:
        lib.lh_string_free(key)


class Lease:
    """One grant. As a context manager it is released at the end; a failure to is only raised where nothing else was."""

    def __init__(self, handle: ctypes.c_void_p, key: str) -> None:
        self._handle, self.key = handle, key
        self.id = _text(lib.lh_lease_id(handle))  #: a capability: whoever knows it may renew and release

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
        return Error(_text(lib.lh_outcome_word(found.contents.code)), _text(found.contents.message)) if found else None

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
        details, options = _Details(), ReleaseOptions(ctypes.sizeof(ReleaseOptions), _bytes(note))
        _check(lib.lh_lease_release_with(self._handle, byref(options), byref(details)), details)

    def note(self) -> Optional[Note]:
        """What the holder before left. None: nothing, or somebody held the key since; then everything may be different."""
        details, found = _Details(), ctypes.POINTER(_Note)()
        _check(lib.lh_lease_note(self._handle, byref(found), byref(details)), details)
        return Note(_text(found.contents.text), found.contents.token, found.contents.at_ms / 1000) if found else None

    def transfer(self, to_owner: str) -> str:
        """Hands it on; the new lease's id."""
        details, fresh = _Details(), (ctypes.c_char * 33)()
        _check(lib.lh_lease_transfer(self._handle, _bytes(to_owner), fresh, byref(details)), details)
        return _text(fresh.value)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        try:
            self.release()
        except Error:
            if kind is None:
                raise

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            lib.lh_lease_free(handle)


class Store:
    """One collection of leases on one deployment. `at_open`: "nothing", "verify" (the index is there) or "migrate". `rollout`: "enforce",
    "observe" (nobody is refused), "off" (nothing is asked; `uri` may be None), or "environment" (as LEASEHOLD_MODE says)."""

    def __init__(self, uri: Optional[str], db: Optional[str] = None, collection: Optional[str] = None, owner: Optional[str] = None,
                 timeout: float = 10, clock_skew: float = 0.5, max_shared: int = 128, at_open: str = "verify",
                 rollout: str = "enforce") -> None:
        self._handle: Optional[ctypes.c_void_p] = None
        options = StoreOptions(ctypes.sizeof(StoreOptions), _bytes(uri), _bytes(db), _bytes(collection), _bytes(owner), None,
                               _ms(timeout), _ms(clock_skew), 1000, max_shared, 16, ("nothing", "verify", "migrate").index(at_open))
        options.rollout = ("enforce", "observe", "off", "environment").index(rollout)
        handle, details = ctypes.c_void_p(), _Details()
        _check(lib.lh_store_open(byref(options), byref(handle), byref(details)), details)
        self._handle = handle

    def acquire(self, key: str, ttl: float = 30, wait: float = 0, shared: bool = False, owner: Optional[str] = None,
                purpose: Optional[str] = None, lease_id: Optional[str] = None, by_hand: bool = False, path: bool = False) -> Lease:
        """Raises Busy where somebody else holds it; `wait`: seconds in the queue, or math.inf."""
        options = AcquireOptions(ctypes.sizeof(AcquireOptions), _ms(ttl), int(shared), _bytes(owner), _bytes(purpose),
                                 _bytes(lease_id), 0, _ms(wait), 5000, by_hand, None, None, None, path, False)
        handle, busy, details = ctypes.c_void_p(), ctypes.POINTER(Record)(), _Details()
        outcome = lib.lh_acquire(self._open(), _bytes(key), byref(options), byref(handle), byref(busy), byref(details))
        if outcome == BUSY and busy:
            record = busy.contents
            told = Busy(_text(details.message), _text(lib.lh_why_word(record.why)), _holder(busy, 0), record.retry_after_ms / 1000)
            lib.lh_record_free(busy)
            raise told
        _check(outcome, details)
        return Lease(handle, key)

    def attach(self, key: str, lease_id: str) -> Lease:
        """A lease that somebody else acquired: renew it first."""
        handle, details = ctypes.c_void_p(), _Details()
        _check(lib.lh_lease_attach(self._open(), _bytes(key), _bytes(lease_id), byref(handle), byref(details)), details)
        return Lease(handle, key)

    def status(self, key: str) -> Status:
        found, details = ctypes.POINTER(Record)(), _Details()
        _check(lib.lh_status(self._open(), _bytes(key), byref(found), byref(details)), details)
        record = found.contents
        try:
            holders = tuple(holder for holder in (_holder(found, i) for i in range(record.holders)) if holder)
            return Status(_text(record.key), ("free", "held", "malformed")[record.state], _text(record.problem), record.token,
                          holders, record.waiters, _text(record.released_how),
                          Note(_text(record.note), record.note_token, record.note_at_ms / 1000) if record.note else None)
        finally:
            lib.lh_record_free(found)

    def observed(self) -> dict[str, int]:
        """What was let pass: granted, contended, failed, lost, skipped. All 0 in a store that enforces."""
        counts, details = Observed(ctypes.sizeof(Observed)), _Details()
        _check(lib.lh_store_observed(self._open(), byref(counts), byref(details)), details)
        return {name: getattr(counts, name) for name, _ in Observed._fields_[2:]}

    def close(self) -> None:
        """Ends all waiting, and releases what is held. No other thread may be inside of a call, but for those that wait."""
        handle, self._handle = self._handle, None
        if handle:
            lib.lh_store_close(handle)

    def _open(self) -> ctypes.c_void_p:
        if not self._handle:
            raise ValueError("the store is closed")
        return self._handle

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()


def _bytes(text: Optional[str]) -> Optional[bytes]:
    if text is None:
        return None
    if "\0" in text:
        raise ValueError("a NUL in a text")
    return text.encode()


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
    return Holder(_text(h.owner), _text(h.host), _text(h.purpose), h.pid, bool(h.mode), h.token, remaining)


def _check(outcome: int, details: _Details) -> None:
    if outcome == OK:
        return
    word, message = _text(lib.lh_outcome_word(outcome)), _text(details.message)
    if outcome == BUSY:
        raise Busy(message, "", None, 0)
    raise (Lost if outcome == LOST else Error)(word, message, _text(details.lease_id), details.server_code)
