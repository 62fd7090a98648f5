# SPDX-License-Identifier: Apache-2.0
"""torture: the true store is clean under it, and what it refuses. That it finds what is wrong,
scripts/mutants shows."""
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pymongo
import pytest
from conftest import Cli, wait_until

MUTANTS = Path(__file__).resolve().parents[2] / "scripts" / "mutants"


def databases(client):
    return [name for name in client.list_database_names() if name.startswith("leasehold_torture_")]


def told(result):
    """The result, after the story was shown where there is one."""
    assert result.exit == 0, f"{result}"
    return result.json


def test_the_store_is_clean_with_clients_that_are_stopped_and_killed(bare, tmp_path):
    history = tmp_path / "a history"
    result = told(
        bare(
            "--json", "torture", "--yes", "--seed", "1", "--seconds", "8", "--history", str(history)
        )
    )
    assert result["outcome"] == "ok" and result["violations"] == 0 and result["oplog"]
    assert (
        result["grants"] > 0
        and result["commits"] > result["grants"]
        and result["faults"]["pause"] > 0
    )
    assert history.stat().st_mode & 0o077 == 0, "lease ids are in it"
    again = told(bare("--json", "torture", "--check", str(history), env={"LEASEHOLD_URI": None}))
    assert (again["outcome"], again["seed"], again["operations"]) == ("ok", 1, result["operations"])
    # Whoever was granted a key once was not granted it with another token: a spoilt history is told
    # as a story.
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    grant = next(
        line
        for line in lines
        if line["e"] == "end" and line["op"] == "acquire" and line["outcome"] == "ok"
    )
    grant["token"] += 1
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    spoilt = bare("torture", "--check", str(history))
    assert (
        spoilt.exit == 70
        and "Invariant 3: process" in spoilt.out
        and "was granted it" in spoilt.out
    )


@contextlib.contextmanager
def set_up(*options):
    script, name = os.environ.get("LEASEHOLD_MONGOD"), f"torture-{secrets.token_hex(4)}"
    if not script:
        pytest.skip("LEASEHOLD_MONGOD is not set")
    up = subprocess.run(
        [script, "up", "set", "--name", name, "--end-with", str(os.getpid()), *options],
        check=True,
        capture_output=True,
        text=True,
    )
    yield up.stdout.strip()
    subprocess.run([script, "down", "--name", name], check=True, capture_output=True)


@pytest.fixture
def own_set():
    with set_up() as uri:
        yield uri


@pytest.fixture
def small_oplog():
    with set_up("--oplog-mb", "1") as uri:
        yield uri


def test_the_store_is_clean_while_primaries_step_down_and_answers_are_lost(own_set):
    """One run with the faults that torture makes by itself. (Which kinds come to pass in so short a
    time is luck: faults.mix gives each its turn.)"""
    result = told(
        Cli(own_set, "unused")(
            "--json",
            "torture",
            "--yes",
            "--seed",
            "2",
            "--seconds",
            "12",
            "--keys",
            "6",
            "--faults",
            "all",
        )
    )
    assert result["outcome"] == "ok" and len(result["faults"]) == 8
    assert sum(result["faults"].values()) > 5 and result["grants"] > 0


def oldest(deployment):
    return deployment.local["oplog.rs"].find_one(sort=[("$natural", 1)])["ts"]


def roll_over(deployment, pause):
    newest = deployment.local["oplog.rs"].find_one(sort=[("$natural", -1)])["ts"]
    give_up = time.monotonic() + 60
    while oldest(deployment) <= newest:
        assert time.monotonic() < give_up, "the oplog did not roll over"
        deployment.filling.filling.insert_one({"filling": os.urandom(100000)})
        time.sleep(pause)


def test_an_oplog_that_rolls_over_is_read_in_time_or_said_to_be_missing(small_oplog):
    """One of a megabyte, filled by somebody else: read while it goes on. Then torture itself is
    stopped meanwhile, and its processes are not: there is a hole."""
    with pymongo.MongoClient(small_oplog) as deployment:
        for stopped in (False, True):
            torture = Cli(small_oplog, "unused").start(
                "--json",
                "torture",
                "--yes",
                "--seconds",
                "50",
                "--processes",
                "4",
                "--faults",
                "none",
            )
            wait_until(
                lambda: any(
                    deployment[name].workspace_locks.find_one({"token": {"$gt": 0}})
                    for name in databases(deployment)
                )
            )
            if stopped:
                torture.send_signal(signal.SIGSTOP)
            roll_over(deployment, 0 if stopped else 0.2)  # a reader of ten times a second keeps up
            torture.send_signal(signal.SIGCONT)
            torture.send_signal(signal.SIGINT)
            out, err = torture.communicate(timeout=60)
            assert torture.returncode == 0, f"{out}{err}"
            result = json.loads(out)
            assert result["outcome"] == "ok"
            assert result["oplog"] == (result["commits"] > 0) == (not stopped)
            assert ("are NOT checked" in err) == stopped


def test_it_leaves_nothing_behind(bare, client, tmp_path):
    before = databases(client)
    result = told(
        bare(
            "--json",
            "torture",
            "--yes",
            "--seconds",
            "1",
            "--processes",
            "2",
            env={"TMPDIR": str(tmp_path)},
        )
    )
    assert result["outcome"] == "ok" and not set(databases(client)) - set(before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGHUP))
def test_stopped_early_it_leaves_nothing_behind_either(bare, client, tmp_path, number):
    """By Control-C, or because its terminal is gone."""
    before = databases(client)
    process = bare.start(
        "torture", "--yes", "--seconds", "60", "--processes", "2", env={"TMPDIR": str(tmp_path)}
    )
    wait_until(lambda: [there for there in databases(client) if there not in before])
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, out + err
    assert not set(databases(client)) - set(before) and list(tmp_path.iterdir()) == []


def test_a_standalone_has_no_oplog(tmp_path):
    uri = os.environ.get("LEASEHOLD_TEST_STANDALONE")
    if not uri:
        pytest.skip("LEASEHOLD_TEST_STANDALONE is not set")
    result = Cli(uri, "unused")("--json", "torture", "--yes", "--seconds", "2")
    assert result.exit == 0 and not result.json["oplog"] and "are not checked" in result.err


def test_what_it_refuses(bare, tmp_path):
    refused = bare("torture", "--seconds", "1")
    assert refused.exit == 64 and "add --yes" in refused.err
    assert bare("torture", "--yes", env={"LEASEHOLD_PROTECT": "torture"}).exit == 77
    unknown = bare("torture", "--yes", "--faults", "pause,earthquake")
    assert unknown.exit == 64 and "earthquake" in unknown.err
    unparsed = bare("torture", "--yes", "--uri", "mongodb://:@/")
    assert unparsed.exit == 78 and "connection string" in unparsed.err
    (tmp_path / "there").write_text("")
    assert bare("torture", "--yes", "--history", str(tmp_path / "there")).exit == 78
    assert bare("torture", "--check", str(tmp_path / "nowhere")).exit == 78
    assert bare("torture", "--check", str(tmp_path)).exit == 65
    (tmp_path / "rubbish").write_text("{}\n")
    assert bare("torture", "--check", str(tmp_path / "rubbish")).exit == 65


def test_the_mutants_still_apply():
    """The mistakes that scripts/mutants makes are changes of the sources as they are."""
    done = subprocess.run([sys.executable, MUTANTS, "--applies"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
