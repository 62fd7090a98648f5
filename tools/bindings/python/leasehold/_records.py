# SPDX-License-Identifier: Apache-2.0
"""The stored state of a key, and events of keys."""
from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from . import _c
from ._c import lib
from ._text import fields, from_c


@dataclass(frozen=True)
class Holder:
    """A lease on a key. Instants are seconds since 1970 by the server's clock."""

    owner: str
    host: str  #: "" if unknown
    purpose: str
    pid: int  #: 0 if unknown
    shared: bool
    token: int
    acquired_at: float  #: 0 if unknown
    expires_at: float  #: infinite if there is no end
    remaining: float  #: seconds when the server replied; infinite if there is no end
    kept: bool  #: it has released the lease, and keeps the key taken until `expires_at`


@dataclass(frozen=True)
class Waiter:
    """A place in the queue of a key."""

    owner: str
    purpose: str
    shared: bool
    since: float  #: seconds since 1970


@dataclass(frozen=True)
class Note:
    """What a holder left for the next one."""

    text: str
    token: int  #: of the lease under which it was written
    at: float  #: seconds since 1970


@dataclass(frozen=True)
class Status:
    """The record of a key. Texts are "" and numbers 0 where there is nothing to report."""

    key: str
    state: str  #: "free", "held" or "malformed" (which counts as held)
    problem: str  #: if malformed: what cannot be read
    token: int  #: the highest that was ever granted
    expired: bool  #: the holder is past its end, and nobody took over
    holders: tuple[Holder, ...]
    waiters: int
    queue: tuple[Waiter, ...]
    now: float  #: the server's clock when it replied
    released_how: str  #: "release", "expire", "transfer" or "break"; "" if unknown
    released_owner: str
    released_by: str
    released_reason: str
    released_at: float
    note: Optional[Note]
    document_id: str  #: the document's _id if it is another string than the key
    id_taken_by: str  #: the key of another document that has this key for its _id
    id_json: str  #: the document's _id where the key does not identify it, for status_by_id()


@dataclass(frozen=True)
class Event:
    """What happened to a key. Texts are "" and numbers 0 where there is nothing to report.

    `kind` is "opened" or "gap" (of the watch itself), or "granted", "renewed", "released",
    "transferred", "broken", "expired", "queued", "left", "removed" or "spoilt"."""

    kind: str
    id: str  #: to resume with `after`
    key: str
    at: float  #: seconds since 1970, by the server's clock
    how: str
    owner: str
    host: str
    purpose: str
    pid: int
    shared: bool
    token: int
    expires_at: float  #: infinite if there is no end
    by: str
    reason: str
    note: str
    kept_until: float  #: of a release that keeps the key taken until then; 0 if it does not


@dataclass(frozen=True)
class AuditEntry:
    """A grant or an end of a lease, in the audit trail. Texts are "" and numbers 0 where there is
    nothing to report.

    `event` is "granted", "taken_over", "released", "transferred", "broken" or "reaped"."""

    at: float
    event: str
    key: str
    owner: str
    host: str
    pid: int
    purpose: str
    by: str
    reason: str
    to: str
    previous_owner: str
    previous_how: str
    token: int
    to_token: int
    shared: bool


_Record = Any  # a pointer to _c.Record; ctypes' pointers have no useful type


def holder_at(record: _Record, i: int) -> Optional[Holder]:
    found = lib.lh_record_holder(record, i)
    return Holder(**fields(found.contents)) if found else None


def _all_of(get: Callable[[_Record, int], Any], record: _Record, n: int) -> list[ctypes.Structure]:
    """The document's numbers may be higher than what can be read."""
    found = (get(record, i) for i in range(n))
    return [each.contents for each in found if each]


def note_from(text: Optional[bytes], token: int, at_ms: int) -> Optional[Note]:
    return Note(from_c(text), token, at_ms / 1000) if text else None


def status_from(found: _Record) -> Status:
    record = found.contents
    values = fields(record, "holders", "why", "retry_after_ms", "note", "note_token", "note_at_ms")
    values["state"] = ("free", "held", "malformed")[record.state]
    holders = _all_of(lib.lh_record_holder, found, record.holders)
    waiters = _all_of(lib.lh_record_waiter, found, record.waiters)
    return Status(
        holders=tuple(Holder(**fields(each)) for each in holders),
        queue=tuple(Waiter(**fields(each)) for each in waiters),
        note=note_from(record.note, record.note_token, record.note_at_ms),
        **values,
    )


def taken_status(found: _Record) -> Status:
    """As status_from(), of a record that the caller owns and this frees."""
    try:
        return status_from(found)
    finally:
        lib.lh_record_free(found)


def event_from(found: _c.Event) -> Event:
    return Event(**{**fields(found), "kind": from_c(lib.lh_event_word(found.kind))})


def entry_from(found: _c.AuditEntry) -> AuditEntry:
    return AuditEntry(**fields(found))
