# SPDX-License-Identifier: Apache-2.0
"""The library's log, as loggers of `logging`: `leasehold` gets the events of the stores,
`leasehold.driver` the lines of the MongoDB driver."""
from __future__ import annotations

import logging
import threading
from typing import Any, Optional

from . import _c
from ._c import lib
from ._text import fields, from_c

logger = logging.getLogger("leasehold")
logger.addHandler(logging.NullHandler())  # what a program does not log is not printed
_driver = logging.getLogger("leasehold.driver")

_LEVELS = {
    _c.LEVEL_ERROR: logging.ERROR,
    _c.LEVEL_WARNING: logging.WARNING,
    _c.LEVEL_INFO: logging.INFO,
    _c.LEVEL_DEBUG: logging.DEBUG,
}
#: by the driver's numbers: error, critical, warning, message, info, debug, trace
_DRIVER_LEVELS = (
    logging.ERROR,
    logging.CRITICAL,
    logging.WARNING,
    logging.INFO,
    logging.INFO,
    logging.DEBUG,
    logging.DEBUG,
)


def level_for_c(level: Optional[int]) -> int:
    """The most detailed events that C must report for a level of `logging`; None: the logger's."""
    wanted = logger.getEffectiveLevel() if level is None else level
    return max(
        (number for number, name in _LEVELS.items() if name >= wanted), default=_c.LEVEL_ERROR
    )


def _sentence(event: dict[str, Any]) -> str:
    """acquire project:42: busy (held), 1.2 ms: …"""
    words = [event["event"]]
    words += [event[name] for name in ("command", "key") if event[name]]
    outcome = event["outcome"] + (f" ({event['reason']})" if event["reason"] else "")
    text = f"{' '.join(words)}: {outcome}, {event['duration_us'] / 1000:.1f} ms"
    return f"{text}: {event['message']}" if event["message"] else text


def _from_c(_: object, found: Any) -> None:
    level = _LEVELS.get(found.contents.level, logging.DEBUG)
    if not logger.isEnabledFor(level):
        return
    event = fields(found.contents, "level")
    event["event"] = from_c(lib.lh_log_word(event["event"]))
    event["outcome"] = from_c(lib.lh_outcome_word(event["outcome"]))
    event["reason"] = from_c(lib.lh_reason_word(event["reason"]))
    logger.log(level, "%s", _sentence(event), extra={"leasehold": event})


def _from_driver(_: object, number: int, line: bytes) -> None:
    level = _DRIVER_LEVELS[number] if 0 <= number < len(_DRIVER_LEVELS) else logging.DEBUG
    if _driver.isEnabledFor(level):
        _driver.log(level, "%s", from_c(line).rstrip())


callback = _c.OnLog(_from_c)
_driver_callback = _c.OnDriverLog(_from_driver)
_lock = threading.Lock()
_taken = False


def take_the_drivers_lines() -> None:
    """Before the first store is opened. The setting is the process's: other users of the driver
    in C are not expected in a Python process."""
    global _taken
    with _lock:
        if not _taken:
            lib.lh_driver_log(_driver_callback, None, None)
            _taken = True


def leave_the_drivers_lines() -> None:
    lib.lh_driver_log(_c.OnDriverLog(), None, None)
