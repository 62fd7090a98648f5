# SPDX-License-Identifier: Apache-2.0
"""What needs a person is 78, and says what is wrong and what to do. Deployments that leases cannot
live on: a mongos, and servers older than 6.0 (a real server whose answers to `hello` pass through a
tunnel that says so; real servers of 4.4 and 5.0 were tried by hand). What a server refuses: by
failpoints, and by the real cause where there is one."""
import contextlib
import datetime
import secrets
import socket
import struct
import threading
import urllib.parse

import bson
import mongosh
import pymongo
import pymongo.server_api
import pytest
import servers
from conftest import URI, Cli

OP_REPLY, OP_MSG = 1, 2013
START = {OP_REPLY: 16 + 20, OP_MSG: 16 + 5}  # of the document, behind the header


class Disguise:
    """Passes on what is sent; changes the server's answers to hello and buildInfo."""

    def __init__(self, **changes):
        first = urllib.parse.urlsplit(URI.split(",")[0].replace("mongodb://", "http://"))
        self.target, self.changes = (first.hostname, first.port), changes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"mongodb://127.0.0.1:{self.listener.getsockname()[1]}/?directConnection=true"
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(self.target)
            self.sockets += [here, there]
            threading.Thread(
                target=self.pass_on, args=(here, there, lambda message: message), daemon=True
            ).start()
            threading.Thread(
                target=self.pass_on, args=(there, here, self.changed), daemon=True
            ).start()

    def pass_on(self, source, sink, change):
        try:
            with source.makefile("rb") as stream:
                while head := stream.read(4):
                    sink.sendall(change(head + stream.read(struct.unpack("<i", head)[0] - 4)))
        except (OSError, struct.error):
            pass
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def changed(self, message):
        start = START[struct.unpack_from("<i", message, 12)[0]]
        answer = bson.decode(message[start:])
        if not {"maxWireVersion", "gitVersion"} & set(answer):
            return message
        answer |= self.changes
        for name in [name for name, value in self.changes.items() if value is None]:
            answer.pop(name, None)
        flags = (
            struct.pack("<I", struct.unpack_from("<I", message, 16)[0] & ~1)
            if start == START[OP_MSG]
            else message[16:20]
        )  # no checksum
        body = message[4:16] + flags + message[20:start] + bson.encode(answer)
        return struct.pack("<i", len(body) + 4) + body

    def close(self):
        for opened in [self.listener, *self.sockets]:
            opened.close()


@pytest.fixture
def disguised(request):
    disguise = Disguise(**request.param)
    yield Cli(disguise.uri, "refused")
    disguise.close()


SHARD = {"isImplicitDefaultMajorityWC": True}  # what a mongod that was started with --shardsvr says
MEMBER = {"lastCommittedOpTime": bson.Timestamp(1, 1)}  # … and once it was added to a cluster
MONGOS = {
    "msg": "isdbgrid",
    "setName": None,
    "hosts": None,
    "secondary": None,
    "primary": None,
    "me": None,
}

FERRETDB = {
    "topologyVersion": None,
    "ferretdbVersion": "v1.24.0",
}  # (seen with the real one, by hand)


@pytest.mark.parametrize(
    "disguised, words, reason",
    [
        pytest.param(
            {"maxWireVersion": 13}, ["older than MongoDB 6.0", "upgrade"], "version", id="5.0"
        ),
        pytest.param(SHARD, ["sharded cluster", "not part of a cluster"], "sharded", id="shard"),
        pytest.param(MEMBER, ["sharded cluster", "not part of a cluster"], "sharded", id="member"),
        pytest.param(
            {"configsvr": 2}, ["sharded cluster", "not part of a cluster"], "sharded", id="config"
        ),
        pytest.param(FERRETDB, ["FerretDB", "MongoDB 6.0 or newer"], "version", id="ferretdb"),
        pytest.param(MONGOS, ["mongos", "connect to a replica set"], "mongos", id="mongos"),
    ],
    indirect=["disguised"],
)
@pytest.mark.parametrize(
    "command",
    [["acquire", "k"], ["migrate", "--yes"], ["list"], ["doctor"]],
    ids=lambda command: command[0],
)
def test_it_is_refused_with_what_to_do(disguised, words, reason, command):
    done = disguised(*command, "--json")
    assert done.exit == 78, done
    assert all(word in done.out + done.err for word in words), done
    assert command == ["doctor"] or done.lines[-1]["reason"] == reason, done


@pytest.mark.parametrize("disguised", [{}, {"topologyVersion": None}], indirect=True)
def test_undisguised_it_is_not_refused(disguised):
    """So that it is the disguise that is refused above."""
    done = disguised("status", "k")
    assert done.exit == 0, done


# ---- What a server refuses: on a standalone of our own, whose parameters disturb nobody


@pytest.fixture(scope="module")
def own():
    uri, end = servers.start("cli-refused", "standalone")
    with pymongo.MongoClient(uri) as client:
        yield client
    end()


@pytest.fixture
def place(own):
    """A database there, with the program."""
    db = own["refused_" + secrets.token_hex(4)]
    yield db, Cli("mongodb://%s:%s/" % own.address, db.name)
    own.drop_database(db.name)


def refused(done, *words):
    assert done.exit == 78, done
    assert all(word in done.err for word in words), (words, done)


REFUSALS = (
    1,
    2,
    9,
    20,
    59,
    66,
    72,
    73,
    115,
    148,
    166,
    238,
    291,
    323,
    8000,
    10334,
    13297,
    14031,
    17280,
    17419,
    31337,
    40324,
    40415,
)
COMMANDS = (
    ["acquire", "k"],
    ["acquire", "k", "--wait", "1s"],
    ["status", "k"],
    ["list"],
    ["migrate", "--yes"],
    ["cleanup", "--yes"],
    ["break", "held", "--reason", "r", "--yes"],
    ["run", "k", "--", "true"],
    ["stats"],
)


def test_what_the_server_refuses_is_78_by_every_command_and_names_the_code(own, place):
    db, cli = place
    assert cli("migrate", "--yes").exit == cli("acquire", "held", "--ttl", "1h").exit == 0
    lease = cli.acquire("mine")["lease"]
    commands = [
        *COMMANDS,
        ["renew", "mine", "--lease", lease],
        ["release", "mine", "--lease", lease],
    ]
    for i, code in enumerate(REFUSALS):
        own.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": "alwaysOn",
                "data": {
                    "failCommands": ["findAndModify", "update", "find", "aggregate", "listIndexes"],
                    "appName": "leasehold",
                    "errorCode": code,
                },
            }
        )
        try:
            for command in commands if code in (2, 238) else [commands[i % len(commands)]]:
                done = cli("--json", *command)
                assert done.exit == done.lines[-1]["exit"] == 78, (code, command, done)
                assert f"(code {code}" in done.err, done
        finally:
            own.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize(
    "rule, field",
    [
        ({"$jsonSchema": {"required": ["user_id"]}}, '"user_id"'),
        ({"team": {"$exists": True}}, '"team"'),
        ({"$jsonSchema": {"properties": {"owner": {"bsonType": "int"}}}}, '"owner"'),
        ({"$jsonSchema": {"additionalProperties": False, "properties": {"_id": {}}}}, '"token"'),
        ({"$expr": {"$eq": ["$owner", "nobody"]}}, "validator"),
    ],
)
def test_a_validator_in_the_way_is_named_with_its_field_and_the_advice_works(
    own, place, rule, field
):
    db, cli = place
    db.create_collection("workspace_locks", validator=rule)
    db.workspace_locks.insert_one(
        {"workspace_id": "old", "user_id": "u", "team": 1, "owner": 1},
        bypass_document_validation=True,
    )
    for command in (["migrate", "--dry-run"], ["migrate", "--yes"]):
        done = cli(*command)
        refused(
            done,
            "validator",
            field if field != "validator" and "required" in str(rule) else "workspace_locks",
        )
        assert db.list_collection_names() == ["workspace_locks"] and list(
            db.workspace_locks.index_information()
        ) == ["_id_"]
    done = cli("--json", "doctor")
    assert done.exit == 78 and [
        f["severity"] for f in done.json["findings"] if f["id"] == "validator"
    ] == ["error"], done
    db.workspace_locks.delete_many({})
    db.workspace_locks.create_index("workspace_id", name="workspace_id_unique", unique=True)
    done = cli("acquire", "k")
    refused(done, "validator", field, "code 121")
    assert db.workspace_locks.count_documents({}) == 0
    mongosh.run(own, done.err)
    cli.acquire("k")
    assert cli("migrate", "--yes").exit == cli("doctor").exit == 0


def test_a_validator_that_accepts_leases_is_no_matter(place):
    db, cli = place
    db.create_collection(
        "workspace_locks",
        validator={
            "$jsonSchema": {
                "required": ["workspace_id", "expires_at"],
                "properties": {
                    "workspace_id": {"bsonType": "string"},
                    "expires_at": {"bsonType": "date"},
                    "token": {"bsonType": "long"},
                },
            }
        },
    )
    assert cli("migrate", "--yes").exit == cli("doctor").exit == 0
    cli.acquire("k")


def test_a_validator_that_minds_only_waiters_is_found_by_looking(place):
    db, cli = place
    db.create_collection("workspace_locks", validator={"waiters": {"$exists": False}})
    done = cli("migrate", "--yes")
    refused(done, "validator", "waited for")


def test_a_clustered_collection_is_good(place):
    db, cli = place
    db.create_collection(
        "workspace_locks", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "by_id"}
    )
    db.workspace_locks.insert_one(
        {"_id": 1, "workspace_id": "old", "expires_at": datetime.datetime(2020, 1, 1)}
    )
    assert cli("migrate", "--yes").exit == 0
    done = cli("--json", "doctor")
    assert done.exit == 0 and not {"other_index", "ttl_index"} & {
        f["id"] for f in done.json["findings"]
    }, done
    cli.acquire("k")
    cli.acquire("old")


def test_a_clustered_collection_that_expires_is_refused(place):
    db, cli = place
    db.create_collection(
        "workspace_locks", clusteredIndex={"key": {"_id": 1}, "unique": True}, expireAfterSeconds=60
    )
    refused(cli("migrate", "--yes"), "expireAfterSeconds")
    refused(cli("acquire", "k"), "expireAfterSeconds")


def test_an_old_feature_compatibility_version(own, place):
    """prepareUnique and unique are of 6.0, which is the oldest that newer servers can be set to."""
    db, cli = place
    if own.server_info()["versionArray"][0] > 6:
        pytest.skip("this server cannot be set to 5.0")
    db.workspace_locks.insert_one({"workspace_id": "a"})
    own.admin.command("setFeatureCompatibilityVersion", "5.0")
    try:
        for command in (["migrate", "--dry-run"], ["migrate", "--yes"]):
            done = cli(*command)
            refused(
                done,
                "feature compatibility version",
                "5.0",
                'setFeatureCompatibilityVersion: "6.0"',
            )
        done = cli("--json", "doctor")
        assert done.exit == 78 and "compatibility" in {f["id"] for f in done.json["findings"]}, done
        assert db.list_collection_names() == ["workspace_locks"] and list(
            db.workspace_locks.index_information()
        ) == ["_id_"]
    finally:
        own.admin.command("setFeatureCompatibilityVersion", "6.0")
    assert cli("migrate", "--yes").exit == 0


def test_a_validator_that_comes_while_a_lease_is_held(place):
    db, cli = place
    assert cli("migrate", "--yes").exit == 0
    lease = cli.acquire("k", "--ttl", "1h")["lease"]
    db.command("collMod", "workspace_locks", validator={"user_id": {"$exists": True}})
    for command in (
        ["renew", "k", "--lease", lease],
        ["release", "k", "--lease", lease],
        ["break", "k", "--reason", "r", "--yes"],
    ):
        refused(cli(*command), "validator", "user_id")
    assert cli("status", "k", "--quiet").out == "held\n"


def test_a_database_that_differs_in_case(place):
    db, cli = place
    db.workspace_locks.insert_one({"_id": 1})
    other = Cli(cli.env["LEASEHOLD_URI"], db.name.upper())
    for command in (["acquire", "k"], ["migrate", "--yes"]):
        refused(other(*command), "13297", db.name, "--db")


def test_a_document_that_cannot_grow(place):
    db, cli = place
    assert cli("migrate", "--yes").exit == 0
    ended = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    db.workspace_locks.insert_one(filled({"_id": "k", "workspace_id": "k", "expires_at": ended}, 1))
    refused(cli("acquire", "k"), "16 MiB", "$unset")
    db.workspace_locks.update_one({"_id": "k"}, {"$unset": {"blob": 1}})
    cli.acquire("k")


def filled(document, left):
    """The document with so much in it that only `left` bytes are missing from the limit."""
    return document | {
        "blob": "x" * (16 * 1024 * 1024 - left - len(bson.encode(document | {"blob": ""})))
    }


@pytest.mark.parametrize(
    "sizes, large, token",
    [((60, 60), 1, 1), ((60, None), 1, 1), ((None, 1), 2, 5)],
    ids=["both", "the one that goes", "the one that stays"],
)
def test_among_duplicates_a_document_that_cannot_grow_is_named_and_nothing_is_lost(
    place, sizes, large, token
):
    """The copy in the archive is larger than the document; and a survivor may have to take a higher
    token."""
    db, cli = place
    now = datetime.datetime.now(datetime.timezone.utc)
    for i, rest in enumerate(sizes, 1):
        document = {
            "_id": i,
            "workspace_id": "a",
            "expires_at": now + datetime.timedelta(hours=i),
            "token": token if i == 1 else None,
        }
        db.workspace_locks.insert_one(filled(document, rest) if rest else document)
    refused(cli("migrate", "--yes"), f"_id is {large} ", "16 MiB")
    assert db.workspace_locks.count_documents({}) == 2
    db.workspace_locks.update_one({"_id": large}, {"$unset": {"blob": 1}})
    done = cli("migrate", "--yes")
    assert (
        done.exit == 0
        and db.workspace_locks.distinct("_id") == [2]
        and db.workspace_locks_archive.count_documents({}) == 1
    ), done


@contextlib.contextmanager
def parameter(own, name):
    """A server parameter is set for a while. (This client declares a version of the API: one of
    these asks for that.)"""
    with pymongo.MongoClient(*own.address, server_api=pymongo.server_api.ServerApi("1")) as client:
        client.admin.command({"setParameter": 1, name: True})
        yield
        client.admin.command({"setParameter": 1, name: False})


def test_a_server_that_wants_an_api_version(own, place):
    db, cli = place
    with parameter(own, "requireApiVersion"):
        refused(cli("acquire", "k", "--timeout", "1s"), "requireApiVersion")
    assert cli("migrate", "--yes").exit == 0


def test_a_server_that_scans_nothing(own, place):
    """Only what needs no scan is done."""
    db, cli = place
    assert cli("migrate", "--yes").exit == 0
    with parameter(own, "notablescan"):
        assert cli("acquire", "k").exit == 0
        done = cli("list")
        if done.exit:
            refused(done, "notablescan")


def test_a_server_that_only_looks_like_mongodb_is_found_by_trying(own, place):
    """It has indexes, and no updates by pipelines: as FerretDB, whose code 238 this is."""
    db, cli = place
    own.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": "alwaysOn",
            "data": {"failCommands": ["findAndModify"], "appName": "leasehold", "errorCode": 238},
        }
    )
    try:
        done = cli("--json", "migrate", "--yes")
        refused(done, "could not acquire", "MongoDB 6.0", "code 238")
        assert (
            done.json["tried"] is False
            and "workspace_id_unique" in db.workspace_locks.index_information()
        )
        done = cli("--json", "doctor")
        assert done.exit == 0 and "not_tried" in {f["id"] for f in done.json["findings"]}, done
        done = cli("--json", "doctor", "--trial")
        assert done.exit == 78 and "code 238" in next(
            f["what"] for f in done.json["findings"] if f["id"] == "trial"
        ), done
    finally:
        own.admin.command("configureFailPoint", "failCommand", mode="off")
    assert db.workspace_locks.count_documents({}) == 0 and cli("doctor", "--trial").exit == 0
