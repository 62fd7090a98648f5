# SPDX-License-Identifier: Apache-2.0
"""The programs to copy from do what they say.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a replica set)."""
import os
import secrets
import subprocess
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
