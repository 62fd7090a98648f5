# SPDX-License-Identifier: Apache-2.0
"""What the tests of `leasehold serve` share: a server, requests to it, streams of events."""
import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import threading
import time
import urllib.parse

import pymongo
import pytest
from conftest import URI, Cli, wait_until

CLIENT, OTHER, ADMIN = "client-token-0123456789", "other-token-0123456789", "admin-token-0123456789"
COMMENTED = "commented-out-token-0123456789"


STANDALONE = os.environ.get("LEASEHOLD_TEST_STANDALONE") or URI


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A server, and requests to it, each on a connection of its own."""

    def __init__(self, cli, *args, token=None):
        self.process, self.token, self.log = cli.start("serve", *args), token, []
        line = self.process.stdout.readline()
        assert " listens on " in line, (line, self.process.communicate())
        self.name = line.split(" listens on ")[1].strip()
        threading.Thread(target=self.read_log, daemon=True).start()

    def read_log(self):
        self.log.extend(self.process.stderr)

    def connect(self):
        if self.name.startswith("unix:"):
            return UnixConnection(self.name[5:])
        return http.client.HTTPConnection(urllib.parse.urlsplit(self.name).netloc, timeout=20)

    def head(self, headers, token=None):
        token = token or self.token
        return {**({"Authorization": f"Bearer {token}"} if token else {}), **headers}

    def send(self, method, path, body=None, headers={}, token=None):
        connection = self.connect()
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body, self.head({**kind, **headers}, token))
        return connection

    def __call__(self, method, path, body=None, headers={}, token=None):
        connection = self.send(method, path, body, headers, token)
        answer = Answer(connection.getresponse())
        connection.close()
        if answer.status >= 400 and method != "HEAD":
            assert answer.headers["Content-Type"] == "application/problem+json", answer.body
            assert (
                answer.json["status"] == answer.status
                and answer.json["detail"]
                and answer.json["code"]
            ), answer.body
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == (
            "no-cache" if "ETag" in answer.headers else "no-store"
        )
        return answer

    def acquire(self, key, owner="alice", headers={}, **body):
        return self("POST", path_of(key), {"owner": owner, **body}, headers)

    def held(self, key, **body):
        answer = self.acquire(key, **body)
        assert answer.status == 201, answer.body
        return answer.json["lease"]

    def release(self, key, lease, body=None):
        return self("DELETE", path_of(key), body, headers={"Lease-Id": lease})

    def queue(self, key):
        return [waiter["owner"] for waiter in self("GET", path_of(key)).json["waiters"]]

    def wait(self, key, owner, wait_ms=20000, **headers):
        """A request that is in the queue now."""
        connection = self.send("POST", path_of(key), {"owner": owner, "wait_ms": wait_ms}, headers)
        wait_until(lambda: owner in self.queue(key))
        return connection

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        assert self.process.wait(timeout=30) == 0, self.log
        return "".join(self.log)


def path_of(key):
    return "/v1/leases/" + urllib.parse.quote(key, safe="")


class Stream:
    def __init__(self, server, path="/v1/events", **headers):
        self.connection = server.send("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        assert (
            self.response.status == 200
            and self.response.headers["Content-Type"] == "text/event-stream"
        )

    def next(self):
        """The next event: its fields, and when it came."""
        fields = {}
        for line in iter(self.response.fp.readline, b""):
            line = line.strip().decode()
            if line == "0":
                break  # the last chunk
            if re.fullmatch("[0-9a-f]+", line) or line.startswith(":"):
                continue  # a chunk's length; a comment
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return {**json.loads(fields["data"]), "id": fields.get("id"), "came": time.time()}
        raise EOFError

    def close(self):
        self.response.close()
        self.connection.close()

    def next_of(self, event, key):
        while True:
            got = self.next()
            if got["event"] == event and got["key"] == key:
                return got


class WithEnvironment:
    """The program, with more in its environment."""

    def __init__(self, cli, env):
        self.cli, self.env = cli, env

    def start(self, *args):
        return self.cli.start(*args, env=self.env)


@contextlib.contextmanager
def program_on(uri):
    """The program, on a database of its own on that server."""
    name = "cli_serve_" + secrets.token_hex(6)
    cli = Cli(uri, name)
    assert cli("migrate", "--yes").exit == 0
    yield cli
    with pymongo.MongoClient(uri) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
def ready(client):
    """The program, on a database that is ready, for all tests of this file."""
    name = "cli_serve_" + secrets.token_hex(6)
    cli = Cli(URI, name)
    assert cli("migrate", "--yes", "--no-trial").exit == 0
    yield cli
    client.drop_database(name)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "clients").write_text(f"# a comment\n{CLIENT}\n\n#{1022 * '-'}{COMMENTED}\n{OTHER}\n")
    (folder / "admins").write_text(ADMIN + "\n")
    return folder


@pytest.fixture(scope="module")
def server(ready, tokens, tmp_path_factory):
    """Most tests share it: with tokens, on a Unix socket."""
    path = tmp_path_factory.mktemp("socket") / "leasehold.sock"
    server = Server(
        ready,
        "--listen",
        f"unix:{path}",
        "--token-file",
        tokens / "clients",
        "--admin-token-file",
        tokens / "admins",
        "--max-waits-per-client",
        "50",
        token=CLIENT,
    )
    assert path.stat().st_mode & 0o777 == 0o600
    yield server
    log = server.end()
    assert not path.exists()
    for secret in (CLIENT, OTHER, ADMIN):
        assert secret not in log
    assert not re.search(r"\b[0-9a-f]{32}\b", log), "a lease id in the log"


@pytest.fixture(scope="module")
def loopback(ready):
    server = Server(ready, "--listen", "127.0.0.1:0")
    yield server
    server.end()


@pytest.fixture
def key():
    return "k:" + secrets.token_hex(4)
