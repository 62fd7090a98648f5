# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests of the command line share: the program, a database of its own for each
test, an observer.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a server), LEASEHOLD_MONGOD
(scripts/mongod; the tests that need a server with access control are skipped without it)."""
import json
import os
import re
import secrets
import signal
import subprocess
import time
from pathlib import Path

import pymongo
import pytest

URI = os.environ.get("LEASEHOLD_TEST_URI") or os.environ.get("LEASEHOLD_TEST_STANDALONE", "")
BINARY = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve() / "tools" / "leasehold"
OURS = ("LEASEHOLD_", "MONGODB_URI", "NO_COLOR")

# A shell that starts us in the background has these two ignored, and what we start would inherit
# that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Result:
    def __init__(self, done):
        self.exit, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        """The one object on stdout."""
        assert self.out.endswith("\n") and self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f"exit {self.exit}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Cli:
    """Runs the program against one database."""

    def __init__(self, uri, db):
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        if uri:
            self.env |= {"LEASEHOLD_URI": uri, "LEASEHOLD_DB": db}

    def environment(self, extra):
        env = self.env | (extra or {})
        return {name: value for name, value in env.items() if value is not None}

    def __call__(self, *args, env=None, timeout=60, **options):
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        done = subprocess.run(
            [BINARY, *args],
            env=self.environment(env),
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            **options,
        )
        return Result(done)

    def start(self, *args, env=None, **options):
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.DEVNULL if stream == "stdin" else subprocess.PIPE)
        return subprocess.Popen(
            [BINARY, *args], env=self.environment(env), encoding="utf-8", **options
        )

    def acquire(self, key, *options):
        result = self("--json", "acquire", key, *options)
        assert result.exit == 0, result
        return result.json


@pytest.fixture(scope="session")
def client():
    assert URI, "LEASEHOLD_TEST_URI names no server"
    with pymongo.MongoClient(URI, serverSelectionTimeoutMS=10000, tz_aware=True) as client:
        yield client


@pytest.fixture
def database(client):
    name = "cli_" + secrets.token_hex(6)
    yield client.get_database(name, write_concern=pymongo.WriteConcern("majority"))
    client.drop_database(name)


@pytest.fixture
def locks(database):
    """The collection, as other programs see it."""
    return database.workspace_locks


@pytest.fixture
def bare(database):
    """The program, on a database where nothing was prepared."""
    return Cli(URI, database.name)


@pytest.fixture
def cli(bare):
    """The program, on a database that is ready."""
    result = bare("migrate", "--yes", "--no-trial")
    assert result.exit == 0, result
    return bare


@pytest.fixture
def offline():
    """The program without any server."""
    return Cli(None, None)


def commands_of(cli):
    """The commands that the help lists."""
    return re.findall(
        r"^  ([a-z]+) ", cli("--help").out.split("Commands:")[1].split("\n\n")[0], re.M
    )


def wait_until(condition, seconds=10):
    """The condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("did not come true in time")


def alive(pid):
    """Is there a process that is not a zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
