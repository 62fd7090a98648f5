# SPDX-License-Identifier: Apache-2.0
"""stats: the server's count of every kind of document, the same as list's records say; its three
forms."""
import datetime
import re
import shutil
import subprocess

from bson import ObjectId
from bson.int64 import Int64

UTC = datetime.timezone.utc
FIELDS = [
    "v",
    "documents",
    "held",
    "exclusive",
    "shared",
    "malformed",
    "free",
    "expired",
    "shared_holders",
    "queues",
    "waiters",
    "oldest",
    "longest_wait",
]


def ahead(seconds):
    """A date as the server keeps it."""
    now = datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def waiter(**fields):
    return {
        "mode": "exclusive",
        "owner": "wanda",
        "since": ahead(-60),
        "beat": Int64(1),
        "beat_at": ahead(0),
        "ttl_ms": Int64(30000),
        "claim_ms": Int64(60000),
    } | fields


def released(seconds):
    return {
        "id": "gone",
        "owner": "alice",
        "how": "release",
        "by": None,
        "reason": None,
        "at": ahead(seconds),
    }


# (state, readers, waiters, the document's fields): what others wrote is counted as what it is.
KINDS = [
    (
        "exclusive",
        0,
        0,
        {
            "id": "a",
            "expires_at": ahead(3600),
            "owner": "alice",
            "acquired_at": ahead(-50),
            "token": Int64(5),
        },
    ),
    ("exclusive", 0, 0, {"id": "a", "expires_at": ahead(3600).isoformat(), "user_id": ObjectId()}),
    ("exclusive", 0, 0, {"id": "a", "expires_at": None, "owner": 7, "acquired_at": "long ago"}),
    (
        "exclusive",
        0,
        2,
        {
            "id": "a",
            "expires_at": ahead(3600),
            "acquired_at": ahead(-500),
            "user_id": "oldest",
            "waiters": {
                "1": waiter(),
                "2": waiter(since=ahead(-600), owner="patient"),
                "3": waiter(beat_at=ahead(-90)),
            },
        },
    ),
    (
        "shared",
        2,
        1,
        {
            "id": "shared:1",
            "expires_at": ahead(3600),
            "mode": "shared",
            "acquired_at": ahead(-9000),
            "token": Int64(5),
            "shared": {
                "1": {
                    "expires_at": ahead(3600),
                    "token": Int64(5),
                    "owner": "r",
                    "acquired_at": ahead(-9),
                },
                "2": {"expires_at": ahead(3600), "token": Int64(5)},
                "3": {"expires_at": ahead(-3600), "token": Int64(5), "acquired_at": ahead(-9999)},
            },
            "waiters": {"1": waiter(since="x")},
        },
    ),
    (
        "free",
        0,
        0,
        {
            "id": "gone",
            "expires_at": ahead(-60),
            "released": released(-60),
            "acquired_at": ahead(-9999),
        },
    ),
    (
        "free",
        0,
        1,
        {
            "id": "gone",
            "expires_at": ahead(-60),
            "released": released(-60),
            "waiters": {"1": waiter()},
        },
    ),
    (
        "expired",
        0,
        0,
        {"id": "a", "expires_at": ahead(-60), "token": Int64(5), "acquired_at": ahead(-9999)},
    ),
    ("expired", 0, 0, {"id": "a", "expires_at": (ahead(-60)).timestamp()}),
    (
        "exclusive",
        0,
        0,
        {"id": "gone", "expires_at": ahead(3600), "released": released(-60)},
    ),  # extended by who did not know
    (
        "expired",
        0,
        0,
        {
            "id": "shared:1",
            "expires_at": ahead(-60),
            "shared": {"1": {"expires_at": ahead(-60), "token": Int64(5)}},
        },
    ),
    ("malformed", 0, 0, {"id": "a", "expires_at": True}),
    ("malformed", 0, 0, {"id": "a", "expires_at": ahead(9), "token": "x"}),
    ("malformed", 0, 0, {"id": "a", "expires_at": ahead(9), "waiters": {"1": 2}}),
]


def counted(kinds):
    want = dict.fromkeys(FIELDS[3:11], 0)
    for state, readers, waiters, _ in kinds:
        want[state] += 1
        want["shared_holders"] += readers
        want["waiters"] += waiters
        want["queues"] += waiters > 0
    return want


def test_every_kind_of_document_is_counted_as_list_shows_it(cli, locks):
    locks.insert_many(
        {"workspace_id": f"k{i:02}"} | fields for i, (_, _, _, fields) in enumerate(KINDS)
    )
    stats = cli("--json", "stats").json
    assert list(stats) == FIELDS
    assert {name: stats[name] for name in FIELDS[3:11]} == counted(KINDS)
    assert (
        stats["documents"] == len(KINDS)
        and stats["held"] == stats["exclusive"] + stats["shared"] + stats["malformed"]
    )
    listed = cli("--json", "list", "--all").lines
    state_of = {"exclusive": "held", "shared": "held", "expired": "free"}
    for line, (state, readers, waiters, _) in zip(listed, KINDS, strict=True):
        assert line["state"] == state_of.get(state, state), line
        assert len(line["waiters"]) == waiters and (
            state == "malformed" or len(line["holders"]) == (readers or (state == "exclusive"))
        )
    oldest = KINDS[3][3]
    assert (stats["oldest"]["key"], stats["oldest"]["owner"]) == ("k03", "oldest")
    assert stats["oldest"]["since"] == oldest["acquired_at"].isoformat(
        timespec="milliseconds"
    ).replace("+00:00", "Z")
    assert 500_000 <= stats["oldest"]["age_ms"] < 600_000
    assert (stats["longest_wait"]["key"], stats["longest_wait"]["owner"]) == ("k03", "patient")


def test_of_nothing_it_says_zero(cli):
    stats = cli("--json", "stats").json
    assert stats == {"v": 1} | dict.fromkeys(FIELDS[1:11], 0) | {
        "oldest": None,
        "longest_wait": None,
    }


def test_for_people_the_numbers_line_up(cli):
    cli.acquire("日本語", "--owner", "alice")
    lines = cli("stats").out.splitlines()
    assert {re.match(r" *\d+  ", line).end() for line in lines[:-1]} == {12}
    assert lines[0].split() == ["1", "keys"] and re.fullmatch(
        r"held longest: .*, 日本語, alice", lines[-1]
    )


def test_for_prometheus(cli, locks):
    locks.insert_many(
        {"workspace_id": f"k{i:02}"} | fields for i, (_, _, _, fields) in enumerate(KINDS)
    )
    result = cli("stats", "--prometheus")
    assert result.exit == 0 and result.err == ""
    want = counted(KINDS)
    for state in ("exclusive", "shared", "malformed", "free", "expired"):
        assert f'leasehold_keys{{state="{state}"}} {want[state]}\n' in result.out
    assert re.search(r"^leasehold_oldest_lease_seconds 50\d\.\d{3}$", result.out, re.M)
    typed = re.findall(r"^# TYPE (\S+) gauge$", result.out, re.M)
    assert set(typed) == set(re.findall(r"^(leasehold_[a-z_]+)", result.out, re.M)) and len(
        typed
    ) == len(set(typed))
    if shutil.which("promtool"):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=result.out, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr


def test_two_forms_at_once_are_refused(cli):
    assert cli("--json", "stats", "--prometheus").exit == 64
