# SPDX-License-Identifier: Apache-2.0
"""Keys, and what needs no store."""
from __future__ import annotations

import ctypes
import json
from ctypes import byref
from typing import Any, Optional

from . import _c
from ._c import lib
from ._errors import check
from ._text import all_to_c, from_c, to_c


def version() -> str:
    """The version of the library that is loaded."""
    return from_c(lib.lh_version())


def key_join(*parts: str) -> str:
    """Joins parts to a key: "project" and "42" give project:42. A ':' or '%' inside a part becomes
    %3A or %25, so different parts never give the same key."""
    key, details = ctypes.c_void_p(), _c.Error()
    check(lib.lh_key_join(all_to_c(parts), len(parts), byref(key), byref(details)), details)
    return _taken(key)


def key_check(key: str) -> None:
    """Raises `Invalid` if the text cannot be a key; the message describes the fault."""
    details, encoded = _c.Error(), to_c(key) or b""
    check(lib.lh_key_check(encoded, len(encoded), byref(details)), details)


def roles(
    uri: Optional[str] = None,
    db: Optional[str] = None,
    collection: Optional[str] = None,
    audit: Optional[str] = None,
) -> list[dict[str, Any]]:
    """The commands that create the roles for a collection: leaseholdRuntime, …Setup and …Ops. Run
    them on the database of the leases. No server is contacted."""
    options = _c.StoreOptions(
        uri=to_c(uri), db=to_c(db), collection=to_c(collection), audit=to_c(audit)
    )
    found, details = ctypes.c_void_p(), _c.Error()
    check(lib.lh_roles(byref(options), byref(found), byref(details)), details)
    commands: list[dict[str, Any]] = json.loads(_taken(found))["roles"]
    return commands


def _taken(string: ctypes.c_void_p) -> str:
    """The text of a string that the caller owns and this frees."""
    try:
        return from_c(ctypes.cast(string, ctypes.c_char_p).value)
    finally:
        lib.lh_string_free(string)
