# SPDX-License-Identifier: Apache-2.0
"""Leases that are held."""
from __future__ import annotations

import ctypes
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from ctypes import byref
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Optional, TypeVar, Union, overload

from . import _c
from ._attempt import free_lease
from ._c import lib
from ._errors import Error, Lost, check, error_from
from ._records import Note, note_from
from ._text import from_c, from_ms, to_c, to_ms

if TYPE_CHECKING:
    from ._store import Store


class LeaseFacts:
    """What a lease knows without asking the server."""

    _handle: ctypes.c_void_p
    key: str
    #: a capability: with it, any process can renew and release the lease
    id: str

    @property
    def valid(self) -> bool:
        """Whether the holder may still work. False for ever once the local deadline has passed."""
        return bool(lib.lh_lease_valid(self._handle))

    @property
    def remaining(self) -> float:
        """Seconds until the local deadline; 0 once it has passed."""
        return float(lib.lh_lease_remaining_ms(self._handle) / 1000)

    @property
    def token(self) -> int:
        """The fencing token. Send it along with what is written under the lease. 0 for an attached
        lease that was not renewed yet."""
        return int(lib.lh_lease_token(self._handle))

    @property
    def owner(self) -> str:
        """The name that others see."""
        return from_c(lib.lh_lease_owner(self._handle))

    @property
    def shared(self) -> bool:
        """Whether other shared leases on the key are possible."""
        return bool(lib.lh_lease_mode(self._handle))

    @property
    def ttl(self) -> float:
        """Seconds for which a renewal extends the lease."""
        return float(lib.lh_lease_ttl_ms(self._handle) / 1000)

    @property
    def expires_at(self) -> float:
        """The end by the server's clock, in seconds since 1970; 0: not known yet."""
        return from_ms(lib.lh_lease_expires_at_ms(self._handle))

    @property
    def enforced(self) -> bool:
        """False if the store observes, or is off: others may work on the same thing."""
        return bool(lib.lh_lease_enforced(self._handle))

    @property
    def refusal(self) -> Optional[Error]:
        """What acquire() would have raised if the store enforced; None if nothing."""
        found = lib.lh_lease_refusal(self._handle)
        return error_from(found.contents.code, found.contents) if found else None

    def __repr__(self) -> str:
        state = f"{self.remaining:.1f} s remain" if self.valid else "not valid"
        return f"<{type(self).__module__}.{type(self).__name__} {self.key!r}, {state}>"


class Lease(LeaseFacts):
    """One grant. It keeps its store.

    As a context manager it is released at the end of the block. If it was lost inside the block,
    the end raises `Lost`. If the block raises an exception itself, that one stays."""

    def __init__(self, store: Store, handle: ctypes.c_void_p, key: str, ours: bool) -> None:
        self.store, self._handle, self.key = store, handle, key
        self.id = from_c(lib.lh_lease_id(handle))
        self._core = store._handle
        self._ours = ours  # renewed by the store, or by hand: it is missed when it is forgotten
        self._ended = False  # released or handed on, or at least tried to be
        self._over = False  # … and it is known to be

    def renew(self, ttl: float = 0) -> None:
        """Extends the lease to now + `ttl` seconds (0: as before) if that is later than its end.
        Raises `Lost` if it has ended. After `Unreachable` it is still valid until `remaining` is 0:
        try again. A lease is renewed by its store unless it was acquired with `by_hand`."""
        details = _c.Error()
        with self._core:
            outcome = lib.lh_lease_renew(self._handle, to_ms(ttl), None, byref(details))
        check(outcome, details)

    def release(self, note: Optional[str] = None, keep: float = 0) -> None:
        """Releases the lease, and grants the key to the head of the queue. `note` is a text for the
        next holder: a version, an etag, a summary of the changes. The key of an exclusive lease
        stays taken for `keep` seconds, or until the lease would have ended. A second release does
        nothing. Raises `Lost` if another holder has the key."""
        details = _c.Error()
        options = _c.ReleaseOptions(note=to_c(note), keep_ms=to_ms(keep))
        if self._over:
            return
        with self._core:
            outcome = lib.lh_lease_release_with(self._handle, byref(options), byref(details))
        self._end(outcome)
        check(outcome, details)

    def transfer(self, to_owner: str) -> str:
        """Hands the lease on, ahead of the queue. Returns the new lease's id: its recipient holds
        it after `store.attach(key, id)` and a first `renew()`."""
        details, fresh = _c.Error(), (ctypes.c_char * 33)()
        with self._core:
            outcome = lib.lh_lease_transfer(self._handle, to_c(to_owner), fresh, byref(details))
        self._end(outcome)
        check(outcome, details)
        return from_c(fresh.value)

    def note(self) -> Optional[Note]:
        """The note that the previous holder left. None: nothing, or another holder had the key
        since, so that anything may have changed."""
        details, found = _c.Error(), ctypes.POINTER(_c.Note)()
        with self._core:
            outcome = lib.lh_lease_note(self._handle, byref(found), byref(details))
            check(outcome, details)
            if not found:
                return None
            return note_from(found.contents.text, found.contents.token, found.contents.at_ms)

    def keep(self) -> None:
        """Lets the store renew the lease from now on: one that was attached and renewed once, or
        that was acquired with `by_hand`."""
        details = _c.Error()
        with self._core:
            check(lib.lh_lease_keep(self._handle, byref(details)), details)
        self._ours = True

    def on_lost(self, fn: Callable[[Lease], object]) -> None:
        """Calls `fn(lease)` once, if the lease ends against its holder's will: no later than the
        local deadline, from another thread (or from this one, if it is lost already). It must
        return quickly."""
        reference = weakref.ref(self)

        def call() -> None:
            lease = reference()
            if lease is not None:
                fn(lease)

        self._core.losses.add(self.id, call)
        if self._is_lost():
            self._core.losses.report(self.id)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the lease is lost, for select() and the like. Do
        not read or close it. Raises OSError if no descriptor is left."""
        fd = int(lib.lh_lease_lost_fd(self._handle))
        if fd < 0:
            raise OSError("no file descriptor is left")
        return fd

    def _end(self, outcome: int) -> None:
        if outcome != _c.INVALID:
            self._ended, self._over = True, outcome == _c.OK
            self._core.losses.forget(self.id)

    def _is_lost(self) -> bool:
        return not self._ended and not self.valid and self.token != 0

    def _loss(self) -> Optional[Lost]:
        """The exception for the end of a block."""
        if not self._is_lost():
            return None
        return Lost(
            f'the lease on "{self.key}" ended before the end of its block',
            code="lost",
            reason="ended",
        )

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        end_block(self._loss(), self.release, kind is not None)

    def __del__(self) -> None:
        if not getattr(self, "_handle", None):
            return
        if self._ours and not self._ended and self.valid and not self.store.for_others:
            warnings.warn(
                f"the lease on {self.key!r} was forgotten: it was not released, and ends "
                "with its ttl",
                ResourceWarning,
                source=self,
            )
        self._core.losses.forget(self.id)
        free_lease(self._handle)


def end_block(loss: Optional[Lost], release: Callable[[], None], failed: bool) -> None:
    """Releases at the end of a block, and raises what is worth raising: the block's own exception
    first (`failed`), then the loss, then the failure of the release."""
    try:
        release()
    except Error:
        if not failed and not loss:
            raise
    if loss and not failed:
        raise loss


AnyLease = TypeVar("AnyLease", bound=LeaseFacts)


class LeasesFacts(Sequence[AnyLease], Generic[AnyLease]):
    """Several leases, in the order of their keys."""

    def __init__(self, leases: Iterable[AnyLease]) -> None:
        self._leases = tuple(leases)

    @overload
    def __getitem__(self, index: int) -> AnyLease:
        ...

    @overload
    def __getitem__(self, index: slice) -> tuple[AnyLease, ...]:
        ...

    def __getitem__(self, index: Union[int, slice]) -> Union[AnyLease, tuple[AnyLease, ...]]:
        return self._leases[index]

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def valid(self) -> bool:
        """Whether all of them are."""
        return all(lease.valid for lease in self._leases)

    @property
    def remaining(self) -> float:
        """Of the one that ends first."""
        return min(lease.remaining for lease in self._leases)


class Leases(LeasesFacts[Lease]):
    """The leases on several keys, in the order of the keys. As a context manager all are released
    at the end of the block, as a `Lease` is."""

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

    def _loss(self) -> Optional[Lost]:
        return next(filter(None, (lease._loss() for lease in self._leases)), None)

    def __enter__(self) -> Leases:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        end_block(self._loss(), self.release, kind is not None)
