# SPDX-License-Identifier: Apache-2.0
"""The upgrade guide's commands, in its order, on a collection of old locks with duplicates, beside
an old program that goes on."""
import datetime
import os
import re
import shutil
import subprocess
from pathlib import Path

from conftest import BINARY

PAGE = Path(__file__).resolve().parents[2] / "tools" / "man" / "leasehold-upgrade.7.scd"


def now(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def old_program(locks, key):
    """Takes a lock and gives it back, as before there was Leasehold. False: somebody has it."""
    if locks.find_one({"workspace_id": key, "expires_at": {"$gt": now(0)}}):
        return False
    locks.insert_one(
        {"id": key + "-old", "workspace_id": key, "user_id": "old", "expires_at": now(30)}
    )
    assert locks.delete_one({"id": key + "-old"}).deleted_count == 1
    return True


def test_each_command_does_what_the_guide_says(bare, locks, tmp_path):
    steps = re.findall(
        r"^## (\d)\. .*?\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    assert [step for step, _ in steps] == list("12345678")
    for i in range(6):  # left behind: two of each key
        locks.insert_one(
            {
                "id": f"i{i}",
                "workspace_id": f"project:{i // 2}",
                "user_id": "old",
                "expires_at": now(-3600 - i),
            }
        )
    (tmp_path / "rebuild").write_text("#!/bin/sh\necho rebuilt with token $LEASEHOLD_TOKEN\n")
    (tmp_path / "rebuild").chmod(0o755)
    (tmp_path / "leasehold").symlink_to(BINARY)
    env = bare.environment({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    tokens, ran = {}, 0
    for step, block in steps:
        for command in re.findall(r"^\$ (.*)$", block, re.M):
            done = subprocess.run(
                ["sh", "-c", command],
                env=env,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
            )
            if "doctor" in command and step == "2":
                assert (
                    done.returncode == 78 and "duplicates" in done.stdout
                ), done  # what is in the way
            elif "--dry-run" in command and step == "4":
                assert (
                    done.returncode == 0 and "3" in done.stdout and locks.count_documents({}) == 6
                ), done
            else:
                assert done.returncode == 0, (step, command, done)
            if "rebuild" in command:
                assert ("not enforced" in done.stderr) == (step in "136"), done
                tokens[step] = int(re.search(r"token (\d+)", done.stdout)[1])
            ran += 1
        assert old_program(locks, f"old:{step}")
    assert ran == 12
    assert tokens["1"] == tokens["3"] == 0 and 0 < tokens["6"] < tokens["7"]
    assert locks.count_documents({"workspace_id": "project:0"}) == 1
    assert "workspace_id_unique" in locks.index_information()
    assert bare("acquire", "project:0").exit == 0
    assert not old_program(locks, "project:0")  # a lease is a lock for it
    assert shutil.which("leasehold", path=env["PATH"])


def test_going_back(bare, locks):
    """Off at any time; and without the index nobody who enforces is granted anything."""
    assert bare("migrate", "--yes").exit == 0
    held = bare.acquire("k")
    assert bare("acquire", "k", env={"LEASEHOLD_MODE": "off"}).exit == 0
    locks.drop_index("workspace_id_unique")
    assert bare("release", "k", "--lease", held["lease"]).exit == 0
    locks.insert_many(
        [{"workspace_id": "d", "expires_at": now(-9)}, {"workspace_id": "d", "expires_at": now(-9)}]
    )
    assert bare("acquire", "k").exit == 78
    assert (
        bare("--json", "acquire", "k", env={"LEASEHOLD_MODE": "observe"}).json["refusal"]
        == "config"
    )
