# SPDX-License-Identifier: Apache-2.0
"""When the answer is lost: exit code 74, and the JSON names the lease in doubt. Needs a server with test commands."""
import fcntl
import os
import re
import secrets

import pymongo
import pytest
from conftest import URI, Cli


@pytest.fixture
def deaf(cli, client):
    """The program on connections of a name of their own, whose writes to the locks are never answered."""
    name = "cli_" + secrets.token_hex(6)
    parts = URI.partition("?")
    uri = f"{parts[0]}?{parts[2]}{'&' if parts[2] else ''}appName={name}"
    data = {"failCommands": ["findAndModify"], "appName": name, "closeConnection": True}
    # A server has one such failpoint: those that use it take turns (tests/support/live.h).
    port = re.search(r":(\d+)", URI.split("@")[-1]).group(1)
    folder = os.environ.get("TMPDIR", "/tmp")
    with open(f"{folder}/leasehold-failpoint-{port}", "a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        except pymongo.errors.OperationFailure as why:
            pytest.skip(f"no failpoints: {why}")
        yield Cli(uri, cli.env["LEASEHOLD_DB"])
        client.admin.command("configureFailPoint", "failCommand", mode="off")


def test_acquire_names_the_lease_in_doubt(deaf):
    result = deaf("--json", "--timeout", "1s", "acquire", "k")
    error = result.json
    assert result.exit == 74, result
    assert list(error) == ["v", "outcome", "code", "exit", "message", "lease"]
    assert (error["code"], error["exit"]) == ("unknown", 74) and re.fullmatch("[0-9a-f]{32}", error["lease"])
    assert error["lease"] in result.err


def test_run_does_not_run_what_it_may_not_hold(deaf):
    result = deaf("run", "k", "--timeout", "1s", "--", "echo", "ran")
    assert result.exit == 74 and result.out == ""


def test_release_that_is_not_answered_is_unknown(cli, deaf):
    lease = cli.acquire("k")["lease"]
    result = deaf("--json", "--timeout", "1s", "release", "k", "--lease", lease)
    assert result.exit == 74 and result.json["code"] == "unknown", result
