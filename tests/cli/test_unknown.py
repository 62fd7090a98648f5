# SPDX-License-Identifier: Apache-2.0
"""When the answer is lost: exit code 74, and the JSON names the lease in doubt. Needs a server with
test commands."""
import fcntl
import os
import re
import secrets
import time

import pymongo
import pytest
from conftest import URI, Cli


@pytest.fixture
def deaf(cli, client):
    """The program on connections of a name of their own, whose writes to the locks are never
    answered."""
    name = "cli_" + secrets.token_hex(6)
    parts = URI.partition("?")
    uri = f"{parts[0]}?{parts[2]}{'&' if parts[2] else ''}appName={name}"
    data = {"failCommands": ["findAndModify", "update"], "appName": name, "closeConnection": True}
    # A server has one such failpoint: those that use it take turns (tests/support/live.h).
    port = re.search(r":(\d+)", URI.split("@")[-1]).group(1)
    folder = os.environ.get("TMPDIR", "/tmp")
    with os.fdopen(
        os.open(
            f"{folder}/leasehold-failpoint-{port}", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600
        )
    ) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        except pymongo.errors.OperationFailure as why:
            pytest.skip(f"no failpoints: {why}")
        deaf = Cli(uri, cli.env["LEASEHOLD_DB"])
        deaf.data = data
        yield deaf
        client.admin.command("configureFailPoint", "failCommand", mode="off")


def test_acquire_names_the_lease_in_doubt(deaf):
    result = deaf("--json", "--timeout", "1s", "acquire", "k")
    error = result.json
    assert result.exit == 74, result
    assert list(error) == ["v", "outcome", "code", "reason", "exit", "message", "lease"]
    assert (error["code"], error["reason"], error["exit"]) == (
        "unknown",
        "no_reply",
        74,
    ) and re.fullmatch("[0-9a-f]{32}", error["lease"])
    assert error["lease"] in result.err


def test_run_does_not_run_what_it_may_not_hold(deaf):
    result = deaf("run", "k", "--timeout", "1s", "--", "echo", "ran")
    assert result.exit == 74 and result.out == ""


def test_release_that_is_not_answered_is_unknown(cli, deaf):
    lease = cli.acquire("k")["lease"]
    result = deaf("--json", "--timeout", "1s", "release", "k", "--lease", lease)
    assert result.exit == 74 and result.json["code"] == "unknown", result


def test_transfer_names_the_new_lease_in_doubt(cli, deaf, client):
    lease = cli.acquire("k")["lease"]
    client.admin.command(
        "configureFailPoint", "failCommand", mode={"skip": 1}, data=deaf.data
    )  # its renewal is answered
    result = deaf("--json", "--timeout", "1s", "transfer", "k", "--lease", lease, "--to", "bob")
    assert result.exit == 74 and result.json["code"] == "unknown", result
    assert re.fullmatch("[0-9a-f]{32}", result.json["lease"]) and result.json["lease"] != lease
    assert cli("renew", "k", "--lease", lease).exit == 0  # it was not done


def test_what_is_surely_not_handed_on_is_unreachable(cli, deaf):
    lease = cli.acquire("k")["lease"]
    result = deaf("--json", "--timeout", "1s", "transfer", "k", "--lease", lease, "--to", "bob")
    assert result.exit == 69 and result.json["code"] == "unreachable", result
    assert cli("renew", "k", "--lease", lease).exit == 0


def test_a_signal_while_the_server_keeps_silent_ends_it(cli, deaf):
    """The wait can't be left in good order: a second, and a word about it."""
    cli.acquire("k")
    process = deaf.start("--timeout", "20s", "acquire", "k", "--wait", "forever")
    time.sleep(0.5)
    start = time.monotonic()
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert (
        process.returncode == 128 + 15 and time.monotonic() - start < 5 and "has not replied" in err
    )
