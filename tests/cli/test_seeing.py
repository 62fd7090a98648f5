# SPDX-License-Identifier: Apache-2.0
"""status and list: states, fields, tables, and documents of every shape."""
import datetime
import json
import unicodedata

import bson
import pytest

STATUS = ["v", "key", "state", "token", "holders", "waiters", "released", "note"]
UTC = datetime.timezone.utc


def ahead(seconds):
    return datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)


def test_status_of_what_was_never_held(cli):
    result = cli("--json", "status", "k")
    assert result.exit == 0
    assert result.json == {
        "v": 1,
        "key": "k",
        "state": "free",
        "token": 0,
        "holders": [],
        "waiters": [],
        "released": None,
        "note": None,
    }
    assert list(result.json) == STATUS


def test_status_of_what_is_held(cli):
    granted = cli.acquire("k", "--owner", "alice")
    status = cli("--json", "status", "k").json
    assert list(status) == STATUS
    assert (status["state"], status["token"], status["waiters"]) == ("held", granted["token"], [])
    (holder,) = status["holders"]
    assert list(holder) == [
        "owner",
        "host",
        "pid",
        "purpose",
        "mode",
        "token",
        "acquired_at",
        "expires_at",
        "remaining_ms",
        "kept",
    ]
    assert (holder["owner"], holder["mode"], holder["token"]) == (
        "alice",
        "exclusive",
        granted["token"],
    )
    assert holder["purpose"] is None and holder["expires_at"] == granted["expires_at"]


def test_status_tells_how_the_last_holder_ended(cli):
    granted = cli.acquire("k", "--owner", "alice")
    cli("release", "k", "--lease", granted["lease"])
    status = cli("--json", "status", "k").json
    assert (status["state"], status["token"], status["holders"]) == ("free", granted["token"], [])
    assert list(status["released"]) == ["owner", "how", "by", "reason", "at"]
    assert (status["released"]["owner"], status["released"]["how"]) == ("alice", "release")


def test_status_of_readers(cli):
    tokens = {cli.acquire("k", "--shared", "--owner", f"reader {i}")["token"] for i in range(3)}
    status = cli("--json", "status", "k").json
    assert {holder["token"] for holder in status["holders"]} == tokens
    assert {holder["mode"] for holder in status["holders"]} == {"shared"}


def test_status_for_people_and_for_scripts(cli):
    cli.acquire("k", "--owner", "alice", "--purpose", "rebuild")
    result = cli("status", "k")
    assert result.exit == 0 and result.err == ""
    assert result.out.startswith("held  k\n  holder   alice (") and "purpose  rebuild" in result.out
    assert cli("status", "k", "--quiet").out == "held\n"
    assert cli("status", "other", "--quiet").out == "free\n"


# What older code wrote, and whether it is held then, with its exit code and end.
LEGACY = [
    ({"expires_at": ahead(3600)}, "held", True),
    ({"expires_at": ahead(3600).isoformat()}, "held", True),
    ({"expires_at": ahead(3600).replace(tzinfo=None).isoformat()}, "held", True),
    ({"expires_at": ahead(3600).strftime("%Y-%m-%dT%H:%M:%SZ")}, "held", True),
    ({"expires_at": ahead(3600).timestamp()}, "held", True),
    ({"expires_at": bson.Int64(ahead(3600).timestamp() * 1000)}, "held", True),
    ({"expires_at": None}, "held", False),
    ({}, "held", False),
    ({"expires_at": "not a date"}, "malformed", False),
    ({"expires_at": True}, "malformed", False),
    ({"expires_at": {"a": 1}}, "malformed", False),
    ({"expires_at": [1]}, "malformed", False),
    ({"expires_at": float("nan")}, "malformed", False),
    ({"expires_at": bson.ObjectId()}, "malformed", False),
]


@pytest.mark.parametrize("fields, state, has_end", LEGACY)
def test_locks_of_older_code(cli, locks, fields, state, has_end):
    document = {"workspace_id": "k", "id": "legacy-1", "user_id": "carol"} | fields
    locks.insert_one(document)
    before = locks.find_one({"workspace_id": "k"})
    result = cli("--json", "status", "k")
    status = result.json
    assert (status["state"], result.exit) == (state, 65 if state == "malformed" else 0)
    assert ("problem" in status) == (state == "malformed")
    for holder in status["holders"]:
        assert holder["owner"] == "carol" and holder["token"] is None
        assert (holder["expires_at"] is not None) == has_end == (holder["remaining_ms"] is not None)
    busy = cli("--json", "acquire", "k")
    assert busy.exit == 75 and busy.json["reason"] == state
    assert cli("status", "k").exit == result.exit
    after = locks.find_one({"workspace_id": "k"})
    assert repr(after) == repr(before)  # NaN is not equal to itself


@pytest.mark.parametrize(
    "expires_at", [ahead(-60), ahead(-60).isoformat(), ahead(-60).timestamp(), 0, bson.Int64(1)]
)
def test_what_older_code_left_behind_is_taken_over(cli, locks, expires_at):
    locks.insert_one(
        {
            "workspace_id": "k",
            "id": "legacy-1",
            "user_id": "carol",
            "expires_at": expires_at,
            "color": "red",
        }
    )
    assert cli("--json", "acquire", "k").exit == 0
    assert locks.find_one({"workspace_id": "k"})["color"] == "red"


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 7},
        {"id": None},
        {"token": "high"},
        {"shared": 5},
        {"shared": []},
        {"waiters": "none"},
        {"mode": 3},
        {"owner": {"$gt": 1}},
        {"waiters": {"x": 1}},
        {"shared": {"x": None}},
        {"released": "yes"},
        {"acquired_at": "x"},
        {"ttl_ms": "x"},
        {"pid": []},
    ],
)
def test_no_stored_shape_is_granted_over_or_crashes(cli, locks, fields):
    locks.insert_one(
        {"workspace_id": "k", "id": "x", "expires_at": ahead(3600), "owner": "o"} | fields
    )
    before = repr(locks.find_one({}))
    status = cli("--json", "status", "k")
    assert status.exit in (0, 65) and status.json["state"] in ("held", "malformed"), status
    assert cli("--json", "list").exit == 0
    assert cli("--json", "acquire", "k").exit == 75
    assert repr(locks.find_one({})) == before


def test_renew_and_release_of_what_cannot_be_read_is_65(cli, locks):
    lease = cli.acquire("k")["lease"]
    locks.update_one({"workspace_id": "k"}, {"$set": {"expires_at": "garbage"}})
    for command in ("renew", "release"):
        result = cli("--json", command, "k", "--lease", lease)
        assert result.exit == 65 and result.json["code"] == "data", result


def test_stored_control_characters_never_reach_the_terminal(cli, locks):
    evil = "a\x1b[2Jb\x07\r\nc\u009bd\u202ee\x7f"
    locks.insert_one(
        {
            "workspace_id": "k",
            "id": "x",
            "owner": evil,
            "purpose": evil,
            "host": evil,
            "expires_at": ahead(3600),
        }
    )
    for args in (
        ["status", "k"],
        ["list"],
        ["acquire", "k"],
        ["break", "k", "--reason", "r", "--yes"],
    ):
        result = cli(*args)
        shown = result.out + result.err
        assert "a\\x1b[2Jb" in shown, result
        assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    locks.update_one({}, {"$set": {"id": "y", "owner": evil, "expires_at": ahead(3600)}})
    result = cli("--json", "status", "k")
    assert result.json["holders"][0]["owner"] == evil
    assert not [c for c in result.out if unicodedata.category(c) == "Cc" and c != "\n"]


@pytest.fixture
def many(cli):
    for i in range(5):
        cli.acquire(f"project:{i}", "--owner", "alice" if i % 2 else "bob", "--ttl", "1h")
    cli.acquire("other", "--owner", "alice")
    lease = cli.acquire("freed", "--owner", "alice")["lease"]
    cli("release", "freed", "--lease", lease)
    return cli


def keys(result):
    assert result.exit == 0, result
    return [line["key"] for line in result.lines]


def test_list_is_status_objects_in_key_order(many):
    result = many("--json", "list")
    assert keys(result) == ["other"] + [f"project:{i}" for i in range(5)]
    for line in result.lines:
        assert list(line) == STATUS and line["state"] == "held"
        assert line["holders"][0]["token"] == many("--json", "status", line["key"]).json["token"]


def test_list_filters(many, locks):
    assert keys(many("--json", "list", "--prefix", "project:")) == [
        f"project:{i}" for i in range(5)
    ]
    assert keys(many("--json", "list", "--prefix", "project:", "--owner", "alice")) == [
        "project:1",
        "project:3",
    ]
    assert keys(many("--json", "list", "--owner", "nobody")) == []
    assert keys(many("--json", "list", "--limit", "2")) == ["other", "project:0"]
    assert "freed" in keys(many("--json", "list", "--all"))
    assert (
        keys(many("--json", "list", "--expired"))
        == keys(many("--json", "list", "--malformed"))
        == []
    )
    locks.insert_many(
        [
            {"workspace_id": "past", "id": "p", "expires_at": ahead(-9)},
            {"workspace_id": "odd", "id": 7, "expires_at": []},
        ]
    )
    assert keys(many("--json", "list", "--expired")) == ["past"]
    assert keys(many("--json", "list", "--malformed")) == ["odd"]


@pytest.mark.parametrize("prefix", [".*", "(", "[", "\\", "$", "^project"])
def test_a_prefix_is_no_pattern(many, prefix):
    assert keys(many("--json", "list", "--prefix", prefix)) == []


def test_list_for_scripts(many):
    assert many("list", "--quiet", "--prefix", "project:").out.splitlines() == [
        f"project:{i}" for i in range(5)
    ]


def columns(text):
    """The column where each cell of the second kind begins, by width on the screen."""

    def width(s):
        return sum(
            0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
            for c in s
        )

    return width(text)


def test_the_table_lines_up_whatever_is_in_it(cli):
    for key in ("a", "日本語のキー", "äöü", "e\u0301accent", "long" * 8, "🔒"):
        cli.acquire(key, "--owner", "THEOWNER")
    lines = cli("list").out.splitlines()
    assert lines[0].split() == [
        "KEY",
        "STATE",
        "OWNER",
        "ENDS",
        "LAST",
        "WAITING",
        "TOKEN",
        "PURPOSE",
    ]
    at = lines[0].index("OWNER")
    assert len(lines) == 7
    assert {columns(line[: line.index("THEOWNER")]) for line in lines[1:]} == {at}


def test_the_table_tells_what_happened_last(many, locks):
    many("break", "project:2", "--reason", "r", "--yes")
    locks.insert_one(
        {"workspace_id": "past", "id": "p", "owner": "THEOWNER", "expires_at": ahead(-300)}
    )
    locks.insert_one({"workspace_id": "old", "id": "o", "expires_at": ahead(300)})
    locks.insert_one(
        {"workspace_id": "fast", "id": "f", "acquired_at": ahead(3700), "expires_at": ahead(9999)}
    )
    lines = {line.split()[0]: line for line in many("list", "--all").out.splitlines()[1:]}
    at = many("list", "--all").out.splitlines()[0].index("LAST")
    assert lines["fast"][at:].startswith("granted 1 h 1 min from now"), lines["fast"]
    for key, word in (
        ("freed", "released"),
        ("other", "granted"),
        ("project:1", "granted"),
        ("project:2", "broken"),
        ("past", "expired"),
    ):
        assert lines[key][at:].startswith(word + " ") and " ago" in lines[key][at:], lines[key]
    assert "granted" not in lines["old"]  # older code says nothing of it


def test_an_empty_list(cli):
    result = cli("list")
    assert (result.exit, result.out) == (0, "")
    assert cli("--json", "list").out == ""


def test_a_long_list_into_a_closed_pipe(cli, locks):
    locks.insert_many(
        {"workspace_id": f"k{i:05}", "id": f"i{i}", "expires_at": ahead(3600)} for i in range(5000)
    )
    process = cli.start("--json", "list")
    json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.wait(timeout=10) == -13
    assert process.stderr.read() == ""
    process.stderr.close()
    assert len(cli("--json", "list").lines) == 5000


def test_colour_only_on_a_terminal(cli):
    assert "\x1b" not in cli("status", "k").out
