# SPDX-License-Identifier: Apache-2.0
"""The folder of scripts/mongod, which may be in a place that everybody may write to: what somebody
else has put there under its name is neither used nor removed."""
import os
import subprocess
import warnings
from pathlib import Path

import pytest

MONGOD = Path(__file__).resolve().parents[2] / "scripts/mongod"
NOBODY = 65534
PLANTED = {
    "a link": (lambda at, victim: at.symlink_to(victim), "is no folder"),
    "a link to nothing": (lambda at, victim: at.symlink_to(victim / "none"), "is no folder"),
    "a link to itself": (lambda at, victim: at.symlink_to(at), "is no folder"),
    "a file": (lambda at, victim: at.write_text("x"), "is no folder"),
    "a pipe": (lambda at, victim: os.mkfifo(at), "is no folder"),
    "a folder that all may write to": (
        lambda at, victim: (at.mkdir(), at.chmod(0o777)),
        "others may write to",
    ),
    "a folder that a group may write to": (
        lambda at, victim: (at.mkdir(), at.chmod(0o770)),
        "others may write to",
    ),
    "somebody else's folder": (
        lambda at, victim: (at.mkdir(), os.chown(at, NOBODY, NOBODY)),
        "belongs to somebody else",
    ),
    "somebody else's link": (
        lambda at, victim: (at.symlink_to(victim), os.lchown(at, NOBODY, NOBODY)),
        "is no folder",
    ),
}


def mongod(where, *args):
    return subprocess.run(
        [MONGOD, *args], env=os.environ | where, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def victim(tmp_path):
    """Somebody's data, of the form that `down` removes."""
    data = tmp_path / "victim/set/data"
    data.parent.mkdir(parents=True)
    data.write_text("precious")
    (data.parent / "kind").write_text("set")
    yield data.parents[1]
    assert data.read_text() == "precious"


@pytest.fixture
def shared(tmp_path):
    """Like /tmp."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.mark.parametrize("slash", ["", "/", "//"])
@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_refused(shared, victim, name, slash):
    plant, sentence = PLANTED[name]
    if "somebody else" in name and os.geteuid() != 0:
        warnings.warn("NOT TESTED: what another user has planted, which only root can make")
        pytest.skip("not root")
    at = shared / f"leasehold-servers-{os.getuid()}"
    plant(at, victim)
    for where in ({"TMPDIR": str(shared)}, {"LEASEHOLD_SERVERS": f"{at}{slash}"}):
        for args in (["status"], ["down", "--name", "set"], ["down", "--all"]):
            done = mongod(where, *args)
            assert (
                done.returncode == 1
                and sentence in done.stderr
                and "LEASEHOLD_SERVERS" in done.stderr
            ), done


def test_its_own_is_made_for_nobody_else(shared, tmp_path):
    assert mongod({"TMPDIR": str(shared)}, "status").returncode == 0
    (made,) = shared.iterdir()
    assert made.stat().st_mode & 0o7777 == 0o700
    assert mongod({"TMPDIR": str(shared)}, "status").returncode == 0  # again
    assert (
        mongod({"LEASEHOLD_SERVERS": str(tmp_path / "some/where")}, "status").returncode == 0
    )  # a place that was named
    assert (tmp_path / "some").stat().st_mode & 0o7777 == 0o700


def test_a_place_where_others_may_rename_it(shared):
    for mode in (0o777, 0o770, 0o722):
        shared.chmod(mode)
        done = mongod({"TMPDIR": str(shared)}, "status")
        assert done.returncode == 1 and "sticky" in done.stderr and not list(shared.iterdir()), done
