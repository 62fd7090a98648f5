# SPDX-License-Identifier: Apache-2.0
"""Values for C and from C: texts, times, and the fields of a struct."""
from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable
from typing import Any, Optional

from ._c import NEVER


def to_c(text: Optional[str]) -> Optional[bytes]:
    """A text for C, which ends it at its first NUL: none is cut short. Lone surrogates are no
    UTF-8, and raise too."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"a text must be str, not {type(text).__name__}")
    encoded = str.encode(text)
    if b"\0" in encoded:
        raise ValueError(f"a NUL in a text: {text!r}")
    return encoded


def all_to_c(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    if isinstance(texts, (str, bytes)):
        raise TypeError(
            "several texts are wanted: a list of them, not one, which would be taken "
            "as its characters"
        )
    encoded = [to_c(text) for text in texts]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def from_c(text: Optional[bytes]) -> str:
    return (text or b"").decode("utf-8", "replace")


def to_ms(seconds: float) -> int:
    return NEVER if math.isinf(seconds) else round(seconds * 1000)


def from_ms(ms: int) -> float:
    return math.inf if ms == NEVER else ms / 1000


def fields(struct: ctypes.Structure, *without: str) -> dict[str, Any]:
    """The fields of a struct by name: texts as str, times in seconds (without the unit in their
    name), `mode` as the bool `shared`."""
    found: dict[str, Any] = {}
    for name, kind, *_ in struct._fields_:
        if name in without or name == "size" or kind is ctypes.c_void_p:
            continue
        value = getattr(struct, name)
        if name == "mode":
            found["shared"] = bool(value)
        elif name.endswith("_ms"):
            found[name[:-3]] = from_ms(value)
        elif kind is ctypes.c_char_p or isinstance(value, bytes):
            found[name] = from_c(value)
        else:
            found[name] = value
    return found
