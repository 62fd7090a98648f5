# SPDX-License-Identifier: Apache-2.0
"""What operators' calls and counters report."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

from . import _c
from ._c import lib
from ._text import fields, from_c


@dataclass(frozen=True)
class MigrateReport:
    """What a migration did, or would do."""

    index: str  #: "present", "created", "converted" or "missing"
    interrupted: bool  #: a dry run found what an interrupted migration left
    tried: bool  #: a trial of leases succeeded
    scanned: int  #: documents that were read
    duplicate_keys: int
    removed: int
    archived: int
    quarantined: int
    malformed: int
    waited: float  #: seconds, for another migrator
    elapsed: float  #: seconds
    foreign: dict[str, int]  #: documents whose workspace_id is not a string, by its type
    foreign_live: int
    problems: str  #: what is odd in the documents


@dataclass(frozen=True)
class Verdict:
    """Which document of a key stays in a migration, and why."""

    key: str
    survivor: str  #: its _id as extended JSON
    reason: str
    losers: int


@dataclass(frozen=True)
class CleanupReport:
    removed: int  #: documents
    holders_dropped: int
    waiters_dropped: int


@dataclass(frozen=True)
class Reaped:
    """A lease, or a place in a queue, of a process that has died."""

    key: str
    owner: str
    purpose: str
    pid: int
    token: int
    shared: bool
    waited: bool  #: it was in the queue; otherwise it held the key
    since: float


@dataclass(frozen=True)
class ReapReport:
    holders: int  #: leases that were ended
    waiters: int
    alive: int
    reaped: tuple[Reaped, ...]


@dataclass(frozen=True)
class Since:
    """The longest holder or waiter."""

    key: str
    owner: str
    at: float  #: since when, in seconds since 1970


@dataclass(frozen=True)
class Stats:
    """Totals over all documents. Each key is one of exclusive, shared, malformed, free, expired."""

    documents: int
    exclusive: int
    shared: int
    malformed: int
    free: int
    expired: int
    shared_holders: int
    queues: int
    waiters: int
    oldest: Optional[Since]
    longest_wait: Optional[Since]
    now: float


@dataclass(frozen=True)
class Finding:
    """What the doctor found. Ids stay the same; sentences may change between versions."""

    id: str
    severity: str  #: "note", "warning" or "error"
    outcome: str  #: of calls, because of an error: "config", "denied" or "data"; otherwise "ok"
    count: int
    what: str
    what_to_do: str


@dataclass(frozen=True)
class Observed:
    """What a store let pass since it was opened. All 0 in a store that enforces."""

    rollout: str
    granted: int
    contended: int
    failed: int
    lost: int
    skipped: int


@dataclass(frozen=True)
class Histogram:
    """Durations: their number, their sum in seconds, and how many fell into each bucket, by the
    upper bound of the bucket in seconds (the last one is infinite)."""

    count: int
    sum: float
    buckets: dict[float, int]


@dataclass(frozen=True)
class Metrics:
    """Counters since the store was opened; `waiting` and `holding` are the numbers of now."""

    commands: dict[str, dict[str, int]]  #: by outcome ("ok", "refused", …), then by operation
    repeats: int
    acquired: int
    busy: int
    acquires_failed: int
    queued: int
    granted: int
    renewed: int
    renewals_failed: int
    lost: int
    released: int
    releases_failed: int
    transferred: int
    streams_closed: int
    waiting: int
    holding: int
    round_trips: Histogram
    acquires: Histogram


def migrate_report_from(found: _c.MigrateReport) -> MigrateReport:
    words = (from_c(lib.lh_key_type_word(i)) for i in range(len(found.foreign)))
    foreign = {word: number for word, number in zip(words, found.foreign) if number}
    index = from_c(lib.lh_index_word(found.index))
    return MigrateReport(index=index, foreign=foreign, **fields(found, "index", "foreign"))


def _since_from(found: _c.Since) -> Optional[Since]:
    return Since(**fields(found)) if found.key is not None else None


def stats_from(found: _c.StatsReport) -> Stats:
    return Stats(
        oldest=_since_from(found.oldest),
        longest_wait=_since_from(found.longest_wait),
        **fields(found, "oldest", "longest_wait"),
    )


def finding_from(found: _c.Finding) -> Finding:
    severity, outcome = lib.lh_severity_word(found.severity), lib.lh_outcome_word(found.outcome)
    return Finding(
        severity=from_c(severity), outcome=from_c(outcome), **fields(found, "severity", "outcome")
    )


def observed_from(found: _c.Observed) -> Observed:
    return Observed(**{**fields(found), "rollout": from_c(lib.lh_rollout_word(found.rollout))})


def _bound(bucket: int) -> float:
    micros = lib.lh_metrics_bound_us(bucket)
    return math.inf if micros == 2**64 - 1 else micros / 1e6


def _histogram(buckets: list[int], sum_us: int) -> Histogram:
    return Histogram(sum(buckets), sum_us / 1e6, {_bound(i): n for i, n in enumerate(buckets)})


def metrics_from(found: _c.Metrics) -> Metrics:
    words = [from_c(lib.lh_operation_word(i)) for i in range(len(found.commands_ok))]
    outcomes = ("ok", "refused", "unreachable", "unknown")
    commands = {
        outcome: {
            word: number
            for word, number in zip(words, getattr(found, f"commands_{outcome}"))
            if word
        }
        for outcome in outcomes
    }
    shown = ("round_trips", "acquires")
    others = fields(
        found,
        *(f"commands_{outcome}" for outcome in outcomes),
        *shown,
        *(f"{name}_us" for name in shown),
    )
    for name in shown:
        others[name] = _histogram(list(getattr(found, name)), getattr(found, f"{name}_us"))
    return Metrics(commands=commands, **others)
