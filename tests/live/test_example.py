# SPDX-License-Identifier: Apache-2.0
"""The programs to copy from do what they say.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a replica set)."""
import datetime
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pymongo
import pytest

URI = os.environ["LEASEHOLD_TEST_URI"]
TOOLS = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve() / "tools"


@pytest.fixture
def database():
    with pymongo.MongoClient(URI) as client:
        name = "example_" + secrets.token_hex(6)
        yield client.get_database(name)
        client.drop_database(name)


def run(database, *command):
    env = os.environ | {"LEASEHOLD_URI": URI, "LEASEHOLD_DB": database.name}
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def guarded(database):
    return run(database, TOOLS / "examples" / "guarded", database.name)


def test_the_money_is_moved_under_guard(database):
    for times in (1, 2):
        done = guarded(database)
        assert done.returncode == 0, done
        assert done.stdout.startswith("moved 100, with token ") and done.stderr == ""
        balances = {account["_id"]: account["balance"] for account in database.accounts.find()}
        assert balances == {"savings": -100 * times, "checking": 100 * times}
    fence = database.workspace_fences.find_one({"_id": "accounts:ann"})
    assert fence["n"] == 2 and fence["token"] == int(done.stdout.split()[-1])


def test_somebody_else_holds_the_lease(database):
    assert run(database, TOOLS / "leasehold", "migrate").returncode == 0
    assert (
        run(database, TOOLS / "leasehold", "acquire", "accounts:ann", "--owner", "ben").returncode
        == 0
    )
    done = guarded(database)
    assert done.returncode == 75 and done.stdout == "" and done.stderr.startswith("busy: ")
    assert database.accounts.count_documents({}) == 0


def test_a_busy_project_defers_a_job_without_using_up_an_attempt(database):
    examples = Path(__file__).resolve().parents[2] / "tools"
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    jobs = database.jobs

    def worker():
        jobs.update_many({"state": "queued"}, {"$set": {"due": past}})
        env = os.environ | {
            "LEASEHOLD_URI": URI,
            "PYTHONPATH": str(examples / "bindings" / "python"),
            "LEASEHOLD_LIBRARY": str(TOOLS.parent / "src" / "libleasehold.so.0"),
        }
        done = subprocess.run(
            [sys.executable, examples / "examples" / "deferral.py", database.name],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0 and done.stderr == "", done
        return sorted(done.stdout.splitlines())

    assert run(database, TOOLS / "leasehold", "migrate").returncode == 0
    held = json.loads(
        run(
            database,
            TOOLS / "leasehold",
            "--json",
            "acquire",
            "project:7",
            "--owner",
            "ben",
            "--purpose",
            "backup",
            "--ttl",
            "1h",
        ).stdout
    )
    jobs.insert_many(
        [
            {"_id": "a", "project": "7", "command": ["true"], "state": "queued", "attempts": 0},
            {
                "_id": "b",
                "project": "8",
                "command": ["sh", "-c", "test $TOKEN -gt 0"],
                "state": "queued",
                "attempts": 0,
            },
            {"_id": "c", "project": "9", "command": ["false"], "state": "queued", "attempts": 2},
        ]
    )
    out = worker()
    assert out[0].startswith("a: deferred, ") and "ben" in out[0]
    assert out[1:] == ["b: done, attempt 1", "c: failed, attempt 3"]
    job = jobs.find_one({"_id": "a"})
    assert (job["state"], job["attempts"], job["deferred"]) == ("queued", 0, 1)
    assert job["last_busy"]["why"] == "held" and job["last_busy"]["holder"] == {
        "owner": "ben",
        "purpose": "backup",
    }
    assert worker()[0].startswith("a: deferred, ") and jobs.find_one({"_id": "a"})["attempts"] == 0
    assert (
        run(
            database, TOOLS / "leasehold", "release", "project:7", "--lease", held["lease"]
        ).returncode
        == 0
    )
    assert worker() == ["a: done, attempt 1"]
