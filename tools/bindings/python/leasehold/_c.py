# SPDX-License-Identifier: Apache-2.0
"""leasehold.h in ctypes: the structs and functions that the package uses, as the header has them,
and nothing else.

The library is libleasehold.so.0, as the system's loader finds it, or what LEASEHOLD_LIBRARY
names."""
import ctypes
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_bool, c_char, c_char_p, c_int, c_int64,
                    c_size_t, c_uint32, c_uint64, c_void_p)

OK, BUSY, LOST, STOPPED, CANCELLED = 0, 1, 2, 12, 14
NEVER = 2**63 - 1


class Sized(Structure):
    """A struct that the caller allocates: as its init function in the library fills it, so with its
    size and the defaults, and then with what is named here."""

    def __init__(self, **fields: object) -> None:
        super().__init__()
        getattr(lib, self._init_)(byref(self), ctypes.sizeof(self))
        for name, value in fields.items():
            setattr(self, name, value)


class Error(Sized):
    _init_ = "lh_error_init"
    _fields_ = [("size", c_size_t), ("code", c_int), ("server_code", c_int), ("reason", c_int),
                ("lease_id", c_char * 36), ("message", c_char * 512)]


class StoreOptions(Sized):
    _init_ = "lh_store_options_init"
    _fields_ = [("size", c_size_t), ("uri", c_char_p), ("db", c_char_p), ("collection", c_char_p),
                ("owner", c_char_p), ("app_name", c_char_p), ("timeout_ms", c_int64),
                ("clock_skew_ms", c_int64), ("max_waiters", c_uint32), ("max_shared", c_uint32),
                ("pool_size", c_uint32), ("at_open", c_int), ("migrate", c_void_p),
                ("on_lost", c_void_p), ("on_lost_arg", c_void_p), ("on_lost_free", c_void_p),
                ("allow_insecure_tls", c_bool), ("for_others", c_bool), ("rollout", c_int),
                ("audit", c_char_p), ("log_level", c_int), ("log", c_void_p),
                ("log_arg", c_void_p), ("log_free", c_void_p)]


class AcquireOptions(Sized):
    _init_ = "lh_acquire_options_init"
    _fields_ = [("size", c_size_t), ("ttl_ms", c_int64), ("mode", c_int), ("owner", c_char_p),
                ("purpose", c_char_p), ("lease_id", c_char_p), ("timeout_ms", c_int64),
                ("wait_ms", c_int64), ("claim_ms", c_int64), ("by_hand", c_bool),
                ("path", c_bool), ("resume", c_bool), ("cancel", c_void_p),
                ("feedback", c_void_p), ("feedback_arg", c_void_p)]


class Holder(Structure):
    _fields_ = [("owner", c_char_p), ("host", c_char_p), ("purpose", c_char_p), ("pid", c_int64),
                ("mode", c_int), ("token", c_int64), ("acquired_at_ms", c_int64),
                ("expires_at_ms", c_int64), ("remaining_ms", c_int64)]


class Record(Structure):
    _fields_ = [("key", c_char_p), ("state", c_int), ("problem", c_char_p), ("token", c_int64),
                ("expired", c_bool), ("holders", c_size_t), ("waiters", c_size_t),
                ("now_ms", c_int64), ("released_how", c_char_p), ("released_owner", c_char_p),
                ("released_by", c_char_p), ("released_reason", c_char_p),
                ("released_at_ms", c_int64), ("why", c_int), ("retry_after_ms", c_int64),
                ("note", c_char_p), ("note_token", c_int64), ("note_at_ms", c_int64),
                ("document_id", c_char_p), ("id_taken_by", c_char_p), ("id_json", c_char_p)]


class ReleaseOptions(Sized):
    _init_ = "lh_release_options_init"
    _fields_ = [("size", c_size_t), ("note", c_char_p)]


class Observed(Sized):
    _init_ = "lh_observed_init"
    _fields_ = [("size", c_size_t), ("rollout", c_int), ("granted", c_uint64),
                ("contended", c_uint64), ("failed", c_uint64), ("lost", c_uint64),
                ("skipped", c_uint64)]


class Note(Structure):
    _fields_ = [("text", c_char_p), ("token", c_int64), ("at_ms", c_int64)]


class ListOptions(Sized):
    _init_ = "lh_list_options_init"
    _fields_ = [("size", c_size_t), ("prefix", c_char_p), ("owner", c_char_p),
                ("expired", c_bool), ("malformed", c_bool), ("free_too", c_bool),
                ("limit", c_uint64)]


class WatchOptions(Sized):
    _init_ = "lh_watch_options_init"
    _fields_ = [("size", c_size_t), ("keys", POINTER(c_char_p)), ("n_keys", c_size_t),
                ("prefix", c_char_p), ("after", c_char_p), ("cancel", c_void_p)]


class BreakOptions(Sized):
    _init_ = "lh_break_options_init"
    _fields_ = [("size", c_size_t), ("reason", c_char_p), ("by", c_char_p), ("token", c_int64),
                ("id", c_char_p)]


class Event(Structure):
    _fields_ = [("kind", c_int), ("id", c_char_p), ("key", c_char_p), ("at_ms", c_int64),
                ("how", c_char_p), ("owner", c_char_p), ("host", c_char_p), ("purpose", c_char_p),
                ("pid", c_int64), ("mode", c_int), ("token", c_int64), ("expires_at_ms", c_int64),
                ("by", c_char_p), ("reason", c_char_p), ("note", c_char_p)]


EachRecord = CFUNCTYPE(c_int, c_void_p, POINTER(Record))
EachEvent = CFUNCTYPE(c_int, c_void_p, POINTER(Event))

_SIGNATURES = {
    "lh_version": (c_char_p,),
    "lh_outcome_word": (c_char_p, c_int),
    "lh_reason_word": (c_char_p, c_int),
    "lh_store_open": (c_int, POINTER(StoreOptions), POINTER(c_void_p), POINTER(Error)),
    "lh_store_close": (None, c_void_p),
    "lh_key_join": (c_int, POINTER(c_char_p), c_size_t, POINTER(c_void_p), POINTER(Error)),
    "lh_string_free": (None, c_void_p),
    "lh_why_word": (c_char_p, c_int),
    "lh_record_holder": (POINTER(Holder), POINTER(Record), c_size_t),
    "lh_record_free": (None, POINTER(Record)),
    "lh_acquire": (c_int, c_void_p, c_char_p, POINTER(AcquireOptions), POINTER(c_void_p),
                   POINTER(POINTER(Record)), POINTER(Error)),
    "lh_lease_attach": (c_int, c_void_p, c_char_p, c_char_p, POINTER(c_void_p), POINTER(Error)),
    "lh_lease_renew": (c_int, c_void_p, c_int64, POINTER(POINTER(Record)), POINTER(Error)),
    "lh_lease_release_with": (c_int, c_void_p, POINTER(ReleaseOptions), POINTER(Error)),
    "lh_lease_note": (c_int, c_void_p, POINTER(POINTER(Note)), POINTER(Error)),
    "lh_lease_transfer": (c_int, c_void_p, c_char_p, c_char * 33, POINTER(Error)),
    "lh_lease_valid": (c_bool, c_void_p),
    "lh_lease_remaining_ms": (c_int64, c_void_p),
    "lh_lease_token": (c_int64, c_void_p),
    "lh_lease_id": (c_char_p, c_void_p),
    "lh_lease_enforced": (c_bool, c_void_p),
    "lh_lease_refusal": (POINTER(Error), c_void_p),
    "lh_store_observed": (c_int, c_void_p, POINTER(Observed), POINTER(Error)),
    "lh_lease_free": (None, c_void_p),
    "lh_acquire_many": (c_int, c_void_p, POINTER(c_char_p), c_size_t, POINTER(AcquireOptions),
                        POINTER(c_void_p), POINTER(POINTER(Record)), POINTER(Error)),
    "lh_list": (c_int, c_void_p, POINTER(ListOptions), EachRecord, c_void_p, POINTER(Error)),
    "lh_watch": (c_int, c_void_p, POINTER(WatchOptions), EachEvent, c_void_p, POINTER(Error)),
    "lh_event_word": (c_char_p, c_int),
    "lh_cancel_new": (c_int, POINTER(c_void_p), POINTER(Error)),
    "lh_cancel_now": (None, c_void_p),
    "lh_cancel_free": (None, c_void_p),
    "lh_break": (c_int, c_void_p, c_char_p, POINTER(BreakOptions), POINTER(POINTER(Record)),
                 POINTER(Error)),
    "lh_status": (c_int, c_void_p, c_char_p, POINTER(POINTER(Record)), POINTER(Error)),
}

_SIGNATURES |= {kind._init_: (None, POINTER(kind), c_size_t) for kind in Sized.__subclasses__()}

lib = ctypes.CDLL(os.environ.get("LEASEHOLD_LIBRARY", "libleasehold.so.0"))
for _name, (_result, *_arguments) in _SIGNATURES.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments

__all__ = ["lib", "Error", "StoreOptions", "AcquireOptions", "ListOptions", "WatchOptions",
           "BreakOptions", "Record", "Holder", "Event", "ReleaseOptions", "Note", "Observed",
           "EachRecord", "EachEvent", "OK", "BUSY", "LOST", "STOPPED", "CANCELLED", "NEVER",
           "byref"]
