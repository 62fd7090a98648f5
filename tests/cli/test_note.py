# SPDX-License-Identifier: Apache-2.0
"""The note for whoever holds the key next: left, found, shown."""
import json
import time

import pytest


def leave(cli, lease, note):
    result = cli("release", lease["key"], "--lease", lease["lease"], "--note", note)
    assert result.exit == 0, result


def test_it_is_left_and_found(cli):
    first = cli.acquire("k")
    assert first["note"] is None
    leave(cli, first, "etag 7")
    status = cli("--json", "status", "k").json
    assert (
        status["note"]["text"] == "etag 7"
        and status["note"]["token"] == first["token"]
        and status["note"]["at"] == status["released"]["at"]
    )
    assert "note     etag 7\n" in cli("status", "k").out
    second = cli.acquire("k")
    assert second["note"] == status["note"]
    leave(cli, second, "\u202eevil $token")
    text = cli("acquire", "k").out
    assert (
        "note     " in text and "\u202e" not in text and "evil $token" in text
    )  # a terminal is not fooled


def test_who_waits_is_told(cli):
    first = cli.acquire("k")
    waiter = cli.start("--json", "acquire", "k", "--wait", "20s")
    while not cli("--json", "status", "k").json["waiters"]:
        time.sleep(0.05)
    leave(cli, first, "rev 12")
    assert json.loads(waiter.communicate(timeout=20)[0])["note"]["text"] == "rev 12"


def test_run_leaves_one_if_all_went_well_and_tells_it(cli):
    show = ("--", "sh", "-c", 'echo "${LEASEHOLD_NOTE-none}"')
    assert cli("run", "k", "--note", "v1", *show, env={"LEASEHOLD_NOTE": "stale"}).out == "none\n"
    assert cli("run", "k", "--note", "v2", "--", "sh", "-c", "exit 3").exit == 3
    assert cli("run", "k", "--note", "v3", *show).out == "none\n"  # whoever failed left none
    assert cli("run", "k", *show).out == "v3\n"
    assert cli("--json", "status", "k").json["note"] is None


@pytest.mark.parametrize("note", ["x" * 1025, "two\nlines", "\x1b[2J"])
def test_what_is_no_note_is_refused_before_anything_is_done(cli, note):
    lease = cli.acquire("k")
    assert cli("release", "k", "--lease", lease["lease"], "--note", note).exit == 64
    assert cli("run", "l", "--note", note, "--", "echo", "ran").exit == 64
    assert [cli("--json", "status", key).json["state"] for key in "kl"] == ["held", "free"]


def test_watch_tells_it_at_once(cli):
    watching = cli.start("--json", "watch", "k")
    assert json.loads(watching.stdout.readline())["event"] == "opened"
    leave(cli, cli.acquire("k"), "v7")
    events = [json.loads(watching.stdout.readline()) for _ in range(2)]
    assert [event["event"] for event in events] == ["granted", "released"]
    assert events[0]["note"] is None and events[1]["note"] == {
        "text": "v7",
        "token": events[1]["token"],
        "at": events[1]["at"],
    }
    watching.terminate()
    watching.wait(timeout=10)


def test_a_key_is_kept_after_its_release(cli):
    watching = cli.start("--json", "watch", "k")
    assert json.loads(watching.stdout.readline())["event"] == "opened"
    lease = cli.acquire("k")
    assert cli("release", "k", "--lease", lease["lease"], "--keep", "20s").out == "released  k\n"
    status = cli("--json", "status", "k").json
    (holder,) = status["holders"]
    assert (
        status["state"] == "held" and holder["kept"] is True and 0 < holder["remaining_ms"] <= 20000
    )
    assert status["released"]["how"] == "release"
    assert "; it was released, and is kept until then\n" in cli("status", "k").out
    assert cli("list").out.splitlines()[1].split()[:2] == ["k", "kept"]
    events = [json.loads(watching.stdout.readline()) for _ in range(2)]
    assert [(event["event"], event["kept_until"]) for event in events] == [
        ("granted", None),
        ("released", holder["expires_at"]),
    ]
    busy = cli("acquire", "k")
    assert busy.exit == 75 and "kept until then" in busy.out + busy.err
    watching.terminate()
    watching.wait(timeout=10)


def test_run_keeps_the_key_however_the_command_ended(cli):
    assert cli("run", "k", "--ttl", "1s", "--keep", "30s", "--", "false").exit == 1
    (holder,) = cli("--json", "status", "k").json["holders"]
    assert holder["kept"] is True and 20000 < holder["remaining_ms"] <= 30000  # longer than its ttl
    assert "ran" not in cli("run", "k", "--wait", "0", "-E", "0", "--", "echo", "ran").out
    assert cli("run", "k", "--keep", "0s", "--", "true").exit == 64


def test_a_shared_lease_is_not_kept(cli):
    lease = cli.acquire("k", "--shared")
    assert cli("release", "k", "--lease", lease["lease"], "--keep", "20s").exit == 64
    assert cli("--json", "status", "k").json["state"] == "held"
