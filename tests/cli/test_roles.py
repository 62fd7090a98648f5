# SPDX-License-Identifier: Apache-2.0
"""The roles that `doctor --roles` prints: each is enough for what it is for, and none of its
actions can be left out."""
import copy
import datetime
import json
import secrets

import pymongo
import pytest
import servers
from conftest import Cli

RUNTIME, SETUP, OPS = "leaseholdRuntime", "leaseholdSetup", "leaseholdOps"


def printed_roles(db):
    """As the program prints them, by name: with a trail."""
    result = Cli(None, None)("doctor", "--roles", "--db", db, "--audit", "on")
    assert result.exit == 0, result
    return {role["createRole"]: role for role in result.lines}


# What may be left out: (role, collection, action) of the roles for one database.
ACTIONS = [
    (name, privilege["resource"]["collection"], action)
    for name, role in printed_roles("x").items()
    for privilege in role["privileges"]
    for action in privilege["actions"]
]


@pytest.fixture(scope="module")
def root():
    uri, end = servers.start("cli-roles", "standalone", "--auth")
    with pymongo.MongoClient(uri) as client:
        yield client
    end()


class Place:
    """A database with documents, and users with one role on it."""

    def __init__(self, root):
        self.root, self.name = root, "cli_" + secrets.token_hex(5)
        self.db = root[self.name]
        host, port = root.address
        self.host = f"{host}:{port}"

    def user(self, role):
        name = "u" + secrets.token_hex(4)
        self.db.command(role | {"createRole": name})
        self.db.command("createUser", name, pwd="pw", roles=[name])
        self.uri = f"mongodb://{name}:pw@{self.host}/?authSource={self.name}"
        cli = Cli(self.uri, self.name)
        cli.env["LEASEHOLD_AUDIT"] = "on"
        return cli

    def with_duplicates(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        # A token that is to be handed on to the one that stays.
        self.db.workspace_locks.insert_many(
            {"workspace_id": f"k{i % 3}", "id": f"i{i}", "token": 9 - i, "expires_at": now}
            for i in range(9)
        )

    def ready(self):
        """With the index, a key that is held, and one that cleanup would remove."""
        self.db.workspace_locks.create_index(
            "workspace_id", name="workspace_id_unique", unique=True
        )
        long_ago, later = (
            datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
            for days in (-9, 1)
        )
        self.db.workspace_locks.insert_many(
            [
                {
                    "_id": "gone",
                    "workspace_id": "gone",
                    "id": "a",
                    "token": 1,
                    "expires_at": long_ago,
                },
                {
                    "_id": "held",
                    "workspace_id": "held",
                    "id": "b",
                    "owner": "o",
                    "token": 1,
                    "expires_at": later,
                },
            ]
        )


@pytest.fixture
def place(root):
    place = Place(root)
    yield place
    place.db.command("dropAllUsersFromDatabase")
    place.db.command("dropAllRolesFromDatabase")
    root.drop_database(place.name)


def doctor(role):
    return lambda cli, _: cli("--json", "doctor", "--as", role)


def command(*args):
    return lambda cli, _: cli("--json", *args)


def renew_and_release(cli, _):
    granted = cli("--json", "acquire", "r")
    if granted.exit != 0:
        return granted
    for action in ("renew", "release"):
        result = cli("--json", action, "r", "--lease", granted.json["lease"])
        assert result.exit == 0, result
    return result


class Refused:
    """An exception of pymongo's, in the form of a result."""

    exit, json = 77, {}

    def __init__(self, error, action):
        assert error.code == 13
        self.out = action


def fence(cli, place):
    """What the guard sends, within a transaction."""
    with pymongo.MongoClient(place.uri) as client:
        fences = client[place.name].workspace_fences
        try:
            fences.find_one_and_update(
                {"_id": "k", "token": {"$lte": 5}},
                {"$set": {"token": 5}, "$inc": {"n": 1}},
                upsert=True,
            )
        except pymongo.errors.OperationFailure as error:
            return Refused(error, "find insert update")
    return None


# In order: each role's operations. The doctor comes last, so that what others fail for is shown by
# them.
OPERATIONS = {
    RUNTIME: [
        command("acquire", "k"),
        command("acquire", "s", "--shared"),
        command("status", "k"),
        renew_and_release,
        command("run", "j", "--", "true"),
        command("acquire", "r", "--wait", "1s"),
        fence,
        doctor("runtime"),
    ],
    SETUP: [
        command("migrate", "--yes"),
        command("migrate", "--dry-run"),
        command("migrate", "--audit-keep", "7d"),
        doctor("setup"),
    ],
    OPS: [
        command("list"),
        command("status", "held"),
        command("break", "held", "--reason", "r", "--yes"),
        command("cleanup", "--older-than", "7d", "--yes"),
        command("audit"),
        command("reap"),
        command("stats"),
        doctor("ops"),
    ],
}
# Only the doctor misses them: without a change stream a waiter asks by itself (test_doctor.py shows
# the stream itself), and without remove the migration's own lease is not given back, so that the
# next one waits for its end. A break stands without its line. Without dropIndex a migration that is
# refused after all leaves its index, and says so.
TOLD_BY_THE_DOCTOR = {
    (RUNTIME, "workspace_locks", "changeStream"),
    (OPS, "workspace_locks", "changeStream"),
    (OPS, "workspace_locks", "listIndexes"),
    (OPS, "workspace_locks_audit", "insert"),
    (SETUP, "workspace_locks_migration", "remove"),
    (SETUP, "workspace_locks", "dropIndex"),
}


def prepare(place, role):
    if role == SETUP:
        place.with_duplicates()
    else:
        place.ready()


@pytest.mark.parametrize("role", [RUNTIME, SETUP, OPS])
def test_a_role_is_enough(place, role):
    prepare(place, role)
    cli = place.user(printed_roles(place.name)[role])
    for operation in OPERATIONS[role]:
        result = operation(cli, place)
        assert result is None or result.exit == 0, result


@pytest.mark.parametrize("role, collection, action", ACTIONS)
def test_no_action_of_a_role_can_be_left_out(place, role, collection, action):
    prepare(place, role)
    less = copy.deepcopy(printed_roles(place.name)[role])
    for privilege in less["privileges"]:
        if privilege["resource"]["collection"] == collection:
            privilege["actions"].remove(action)
    less["privileges"] = [privilege for privilege in less["privileges"] if privilege["actions"]]
    cli = place.user(less)
    *operations, examine = OPERATIONS[role]
    results = (operation(cli, place) for operation in operations)
    failed = next((result for result in results if result is not None and result.exit != 0), None)
    assert failed is None or (failed.exit == 77 and action in failed.out), failed
    assert (failed is not None) == (
        (role, collection, action) not in TOLD_BY_THE_DOCTOR
    ), "who notices has changed"
    result = examine(cli, place)
    assert result.exit in (
        77,
        78,
    ), result  # 78: what the other operations should have made is missing
    findings = [f for f in result.json["findings"] if f["id"] == "privilege"]
    wanted = f"lacks {action} on " + (
        f"{place.name}.{collection}" if collection else f"the database {place.name}"
    )
    assert [f["severity"] for f in findings] == ["error"] and wanted in findings[0][
        "what"
    ], findings


def test_the_error_says_who_lacks_what_and_where(place):
    place.ready()
    role = printed_roles(place.name)[RUNTIME]
    role["privileges"][0]["actions"].remove("insert")
    result = place.user(role)("--json", "acquire", "k")
    assert result.exit == 77 and result.json["code"] == "denied"
    assert f"lacks insert on {place.name}.workspace_locks" in result.json["message"], result
    assert "leasehold doctor --roles" in result.json["message"]


def test_no_role_lets_a_backend_delete():
    actions = [
        action
        for privilege in printed_roles("x")[RUNTIME]["privileges"]
        for action in privilege["actions"]
    ]
    assert "remove" not in actions


def test_the_roles_are_for_the_collection_that_is_named():
    for args, env in (
        (["--db", "d", "--collection", "c"], {}),
        ([], {"LEASEHOLD_DB": "d", "LEASEHOLD_COLLECTION": "c"}),
        (["--collection", "c", "--uri", "mongodb://127.0.0.1:1/d"], {}),
    ):
        result = Cli(None, None)("--json", "doctor", "--roles", *args, env=env)
        assert result.exit == 0, result
        places = {
            (p["resource"]["db"], p["resource"]["collection"])
            for role in result.json["roles"]
            for p in role["privileges"]
        }
        assert places == {
            ("d", ""),
            ("d", "c"),
            ("d", "c.fences"),
            ("d", "c_archive"),
            ("d", "c_migration"),
        }
        assert json.loads(result.out)["outcome"] == "ok"
