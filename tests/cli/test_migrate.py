# SPDX-License-Identifier: Apache-2.0
"""Refused means: as it was before. Collections that are not ours, or that a migration must not
touch, with each set of flags; and migrations that are killed at each step, followed by one that is
refused."""
import concurrent.futures
import fcntl
import os
import re
import secrets
import time

import bson
import pymongo
import pytest
from bson import ObjectId
from conftest import URI, Cli
from test_operators import ahead

INDEX = "workspace_id_unique"
LATER, PAST = ahead(3600), ahead(-3600)
KEY = {"workspace_id": 1}


def state(db, name):
    """All there is to a collection: options, indexes, and the bytes of its documents."""
    raw = db.get_collection(
        name, codec_options=bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
    )
    options = list(db.list_collections(filter={"name": name}))
    if options and options[0]["type"] == "view":
        return options
    return options, list(db[name].list_indexes()), sorted(document.raw for document in raw.find())


def index(db, collection, **spec):
    db.command("createIndexes", collection, indexes=[{"key": KEY, "name": INDEX} | spec])


def prepare(db, name, of):
    db.command("collMod", name, index={"name": of, "prepareUnique": True})


# What stands in somebody's collection. A name, what makes it.
USERS = [{"name": n} for n in "abc"]
FOREIGN = {
    "users": USERS,
    "null": [{"workspace_id": None, "n": n} for n in range(3)],
    "one": [{"name": "a"}],
    "arrays": [{"workspace_id": ["a", "b"]}, {"workspace_id": ["b", "c"]}],
    "objects": [
        {"workspace_id": {"a": 1}, "expires_at": PAST},
        {"workspace_id": {"a": 2}, "expires_at": PAST},
    ],
    "sixty": [{"n": n, "expires_at": PAST} for n in range(6)]
    + [{"workspace_id": f"k{n}", "expires_at": PAST} for n in range(4)],
    "live": [
        {"workspace_id": ObjectId(), "expires_at": LATER},
        {"workspace_id": "k", "expires_at": LATER},
    ],
    "overlap": [
        {"workspace_id": ["k", "l"], "expires_at": PAST},
        {"workspace_id": "k"},
        {"workspace_id": "m"},
    ],
    "duplicates": [{"workspace_id": "k", "n": n} for n in range(3)] + [{"workspace_id": "l"}],
}
INDEXES = {
    "none": lambda db, name: None,
    "plain": index,
    "prepared": lambda db, name: (index(db, name), prepare(db, name, INDEX)),
    "other": lambda db, name: index(db, name, name="theirs"),
    "other_prepared": lambda db, name: (
        index(db, name, name="theirs"),
        prepare(db, name, "theirs"),
    ),
}
FLAGS = [
    (),
    ("--yes",),
    ("--dry-run",),
    ("--yes", "--quarantine"),
    ("--yes", "--adopt"),
    ("--yes", "--adopt", "--quarantine"),
]


def exit_code(kind, flags):
    """What is right; 0 only where nothing is refused."""
    quarantine, adopt = "--quarantine" in flags, "--adopt" in flags
    if kind == "duplicates":
        return 0 if flags else 78
    if kind == "objects":
        return (
            0 if adopt and not quarantine else 78
        )  # all of them past: not in the way; but most of the collection
    if kind == "overlap":
        return 0 if quarantine or flags == ("--dry-run",) else 78  # found out by the server alone
    return 78


@pytest.mark.parametrize("indexed", INDEXES)
def test_what_is_refused_is_as_it_was(bare, database, indexed):
    def one(kind, flags):
        name = f"{kind}_{secrets.token_hex(4)}"
        database[name].insert_many([dict(document) for document in FOREIGN[kind]])
        INDEXES[indexed](database, name)
        before = state(database, name)
        result = bare("--json", "--collection", name, "migrate", *flags)
        wanted = exit_code(kind, flags)
        assert result.exit == wanted, (kind, flags, result)
        if wanted == 78 or "--dry-run" in flags:
            assert state(database, name) == before, (kind, flags, result)
            assert (
                wanted == 0
                or kind == "duplicates"
                or sum(result.json["foreign_keys"].values())
                or "--quarantine" in flags
            )
            assert f"{name}_archive" not in database.list_collection_names()

    kinds = FOREIGN if indexed in ("none", "prepared") else ["users", "sixty", "overlap"]
    flags = FLAGS if indexed == "none" else FLAGS[1:2] if indexed == "prepared" else FLAGS[:3]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(one, kind, some) for kind in kinds for some in flags]:
            done.result()


def test_another_programs_inserts_go_on_after_a_refusal(bare, database):
    database.users.insert_many([dict(user) for user in USERS])
    result = bare("--collection", "users", "migrate", "--yes")
    assert result.exit == 78 and "--adopt" in result.err and "missing 3" in result.err
    database.users.insert_one({"name": "d"})
    assert set(database.users.index_information()) == {"_id_"}
    assert database.list_collection_names() == ["users"]


def test_a_collection_is_adopted_when_that_is_said(bare, database):
    database.attic.insert_many(
        [{"workspace_id": ObjectId(), "expires_at": PAST}, {"workspace_id": 7, "expires_at": PAST}]
    )
    assert bare("--collection", "attic", "migrate").exit == 78
    assert bare("--collection", "attic", "migrate", "--adopt").exit == 0
    assert database.attic.index_information()[INDEX]["unique"]


class Fault:
    """A server has one failCommand: tests that use it take turns (tests/support/turn.h)."""

    def __init__(self, client):
        self.client = client
        port = re.search(r":(\d+)", URI.split("@")[-1]).group(1)
        self.turn = open(
            f"{os.environ.get('TMPDIR', '/tmp')}/leasehold-failpoint-{port}", "a", encoding="ascii"
        )
        fcntl.flock(self.turn, fcntl.LOCK_EX)
        self.app = "migrate-" + secrets.token_hex(4)

    def uri(self):
        head, _, tail = URI.partition("?")
        return f"{head}?{tail}{'&' if tail else ''}appName={self.app}"

    def hold(self, command, nth, milliseconds):
        """The nth of these commands waits, and is then done. Returns how often the fault has been
        met so far."""
        data = {
            "failCommands": [command],
            "appName": self.app,
            "blockConnection": True,
            "blockTimeMS": milliseconds,
        }
        try:
            return self.client.admin.command(
                "configureFailPoint",
                "failCommand",
                mode={"skip": nth} if nth else "alwaysOn",
                data=data,
            )["count"]
        except pymongo.errors.OperationFailure as why:
            pytest.skip(f"no failpoints: {why}")

    def end(self):
        self.client.admin.command("configureFailPoint", "failCommand", mode="off")
        self.turn.close()


@pytest.fixture
def fault(client):
    fault = Fault(client)
    yield fault
    fault.end()


def run_killed(cli, fault, command, nth, *flags):
    """Kills a migration while the server has that command in hand, and lets the server finish
    it."""
    entered = fault.hold(command, nth, 300)
    process = cli.start("migrate", *flags)
    fault.client.admin.command(
        "waitForFailPoint", "failCommand", timesEntered=entered + nth + 1, maxTimeMS=15000
    )
    process.kill()
    process.communicate()
    time.sleep(0.4)
    fault.client.admin.command("configureFailPoint", "failCommand", mode="off")


# The steps that change something before any document is moved: the lease, its note, the index, its
# preparation; and where it is killed while it reads, and while it tries to convert.
STEPS = [("findAndModify", 0), ("update", 0), ("createIndexes", 0), ("collMod", 0), ("find", 2)]


@pytest.mark.parametrize("indexed", ["none", "other"])
@pytest.mark.parametrize("next_flags", [(), ("--yes", "--quarantine")], ids=["plain", "quarantine"])
def test_a_killed_one_is_undone_by_the_next_that_is_refused(
    bare, database, fault, indexed, next_flags
):
    locks, undone = database.workspace_locks, 0
    for command, nth in STEPS:
        if indexed == "other" and command == "createIndexes":
            continue
        locks.drop()
        locks.insert_many(
            [{"workspace_id": f"k{n % 2}", "n": n, "expires_at": PAST} for n in range(4)]
        )
        INDEXES[indexed](database, "workspace_locks")
        before = state(database, "workspace_locks")
        run_killed(Cli(fault.uri(), database.name), fault, command, nth, "--yes")
        if next_flags:  # what the killed one did not see
            locks.insert_many([{"_id": n, "workspace_id": n} for n in range(5)])
        database.workspace_locks_migration.update_many(
            {}, {"$set": {"expires_at": PAST}}
        )  # or it would be waited for
        dry = bare("--json", "migrate", "--dry-run")
        assert dry.json["interrupted"] or state(database, "workspace_locks")[:2] == before[:2]
        undone += dry.json["interrupted"]
        result = bare("--json", "migrate", *next_flags)
        assert result.exit == 78, result
        if next_flags:
            locks.delete_many({"_id": {"$in": list(range(5))}})
        assert state(database, "workspace_locks") == before, (command, result)
        assert database.workspace_locks_migration.count_documents({"undo": {"$exists": True}}) == 0
    assert undone >= 2


def test_a_live_migrator_is_not_undone(bare, database):
    locks = database.workspace_locks
    locks.insert_many([{"workspace_id": "k", "n": n} for n in range(2)])
    index(database, "workspace_locks")
    prepare(database, "workspace_locks", INDEX)
    database.workspace_locks_migration.insert_one(
        {
            "_id": "workspace_locks:dedupe",
            "holder": "h",
            "expires_at": LATER,
            "undo": {"drop": True, "unprepare": ""},
        }
    )
    assert bare("--json", "migrate", "--dry-run").json["interrupted"] is False
    result = bare("--json", "migrate")
    assert (
        result.exit == 78
        and result.json["duplicate_keys"] == 1
        and list(locks.list_indexes())[1]["prepareUnique"]
    )


def test_a_writer_that_comes_between_is_found_out_and_all_is_undone(bare, database, fault):
    """Two documents without a workspace_id appear after the look: the server refuses the unique
    index, and it goes again."""
    locks = database.workspace_locks
    locks.insert_many([{"workspace_id": f"k{n}"} for n in range(2)])
    entered = fault.hold("createIndexes", 0, 700)
    process = Cli(fault.uri(), database.name).start("--json", "migrate", "--yes")
    fault.client.admin.command(
        "waitForFailPoint", "failCommand", timesEntered=entered + 1, maxTimeMS=15000
    )
    locks.insert_many([{"n": 1}, {"n": 2}])
    before = list(locks.find())
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 78 and "prevent the unique index" in out, out
    assert set(locks.index_information()) == {"_id_"} and list(locks.find()) == before
    locks.insert_one({"n": 3})
