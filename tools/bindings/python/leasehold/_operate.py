# SPDX-License-Identifier: Apache-2.0
"""Calls that read or repair what is stored, without a lease."""
from __future__ import annotations

import builtins
import ctypes
import math
from collections.abc import Callable, Iterable
from ctypes import byref
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from . import _c
from ._c import lib
from ._errors import check
from ._handle import Handle
from ._records import AuditEntry, Event, Status, entry_from, event_from, status_from, taken_status
from ._reports import (
    CleanupReport,
    Finding,
    MigrateReport,
    Metrics,
    Observed,
    Reaped,
    ReapReport,
    Stats,
    Verdict,
    finding_from,
    metrics_from,
    migrate_report_from,
    observed_from,
    stats_from,
)
from ._stream import Put, Source
from ._text import all_to_c, fields, from_c, to_c, to_ms

if TYPE_CHECKING:
    from ctypes import c_void_p

T = TypeVar("T")
_ROLES = ("runtime", "setup", "ops")


class _Trap:
    """Turns functions into callbacks of C. What one of them raises stops the call of C, and is
    raised after it: also the exception of a signal handler, which runs during a callback."""

    def __init__(self) -> None:
        self._raised: Optional[BaseException] = None

    def __call__(self, kind: Any, fn: Callable[..., object]) -> Any:
        def call(_: object, *arguments: Any) -> int:
            try:
                fn(*arguments)
            except BaseException as why:
                self._raised = why
            return int(self._raised is not None)

        return kind(call)

    def check(self, outcome: int, details: _c.Error) -> None:
        if self._raised is not None:
            raise self._raised
        check(outcome, details)


def _nothing(*_: object) -> None:
    pass


def _void(callback: Any) -> ctypes.c_void_p:
    return ctypes.cast(callback, ctypes.c_void_p)


def _each(kind: Any, convert: Callable[[Any], T], put: Put[T]) -> Any:
    def call(_: object, found: Any) -> int:
        put(convert(found.contents))
        return 0

    return kind(call)


def watch_source(keys: Iterable[str], prefix: Optional[str], after: Optional[str]) -> Source[Event]:
    texts = all_to_c(keys)
    options = _c.WatchOptions(keys=texts, n_keys=len(texts), prefix=to_c(prefix), after=to_c(after))

    def call(store: c_void_p, cancel: c_void_p, put: Put[Event], details: _c.Error) -> int:
        options.cancel = cancel
        each = _each(_c.EachEvent, event_from, put)
        return int(lib.lh_watch(store, byref(options), each, None, byref(details)))

    return Source("watch", call)


def audit_source(key: Optional[str], since: float) -> Source[AuditEntry]:
    options = _c.AuditOptions(key=to_c(key), since_ms=to_ms(since), follow=True)

    def call(store: c_void_p, cancel: c_void_p, put: Put[AuditEntry], details: _c.Error) -> int:
        options.cancel = cancel
        each = _each(_c.EachEntry, entry_from, put)
        return int(lib.lh_audit(store, byref(options), each, None, byref(details)))

    return Source("audit", call)


class Operations:
    """What a store offers beside leases."""

    _handle: Handle

    def status(self, key: str) -> Status:
        """The record of a key: its holders, its queue, how its last lease ended."""
        found, details = ctypes.POINTER(_c.Record)(), _c.Error()
        with self._handle as store:
            check(lib.lh_status(store, to_c(key), byref(found), byref(details)), details)
        return taken_status(found)

    def status_by_id(self, id_json: str) -> Status:
        """As status(), of the document with this _id in extended JSON: `{"$oid": "65f0…"}`.
        Raises `Lost` if there is none."""
        found, details = ctypes.POINTER(_c.Record)(), _c.Error()
        with self._handle as store:
            check(lib.lh_status_by_id(store, to_c(id_json), byref(found), byref(details)), details)
        return taken_status(found)

    def list(
        self,
        prefix: Optional[str] = None,
        owner: Optional[str] = None,
        expired: bool = False,
        malformed: bool = False,
        free: bool = False,
        limit: int = 0,
        keys: Optional[Iterable[str]] = None,
    ) -> builtins.list[Status]:
        """Held and unreadable keys, in order; with `free` also free keys.
        `expired` and `malformed` select only these, and `keys` (at most 1,000) only those; a key
        that is not stored is free, and is not in the result."""
        found: builtins.list[Status] = []
        trap, details = _Trap(), _c.Error()
        options = _c.ListOptions(
            prefix=to_c(prefix),
            owner=to_c(owner),
            expired=expired,
            malformed=malformed,
            free_too=free,
            limit=limit,
        )
        if keys is not None:
            options.keys = names = all_to_c(keys)
            options.n_keys = len(names)
        each = trap(_c.EachRecord, lambda record: found.append(status_from(record)))
        with self._handle as store:
            trap.check(lib.lh_list(store, byref(options), each, None, byref(details)), details)
        return found

    def audit(
        self, key: Optional[str] = None, since: float = math.inf
    ) -> builtins.list[AuditEntry]:
        """The entries of the audit trail, in the order of time: of one key or of all, of the last
        `since` seconds or of all time. The store must have been opened with `audit`."""
        found: builtins.list[AuditEntry] = []
        trap, details = _Trap(), _c.Error()
        options = _c.AuditOptions(key=to_c(key), since_ms=to_ms(since))
        each = trap(_c.EachEntry, lambda entry: found.append(entry_from(entry.contents)))
        with self._handle as store:
            trap.check(lib.lh_audit(store, byref(options), each, None, byref(details)), details)
        return found

    def stats(self, timeout: float = 60) -> Stats:
        """Counts what is stored, with one command that reads every document once."""
        found, details = ctypes.POINTER(_c.StatsReport)(), _c.Error()
        options = _c.StatsOptions(timeout_ms=to_ms(timeout))
        with self._handle as store:
            check(lib.lh_stats(store, byref(options), byref(found), byref(details)), details)
        try:
            return stats_from(found.contents)
        finally:
            lib.lh_stats_free(found)

    def break_(
        self,
        key: Optional[str],
        reason: str,
        by: Optional[str] = None,
        token: int = -1,
        id_json: Optional[str] = None,
    ) -> Status:
        """For operators: takes the key from its holder, and returns what was broken. Raises `Lost`
        if nobody holds it, or not with that `token`. With `id_json` and no key, it breaks the
        document with that _id."""
        options = _c.BreakOptions(reason=to_c(reason), by=to_c(by), token=token, id=to_c(id_json))
        found, details = ctypes.POINTER(_c.Record)(), _c.Error()
        with self._handle as store:
            check(
                lib.lh_break(store, to_c(key), byref(options), byref(found), byref(details)),
                details,
            )
        return taken_status(found)

    def migrate(
        self,
        dry_run: bool = False,
        *,
        remove: bool = True,
        no_archive: bool = False,
        archive: Optional[str] = None,
        quarantine: bool = False,
        adopt: bool = False,
        accept_foreign_keys: bool = False,
        even_live: bool = False,
        even_most: bool = False,
        check_keys: bool = False,
        no_trial: bool = False,
        timeout: float = 600,
        audit_keep: float = 30 * 86400,
        id_json: Optional[str] = None,
        progress: Optional[Callable[[str, int, int], object]] = None,
        verdict: Optional[Callable[[Verdict], object]] = None,
    ) -> MigrateReport:
        """Creates the unique index, and moves duplicates to an archive. It is safe at every boot,
        from any number of processes. The options are those of lh_migrate() in migrate.h.
        `progress(step, done, total)` and `verdict(verdict)` are called as the work goes on; what
        they raise stops it.

        For a service that starts even if its database is away:

            store = leasehold.Store(uri, at_open="nothing")
            try:
                log.info("leases: %s", store.migrate())
            except leasehold.Error as why:
                log.error("leases are not ready: %s", why)
        """
        trap, details, report = _Trap(), _c.Error(), _c.MigrateReport()
        on_verdict = verdict or _nothing
        callbacks = (
            trap(
                _c.OnMigrate,
                lambda step, done, total: (progress or _nothing)(from_c(step), done, total),
            ),
            trap(_c.OnVerdict, lambda found: on_verdict(Verdict(**fields(found.contents)))),
        )
        options = _c.MigrateOptions(
            dry_run=dry_run,
            remove=remove,
            no_archive=no_archive,
            archive=to_c(archive),
            quarantine=quarantine,
            adopt=adopt,
            accept_foreign_keys=accept_foreign_keys,
            even_live=even_live,
            even_most=even_most,
            check_keys=check_keys,
            no_trial=no_trial,
            timeout_ms=to_ms(timeout),
            audit_keep_ms=to_ms(audit_keep),
            id=to_c(id_json),
            progress=_void(callbacks[0]),
            verdict=_void(callbacks[1]),
        )
        with self._handle as store:
            trap.check(
                lib.lh_migrate(store, byref(options), byref(report), byref(details)), details
            )
        return migrate_report_from(report)

    def cleanup(
        self,
        older_than: float = 86400,
        dry_run: bool = False,
        progress: Optional[Callable[[int, int], object]] = None,
    ) -> CleanupReport:
        """Removes documents of keys that nobody used for `older_than` seconds.
        `progress(looked_at, removed)` is called after each batch; what it raises stops it."""
        trap, details, report = _Trap(), _c.Error(), _c.CleanupReport()
        callback = trap(_c.OnCleanup, progress or _nothing)
        options = _c.CleanupOptions(
            older_than_ms=to_ms(older_than), dry_run=dry_run, progress=_void(callback)
        )
        with self._handle as store:
            trap.check(
                lib.lh_cleanup(store, byref(options), byref(report), byref(details)), details
            )
        return CleanupReport(**fields(report))

    def reap(self, dry_run: bool = False, by: Optional[str] = None) -> ReapReport:
        """Releases the leases of dead processes of this host: for a service that starts again after
        it was killed."""
        reaped: builtins.list[Reaped] = []
        trap, details, report = _Trap(), _c.Error(), _c.ReapReport()
        options = _c.ReapOptions(dry_run=dry_run, by=to_c(by))
        each = trap(_c.EachReaped, lambda found: reaped.append(Reaped(**fields(found.contents))))
        with self._handle as store:
            trap.check(
                lib.lh_reap(store, byref(options), each, None, byref(report), byref(details)),
                details,
            )
        return ReapReport(reaped=tuple(reaped), **fields(report))

    def doctor(self, role: str = "runtime", trial: bool = False) -> builtins.list[Finding]:
        """Checks the deployment and the rights of the user, which is meant to have this `role`:
        "runtime", "setup" or "ops". With `trial` it then tries leases on a key of its own. Open the
        store with at_open="nothing" for it."""
        found: builtins.list[Finding] = []
        trap, details = _Trap(), _c.Error()
        options = _c.DoctorOptions(role=_ROLES.index(role), trial=int(trial))
        each = trap(_c.EachFinding, lambda finding: found.append(finding_from(finding.contents)))
        with self._handle as store:
            trap.check(lib.lh_doctor(store, byref(options), each, None, byref(details)), details)
        return found

    def observed(self) -> Observed:
        """What a store that observes let pass. No command is sent."""
        counts, details = _c.Observed(), _c.Error()
        with self._handle as store:
            check(lib.lh_store_observed(store, byref(counts), byref(details)), details)
        return observed_from(counts)

    def metrics(self) -> Metrics:
        """Counters and histograms, for an exporter. No command is sent."""
        found, details = _c.Metrics(), _c.Error()
        with self._handle as store:
            check(lib.lh_store_metrics(store, byref(found), byref(details)), details)
        return metrics_from(found)

    @property
    def warnings(self) -> builtins.list[str]:
        """The parts of the connection string without effect, and why."""
        found: builtins.list[str] = []
        with self._handle as store:
            while (sentence := lib.lh_store_warning(store, len(found))) is not None:
                found.append(from_c(sentence))
        return found
