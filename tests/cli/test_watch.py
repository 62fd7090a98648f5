# SPDX-License-Identifier: Apache-2.0
"""watch: a line for each event, as it happens, also over an election."""
import datetime
import json
import os
import queue
import secrets
import signal
import subprocess
import threading
import time

import pymongo
import pytest
from conftest import Cli, wait_until

FIELDS = [
    "v",
    "event",
    "key",
    "at",
    "how",
    "owner",
    "host",
    "pid",
    "purpose",
    "mode",
    "token",
    "expires_at",
    "by",
    "reason",
    "note",
    "kept_until",
    "id",
]


class Watcher:
    """Runs watch and reads along."""

    def __init__(self, cli, *args):
        self.process = cli.start("--json", "watch", *args)
        self.lines, self.late = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()
        self.next("opened")

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] != "opened":
                self.late.append(
                    time.time()
                    - datetime.datetime.fromisoformat(
                        event["at"].replace("Z", "+00:00")
                    ).timestamp()
                )
            self.lines.put(event)

    def next(self, event):
        """The next event is this one. (A renewal may be in between: a direct grant is claimed.)"""
        while True:
            got = self.lines.get(timeout=20)
            assert list(got) == FIELDS
            if got["event"] == event:
                return got
            assert got["event"] == "renewed", (got, event)

    def end(self):
        self.process.terminate()
        _, err = self.process.communicate(timeout=10)
        assert self.process.returncode == 128 + signal.SIGTERM and err == ""
        assert [event for event in self.lines.queue if event["event"] != "renewed"] == []


def test_each_kind_as_it_happens(cli, locks):
    watcher = Watcher(cli)

    def after(*args, expect, **options):
        cli(*args, **options)
        return [watcher.next(event) for event in expect]

    first = cli.acquire("k", "--owner", "alice", "--purpose", "rebuild")
    granted = watcher.next("granted")
    assert (granted["v"], granted["key"], granted["owner"], granted["purpose"]) == (
        1,
        "k",
        "alice",
        "rebuild",
    )
    assert (granted["how"], granted["mode"], granted["token"]) == (
        "acquire",
        "exclusive",
        first["token"],
    )
    assert granted["expires_at"] == first["expires_at"] and granted["host"] and granted["pid"] > 0
    (renewed,) = after("renew", "k", "--lease", first["lease"], "--ttl", "5m", expect=["renewed"])
    assert renewed["expires_at"] > granted["expires_at"]
    waiting = cli.start("--json", "acquire", "k", "--wait", "forever", "--owner", "bob")
    assert watcher.next("queued")["owner"] == "bob"
    waiting.send_signal(signal.SIGINT)
    assert watcher.next("left")["owner"] == "bob"
    waiting.communicate()
    waiting = cli.start("--json", "acquire", "k", "--wait", "forever", "--owner", "carol")
    watcher.next("queued")
    released, granted = after(
        "release", "k", "--lease", first["lease"], expect=["released", "granted"]
    )
    assert released["owner"] == "alice" and (granted["owner"], granted["how"]) == ("carol", "queue")
    lease = json.loads(waiting.communicate(timeout=10)[0])["lease"]
    handed, granted = after(
        "transfer", "k", "--lease", lease, "--to", "dave", expect=["transferred", "granted"]
    )
    assert handed["owner"] == "carol" and (granted["owner"], granted["how"]) == ("dave", "transfer")
    (broken,) = after(
        "break",
        "k",
        "--reason",
        "stuck",
        "--yes",
        expect=["broken"],
        env={"LEASEHOLD_OWNER": "ops"},
    )
    assert (broken["owner"], broken["by"], broken["reason"]) == ("dave", "ops", "stuck")
    short = cli.acquire("k", "--ttl", "1s", "--owner", "erin")
    watcher.next("granted")
    wait_until(lambda: cli("acquire", "k", "--owner", "frank").exit == 0)
    expired = watcher.next("expired")
    assert (expired["owner"], expired["token"]) == ("erin", short["token"]) and watcher.next(
        "granted"
    )["owner"] == "frank"
    locks.delete_one({"workspace_id": "k"})
    assert watcher.next("removed")["owner"] == "frank"
    locks.insert_one({"workspace_id": "k", "id": "x", "user_id": "old", "expires_at": [1]})
    assert "expires_at" in watcher.next("spoilt")["reason"]
    print(f"seen after {1000 * max(watcher.late):.0f} ms at most")
    watcher.end()


def test_only_what_is_asked_for(cli):
    watcher = Watcher(cli, "one", "two", "--prefix", "project:")
    for key in ("one", "three", "project:1", "project", "two"):
        cli.acquire(key)
    assert [watcher.next("granted")["key"] for _ in range(3)] == ["one", "project:1", "two"]
    watcher.end()


def test_it_goes_on_behind_an_event(cli):
    watcher = Watcher(cli)
    lease = cli.acquire("k")["lease"]
    event = watcher.next("granted")
    watcher.end()
    cli("release", "k", "--lease", lease)
    again = Watcher(cli, "--after", event["id"])
    assert again.next("released")["key"] == "k"
    again.end()
    result = cli("watch", "--after", "nonsense")
    assert result.exit == 64 and "nonsense" in result.err


def test_for_people(cli, locks):
    process = cli.start("watch", "k")
    assert process.stdout.readline().endswith("  opened       watching\n")
    lease = cli.acquire("k", "--owner", "alice\u202e", "--purpose", "rebuild")["lease"]
    line = process.stdout.readline()
    assert "  granted      k             alice\\u202e (" in line and line.endswith(
        "), rebuild, ends in 30 s\n"
    ), line
    cli("release", "k", "--lease", lease)
    assert "  released     k " in process.stdout.readline()
    locks.delete_many({})
    assert "  removed      k " in process.stdout.readline()
    ended = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(
        days=2, hours=1, minutes=9
    )
    locks.insert_one({"workspace_id": "k", "id": "x", "expires_at": ended})
    assert process.stdout.readline().endswith(
        "  granted      k             (no name), ended 2 d 1 h ago\n"
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130 and lease not in line
    assert process.communicate() == ("", "")


def test_a_reader_that_goes_away_ends_it_silently(cli):
    process = cli.start("watch")
    process.stdout.readline()
    process.stdout.close()
    cli.acquire("k")
    assert process.wait(timeout=10) == -signal.SIGPIPE and process.stderr.read() == ""
    process.stderr.close()


def test_an_unreachable_server_is_69(offline):
    env = {"LEASEHOLD_URI": "mongodb://127.0.0.1:1/"}
    assert offline("watch", "--timeout", "500ms", env=env).exit == 69
    result = offline("watch", "a\nb", env=env)
    assert result.exit == 64 and "key" in result.err


@pytest.fixture
def own_set():
    """A set to depose the primary of; its URI."""
    script = os.environ.get("LEASEHOLD_MONGOD")
    if not script:
        pytest.skip("LEASEHOLD_MONGOD does not name scripts/mongod")
    name = f"cli-watch-{os.getpid()}"
    up = subprocess.run(
        [script, "up", "set", "--name", name, "--end-with", str(os.getpid())],
        check=True,
        capture_output=True,
        text=True,
    )
    yield up.stdout.strip()
    subprocess.run([script, "down", "--name", name], check=True, capture_output=True)


def test_an_election_loses_and_doubles_nothing(own_set):
    cli = Cli(own_set + "&heartbeatFrequencyMS=500", "cli_" + secrets.token_hex(6))
    assert cli("migrate", "--yes").exit == 0
    watcher = Watcher(cli)
    with pymongo.MongoClient(own_set) as client:
        for i in range(2):
            lease = cli.acquire(f"before{i}")["lease"]
            client.admin.command("replSetStepDown", 10, force=True)
            assert cli("release", f"before{i}", "--lease", lease).exit == 0
            cli.acquire(f"after{i}")
            wait_until(lambda: client.is_primary)
    for i in range(2):
        assert watcher.next("granted")["key"] == f"before{i}"
        assert watcher.next("released")["key"] == f"before{i}"
        assert watcher.next("granted")["key"] == f"after{i}"
    watcher.end()
