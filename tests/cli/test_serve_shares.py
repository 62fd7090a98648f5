# SPDX-License-Identifier: Apache-2.0
"""serve: what one client may have of what all share, at the bounds that serve has (server.h). One
client takes all that it gets; the other then has its own, so that a bound which is shared is seen.
Where the database does not matter, the server has none: with LEASEHOLD_MODE=off it grants by
itself."""
import contextlib
import json
import re
import resource
import secrets
import select
import socket
import urllib.parse
from pathlib import Path

import pymongo
import pytest
import servers
from conftest import Cli, wait_until
from serving import (  # noqa: F401  (fixtures among them)
    CLIENT,
    OTHER,
    Answer,
    Server,
    Stream,
    WithEnvironment,
    path_of,
    ready,
    server,
    tokens,
)

BOUNDS = dict(
    re.findall(
        r"\b(MOST_\w+) = (\d+)",
        next(Path(__file__).parents[2].glob("tools/serve/server.h")).read_text(encoding="utf-8"),
    )
)


def bound(name):
    return int(BOUNDS[name])


@pytest.fixture(scope="module", autouse=True)
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < bound("MOST_OF_AN_ADDRESS") + 1000:
        pytest.skip("NOT TESTED: no process may have that many connections here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def alone(offline, tokens):
    """A server without a database."""
    env = {"LEASEHOLD_MODE": "off", "LEASEHOLD_URI": "mongodb://127.0.0.1:1/"}
    server = Server(
        WithEnvironment(offline, env),
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        tokens / "clients",
        token=CLIENT,
    )
    yield server
    server.end()


class Crowd:
    """Connections that each send a request and keep open what is answered."""

    def __init__(self, server, token=CLIENT):
        self.address, self.token, self.sockets = urllib.parse.urlsplit(server.name), token, []

    def send(self, method, path, headers={}, body=""):
        head = {"Host": "localhost", "Authorization": f"Bearer {self.token}", **headers}
        if body:
            head |= {"Content-Type": "application/json", "Content-Length": len(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        connection = socket.create_connection(
            (self.address.hostname, self.address.port), timeout=60
        )
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}".encode())
        self.sockets.append(connection)
        return connection

    def statuses(self, sockets=None):
        """Of what was answered, all of which is waited for."""
        return [int(connection.recv(400).split()[1]) for connection in sockets or self.sockets]

    def answered(self):
        """Of what is answered already."""
        poller = select.poll()
        by_fd = {connection.fileno(): connection for connection in self.sockets}
        for fd in by_fd:
            poller.register(fd, select.POLLIN)
        return self.statuses([by_fd[fd] for fd, _ in poller.poll(0)])

    def close(self):
        for connection in self.sockets:
            connection.close()
        self.sockets = []


@contextlib.contextmanager
def crowd(server, token=CLIENT):
    made = Crowd(server, token)
    yield made
    made.close()


def refused(answer, code):
    assert (answer.status, answer.json["code"]) == (429, code), answer.body
    assert "Retry-After" in answer.headers


# ---- The shares


def test_connections(alone):
    """All are closed after a while in which they say nothing, but not so soon."""
    most = bound("MOST_OF_A_CLIENT")
    with crowd(alone) as it:
        for i in range(most):
            it.send("GET", "/v1/whoami")
            if i % 500 == 499:
                assert set(it.statuses(it.sockets[-500:])) == {200}, i
        over = it.send("GET", "/v1/whoami")
        assert over.recv(400).startswith(b"HTTP/1.1 429 ")  # and from the same address:
        assert alone("GET", "/v1/whoami", token=OTHER).status == 200
    wait_until(lambda: alone("GET", "/v1/whoami").status == 200, 30)


def test_sessions(alone):
    most = bound("MOST_SESSIONS") // 2
    lease = alone.held("k", ttl_ms=600000)
    path, head = path_of("k") + "/session", {"Lease-Id": lease}
    with crowd(alone) as it:
        for i in range(most):
            it.send("GET", path, head)
            if i % 500 == 499:
                assert set(it.statuses(it.sockets[-500:])) == {200}, i
        refused(alone("GET", path, None, head), "too_many_sessions")
        others = alone(
            "POST", path_of("other"), {"owner": "bob", "ttl_ms": 600000}, token=OTHER
        ).json["lease"]
        stream = Stream(
            alone,
            path_of("other") + "/session",
            Authorization=f"Bearer {OTHER}",
            **{"Lease-Id": others},
        )
        assert stream.next()["event"] == "renewed"
        stream.close()

    def again():
        stream = alone.send("GET", path, None, head)
        status = stream.getresponse().status
        stream.close()
        return status == 200

    wait_until(again, 30)


def test_streams_of_events(server):
    most = bound("MOST_SUBSCRIBERS") // 2
    streams = [server.send("GET", "/v1/events") for _ in range(most)]
    assert {stream.getresponse().status for stream in streams} == {200}
    refused(server("GET", "/v1/events"), "too_many_streams")
    other = Stream(server, Authorization=f"Bearer {OTHER}")
    assert other.next()
    for stream in streams:
        stream.sock and stream.sock.close()
        stream.close()
    other.close()


def test_long_lists(server, ready, client):
    """Two are not read by one client, whose workers wait for it; those of another are whole."""
    locks = client[ready.env["LEASEHOLD_DB"]].workspace_locks
    key = "l:" + secrets.token_hex(4)
    server.held(key, ttl_ms=600000, purpose="x" * 900)
    model = locks.find_one({"workspace_id": key})
    locks.insert_many(
        [{**model, "_id": f"{key}:{i}", "workspace_id": f"{key}:{i}"} for i in range(6000)]
    )
    path = f"/v1/leases?limit=10000&prefix={urllib.parse.quote(key)}"
    slow = [server.send("GET", path) for _ in range(bound("MOST_LISTS") // 2)]
    assert [select.select([each.sock], [], [], 30)[0] for each in slow] == [
        [each.sock] for each in slow
    ]
    refused(server("GET", path), "too_many_lists")
    assert server("GET", f"/v1/leases?limit=10&prefix={urllib.parse.quote(key)}").status == 200
    whole = server("GET", path, token=OTHER)
    assert whole.status == 200 and len(whole.json["leases"]) == 6001
    for each in slow:
        each.close()
    wait_until(lambda: server("GET", path).status == 200, 30)
    locks.delete_many({"_id": {"$regex": f"^{key}:"}})


def test_requests_in_work(tokens):
    """On a database that takes its time for each: one client has half of them, most of which wait
    for a worker."""
    uri, end = servers.start("cli-shares", "standalone")
    cli, most = Cli(uri, "shares"), bound("MOST_REQUESTS") // 2
    assert cli("migrate", "--yes").exit == 0
    server = Server(
        cli, "--listen", "127.0.0.1:0", "--token-file", tokens / "clients", token=CLIENT
    )
    with pymongo.MongoClient(uri) as client, crowd(server) as it:
        client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": "alwaysOn",
                "data": {
                    "failCommands": ["find", "aggregate"],
                    "appName": "leasehold",
                    "blockConnection": True,
                    "blockTimeMS": 1500,
                },
            }
        )
        for _ in range(most + 200):
            it.send("GET", path_of("k"))
        assert server("GET", "/healthz").status == 200
        told = it.answered()
        assert told.count(429) >= 100 and set(told) <= {200, 429}, {
            status: told.count(status) for status in set(told)
        }
        answer = server(
            "GET", path_of("k"), token=OTHER
        )  # in its turn, though two thousand were there before
        assert answer.status == 200, answer.body
        client.admin.command("configureFailPoint", "failCommand", mode="off")
        it.close()
        wait_until(lambda: server("GET", path_of("k")).status == 200, 30)
    server.end()
    end()


# ---- What is remembered of a client's grants


@pytest.mark.parametrize("others", [1, 200])
def test_idempotency_keys_of_one_client_evict_no_others(alone, others):
    """One more than there is room for, in all: then the oldest of whoever has the most of them
    goes."""

    def ask(name, token, connection=None):
        connection = connection or alone.connect()
        connection.request(
            "POST",
            path_of("k:" + name),
            json.dumps({"owner": "o", "ttl_ms": 600000}),
            alone.head({"Content-Type": "application/json", "Idempotency-Key": name}, token),
        )
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 201, answer
        return answer["lease"]

    mine = {f"mine:{i}": ask(f"mine:{i}", OTHER) for i in range(others)}
    connection, first = alone.connect(), {}
    for i in range(bound("MOST_REPEATS") + 10):
        lease = ask(f"flood:{i}", CLIENT, connection)
        if i < 1 or i > bound("MOST_REPEATS"):
            first[f"flood:{i}"] = lease
    assert {name: ask(name, OTHER) for name in mine} == mine
    oldest, *newest = first
    assert all(ask(name, CLIENT) == first[name] for name in newest)
    assert (
        ask(oldest, CLIENT) != first[oldest]
    ), "nothing had to go: the flood was too small to show anything"
    assert {name: ask(name, OTHER) for name in mine} == mine
    connection.close()


def test_what_is_taken_is_given_back(alone):
    """As often as anybody likes, and also where the request was refused behind the count."""
    lease, connection = alone.held("k", ttl_ms=600000), alone.connect()

    def ask(path, **headers):
        connection.request("GET", path, headers=alone.head(headers))
        response = connection.getresponse()
        response.read()
        return response.status

    for _ in range(bound("MOST_LISTS") + 1):
        assert (
            ask("/v1/leases?limit=2000&all=perhaps") == 400 and ask("/v1/leases?limit=2000") != 429
        )
    for _ in range(bound("MOST_SUBSCRIBERS") // 2 + 10):
        assert ask("/v1/events?prefix=%ff") == 400
    connection.close()
    stream = alone.send("GET", path_of("k") + "/session", None, {"Lease-Id": lease})
    assert stream.getresponse().status == 200
    stream.close()
    assert Answer(alone.send("GET", "/v1/leases?limit=2000").getresponse()).status != 429
