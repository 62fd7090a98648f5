# SPDX-License-Identifier: Apache-2.0
"""The library, asked as a vector asks."""
import ctypes
import select
import time

import leasehold
from leasehold import _c

lib = _c.lib
# What only the tests use of waiting.
lib.lh_acquire_start.argtypes = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.POINTER(_c.AcquireOptions),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(_c.Error),
)
lib.lh_waiting_fd.argtypes = (ctypes.c_void_p,)
lib.lh_waiting_finish.argtypes = (
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.POINTER(_c.Record)),
    ctypes.POINTER(_c.Error),
)
lib.lh_waiting_cancel.argtypes = (ctypes.c_void_p, ctypes.POINTER(_c.Error))
FOREVER = 2**63 - 1


class Library:
    def __init__(self, uri, locks, **options):
        self.store = leasehold.Store(
            uri, locks.database.name, locks.name, at_open="migrate", **options
        )
        self.locks, self.waiting = locks, None

    def run(
        self,
        operation,
        key,
        lease,
        owner=None,
        purpose=None,
        ttl_ms=0,
        to_owner=None,
        by=None,
        reason=None,
        claim_ms=5000,
        note=None,
        **_
    ):
        try:
            if operation.startswith("acquire"):
                self.store.acquire(
                    key,
                    ttl=ttl_ms / 1000,
                    shared=operation.endswith("shared"),
                    owner=owner,
                    purpose=purpose,
                    lease_id=lease,
                    by_hand=True,
                )
                return "granted"
            if operation.startswith("wait"):
                return self.wait(
                    key, lease, owner, purpose, ttl_ms, claim_ms, operation.endswith("shared")
                )
            if operation == "cancel":
                assert self.wait(key, lease, "ann", None, 30000, 5000, False) == "queued"
                return self.leave()
            if operation == "break":
                self.store.break_(key, reason, by)
                return "broken"
            attached = self.store.attach(key, lease)
            if operation == "transfer":
                attached.renew()  # only what is believed is handed on
                attached.transfer(to_owner)
                return "transferred"
            if operation == "release":
                attached.release(note)
                return "released"
            attached.renew(ttl_ms / 1000)
            return "renewed"
        except leasehold.Busy:
            return "busy"
        except leasehold.Lost:
            return "lost"

    def wait(self, key, lease, owner, purpose, ttl_ms, claim_ms, shared):
        """Until it is settled, or stands in the queue; what waits then leaves with leave()."""
        options = _c.AcquireOptions(
            ttl_ms=ttl_ms,
            mode=int(shared),
            owner=owner.encode(),
            purpose=purpose and purpose.encode(),
            lease_id=lease.encode(),
            wait_ms=FOREVER,
            claim_ms=claim_ms,
            by_hand=True,
        )
        waiting, details = ctypes.c_void_p(), _c.Error()
        with self.store._handle as store:
            assert (
                lib.lh_acquire_start(store, key.encode(), options, waiting, details) == _c.OK
            ), details.message
        fd, end = lib.lh_waiting_fd(waiting), time.monotonic() + 10
        while not select.select([fd], [], [], 0.01)[0]:
            assert time.monotonic() < end
            if lease in ((self.locks.find_one({"workspace_id": key}) or {}).get("waiters") or {}):
                self.waiting = waiting
                return "queued"
        handle, busy = ctypes.c_void_p(), ctypes.POINTER(_c.Record)()
        outcome = lib.lh_waiting_finish(waiting, handle, busy, details)
        lib.lh_record_free(busy)
        lib.lh_lease_free(handle)
        return {_c.OK: "granted", _c.BUSY: "busy"}[outcome]

    def leave(self):
        """Ends what waits, if anything does."""
        waiting, self.waiting = self.waiting, None
        details = _c.Error()
        assert waiting is None or lib.lh_waiting_cancel(waiting, details) == _c.OK, details.message
        return "left"
