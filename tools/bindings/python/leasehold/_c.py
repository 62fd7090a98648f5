# SPDX-License-Identifier: Apache-2.0
"""leasehold.h in ctypes: structs, callbacks and functions, as the headers have them.

The library is what LEASEHOLD_LIBRARY names, or else the one inside the package (of a wheel), or
else libleasehold.so.0, as the system's loader finds it."""
import ctypes
import os
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_bool,
    c_char,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any, ClassVar

OK, BUSY, LOST, UNKNOWN, INVALID, UNREACHABLE, DENIED, CONFIG = 0, 1, 2, 3, 4, 5, 6, 7
STOPPED, CANCELLED, CLOSED = 12, 14, 15
REASON_TIMEOUT, REASON_STORE_CLOSED = 108, 401
LEVEL_ERROR, LEVEL_WARNING, LEVEL_INFO, LEVEL_DEBUG = 1, 2, 3, 4
NEVER = 2**63 - 1


class Sized(Structure):
    """A struct that the caller allocates: as its init function in the library fills it, so with its
    size and the defaults, and then with what is named here."""

    _init_: ClassVar[str]

    def __init__(self, **fields: object) -> None:
        super().__init__()
        getattr(lib, self._init_)(byref(self), ctypes.sizeof(self))
        for name, value in fields.items():
            setattr(self, name, value)


class Error(Sized):
    _init_ = "lh_error_init"
    _fields_ = [
        ("size", c_size_t),
        ("code", c_int),
        ("server_code", c_int),
        ("reason", c_int),
        ("lease_id", c_char * 36),
        ("message", c_char * 512),
    ]


class StoreOptions(Sized):
    _init_ = "lh_store_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("uri", c_char_p),
        ("db", c_char_p),
        ("collection", c_char_p),
        ("owner", c_char_p),
        ("app_name", c_char_p),
        ("timeout_ms", c_int64),
        ("clock_skew_ms", c_int64),
        ("max_waiters", c_uint32),
        ("max_shared", c_uint32),
        ("pool_size", c_uint32),
        ("at_open", c_int),
        ("migrate", c_void_p),
        ("on_lost", c_void_p),
        ("on_lost_arg", c_void_p),
        ("on_lost_free", c_void_p),
        ("allow_insecure_tls", c_bool),
        ("for_others", c_bool),
        ("rollout", c_int),
        ("audit", c_char_p),
        ("log_level", c_int),
        ("log", c_void_p),
        ("log_arg", c_void_p),
        ("log_free", c_void_p),
    ]


class AcquireOptions(Sized):
    _init_ = "lh_acquire_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("ttl_ms", c_int64),
        ("mode", c_int),
        ("owner", c_char_p),
        ("purpose", c_char_p),
        ("lease_id", c_char_p),
        ("timeout_ms", c_int64),
        ("wait_ms", c_int64),
        ("claim_ms", c_int64),
        ("by_hand", c_bool),
        ("path", c_bool),
        ("resume", c_bool),
        ("cancel", c_void_p),
        ("feedback", c_void_p),
        ("feedback_arg", c_void_p),
    ]


class Holder(Structure):
    _fields_ = [
        ("owner", c_char_p),
        ("host", c_char_p),
        ("purpose", c_char_p),
        ("pid", c_int64),
        ("mode", c_int),
        ("token", c_int64),
        ("acquired_at_ms", c_int64),
        ("expires_at_ms", c_int64),
        ("remaining_ms", c_int64),
        ("kept", c_bool),
    ]


class Record(Structure):
    _fields_ = [
        ("key", c_char_p),
        ("state", c_int),
        ("problem", c_char_p),
        ("token", c_int64),
        ("expired", c_bool),
        ("holders", c_size_t),
        ("waiters", c_size_t),
        ("now_ms", c_int64),
        ("released_how", c_char_p),
        ("released_owner", c_char_p),
        ("released_by", c_char_p),
        ("released_reason", c_char_p),
        ("released_at_ms", c_int64),
        ("why", c_int),
        ("retry_after_ms", c_int64),
        ("note", c_char_p),
        ("note_token", c_int64),
        ("note_at_ms", c_int64),
        ("document_id", c_char_p),
        ("id_taken_by", c_char_p),
        ("id_json", c_char_p),
    ]


class ReleaseOptions(Sized):
    _init_ = "lh_release_options_init"
    _fields_ = [("size", c_size_t), ("note", c_char_p), ("keep_ms", c_int64)]


class Observed(Sized):
    _init_ = "lh_observed_init"
    _fields_ = [
        ("size", c_size_t),
        ("rollout", c_int),
        ("granted", c_uint64),
        ("contended", c_uint64),
        ("failed", c_uint64),
        ("lost", c_uint64),
        ("skipped", c_uint64),
    ]


class Note(Structure):
    _fields_ = [("text", c_char_p), ("token", c_int64), ("at_ms", c_int64)]


class ListOptions(Sized):
    _init_ = "lh_list_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("prefix", c_char_p),
        ("owner", c_char_p),
        ("expired", c_bool),
        ("malformed", c_bool),
        ("free_too", c_bool),
        ("limit", c_uint64),
        ("keys", POINTER(c_char_p)),
        ("n_keys", c_size_t),
    ]


class WatchOptions(Sized):
    _init_ = "lh_watch_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("keys", POINTER(c_char_p)),
        ("n_keys", c_size_t),
        ("prefix", c_char_p),
        ("after", c_char_p),
        ("cancel", c_void_p),
    ]


class BreakOptions(Sized):
    _init_ = "lh_break_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("reason", c_char_p),
        ("by", c_char_p),
        ("token", c_int64),
        ("id", c_char_p),
    ]


class Event(Structure):
    _fields_ = [
        ("kind", c_int),
        ("id", c_char_p),
        ("key", c_char_p),
        ("at_ms", c_int64),
        ("how", c_char_p),
        ("owner", c_char_p),
        ("host", c_char_p),
        ("purpose", c_char_p),
        ("pid", c_int64),
        ("mode", c_int),
        ("token", c_int64),
        ("expires_at_ms", c_int64),
        ("by", c_char_p),
        ("reason", c_char_p),
        ("note", c_char_p),
        ("kept_until_ms", c_int64),
    ]


class Waiter(Structure):
    _fields_ = [("owner", c_char_p), ("purpose", c_char_p), ("mode", c_int), ("since_ms", c_int64)]


class AuditEntry(Structure):
    _fields_ = [
        ("at_ms", c_int64),
        ("event", c_char_p),
        ("key", c_char_p),
        ("owner", c_char_p),
        ("host", c_char_p),
        ("pid", c_int64),
        ("purpose", c_char_p),
        ("by", c_char_p),
        ("reason", c_char_p),
        ("to", c_char_p),
        ("previous_owner", c_char_p),
        ("previous_how", c_char_p),
        ("token", c_int64),
        ("to_token", c_int64),
        ("mode", c_int),
    ]


class AuditOptions(Sized):
    _init_ = "lh_audit_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("key", c_char_p),
        ("since_ms", c_int64),
        ("follow", c_bool),
        ("cancel", c_void_p),
    ]


class CleanupOptions(Sized):
    _init_ = "lh_cleanup_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("older_than_ms", c_int64),
        ("dry_run", c_bool),
        ("progress", c_void_p),
        ("progress_arg", c_void_p),
    ]


class CleanupReport(Sized):
    _init_ = "lh_cleanup_report_init"
    _fields_ = [
        ("size", c_size_t),
        ("removed", c_uint64),
        ("holders_dropped", c_uint64),
        ("waiters_dropped", c_uint64),
    ]


class Reaped(Structure):
    _fields_ = [
        ("key", c_char_p),
        ("owner", c_char_p),
        ("purpose", c_char_p),
        ("pid", c_int64),
        ("token", c_int64),
        ("mode", c_int),
        ("waited", c_bool),
        ("since_ms", c_int64),
    ]


class ReapOptions(Sized):
    _init_ = "lh_reap_options_init"
    _fields_ = [("size", c_size_t), ("dry_run", c_bool), ("by", c_char_p)]


class ReapReport(Sized):
    _init_ = "lh_reap_report_init"
    _fields_ = [
        ("size", c_size_t),
        ("holders", c_uint64),
        ("waiters", c_uint64),
        ("alive", c_uint64),
    ]


class Verdict(Structure):
    _fields_ = [
        ("key", c_char_p),
        ("survivor", c_char_p),
        ("reason", c_char_p),
        ("losers", c_uint64),
    ]


class MigrateOptions(Sized):
    _init_ = "lh_migrate_options_init"
    _fields_ = [
        ("size", c_size_t),
        ("dry_run", c_bool),
        ("remove", c_bool),
        ("no_archive", c_bool),
        ("archive", c_char_p),
        ("quarantine", c_bool),
        ("adopt", c_bool),
        ("accept_foreign_keys", c_bool),
        ("even_live", c_bool),
        ("even_most", c_bool),
        ("check_keys", c_bool),
        ("no_trial", c_bool),
        ("timeout_ms", c_int64),
        ("progress", c_void_p),
        ("progress_arg", c_void_p),
        ("verdict", c_void_p),
        ("verdict_arg", c_void_p),
        ("audit_keep_ms", c_int64),
        ("id", c_char_p),
    ]


class MigrateReport(Sized):
    _init_ = "lh_migrate_report_init"
    _fields_ = [
        ("size", c_size_t),
        ("index", c_int),
        ("interrupted", c_bool),
        ("tried", c_bool),
        ("scanned", c_uint64),
        ("duplicate_keys", c_uint64),
        ("removed", c_uint64),
        ("archived", c_uint64),
        ("quarantined", c_uint64),
        ("malformed", c_uint64),
        ("waited_ms", c_uint64),
        ("elapsed_ms", c_uint64),
        ("foreign", c_uint64 * 14),
        ("foreign_live", c_uint64),
        ("problems", c_char * 512),
    ]


class Since(Structure):
    _fields_ = [("key", c_char_p), ("owner", c_char_p), ("at_ms", c_int64)]


class StatsReport(Structure):
    _fields_ = [
        ("documents", c_uint64),
        ("exclusive", c_uint64),
        ("shared", c_uint64),
        ("malformed", c_uint64),
        ("free", c_uint64),
        ("expired", c_uint64),
        ("shared_holders", c_uint64),
        ("queues", c_uint64),
        ("waiters", c_uint64),
        ("oldest", Since),
        ("longest_wait", Since),
        ("now_ms", c_int64),
    ]


class StatsOptions(Sized):
    _init_ = "lh_stats_options_init"
    _fields_ = [("size", c_size_t), ("timeout_ms", c_int64)]


class Finding(Structure):
    _fields_ = [
        ("id", c_char_p),
        ("severity", c_int),
        ("outcome", c_int),
        ("count", c_uint64),
        ("what", c_char_p),
        ("what_to_do", c_char_p),
    ]


class DoctorOptions(Sized):
    _init_ = "lh_doctor_options_init"
    _fields_ = [("size", c_size_t), ("role", c_int), ("trial", c_int)]


class Metrics(Sized):
    _init_ = "lh_metrics_init"
    _fields_ = [
        ("size", c_size_t),
        ("commands_ok", c_uint64 * 8),
        ("commands_refused", c_uint64 * 8),
        ("commands_unreachable", c_uint64 * 8),
        ("commands_unknown", c_uint64 * 8),
        ("repeats", c_uint64),
        ("acquired", c_uint64),
        ("busy", c_uint64),
        ("acquires_failed", c_uint64),
        ("queued", c_uint64),
        ("granted", c_uint64),
        ("renewed", c_uint64),
        ("renewals_failed", c_uint64),
        ("lost", c_uint64),
        ("released", c_uint64),
        ("releases_failed", c_uint64),
        ("transferred", c_uint64),
        ("streams_closed", c_uint64),
        ("waiting", c_uint64),
        ("holding", c_uint64),
        ("round_trips", c_uint64 * 16),
        ("round_trips_us", c_uint64),
        ("acquires", c_uint64 * 16),
        ("acquires_us", c_uint64),
    ]


class LogEvent(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("event", c_int),
        ("level", c_int),
        ("outcome", c_int),
        ("reason", c_int),
        ("server_code", c_int),
        ("attempt", c_int),
        ("duration_us", c_int64),
        ("token", c_int64),
        ("count", c_uint64),
        ("key", c_char_p),
        ("lease", c_char_p),
        ("command", c_char_p),
        ("message", c_char_p),
    ]


# Callbacks: the first argument is the `arg` of the call, which Python does not need.
EachRecord = CFUNCTYPE(c_int, c_void_p, POINTER(Record))
EachEvent = CFUNCTYPE(c_int, c_void_p, POINTER(Event))
EachEntry = CFUNCTYPE(c_int, c_void_p, POINTER(AuditEntry))
EachFinding = CFUNCTYPE(c_int, c_void_p, POINTER(Finding))
EachReaped = CFUNCTYPE(c_int, c_void_p, POINTER(Reaped))
Feedback = CFUNCTYPE(None, c_void_p, POINTER(Record), c_uint32)
OnVerdict = CFUNCTYPE(None, c_void_p, POINTER(Verdict))
OnCleanup = CFUNCTYPE(c_int, c_void_p, c_uint64, c_uint64)
OnMigrate = CFUNCTYPE(c_int, c_void_p, c_char_p, c_uint64, c_uint64)
OnLost = CFUNCTYPE(None, c_void_p, c_char_p, c_char_p)
OnLog = CFUNCTYPE(None, c_void_p, POINTER(LogEvent))
OnDriverLog = CFUNCTYPE(None, c_void_p, c_int, c_char_p)

_STORE = _LEASE = _WAITING = _CANCEL = c_void_p
_HANDLE = POINTER(c_void_p)
_RECORD = POINTER(POINTER(Record))
_ERROR = POINTER(Error)

# The type of the result, and those of the arguments.
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "lh_version": (c_char_p,),
    "lh_outcome_word": (c_char_p, c_int),
    "lh_reason_word": (c_char_p, c_int),
    "lh_why_word": (c_char_p, c_int),
    "lh_event_word": (c_char_p, c_int),
    "lh_index_word": (c_char_p, c_int),
    "lh_key_type_word": (c_char_p, c_int),
    "lh_severity_word": (c_char_p, c_int),
    "lh_rollout_word": (c_char_p, c_int),
    "lh_log_word": (c_char_p, c_int),
    "lh_operation_word": (c_char_p, c_int),
    "lh_metrics_bound_us": (c_uint64, c_size_t),
    "lh_key_check": (c_int, c_char_p, c_size_t, _ERROR),
    "lh_key_join": (c_int, POINTER(c_char_p), c_size_t, _HANDLE, _ERROR),
    "lh_trim": (c_void_p, c_char_p, POINTER(c_size_t)),
    "lh_string_free": (None, c_void_p),
    "lh_store_open": (c_int, POINTER(StoreOptions), _HANDLE, _ERROR),
    "lh_store_close": (None, _STORE),
    "lh_store_warning": (c_char_p, _STORE, c_size_t),
    "lh_store_observed": (c_int, _STORE, POINTER(Observed), _ERROR),
    "lh_store_metrics": (c_int, _STORE, POINTER(Metrics), _ERROR),
    "lh_driver_log": (None, OnDriverLog, c_void_p, c_void_p),
    "lh_record_holder": (POINTER(Holder), POINTER(Record), c_size_t),
    "lh_record_waiter": (POINTER(Waiter), POINTER(Record), c_size_t),
    "lh_record_free": (None, POINTER(Record)),
    "lh_acquire": (c_int, _STORE, c_char_p, POINTER(AcquireOptions), _HANDLE, _RECORD, _ERROR),
    "lh_acquire_many": (
        c_int,
        _STORE,
        POINTER(c_char_p),
        c_size_t,
        POINTER(AcquireOptions),
        _HANDLE,
        _RECORD,
        _ERROR,
    ),
    "lh_acquire_start": (c_int, _STORE, c_char_p, POINTER(AcquireOptions), _HANDLE, _ERROR),
    "lh_waiting_fd": (c_int, _WAITING),
    "lh_waiting_finish": (c_int, _WAITING, _HANDLE, _RECORD, _ERROR),
    "lh_waiting_cancel": (c_int, _WAITING, _ERROR),
    "lh_cancel_new": (c_int, _HANDLE, _ERROR),
    "lh_cancel_now": (None, _CANCEL),
    "lh_cancel_free": (None, _CANCEL),
    "lh_lease_attach": (c_int, _STORE, c_char_p, c_char_p, _HANDLE, _ERROR),
    "lh_lease_keep": (c_int, _LEASE, _ERROR),
    "lh_lease_renew": (c_int, _LEASE, c_int64, _RECORD, _ERROR),
    "lh_lease_release": (c_int, _LEASE, _ERROR),
    "lh_lease_release_with": (c_int, _LEASE, POINTER(ReleaseOptions), _ERROR),
    "lh_lease_note": (c_int, _LEASE, POINTER(POINTER(Note)), _ERROR),
    "lh_lease_transfer": (c_int, _LEASE, c_char_p, c_char * 33, _ERROR),
    "lh_lease_valid": (c_bool, _LEASE),
    "lh_lease_remaining_ms": (c_int64, _LEASE),
    "lh_lease_lost_fd": (c_int, _LEASE),
    "lh_lease_token": (c_int64, _LEASE),
    "lh_lease_id": (c_char_p, _LEASE),
    "lh_lease_owner": (c_char_p, _LEASE),
    "lh_lease_mode": (c_int, _LEASE),
    "lh_lease_ttl_ms": (c_int64, _LEASE),
    "lh_lease_expires_at_ms": (c_int64, _LEASE),
    "lh_lease_enforced": (c_bool, _LEASE),
    "lh_lease_refusal": (_ERROR, _LEASE),
    "lh_lease_free": (None, _LEASE),
    "lh_status": (c_int, _STORE, c_char_p, _RECORD, _ERROR),
    "lh_status_by_id": (c_int, _STORE, c_char_p, _RECORD, _ERROR),
    "lh_list": (c_int, _STORE, POINTER(ListOptions), EachRecord, c_void_p, _ERROR),
    "lh_watch": (c_int, _STORE, POINTER(WatchOptions), EachEvent, c_void_p, _ERROR),
    "lh_audit": (c_int, _STORE, POINTER(AuditOptions), EachEntry, c_void_p, _ERROR),
    "lh_stats": (c_int, _STORE, POINTER(StatsOptions), POINTER(POINTER(StatsReport)), _ERROR),
    "lh_stats_free": (None, POINTER(StatsReport)),
    "lh_break": (c_int, _STORE, c_char_p, POINTER(BreakOptions), _RECORD, _ERROR),
    "lh_cleanup": (c_int, _STORE, POINTER(CleanupOptions), POINTER(CleanupReport), _ERROR),
    "lh_reap": (
        c_int,
        _STORE,
        POINTER(ReapOptions),
        EachReaped,
        c_void_p,
        POINTER(ReapReport),
        _ERROR,
    ),
    "lh_migrate": (c_int, _STORE, POINTER(MigrateOptions), POINTER(MigrateReport), _ERROR),
    "lh_doctor": (c_int, _STORE, POINTER(DoctorOptions), EachFinding, c_void_p, _ERROR),
    "lh_roles": (c_int, POINTER(StoreOptions), _HANDLE, _ERROR),
}

_SIGNATURES |= {kind._init_: (None, POINTER(kind), c_size_t) for kind in Sized.__subclasses__()}


def _load() -> ctypes.CDLL:
    inside = Path(__file__).parent / "lib" / "libleasehold.so.0"
    name = os.environ.get(
        "LEASEHOLD_LIBRARY", str(inside) if inside.exists() else "libleasehold.so.0"
    )
    try:
        library = ctypes.CDLL(name)
    except OSError as why:
        raise ImportError(
            f"leasehold needs its C library: {why}. Install libleasehold (the Debian package is "
            "libleasehold0), or set LEASEHOLD_LIBRARY to the path of libleasehold.so.0"
        ) from why
    for function, (result, *arguments) in _SIGNATURES.items():
        bound = getattr(library, function)
        bound.restype, bound.argtypes = result, arguments
    return library


lib = _load()
