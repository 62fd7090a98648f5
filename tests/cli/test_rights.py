# SPDX-License-Identifier: Apache-2.0
"""Credentials: wrong ones, and too few rights. Needs LEASEHOLD_MONGOD to start a server with access
control."""
import secrets

import pymongo
import pytest
import servers
from conftest import Cli

PASSWORD = "canary-77aa"


@pytest.fixture(scope="module")
def guarded():
    """A server with access control; the URI of its root."""
    uri, end = servers.start("cli-auth", "standalone", "--auth")
    yield uri
    end()


@pytest.fixture
def as_user(guarded):
    """Gives the program for a user with a role on a database where everything is ready and `held`
    is held."""
    db, user = "cli_" + secrets.token_hex(4), "u" + secrets.token_hex(4)
    root = Cli(guarded, db)
    assert root("migrate", "--yes").exit == 0 and root("acquire", "held", "--ttl", "1h").exit == 0

    def make(role, password=PASSWORD):
        with pymongo.MongoClient(guarded) as client:
            client[db].command("createUser", user, pwd=PASSWORD, roles=[role])
        place = guarded.split("@")[1].split("/")[0]
        return Cli(f"mongodb://{user}:{password}@{place}/?authSource={db}", db)

    return make


COMMANDS = [
    ["acquire", "k"],
    ["status", "k"],
    ["list"],
    ["migrate", "--yes"],
    ["cleanup", "--yes"],
    ["run", "k", "--", "true"],
    ["break", "held", "--reason", "r", "--yes"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_is_77_and_not_shown(as_user, command):
    result = as_user("readWrite", PASSWORD + "x")("--json", *command)
    assert result.exit == 77, result
    assert (
        result.lines[-1]["code"] == "denied"
        and result.lines[-1]["reason"] == "credentials"
        and PASSWORD not in result.out + result.err
    )


@pytest.mark.parametrize(
    "how, times, exit",
    [
        ({"closeConnection": True}, 1, 0),
        ({"closeConnection": True}, 0, 69),
        ({"errorCode": 91}, 0, 69),
    ],
)
def test_a_server_that_goes_away_during_the_login_is_an_outage(guarded, as_user, how, times, exit):
    """The driver calls both a failed authentication."""
    cli = as_user("readWrite")
    with pymongo.MongoClient(guarded) as client:
        point = {
            "configureFailPoint": "failCommand",
            "mode": {"times": times} if times else "alwaysOn",
            "data": {"failCommands": ["saslContinue"], "appName": "leasehold", **how},
        }
        client.admin.command(point)
        try:
            result = cli("--json", "--timeout", "2s" if exit else "15s", "acquire", "k")
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert result.exit == exit, result
    assert PASSWORD not in result.out + result.err


def test_a_user_who_may_only_read(as_user):
    cli = as_user("read")
    assert cli("status", "held").exit == 0 and cli("list").exit == 0
    for command in (
        ["acquire", "k"],
        ["run", "k", "--", "echo", "ran"],
        ["break", "held", "--reason", "r", "--yes"],
    ):
        result = cli("--json", *command)
        assert (
            result.exit == 77
            and result.json["code"] == "denied"
            and result.json["reason"] == "privilege"
        ), result
    assert cli("status", "held", "--quiet").out == "held\n"


def test_a_user_who_may_write_needs_no_more(as_user):
    cli = as_user("readWrite")
    lease = cli.acquire("k")["lease"]
    assert (
        cli("renew", "k", "--lease", lease).exit == cli("release", "k", "--lease", lease).exit == 0
    )


def test_no_credentials_at_all(guarded):
    place = guarded.split("@")[1].split("/")[0]
    assert Cli(f"mongodb://{place}/", "cli_none")("status", "k").exit == 77
