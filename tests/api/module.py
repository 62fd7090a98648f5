# SPDX-License-Identifier: Apache-2.0
"""Loads the Python module of this tree, with the library of this build."""
import os
import sys

from conftest import BUILD, ROOT

os.environ["LEASEHOLD_LIBRARY"] = str(BUILD / "src" / "libleasehold.so.0")
sys.path.insert(0, str(ROOT / "tools" / "bindings" / "python"))
import leasehold  # noqa: E402

__all__ = ["leasehold"]
