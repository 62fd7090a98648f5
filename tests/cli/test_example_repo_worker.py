# SPDX-License-Identifier: Apache-2.0
"""tools/examples/repo-worker: a mutex for each repository, around git, in Python and in Node."""
import os
import shutil
import signal
import socket
import subprocess

import pytest
from conftest import URI, alive, wait_until
from jobs import ADDON, Job, expect_readme, leasehold
from serving import ready  # noqa: F401  (a fixture)

GIT = shutil.which("git")
KEY = "repo:o/r"


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """The repositories o/r and o/s, with a commit each."""
    folder = tmp_path_factory.mktemp("origin")
    for name in ("r", "s"):
        repo = folder / "o" / name
        git = [GIT, "-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run([GIT, "init", "-q", "-b", "main", repo], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    return folder


@pytest.fixture(scope="module")
def store(ready):
    with leasehold.Store(URI, ready.env["LEASEHOLD_DB"], owner="ben") as store:
        yield store


@pytest.fixture(scope="module", params=["worker.py", "worker.mjs"])
def worker(request, ready, tmp_path_factory):
    """Starts the worker of one language: worker(jobs, FROM, TO, WAIT)."""
    if request.param == "worker.mjs" and not ADDON.exists():
        pytest.skip("NOT TESTED: the addon of Node was not built")
    job = Job("repo-worker", ready.env["LEASEHOLD_DB"], "worker")
    job = job.copied(tmp_path_factory.mktemp("copy"))

    def start(jobs, *arguments, env={}):
        process = job.start(request.param, *arguments, env=env)
        process.stdin.write("".join(f"{line}\n" for line in jobs))
        process.stdin.close()
        process.stdin = None
        return process

    return start


def ended(process, status, errors=0):
    """Its lines; git may have printed some of `errors`."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (status, errors), (out, err)
    return out.splitlines()


def test_readme(ready, origin, tmp_path):
    job = Job("repo-worker", ready.env["LEASEHOLD_DB"], "worker")
    job.env["ORIGIN"] = str(origin)
    expect_readme(job, tmp_path)


def test_one_at_a_time_on_a_repository(worker, origin, tmp_path):
    """Two workers: git runs on one repository by itself, and an error frees it for the next."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "git").write_text(
        f"#!/bin/sh\nmkdir {tmp_path}/held || touch {tmp_path}/overlapped\n"
        f'{GIT} "$@"; status=$?\nrmdir {tmp_path}/held; exit $status\n'
    )
    (bin / "git").chmod(0o755)
    path = {"PATH": f"{bin}:{os.path.dirname(os.sys.executable)}:{os.environ['PATH']}"}
    target = tmp_path / "to"
    first = worker(["a clone o/r", "b pull o/r", "c pull o/r"], origin, target, "20", env=path)
    second = worker(["d clone o/r", "e delete o/r", "f pull o/r"], origin, target, "20", env=path)
    lines = first.communicate(timeout=60)[0] + second.communicate(timeout=60)[0]
    assert sorted(line[0] for line in lines.splitlines() if ": " in line) == list("abcdef"), lines
    assert "done" in lines and not (tmp_path / "overlapped").exists()


def test_a_busy_repository_is_retried_and_others_go_on(worker, origin, store, tmp_path):
    with store.acquire(KEY, purpose="backup"):
        lines = ended(worker(["a clone o/r", "b clone o/s"], origin, tmp_path, "0.1"), 1)
    assert "b: done" in lines and (tmp_path / "o/s/.git").is_dir()
    held = "o/r is held by ben"
    assert [line for line in lines if line[0] == "a"] == 2 * [f"a: retried, {held}"] + [
        f"a: failed, {held}"
    ]
    assert not (tmp_path / "o/r").exists()


def test_a_failed_command_frees_the_repository(worker, origin, store, tmp_path):
    lines = ended(worker(["a clone o/s", "b clone o/s", "c pull o/r"], origin, tmp_path), 1, 1)
    results = {line.split(",")[0] for line in lines}
    assert results in ({"a: done", "b: failed", "c: failed"}, {"a: failed", "b: done", "c: failed"})
    assert store.status(KEY).state == store.status("repo:o/s").state == "free"


class Hanging:
    """A server that git waits for."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.url = f"git://127.0.0.1:{self.listener.getsockname()[1]}"
        return self

    def connected(self):
        """A git has begun; its process."""
        connection, (_, port) = self.listener.accept()
        return connection

    def __exit__(self, *_):
        self.listener.close()


def test_git_is_ended_when_the_lease_is_lost(worker, store, tmp_path):
    with Hanging() as server:
        env = {"LEASEHOLD_TTL": "3s", "TTL_MS": "3000"}
        process = worker(["a clone o/r"], server.url, tmp_path, env=env)
        with server.connected() as git:
            store.break_(KEY, reason="test")
            (line,) = ended(process, 1)
            assert line.startswith("a: failed, ")
            git.settimeout(10)
            while git.recv(4096):
                pass  # until git has gone


def test_term_ends_waits_and_git_and_releases(worker, store, tmp_path):
    with Hanging() as server, store.acquire("repo:o/s"):
        process = worker(["a clone o/r", "b clone o/s"], server.url, tmp_path, "60")
        with server.connected() as git:
            wait_until(lambda: store.status("repo:o/s").waiters == 1)
            process.send_signal(signal.SIGTERM)
            assert ended(process, 1) == ["a: not done", "b: not done"]
            git.settimeout(10)
            while git.recv(4096):
                pass
        assert store.status(KEY).state == "free" and store.status("repo:o/s").waiters == 0
    assert store.status(KEY).released_how == "release"


def test_without_a_server(worker, origin, tmp_path):
    """LEASEHOLD_MODE=off is what tests of such a worker use."""
    env = {"LEASEHOLD_URI": "", "LEASEHOLD_MODE": "off"}
    assert ended(worker(["a clone o/r"], origin, tmp_path, env=env), 0) == ["a: done"]
