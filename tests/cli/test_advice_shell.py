# SPDX-License-Identifier: Apache-2.0
"""Advice that a message gives does what it says: calls for the MongoDB shell (mongosh.py)."""
import secrets

import mongosh
import pymongo
import pymongo.server_api
import pytest
import servers
from advice import findings, follow, page
from conftest import URI, Cli
from test_operators import ahead

PLACES = [
    {},
    {"LEASEHOLD_COLLECTION": "work-locks"},
    {"LEASEHOLD_COLLECTION": "2.it's\\"},
    {"LEASEHOLD_COLLECTION": "locks(old)"},
]


@pytest.fixture
def elsewhere(bare, database):
    """The program and its collection, under a name."""

    def make(env):
        cli = Cli(URI, database.name)
        cli.env |= env
        return cli, database[env.get("LEASEHOLD_COLLECTION", "workspace_locks")]

    return make


@pytest.mark.parametrize(
    "env", PLACES, ids=lambda env: env.get("LEASEHOLD_COLLECTION", "as always")
)
@pytest.mark.parametrize(
    "options",
    [
        {"hidden": True, "name": "older"},
        {"sparse": True, "name": "workspace_id_unique"},
        {"hidden": True, "name": 'it\'s "mine"'},
    ],
)
def test_an_index_to_drop(elsewhere, client, env, options):
    cli, locks = elsewhere(env)
    locks.insert_one({"workspace_id": "k"})
    locks.create_index("workspace_id", **options)
    texts = [cli("migrate", "--yes").err]
    if options["name"] == "workspace_id_unique":
        texts += [cli("acquire", "k").err, findings(cli)["index"]["what"]]
    for text in texts[::-1]:
        if options["name"] not in locks.index_information():
            locks.create_index("workspace_id", **options)
        mongosh.run(client, text)
        assert options["name"] not in locks.index_information(), text
    assert cli("migrate", "--yes").exit == 0


@pytest.mark.parametrize(
    "env", PLACES, ids=lambda env: env.get("LEASEHOLD_COLLECTION", "as always")
)
@pytest.mark.parametrize(
    "field, options, which",
    [
        ("owner", {"unique": True}, "other_index"),
        ("acquired_at", {"expireAfterSeconds": 60}, "ttl_index"),
    ],
)
def test_an_index_that_acts_on_leases(elsewhere, client, env, field, options, which):
    cli, locks = elsewhere(env)
    assert cli("migrate", "--yes").exit == 0
    locks.create_index(field, name='once "only"', **options)
    mongosh.run(client, findings(cli)[which]["do"])
    assert which not in findings(cli) and 'once "only"' not in locks.index_information()


def test_an_index_by_which_ended_leases_go(cli, locks):
    """It may stay: what is said of it is where the message sends its reader, and cleanup does the
    same."""
    locks.create_index("expires_at", expireAfterSeconds=3600)
    do = findings(cli)["ttl_index"]["do"]
    assert "expireAfterSeconds" in page("leasehold-upgrade(7)") and "leasehold-upgrade(7)" in do
    locks.insert_one(
        {
            "_id": "k",
            "workspace_id": "k",
            "id": "a",
            "token": 5,
            "expires_at": ahead(-3 * 24 * 3600),
        }
    )
    assert follow(cli, do, "cleanup")[0] == 0 and locks.count_documents({}) == 0


@pytest.mark.parametrize(
    "env", PLACES, ids=lambda env: env.get("LEASEHOLD_COLLECTION", "as always")
)
def test_a_validator_in_the_way(elsewhere, database, client, env):
    cli, locks = elsewhere(env)
    assert cli("migrate", "--yes").exit == 0
    for make in (
        lambda: cli("acquire", "k").err,
        lambda: findings(cli)["validator"]["what"],
        lambda: cli("migrate", "--yes").err,
    ):
        database.command(
            "collMod",
            locks.name,
            validator={"user_id": {"$exists": True}},
            validationAction="error",
        )
        if make.__code__.co_consts and "migrate" in make.__code__.co_consts:
            locks.drop_index("workspace_id_unique")
        mongosh.run(client, make())
        assert locks.options()["validationAction"] == "warn"
    assert cli("migrate", "--yes").exit == 0 and "validator" not in findings(cli)
    assert cli("acquire", "k").exit == 0


@pytest.fixture(scope="module")
def own():
    """A server whose parameters disturb nobody else."""
    uri, end = servers.start("cli-advice", "standalone")
    with pymongo.MongoClient(uri) as client:
        yield client
    end()


@pytest.fixture
def place(own):
    name = "advice_" + secrets.token_hex(4)
    yield own[name], Cli("mongodb://%s:%s/" % own.address, name)
    own.drop_database(name)


def version_of(own):
    answer = own.admin.command("getParameter", 1, featureCompatibilityVersion=1)
    return answer["featureCompatibilityVersion"]["version"]


def test_an_old_feature_compatibility_version(own, place):
    db, cli = place
    if version_of(own) != "6.0":
        pytest.skip("NOT TESTED: this server has no version below 6.0 to be set to")
    db.workspace_locks.insert_one({"workspace_id": "a"})
    for make in (
        lambda: cli("migrate", "--yes").err,
        lambda: findings(cli)["compatibility"]["what"],
    ):
        own.admin.command("setFeatureCompatibilityVersion", "5.0")
        mongosh.run(own, make())
        assert version_of(own) == "6.0"
    assert cli("migrate", "--yes").exit == 0


@pytest.mark.parametrize("code", [243, 258])
def test_a_command_that_the_version_forbids(own, place, code):
    db, cli = place
    assert cli("migrate", "--yes").exit == 0
    own.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": "alwaysOn",
            "data": {
                "failCommands": ["findAndModify", "update"],
                "appName": "leasehold",
                "errorCode": code,
            },
        }
    )
    try:
        refused = cli("acquire", "k")
    finally:
        own.admin.command("configureFailPoint", "failCommand", mode="off")
    assert refused.exit == 78 and "on MongoDB 6.0, run db." in refused.err, refused
    if version_of(own) == "6.0":
        assert mongosh.run(own, refused.err)["ok"] == 1


def test_a_server_that_wants_an_api_version(own, place):
    """It refuses whoever declares none, and so a shell that is not told to."""
    db, cli = place
    with pymongo.MongoClient(*own.address, server_api=pymongo.server_api.ServerApi("1")) as client:
        client.admin.command({"setParameter": 1, "requireApiVersion": True})
        try:
            refused = cli("acquire", "k", "--timeout", "2s").err
            assert "mongosh --apiVersion 1, run db." in refused
            mongosh.run(client, refused)
            assert cli("acquire", "k").exit == 0
        finally:
            client.admin.command({"setParameter": 1, "requireApiVersion": False})


def test_a_server_that_scans_nothing(own, place):
    """Two ways: the index helps where it is missing, and the parameter always."""
    db, cli = place
    db.workspace_locks.insert_one({"workspace_id": "k"})
    own.admin.command({"setParameter": 1, "notablescan": True})
    try:
        refused = cli("status", "k")
        assert refused.exit == 78 and "if the unique index is missing" in refused.err, refused
        assert follow(cli, refused.err, "migrate")[0] == 0 and cli("status", "k").exit == 0
        refused = cli("reap")
        assert refused.exit == 78, refused
        mongosh.run(own, refused.err)
        assert cli("reap").exit == 0
    finally:
        own.admin.command({"setParameter": 1, "notablescan": False})


def test_a_set_that_is_not_initiated(tmp_path):
    uri, end = servers.start_alone(tmp_path, "--replSet", "advice")
    try:
        cli = Cli(uri, "advice")
        refused = cli("migrate", "--yes", "--timeout", "2s")
        assert refused.exit == 78, refused
        with pymongo.MongoClient(uri, directConnection=True) as client:
            mongosh.run(client, refused.err)
        done = cli("migrate", "--yes", "--timeout", "20s")
        assert done.exit == 0 and cli("acquire", "k").exit == 0, done
    finally:
        end()
