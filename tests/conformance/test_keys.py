# SPDX-License-Identifier: Apache-2.0
"""Keys of parts: the command line, the Python module and a few lines by the rule make the same."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = Path(os.environ["LEASEHOLD_BUILD"])
os.environ["LEASEHOLD_LIBRARY"] = str(BUILD / "src/libleasehold.so")
sys.path.insert(0, str(HERE.parents[1] / "tools/bindings/python"))
import leasehold  # noqa: E402

VECTORS = json.loads((HERE / "keys.json").read_text(encoding="utf-8"))


def by_rule(parts):
    if not parts or "" in parts:
        raise ValueError("a part is missing")
    key = ":".join(part.replace("%", "%25").replace(":", "%3A") for part in parts)
    if re.search("[\x00-\x1f\x7f-\x9f]", key) or len(key.encode()) > 1024:
        raise ValueError("no key")
    return key


def by_command(parts):
    done = subprocess.run(
        [BUILD / "tools/leasehold", "key", "join", "--json", "--", *parts],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        assert done.returncode == 64, done
        raise ValueError(done.stdout)
    return json.loads(done.stdout)["key"]


WAYS = {"rule": by_rule, "command": by_command, "module": lambda p: leasehold.key_join(*p)}


@pytest.mark.parametrize("join", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: vector["key"])
def test_the_same_key(join, vector):
    assert join(vector["parts"]) == vector["key"]


@pytest.mark.parametrize("join", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_no_key(join, vector):
    with pytest.raises((ValueError, leasehold.Error)):
        join(vector["parts"])
