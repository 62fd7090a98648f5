# SPDX-License-Identifier: Apache-2.0
"""serve, over a while and in numbers: sessions, slow clients, many that wait, long lists,
housekeeping."""
import os
import re
import select
import signal
import socket
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BINARY, wait_until
from serving import (  # noqa: F401  (fixtures among them)
    ADMIN,
    Answer,
    Server,
    Stream,
    key,
    loopback,
    path_of,
    ready,
    server,
    tokens,
)


SANITIZED = re.search(
    r"^LEASEHOLD_SANITIZE:\w+=.", (BINARY.parents[1] / "CMakeCache.txt").read_text(), re.M
)


@pytest.fixture(scope="module", autouse=True)
def half_open(loopback):
    """Slow loris: requests that never become whole, on a server that is busy with the tests
    meanwhile."""
    address = urllib.parse.urlsplit(loopback.name)

    def begin(text):
        connection = socket.create_connection((address.hostname, address.port))
        connection.sendall(text)
        return connection

    def drip(text):
        """A byte each half second: how long that went on, and what was said at the end."""
        with begin(b"GET") as connection:
            began = time.monotonic()
            for byte in text:
                connection.sendall(bytes([byte]))
                if select.select([connection], [], [], 0.5)[0]:
                    break
            return time.monotonic() - began, connection.recv(100)

    head = b" /v1/leases HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 100
    body = (
        b"POST /v1/leases/a HTTP/1.1\r\nHost: localhost\r\nContent-Type:"
        b" application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    silent = [begin(text) for text in (b"", b"GET", b"GET" + head, body) for _ in range(100)]
    with ThreadPoolExecutor(1) as pool:
        yield silent, pool.submit(drip, head)
    for connection in silent:
        connection.close()


# ---- sessions ----


def session(server, key, lease):
    return Stream(server, path_of(key) + "/session", **{"Lease-Id": lease})


def test_a_session_renews_as_long_as_it_is_open(server, key):
    lease = server.held(key, ttl_ms=3000)
    open_one = session(server, key, lease)
    first = open_one.next()
    assert first["event"] == "renewed" and first["key"] == key and first["remaining_ms"] > 1000
    until = time.monotonic() + 4
    while time.monotonic() < until:
        later = open_one.next()
        assert (
            later["event"] == "renewed"
            and later["remaining_ms"] > 0
            and later["token"] == first["token"]
        )
    assert later["expires_at"] > first["expires_at"]
    assert "leasehold_sessions 1\n" in server("GET", "/metrics").body.decode()
    began = time.monotonic()
    open_one.close()
    assert (
        server("GET", path_of(key)).json["state"] == "held"
    )  # not released: its client may be back
    wait_until(lambda: server("GET", path_of(key)).json["state"] == "free")
    assert time.monotonic() - began < 6  # and not renewed any more
    wait_until(lambda: "leasehold_sessions 0\n" in server("GET", "/metrics").body.decode())


def test_a_session_may_be_taken_up_again(server, key):
    lease = server.held(key, ttl_ms=3000)
    for _ in range(2):
        one, twin = session(server, key, lease), session(server, key, lease)
        assert one.next()["event"] == "renewed"
        one.close()
        time.sleep(2)
        assert twin.next()["event"] == "renewed"
        twin.close()
    assert server("GET", path_of(key)).json["state"] == "held"


def test_a_session_says_what_became_of_the_lease(server, key):
    for end, word in (
        (lambda: server.release(key, lease), "released"),
        (lambda: server("POST", path_of(key) + "/break", {"reason": "test"}, token=ADMIN), "lost"),
    ):
        lease = server.held(key, ttl_ms=3000)
        stream = session(server, key, lease)
        assert stream.next()["event"] == "renewed"
        assert end().status == 200
        last = stream.next()
        while last["event"] == "renewed":
            last = stream.next()
        assert last["event"] == word and last["remaining_ms"] == 0
        with pytest.raises(EOFError):
            stream.next()
    counted = server("GET", "/metrics").body.decode()
    assert int(re.search(r"^leasehold_sessions_lost_total (\d+)$", counted, re.M)[1]) >= 1


def test_many_sessions_cost_no_threads(server, key):
    def threads():
        return len(os.listdir(f"/proc/{server.process.pid}/task"))

    def begin(i):
        stream = session(server, f"{key}:{i}", server.held(f"{key}:{i}", ttl_ms=9000))
        assert stream.next()["event"] == "renewed"
        return stream

    streams = [begin(0)]
    before = threads()
    streams += [begin(i) for i in range(1, 50)]
    for stream in streams:
        assert stream.next()["event"] == "renewed"  # for the second time: by the server
    assert threads() == before
    held = server("GET", f"/v1/leases?prefix={urllib.parse.quote(key)}").json["leases"]
    assert len(held) == 50 and all(lease["state"] == "held" for lease in held)
    for stream in streams:
        stream.close()


@pytest.mark.parametrize(
    "options,word,state", [([], "stopping", "held"), (["--release-at-exit"], "released", "free")]
)
def test_the_servers_end_is_the_sessions_end(ready, key, options, word, state):
    server = Server(ready, "--listen", "127.0.0.1:0", *options)
    lease = server.held(key, ttl_ms=20000)
    stream = session(server, key, lease)
    assert stream.next()["event"] == "renewed"
    server.process.send_signal(signal.SIGTERM)
    last = stream.next()
    assert last["event"] == word and (last["remaining_ms"] > 0) == (word == "stopping")
    with pytest.raises(EOFError):
        stream.next()
    assert server.process.wait(timeout=20) == 0
    status = ready("--json", "status", key).json
    assert status["state"] == state


# ---- who is slow, or asks for much ----


def test_many_wait_for_one_key(loopback, key):
    lease, threads = loopback.held(key, ttl_ms=300000), len(
        os.listdir(f"/proc/{loopback.process.pid}/task")
    )
    waiting = [
        loopback.send("POST", path_of(key), {"owner": f"w{i}", "wait_ms": 280000, "ttl_ms": 300000})
        for i in range(100)
    ]
    wait_until(lambda: len(loopback.queue(key)) == 100, 60)
    assert len(os.listdir(f"/proc/{loopback.process.pid}/task")) <= threads + 4
    by_fd = {connection.sock.fileno(): connection for connection in waiting}
    poller, owners = select.poll(), set()
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    for _ in range(50):
        loopback.release(key, lease)
        [(fd, _)] = poller.poll(60000)  # one at a time
        poller.unregister(fd)
        granted = Answer(by_fd[fd].getresponse())
        assert granted.status == 201
        owners.add(granted.json["owner"])
        lease = granted.json["lease"]
        by_fd[fd].close()
    assert len(owners) == 50
    for connection in by_fd.values():
        connection.close()
    wait_until(lambda: not loopback.queue(key), 60)
    loopback.release(key, lease)


def test_a_long_list_comes_in_pieces(ready, client, key, tmp_path):
    def memory():
        return int(
            re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[1]
        )

    server = Server(ready, "--listen", f"unix:{tmp_path}/socket")  # whose buffers are small
    lease = server.held(key)
    locks = client[ready.env["LEASEHOLD_DB"]].workspace_locks
    model = locks.find_one({"workspace_id": key})
    del model["_id"]
    locks.insert_many(
        [{**model, "_id": f"{key}:{i:06}", "workspace_id": f"{key}:{i:06}"} for i in range(10000)]
    )
    before = memory()
    answer = server("GET", f"/v1/leases?limit=10001&prefix={urllib.parse.quote(key)}")
    assert answer.status == 200 and answer.headers["Transfer-Encoding"] == "chunked"
    listed = answer.json
    assert not listed["truncated"] and [lease["key"] for lease in listed["leases"][1:]] == [
        f"{key}:{i:06}" for i in range(10000)
    ]
    grown = memory() - before
    print(f"{len(answer.body) >> 20} MiB, {grown} KiB more memory")
    if not SANITIZED:  # whose memory is another matter
        assert grown < len(answer.body) // 1024
    few = server("GET", f"/v1/leases?limit=5000&prefix={urllib.parse.quote(key)}").json
    assert len(few["leases"]) == 5000 and few["truncated"]
    # Who does not read gets no more, and is in the way of his own long lists only, and not after he
    # has left.
    long_list, idle = f"/v1/leases?limit=10001&prefix={urllib.parse.quote(key)}", []

    def is_refused():
        idle.append(server.send("GET", long_list))
        refused = server("GET", long_list)
        return refused.status == 429 and refused.json["code"] == "too_many_lists"

    wait_until(is_refused, 30)
    assert server("GET", "/v1/leases?limit=10").status == 200
    for each in idle:
        each.close()
    wait_until(lambda: server("GET", long_list).status == 200, 30)
    locks.delete_many({"_id": {"$regex": f"^{key}"}})
    server.release(key, lease)
    server.end()


def test_readiness_is_asked_of_the_database_once_a_second(loopback):
    def looks():
        return int(
            re.search(
                r'calls_total{call="look",outcome="ok"} (\d+)',
                loopback("GET", "/metrics").body.decode(),
            )[1]
        )

    before, began = looks(), time.monotonic()
    connection = loopback.connect()
    for _ in range(300):
        connection.request("GET", "/readyz")
        assert Answer(connection.getresponse()).json["outcome"] == "ready"
    assert looks() - before <= time.monotonic() - began + 1


# ---- housekeeping ----


def test_what_is_dead_is_cleaned_away(cli, locks, key):
    servers = [
        Server(cli, "--listen", "127.0.0.1:0", "--cleanup-every", "1s", "--older-than", "1s")
        for _ in range(2)
    ]
    lease = servers[0].held("kept")
    for i in range(20):
        servers[0].release(f"{key}:{i}", servers[0].held(f"{key}:{i}"))
    wait_until(lambda: locks.count_documents({}) == 1)
    assert servers[1].release("kept", lease).status == 200
    counted = "".join(server("GET", "/metrics").body.decode() for server in servers)
    assert (
        sum(map(int, re.findall(r"^leasehold_cleanup_removed_keys_total (\d+)$", counted, re.M)))
        >= 20
    )
    logs = "".join(server.end() for server in servers)
    assert re.search("cleanup removed [0-9]+ keys", logs) and "ended early" not in logs


def test_what_is_protected_is_not_cleaned(ready):
    result = ready(
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--cleanup-every",
        "5m",
        env={"LEASEHOLD_PROTECT": "cleanup"},
    )
    assert result.exit == 77 and "LEASEHOLD_PROTECT" in result.err


def test_half_open_requests_were_ended(half_open, loopback):
    silent, dripping = half_open
    lasted, said = dripping.result()
    assert 5 < lasted < 30 and said.startswith(b"HTTP/1.1 408 "), (lasted, said)
    for connection in silent:
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    counted = loopback("GET", "/metrics").body.decode()
    assert (
        int(re.search(r"^leasehold_http_timeouts_total (\d+)$", counted, re.M)[1])
        >= len(silent) + 1
    )
