# SPDX-License-Identifier: Apache-2.0
"""serve, flooded by one client: what another meets meanwhile. Compared within one run, by
bench/serve.py, which measures more of it."""
import re
import sys
import time
from pathlib import Path

import pytest
from conftest import URI, wait_until
from serving import (
    CLIENT,
    OTHER,
    Stream,
    key,
    path_of,
    ready,
    server,
    tokens,
)  # noqa: F401  (fixtures among them)

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import serve as bench  # noqa: E402


def measure(server):
    end = time.monotonic() + 1.2
    return bench.p99(bench.looks(server, lambda: time.monotonic() > end))


@pytest.fixture(scope="module")
def flooded(client):
    """A server for two clients, and what one of them meets when it is alone."""
    with bench.two_clients(URI) as server:
        yield server, measure(server)
    client.drop_database(bench.DB)


def bearable(quiet):
    """Five times as long, and at least what a busy machine adds to anything: without turns it were
    seconds."""
    return max(5 * quiet, 0.5)


def test_waits_that_are_closed_at_once_hold_up_nobody_else(flooded):
    server, quiet = flooded
    took = bench.flooding(server, 300, 2)
    print(f"p99 {1000 * quiet:.1f} ms alone, {1000 * bench.p99(took):.1f} ms beside the flood")
    assert bench.p99(took) <= bearable(quiet)
    headers = {"Authorization": f"Bearer {bench.OTHER}"}
    counted = server("GET", "/metrics", headers=headers)[1].decode()
    asked = re.search(r'calls_total\{call="acquire",outcome="cancelled"\} (\d+)', counted)
    assert not asked or int(asked[1]) < 300, "the database was asked for clients that had gone"


def test_waits_that_stay_hold_up_nobody_else(flooded):
    server, quiet = flooded
    headers = {"Authorization": f"Bearer {bench.FLOODER}"}
    waits = [
        server.send(
            "POST", "/v1/leases/flooded", {"owner": f"w{i}", "wait_ms": 60000}, headers=headers
        )
        for i in range(200)
    ]
    busy = measure(server)
    print(f"p99 {1000 * quiet:.1f} ms alone, {1000 * busy:.1f} ms while 200 enter a queue")
    for each in waits:
        each.close()
    assert max(busy, measure(server)) <= bearable(quiet)  # and while they leave it


# ---- what one client may have ----


def test_waits_are_counted_before_a_worker_has_them(server, key):
    lease = server.held(key)
    waiting = [
        server.send("POST", path_of(key), {"owner": f"w{i}", "wait_ms": 20000}) for i in range(50)
    ]
    refused = [server.acquire(key, "more", wait_ms=20000) for _ in range(20)]
    assert {(answer.status, answer.json["code"]) for answer in refused} == {(429, "too_many_waits")}
    assert len(server.queue(key)) <= 50
    for each in waiting:
        each.close()
    wait_until(lambda: server.queue(key) == [])
    server.release(key, lease)


def test_streams_of_one_client_leave_room_for_another(server):
    request = (
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n" f"Authorization: Bearer {CLIENT}\r\n\r\n"
    ).encode()

    def begin():
        connection = server.connect()
        connection.connect()
        connection.sock.sendall(request)
        return connection.sock

    streams = [begin() for _ in range(500)]
    statuses = {stream.recv(100)[9:12] for stream in streams}
    refused = server("GET", "/v1/events")
    assert (
        statuses == {b"200"}
        and refused.status == 429
        and refused.json["code"] == "too_many_streams"
    )
    other = Stream(server, Authorization=f"Bearer {OTHER}")
    assert other.next()
    other.close()
    for stream in streams:
        stream.close()
