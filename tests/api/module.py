# SPDX-License-Identifier: Apache-2.0
"""Loads the Python module of this tree, with the library of this build."""
import os
import sys

import pytest
from conftest import BUILD, ROOT, URI

os.environ["LEASEHOLD_LIBRARY"] = str(BUILD / "src" / "libleasehold.so.0")
sys.path.insert(0, str(ROOT / "tools" / "bindings" / "python"))
import leasehold  # noqa: E402


@pytest.fixture(scope="module")
def shared(module_database):
    """A store for all tests of a file: the driver takes half a second to close one."""
    with leasehold.Store(URI, module_database.name, owner="ann", at_open="migrate") as store:
        yield store


__all__ = ["leasehold", "shared"]
