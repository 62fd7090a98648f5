# SPDX-License-Identifier: Apache-2.0
"""A store: one collection of leases on one deployment."""
from __future__ import annotations

import ctypes
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from ctypes import byref
from types import TracebackType
from typing import Any, Optional

from . import _c, _log
from ._attempt import Attempt, Feedback, Request, request_for
from ._c import lib
from ._environment import options_from_environment
from ._errors import check
from ._handle import Handle
from ._lease import Lease, Leases
from ._operate import Operations, audit_source, watch_source
from ._records import AuditEntry, Event
from ._stream import Stream
from ._text import to_c, to_ms

_AT_OPEN = ("nothing", "verify", "migrate")
_ROLLOUT = ("enforce", "observe", "off", "environment")

OnLost = Callable[[Lease], object]


class Store(Operations):
    """One collection of leases on one deployment, and the connections to it. Any number of threads
    may use it. As a context manager it is closed at the end of the block. Do not fork while it is
    open. Times are in seconds.

    `at_open`: "nothing" (no server is contacted), "verify" (the index must exist) or "migrate"
    (create it). `rollout`: "enforce", "observe" (nobody is refused), "off" (no command is sent;
    `uri` may be None: also for tests), or "environment" (LEASEHOLD_MODE decides). `ttl`: of leases
    whose acquire sets none. `audit`: keep an audit trail in this collection; "" for
    `<collection>_audit`. `on_lost(key, lease_id)` is called once for each lease that ended against
    its holder's will, from another thread; it must return quickly. `log_level`: the most detailed
    events for the logger `leasehold`, as a level of `logging`; None: the logger's level at this
    moment. `for_others`: the leases outlive this process. The other options are those of
    lh_store_open() in store.h."""

    def __init__(
        self,
        uri: Optional[str],
        db: Optional[str] = None,
        collection: Optional[str] = None,
        owner: Optional[str] = None,
        timeout: float = 10,
        clock_skew: float = 0.5,
        max_shared: int = 128,
        at_open: str = "verify",
        max_waiters: int = 1000,
        rollout: str = "enforce",
        *,
        ttl: float = 30,
        audit: Optional[str] = None,
        app_name: Optional[str] = None,
        pool_size: int = 16,
        on_lost: Optional[Callable[[str, str], object]] = None,
        log_level: Optional[int] = None,
        for_others: bool = False,
        allow_insecure_tls: bool = False,
    ) -> None:
        self.ttl, self.for_others = ttl, for_others
        options = _c.StoreOptions(
            uri=to_c(uri),
            db=to_c(db),
            collection=to_c(collection),
            owner=to_c(owner),
            timeout_ms=to_ms(timeout),
            clock_skew_ms=to_ms(clock_skew),
            max_waiters=max_waiters,
            max_shared=max_shared,
            at_open=_AT_OPEN.index(at_open),
            rollout=_ROLLOUT.index(rollout),
            audit=to_c(audit),
            app_name=to_c(app_name),
            pool_size=pool_size,
            for_others=for_others,
            allow_insecure_tls=allow_insecure_tls,
            log_level=_log.level_for_c(log_level),
        )
        self._handle = Handle(options, on_lost)

    @classmethod
    def from_environment(cls, **options: Any) -> Store:
        """Opens the store that the command line would use: by LEASEHOLD_URI, LEASEHOLD_URI_FILE or
        MONGODB_URI, and LEASEHOLD_DB, _COLLECTION, _OWNER, _AUDIT, _TIMEOUT, _TTL and _MODE.
        `options` are those of the class, and go before the variables."""
        return cls(**{**options_from_environment(), **options})

    def acquire(
        self,
        key: str,
        ttl: Optional[float] = None,
        wait: float = 0,
        shared: bool = False,
        owner: Optional[str] = None,
        purpose: Optional[str] = None,
        lease_id: Optional[str] = None,
        by_hand: bool = False,
        path: bool = False,
        *,
        resume: bool = False,
        claim: float = 5,
        timeout: float = 0,
        feedback: Optional[Feedback] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Lease:
        """Acquires the lease on a key. Raises `Busy` if another holder has it, after `wait` seconds
        in its queue (math.inf: without limit) `WaitTimeout`. Signal handlers run during the wait;
        if one raises an exception, such as KeyboardInterrupt, the wait ends with it, and nothing
        stays in the queue.

        `shared`: others may share the key. `purpose`: shown to other users. `by_hand`: the caller
        renews the lease. `path`: the key is a path, such as org/project/file. `resume`: take over
        the lease that this `owner` already holds. `lease_id`: of the caller's, to resume with after
        a crash. `claim`: how long a waiter may be silent. `timeout`: for one command; 0: the
        store's. `feedback(status, place)` reports the holder and the number of waiters ahead during
        the wait, in this thread. `on_lost(lease)`: see `Lease.on_lost()`. The details are those of
        lh_acquire() in acquire.h."""
        request = request_for(
            [key],
            False,
            self._ttl(ttl),
            wait,
            shared,
            feedback,
            owner=owner,
            purpose=purpose,
            lease_id=lease_id,
            by_hand=by_hand,
            path=path,
            resume=resume,
            claim_ms=to_ms(claim),
            timeout_ms=to_ms(timeout),
        )
        request.on_lost = on_lost
        lease: Lease = self._begin(request)
        return lease

    def acquire_many(
        self,
        keys: Sequence[str],
        ttl: Optional[float] = None,
        wait: float = 0,
        shared: bool = False,
        owner: Optional[str] = None,
        purpose: Optional[str] = None,
        by_hand: bool = False,
        path: bool = False,
        *,
        claim: float = 5,
        timeout: float = 0,
        feedback: Optional[Feedback] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Leases:
        """Acquires the leases on several keys: all or none, in any order. Callers with overlapping
        keys cannot deadlock. `path` is allowed only without waiting. Otherwise as acquire()."""
        request = request_for(
            keys,
            True,
            self._ttl(ttl),
            wait,
            shared,
            feedback,
            owner=owner,
            purpose=purpose,
            by_hand=by_hand,
            path=path,
            claim_ms=to_ms(claim),
            timeout_ms=to_ms(timeout),
        )
        request.on_lost = on_lost
        leases: Leases = self._begin(request)
        return leases

    def attach(self, key: str, lease_id: str) -> Lease:
        """A handle on a lease that another process acquired. It is not valid before its first
        renew(), and the store renews it only after keep()."""
        handle, details = ctypes.c_void_p(), _c.Error()
        with self._handle as store:
            check(
                lib.lh_lease_attach(
                    store, to_c(key), to_c(lease_id), byref(handle), byref(details)
                ),
                details,
            )
        return Lease(self, handle, key, ours=False)

    def watch(
        self, keys: Iterable[str] = (), prefix: Optional[str] = None, after: Optional[str] = None
    ) -> Stream[Event]:
        """The events of these keys and of all that begin with the prefix, as they happen; without
        either of all keys. `after`: the id of an event, to resume after it. Uses a thread."""
        return Stream(self, watch_source(keys, prefix, after))

    def follow_audit(
        self, key: Optional[str] = None, since: float = math.inf
    ) -> Stream[AuditEntry]:
        """The entries of the audit trail as audit() returns them, and then new ones, within a
        second. Uses a thread."""
        return Stream(self, audit_source(key, since))

    def close(self) -> None:
        """Ends all waits and streams, and releases the leases that are held. Any thread may call
        it, and a signal handler too."""
        self._handle.close()

    def _ttl(self, ttl: Optional[float]) -> float:
        return self.ttl if ttl is None else ttl

    def _begin(self, request: Request) -> Any:
        """Acquires what is asked for: a lease, or leases."""
        attempt = request.attempt(self._handle)
        try:
            attempt.start()
            attempt.wait()
            attempt.finish()
            leases = self._leases(attempt)
        except BaseException:
            attempt.abandon()
            raise
        if request.on_lost:
            for lease in leases:
                lease.on_lost(request.on_lost)
        return Leases(leases) if request.many else leases[0]

    def _leases(self, attempt: Attempt) -> list[Lease]:
        return [
            Lease(self, handle, key, ours=True)
            for handle, key in zip(attempt.handles, attempt.keys)
        ]

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle and handle.is_open:
            warnings.warn(
                "the store was forgotten: close it, or use it in a `with` block",
                ResourceWarning,
                source=self,
            )
            handle.close()
