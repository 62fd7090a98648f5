# SPDX-License-Identifier: Apache-2.0
"""The exceptions, one for each outcome that a program can react to, all under `Error`."""
from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from . import _c
from ._c import lib
from ._text import from_c

if TYPE_CHECKING:
    from ._records import Holder


class Error(Exception):
    """A call did not do what it was called for; nothing else raises it. The message says what was
    wrong, where, and what to do.

    `code` is the word of the outcome ("unreachable", "config", …). `reason` is the word of its
    cause ("mongos", "timeout", …), or "". `server_code` is MongoDB's error code, or 0. `lease_id`
    is the lease in doubt if the code is "unknown", otherwise ""."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        reason: str = "",
        server_code: int = 0,
        lease_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason
        self.server_code, self.lease_id = server_code, lease_id


class Busy(Error):
    """Another holder has the key: an outcome rather than a failure. Do the work later.

    `holder` is the present holder, or None if there is none (waiters are ahead). `why` is "held",
    "queue", "malformed", "full", "race", "full_queue" or "path". `key` is the key that is held; for
    a path, it may be one above or below. `retry_after` is a hint, in seconds."""

    holder: Optional[Holder] = None
    why: str = ""
    key: str = ""
    retry_after: float = 0


class WaitTimeout(Busy, TimeoutError):
    """The wait is over, and another holder still has the key."""


class Lost(Error):
    """The lease has ended, or was never this caller's. Stop the work that was done under it."""


class Unreachable(Error):
    """The server is unreachable or too slow. This may be temporary."""


class Unknown(Error):
    """The server may or may not have done it: the reply was lost. Do not rely on either."""


class Denied(Error):
    """The credentials are wrong or lack a privilege. An operator has to act."""


class ConfigError(Error):
    """The connection string, the deployment or the collection is not fit for leases."""


class Invalid(Error, ValueError):
    """An argument is outside its documented range. No command was sent."""


class Closed(Error, ValueError):
    """The store is closed, or was closed during the wait. Nothing is held."""


_KINDS: dict[int, type[Error]] = {
    _c.BUSY: Busy,
    _c.LOST: Lost,
    _c.UNKNOWN: Unknown,
    _c.INVALID: Invalid,
    _c.UNREACHABLE: Unreachable,
    _c.DENIED: Denied,
    _c.CONFIG: ConfigError,
    _c.CLOSED: Closed,
}


def error_from(outcome: int, details: _c.Error) -> Error:
    """The exception for what C reports."""
    kind = _KINDS.get(outcome, Error)
    if details.reason == _c.REASON_TIMEOUT:
        kind = WaitTimeout
    elif details.reason == _c.REASON_STORE_CLOSED:
        kind = Closed
    return kind(
        from_c(details.message),
        code=from_c(lib.lh_outcome_word(outcome)),
        reason=from_c(lib.lh_reason_word(details.reason)),
        server_code=details.server_code,
        lease_id=from_c(details.lease_id),
    )


def check(outcome: int, details: _c.Error) -> None:
    if outcome != _c.OK:
        raise error_from(outcome, details)
