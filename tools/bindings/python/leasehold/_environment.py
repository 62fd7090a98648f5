# SPDX-License-Identifier: Apache-2.0
"""The variables that the command line reads, for a store: see leasehold(1)."""
from __future__ import annotations

import ctypes
import math
import os
import re
from ctypes import byref
from typing import Any, Optional

from ._c import lib
from ._errors import ConfigError
from ._text import from_c

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}


def _trimmed(text: str) -> str:
    """Without the white space around it, as the command line does it."""
    encoded = os.fsencode(text)
    buffer, n = ctypes.create_string_buffer(encoded), ctypes.c_size_t()
    start = lib.lh_trim(buffer, byref(n)) - ctypes.addressof(buffer)
    return from_c(encoded[start : start + n.value])


def _variable(name: str) -> Optional[str]:
    return _trimmed(os.environ.get(name, "")) or None


def _duration(name: str) -> Optional[float]:
    text = _variable(name)
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+)(d|h|m|s|ms|)", text)
    if not found or math.isinf(float(found[1])):
        raise ConfigError(
            f"{name}: a duration is a number with d, h, m, s or ms, such as 30s, " f"not {text!r}",
            code="config",
        )
    return int(found[1]) * _UNITS[found[2]]


def _from_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            uri = _trimmed(file.read())
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"the URI file {path} cannot be read: {why}", code="config") from None
    if not uri or "\n" in uri or "\r" in uri:
        raise ConfigError(
            f"the URI file {path} must hold one line of text: the connection string", code="config"
        )
    return uri


def _uri() -> Optional[str]:
    if (uri := _variable("LEASEHOLD_URI")) is not None:
        return uri
    if (path := _variable("LEASEHOLD_URI_FILE")) is not None:
        return _from_file(path)
    return _variable("MONGODB_URI")


def options_from_environment() -> dict[str, Any]:
    """The options of a store; those that no variable sets are not there."""
    audit = _variable("LEASEHOLD_AUDIT")
    found = {
        "uri": _uri(),
        "db": _variable("LEASEHOLD_DB"),
        "collection": _variable("LEASEHOLD_COLLECTION"),
        "owner": _variable("LEASEHOLD_OWNER"),
        "audit": "" if audit == "on" else audit,
        "timeout": _duration("LEASEHOLD_TIMEOUT"),
        "ttl": _duration("LEASEHOLD_TTL"),
        "rollout": _variable("LEASEHOLD_MODE"),
    }
    if found["rollout"] not in (None, "enforce", "observe", "off"):
        raise ConfigError("LEASEHOLD_MODE must be enforce, observe or off", code="config")
    if found["uri"] is None and found["rollout"] != "off":
        raise ConfigError(
            "which MongoDB? Set LEASEHOLD_URI=mongodb://host/ in the environment", code="config"
        )
    return {name: value for name, value in found.items() if value is not None or name == "uri"}
