# SPDX-License-Identifier: Apache-2.0
"""reap: leases and places of really dead processes of this host are released, and nothing else: by
processes, of which some are killed, stopped, in another namespace, or followed by one with the same
pid."""
import os
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import BINARY, alive, wait_until

NAMESPACES = (
    subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode == 0
)
needs_namespaces = pytest.mark.skipif(
    not NAMESPACES, reason="NOT TESTED: other pid namespaces, which only root may make"
)


class Crowd:
    """Processes that hold or wait; ended after the test."""

    def __init__(self, cli, locks):
        self.cli, self.locks, self.all = cli, locks, []

    def start(self, key, *options, before=()):
        args = [
            *before,
            BINARY,
            "run",
            key,
            "--ttl",
            "1h",
            *options,
            "--",
            "sh",
            "-c",
            "echo; exec sleep 600",
        ]
        process = subprocess.Popen(
            args,
            env=self.cli.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.all.append(process)
        return process

    def document(self, key):
        return self.locks.find_one({"workspace_id": key}) or {}

    def holder(self, key, *options, **more):
        process = self.start(key, "--owner", f"of {key}", *options, **more)
        assert (
            process.stdout.readline() == b"\n"
        )  # what it runs: a grant that is in the document may not be believed yet
        return process

    def waiter(self, key, *options):
        before = len(self.document(key).get("waiters", {}))
        process = self.start(key, *options)
        wait_until(lambda: len(self.document(key).get("waiters", {})) == before + 1)
        return process

    def kill(self, process):
        process.kill()
        process.wait()

    def end(self):
        for process in self.all:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


@pytest.fixture
def crowd(cli, locks):
    crowd = Crowd(cli, locks)
    yield crowd
    crowd.end()


def reap(cli, *options):
    result = cli("--json", "reap", *options, env={"LEASEHOLD_OWNER": "ops"})
    assert result.exit == 0, result
    return result.json


def keys(report):
    return sorted(entry["key"] for entry in report["reaped"])


def test_a_killed_holder_is_let_go_of_and_the_living_are_not(cli, locks, crowd):
    killed, stopped = crowd.holder("killed", "--purpose", "rebuild"), crowd.holder("stopped")
    crowd.holder("living")
    crowd.kill(killed)
    stopped.send_signal(signal.SIGSTOP)
    before = list(locks.find().sort("_id"))
    looked = reap(cli, "--dry-run")
    assert (looked["outcome"], keys(looked)) == ("dry_run", ["killed"]) and list(
        locks.find().sort("_id")
    ) == before
    report = reap(cli)
    stopped.send_signal(signal.SIGCONT)
    assert list(report) == ["v", "outcome", "holders", "waiters", "alive", "reaped"]
    assert (report["outcome"], report["holders"], report["waiters"], report["alive"]) == (
        "ok",
        1,
        0,
        2,
    )
    (entry,) = report["reaped"]
    assert list(entry) == ["key", "was", "owner", "pid", "purpose", "mode", "token", "since"]
    assert (entry["key"], entry["was"], entry["owner"], entry["purpose"]) == (
        "killed",
        "holder",
        "of killed",
        "rebuild",
    )
    assert entry["pid"] == killed.pid and entry["token"] == before[0]["token"]
    status = cli("--json", "status", "killed").json
    assert status["state"] == "free"
    assert (status["released"]["how"], status["released"]["by"], status["released"]["owner"]) == (
        "break",
        "ops",
        "of killed",
    )
    assert f"pid {killed.pid} on " in status["released"]["reason"]
    assert [cli("status", key, "--quiet").out for key in ("living", "stopped")] == ["held\n"] * 2
    assert reap(cli)["reaped"] == []


def test_a_zombie_is_dead(cli, crowd):
    process = crowd.holder("k")
    process.kill()
    wait_until(
        lambda: not alive(process.pid)
        and len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1
    )  # its threads end later
    assert Path(f"/proc/{process.pid}").exists() and keys(reap(cli)) == ["k"]


def test_the_head_of_the_queue_is_granted_and_dead_waiters_are_not(cli, locks, crowd):
    holder = crowd.holder("k")
    dead = crowd.waiter("k", "--owner", "dead")
    crowd.waiter("k", "--owner", "next")
    crowd.kill(dead)
    crowd.kill(holder)
    report = reap(cli)
    assert (report["holders"], report["waiters"]) == (1, 1)
    assert [
        (entry["was"], entry["owner"], entry["token"] is None) for entry in report["reaped"]
    ] == [("waiter", "dead", True), ("holder", "of k", False)]
    document = crowd.document("k")
    assert document["owner"] == "next" and document["released"]["owner"] == "of k"
    wait_until(
        lambda: crowd.document("k")["ttl_ms"] == 3_600_000 and "waiters" not in crowd.document("k")
    )


def test_of_readers_only_the_dead_one_leaves(cli, crowd):
    killed = crowd.holder("k", "--shared")
    token = cli("--json", "status", "k").json["holders"][0]["token"]
    living = crowd.holder("k", "--shared", "--owner", "living")
    crowd.kill(killed)
    report = reap(cli)
    assert [(entry["mode"], entry["token"]) for entry in report["reaped"]] == [
        ("shared", token)
    ] and report["alive"] == 1
    holders = cli("--json", "status", "k").json["holders"]
    assert [(holder["owner"], holder["pid"]) for holder in holders] == [("living", living.pid)]


def changed(proc, at, value):
    parts = proc.split("/")
    parts[at] = value
    return "/".join(parts)


def test_what_is_not_surely_of_a_dead_process_here_stays(cli, locks, crowd):
    """Another boot, another namespace, not readable, another lease id."""
    process = crowd.holder("k")
    crowd.kill(process)
    proc = crowd.document("k")["proc"]
    for at, value in [
        (0, "0123456789abcdef"),
        (1, "4026530000"),
        (2, "7"),
        (3, "x"),
        (3, "-1"),
        (4, "1x"),
        (4, ""),
        (5, "00000000"),
        (5, "1/2"),
    ]:
        locks.update_one({}, {"$set": {"proc": changed(proc, at, value)}})
        assert keys(reap(cli)) == [], (at, value)
    for other in (None, 7, "", "/", proc + "\0"):
        locks.update_one({}, {"$set": {"proc": other}})
        assert keys(reap(cli)) == [], other
    locks.update_one({}, {"$set": {"proc": proc, "host": "elsewhere"}})
    assert keys(reap(cli)) == []
    locks.update_one({}, {"$unset": {"host": 1, "proc": 1}})
    assert keys(reap(cli)) == [] and cli("status", "k", "--quiet").out == "held\n"
    locks.update_one({}, {"$set": {"proc": proc, "host": os.uname().nodename}})
    assert keys(reap(cli)) == ["k"]


def test_a_pid_that_is_used_again_is_another_process(cli, locks, crowd):
    """A document of a process that had this test's pid, and started before."""
    process = crowd.holder("k")
    crowd.kill(process)
    own = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    proc = changed(changed(crowd.document("k")["proc"], 3, str(os.getpid())), 4, own)
    locks.update_one({}, {"$set": {"proc": proc}})
    assert keys(reap(cli)) == []
    locks.update_one({}, {"$set": {"proc": changed(proc, 4, str(int(own) - 1))}})
    assert keys(reap(cli)) == ["k"]


def test_an_old_program_that_takes_it_over_is_not_mistaken_for_the_dead(cli, locks, crowd):
    process = crowd.holder("k")
    crowd.kill(process)
    locks.update_one({}, {"$set": {"id": "0" * 32, "user_id": "legacy"}})
    assert keys(reap(cli)) == []


@needs_namespaces
def test_other_namespaces_are_not_ours(cli, crowd):
    inner = crowd.holder("inner", before=["unshare", "--pid", "--fork", "--kill-child"])
    outer = crowd.holder("outer")
    inside = ["unshare", "--pid", "--fork", BINARY, "--json", "reap"]
    crowd.kill(inner)
    crowd.kill(outer)
    wait_until(lambda: crowd.document("inner"))
    report = subprocess.run(
        inside,
        env=cli.env | {"ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert '"reaped":[]' in report and '"alive":0' in report.replace(" ", "")
    assert keys(reap(cli)) == ["outer"]
    assert cli("status", "inner", "--quiet").out == "held\n"


@needs_namespaces
def test_within_a_namespace_its_own_dead_are_found(cli, crowd):
    """Also where /proc shows the numbers of another namespace: then only who is surely gone."""
    script = (
        f"{BINARY} run k --ttl 1h --owner dead -- sleep 600 & pid=$!; {BINARY} run l --ttl 1h --"
        f" sleep 600 & other=$!; until {BINARY} status k --quiet | grep -q held && {BINARY} status"
        f" l --quiet | grep -q held; do sleep 0.05; done; kill -9 $pid; wait $pid; {BINARY} --json"
        " reap; kill -9 $other"
    )
    for options in ([], ["--mount-proc"]):
        done = subprocess.run(
            ["unshare", "--pid", "--fork", "--kill-child", *options, "bash", "-c", script],
            env=cli.env | {"ASAN_OPTIONS": "detect_leaks=0"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (
            '"holders":1' in done.stdout
            and '"key":"k"' in done.stdout
            and '"key":"l"' not in done.stdout
        ), done
        for key in ("k", "l"):
            cli("break", key, "--reason", "next round", "--yes")


def test_what_was_acquired_for_others_or_handed_on_stays(cli, locks):
    """The program that acquired it has ended long ago, as it should."""
    lease = cli.acquire("k", "--ttl", "1h")["lease"]
    cli.acquire("l", "--ttl", "1h", "--shared")
    assert keys(reap(cli)) == []
    assert locks.find_one({"workspace_id": "k"})["proc"] is None
    handed = cli("--json", "transfer", "k", "--lease", lease, "--to", "bob").json
    cli("renew", "k", "--lease", handed["lease"])
    assert keys(reap(cli)) == [] and cli("status", "k", "--quiet").out == "held\n"


def test_whose_id_another_process_renews_is_not_dead_with_the_first(cli, crowd, tmp_path):
    """CMD of `run` renews the lease by its id, and goes on with it."""
    told = tmp_path / "told"
    for shared in ([], ["--shared"]):
        process = subprocess.Popen(
            [
                BINARY,
                "run",
                "k",
                "--ttl",
                "1h",
                *shared,
                "--",
                "sh",
                "-c",
                f'{BINARY} renew k --lease "$LEASEHOLD_LEASE" > {told}; exec sleep 600',
            ],
            env=cli.env,
        )
        crowd.all.append(process)
        wait_until(lambda: told.exists() and "renewed" in told.read_text())
        crowd.kill(process)
        assert keys(reap(cli)) == []
        cli("break", "k", "--reason", "next round", "--yes")
        told.unlink()


def test_for_people(cli, crowd):
    crowd.kill(crowd.holder("日本語"))
    crowd.kill(crowd.holder("b"))
    lines = cli("reap").out.splitlines()
    assert lines[0].split() == ["KEY", "WAS", "OWNER", "PID", "SINCE", "PURPOSE"]
    first, second = sorted(lines[1:3])
    assert first.startswith("b       holder  of b       ") and second.startswith(
        "日本語  holder  of 日本語  "
    )
    assert lines[3].startswith("ok  released 2 leases and 0 places in queues")
