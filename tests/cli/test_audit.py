# SPDX-License-Identifier: Apache-2.0
"""The trail: a line for each grant before it is told, and for each end; what becomes of grants
whose line cannot be written; who may do what; and reading it, also while it is written."""
import datetime
import json
import re
import signal
import threading

import pytest
from bson.int64 import Int64
from conftest import wait_until

UTC = datetime.timezone.utc
FIELDS = [
    "v",
    "at",
    "event",
    "key",
    "owner",
    "host",
    "pid",
    "purpose",
    "mode",
    "token",
    "by",
    "reason",
    "to",
    "to_token",
    "previous_owner",
    "previous_how",
]


@pytest.fixture
def trail(cli, database):
    """The program with a trail, and its collection."""
    cli.env["LEASEHOLD_AUDIT"] = "on"
    return database.workspace_locks_audit


def lines(cli, *options):
    result = cli("--json", "audit", *options)
    assert result.exit == 0, result
    return result.lines


def told(cli, *options):
    """(event, owner, previous_how) of each."""
    return [(line["event"], line["owner"], line["previous_how"]) for line in lines(cli, *options)]


def test_the_life_of_a_lease(cli, trail, locks):
    granted = cli.acquire("k", "--owner", "alice", "--purpose", "rebuild")
    cli("renew", "k", "--lease", granted["lease"])
    cli("release", "k", "--lease", granted["lease"])
    first, second = lines(cli)
    assert list(first) == list(second) == FIELDS
    assert (first["event"], first["key"], first["owner"], first["purpose"]) == (
        "granted",
        "k",
        "alice",
        "rebuild",
    )
    assert (first["token"], first["mode"], first["previous_how"]) == (
        granted["token"],
        "exclusive",
        None,
    )
    assert (second["event"], second["owner"]) == ("released", "alice")
    at = locks.find_one({"_id": "k"})
    wanted = [at["acquired_at"], at["released"]["at"]]
    for line, when in zip(trail.find().sort("at"), wanted, strict=True):
        assert datetime.timedelta(0) <= line["at"] - when < datetime.timedelta(seconds=2)
    assert not re.search(granted["lease"], str(list(trail.find())))


def test_how_leases_end_and_what_was_before(cli, trail, locks):
    first = cli.acquire("k", "--owner", "alice")
    handed = cli("--json", "transfer", "k", "--lease", first["lease"], "--to", "bob").json
    cli("break", "k", "--reason", "bob is gone", "--yes", env={"LEASEHOLD_OWNER": "ops"})
    cli.acquire("k", "--owner", "carol")
    locks.update_one(
        {}, {"$set": {"expires_at": datetime.datetime.now(UTC) - datetime.timedelta(seconds=60)}}
    )
    cli.acquire("k", "--owner", "dave")
    cli.acquire("k", "--owner", "dave", "--resume", "--ttl", "1h")
    assert told(cli, "k") == [
        ("granted", "alice", None),
        ("transferred", "alice", None),
        ("broken", "bob", None),
        ("granted", "carol", "break"),
        ("taken_over", "dave", "expire"),
        ("granted", "dave", "transfer"),
    ]
    _, transferred, broken, _, taken, _ = lines(cli, "k")
    assert (transferred["to"], transferred["to_token"]) == ("bob", handed["token"])
    assert (broken["by"], broken["reason"], broken["token"]) == (
        "ops",
        "bob is gone",
        handed["token"],
    )
    assert taken["previous_owner"] == "carol"
    secrets = [document["id"] for document in locks.find()] + [first["lease"], handed["lease"]]
    assert not [secret for secret in secrets if secret in str(list(trail.find()))]


def test_readers_and_paths(cli, trail):
    cli.acquire("s", "--shared", "--owner", "a")
    cli.acquire("s", "--shared", "--owner", "b")
    cli.acquire("org/project", "--path", "--owner", "c")
    assert (
        cli("acquire", "org", "--path").exit == 75
    )  # let go of again: not a grant that anybody was told of
    assert cli("acquire", "s").exit == 75
    assert told(cli) == [("granted", owner, None) for owner in "abc"]
    assert [line["mode"] for line in lines(cli)] == ["shared", "shared", "exclusive"]
    reader = cli.acquire("s", "--shared", "--owner", "d")
    assert cli("release", "s", "--lease", reader["lease"]).exit == 0
    assert (lines(cli)[-1]["event"], lines(cli)[-1]["mode"]) == ("released", None)


def test_who_is_granted_by_a_release_has_a_line_too(cli, trail, locks):
    lease = cli.acquire("k", "--owner", "alice")["lease"]
    waiting = [cli.start("run", "k", "--owner", f"w{i}", "--", "true") for i in range(3)]
    wait_until(lambda: len((locks.find_one({}) or {}).get("waiters", {})) == 3)
    cli("release", "k", "--lease", lease)
    for process in waiting:
        assert process.wait(timeout=20) == 0
        process.stdout.close()
        process.stderr.close()
    events = told(cli)
    assert [how for event, _, how in events if event == "granted"] == [
        None,
        "release",
        "release",
        "release",
    ]
    assert sorted(owner for event, owner, _ in events if event == "released") == [
        "alice",
        "w0",
        "w1",
        "w2",
    ]


def test_a_killed_holder_is_told_of_by_reap(cli, trail, locks):
    process = cli.start("run", "k", "--ttl", "1h", "--owner", "alice", "--", "sleep", "60")
    wait_until(lambda: trail.find_one({"event": "granted"}))
    process.kill()
    process.communicate()
    assert cli("--json", "reap").json["holders"] == 1
    assert told(cli)[-1] == ("reaped", "alice", None) and "has died" in lines(cli)[-1]["reason"]


def test_no_grant_without_its_line(cli, trail, database, locks):
    """A validator that nothing passes: the server refuses the line."""
    held = cli.acquire("held", "--owner", "alice", "--ttl", "1h")
    database.command("collMod", trail.name, validator={"never": {"$exists": True}})
    for options in ([], ["--shared"], ["--wait", "1s"], ["--path"]):
        result = cli("--json", "acquire", "k", *options)
        assert result.exit not in (0, 75) and "audit entry" in result.json["message"], result
        assert result.json["code"] == "config" and "was released" in result.json["message"]
        assert cli("status", "k", "--quiet").out == "free\n"
    assert cli("run", "k", "--", "false").exit not in (0, 1)
    broken = cli("break", "held", "--reason", "r", "--yes")
    assert (
        broken.exit == 0
        and "its audit entry is missing" in broken.err
        and cli("status", "held", "--quiet").out == "free\n"
    )
    again = cli("release", "held", "--lease", held["lease"])
    assert again.exit == 76
    database.command("collMod", trail.name, validator={})
    lease = cli.acquire("k")["lease"]
    database.command("collMod", trail.name, validator={"never": {"$exists": True}})
    released = cli("release", "k", "--lease", lease)
    assert released.exit == 0 and "its audit entry is missing" in released.err
    assert trail.count_documents({}) == 2


def test_without_it_nothing_is_written(cli, database):
    lease = cli.acquire("k")["lease"]
    cli("release", "k", "--lease", lease)
    assert set(database.list_collection_names()) == {"workspace_locks"}
    assert lines(cli) == []
    assert "LEASEHOLD_AUDIT" in cli("audit").err


def test_the_migration_bounds_it(cli, trail):
    assert cli("migrate").exit == 0
    indexes = trail.index_information()
    assert indexes["at_age"]["expireAfterSeconds"] == 30 * 86400 and indexes["key_at"]["key"] == [
        ("key", 1),
        ("at", 1),
    ]
    assert cli("migrate", "--audit-keep", "7d").exit == 0
    assert trail.index_information()["at_age"]["expireAfterSeconds"] == 7 * 86400
    assert cli("migrate", "--audit", "other", "--dry-run").exit == 0
    assert "other" not in trail.database.list_collection_names()


@pytest.mark.parametrize("name", ["workspace_locks", "a$b", ".x", "system.x", "x" * 121])
def test_a_name_that_cannot_be_is_refused(cli, name):
    assert cli("--json", "acquire", "k", "--audit", name).exit == 64


def test_it_is_read_by_key_and_by_time(cli, trail):
    now = datetime.datetime.now(UTC)
    for i in range(4):
        trail.insert_one(
            {
                "at": now - datetime.timedelta(hours=i),
                "event": "granted",
                "key": f"k{i % 2}",
                "token": Int64(i),
            }
        )
    assert [line["token"] for line in lines(cli)] == [3, 2, 1, None]
    assert [line["token"] for line in lines(cli, "k1")] == [3, 1]
    assert [line["token"] for line in lines(cli, "--since", "90m")] == [1, None]
    assert lines(cli, "--audit", "elsewhere") == []
    assert cli("audit", "a", "b").exit == 64


def test_the_table_lines_up_and_is_safe(cli, trail):
    for key in ("a", "日本語のキー", "🔒", "e\u0301"):
        cli.acquire(key, "--owner", "THEOWNER", "--purpose", "x")
    trail.insert_one(
        {
            "at": datetime.datetime.now(UTC),
            "event": "\x1b[2J",
            "key": 7,
            "owner": {},
            "pid": "x",
            "previous": 3,
        }
    )
    table = cli("audit").out.splitlines()
    assert table[0].split() == ["AT", "EVENT", "KEY", "OWNER", "TOKEN", "HOST", "PID", "DETAILS"]
    from test_seeing import columns

    assert {columns(line[: line.index("THEOWNER")]) for line in table[1:5]} == {
        table[0].index("OWNER")
    }
    assert len(table) == 6 and "\x1b" not in "".join(table)


def test_following(cli, trail):
    """Everything once, though other lines are older than what was read: inserted late, or with the
    same time."""
    cli.acquire("before", "--owner", "alice")
    process = cli.start("--json", "audit", "--follow", "--since", "1h")
    seen = []
    reader = threading.Thread(
        target=lambda: seen.extend(json.loads(line) for line in process.stdout)
    )
    reader.start()
    wait_until(lambda: seen)
    now = datetime.datetime.now(UTC)
    for i in range(5):
        trail.insert_one({"at": now, "event": "granted", "key": f"same{i}"})
        trail.insert_one(
            {"at": now - datetime.timedelta(seconds=4), "event": "granted", "key": f"late{i}"}
        )
    wait_until(lambda: len(seen) == 11)
    leases = [cli.acquire(f"k{i}") for i in range(3)]
    wait_until(lambda: len(seen) == 14, 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 128 + signal.SIGINT
    reader.join()
    process.stdout.close()
    process.stderr.close()
    assert len(leases) == 3 and sorted(line["key"] for line in seen) == sorted(
        line["key"] for line in lines(cli)
    )


def test_a_backend_needs_to_insert_and_no_more(cli):
    result = cli("--json", "doctor", "--roles", "--audit", "trail")
    privileges = {
        role["createRole"]: {p["resource"]["collection"]: p["actions"] for p in role["privileges"]}
        for role in result.json["roles"]
    }
    assert privileges["leaseholdRuntime"]["trail"] == ["insert"]
    assert privileges["leaseholdOps"]["trail"] == ["find", "insert"]
    assert "trail" not in str(cli("doctor", "--roles").out)
