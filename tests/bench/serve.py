# SPDX-License-Identifier: Apache-2.0
"""`leasehold serve` in numbers and in trouble. Starts a server of its own (build/tools/leasehold,
or LEASEHOLD_BUILD). Prints; asserts nothing.

    python serve.py waits URI [n]              n requests (5000) that wait on 50 keys: memory,
                                              threads, how long until all are in a queue
    python serve.py slow URI [n] [seconds]     n requests (2000) that stay half open, and what
                                              others meet meanwhile
    python serve.py list URI [n]               a list of n leases (100000): memory, time
    python serve.py events URI [n]             n changes (200): how long after the request was
                                              sent its event is read
    python serve.py flood URI [n] [rounds]     n waits (300) that one client closes at once, in
                                              rounds (20), then 12,400: what another meets
    python serve.py kill [seconds]             kill -9 of the primary under load, on a set of its
                                              own (scripts/mongod): what clients saw"""
import collections
import contextlib
import http.client
import json
import os
import re
import resource
import select
import signal
import statistics
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pymongo

ROOT = Path(__file__).resolve().parents[2]
LEASEHOLD = Path(os.environ.get("LEASEHOLD_BUILD", ROOT / "build")) / "tools/leasehold"
DB = "leasehold_bench_serve"


class Server:
    def __init__(self, uri, *options):
        env = os.environ | {"LEASEHOLD_URI": uri, "LEASEHOLD_DB": DB}
        subprocess.run([LEASEHOLD, "migrate", "--yes", "--quiet"], env=env, check=True)
        self.process = subprocess.Popen(
            [LEASEHOLD, "serve", "--listen", "127.0.0.1:0", "--quiet", *options],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.netloc = self.process.stdout.readline().split("//")[1].strip()

    def connect(self):
        return http.client.HTTPConnection(self.netloc, timeout=60)

    def send(self, method, path, body=None, headers={}, connection=None):
        connection = connection or self.connect()
        kind = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, {**kind, **headers})
        return connection

    def __call__(self, *args, **options):
        response = self.send(*args, **options).getresponse()
        return response.status, response.read()

    def metric(self, name):
        return float(
            re.search(rf"^leasehold_{name} (\S+)$", self("GET", "/metrics")[1].decode(), re.M)[1]
        )

    def cost(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        threads, now, most = (
            int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1])
            for name in ("Threads", "VmRSS", "VmHWM")
        )
        return f"{threads} threads, {now / 1024:.1f} MiB (at most {most / 1024:.1f})"

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        self.process.wait(timeout=120)
        print(f"ended in {time.monotonic() - began:.1f} s")


def percentiles(values):
    values = sorted(values)
    return (
        f"p50 {1000 * statistics.median(values):.1f} ms, p99"
        f" {1000 * values[len(values) * 99 // 100]:.1f} ms, at most {1000 * values[-1]:.1f} ms"
    )


def waits(uri, n=5000):
    server = Server(uri, "--max-waits-per-client", "10000")
    keys = [f"/v1/leases/waits:{i}" for i in range(50)]
    leases = [
        json.loads(server("POST", key, {"owner": "holder", "ttl_ms": 600000})[1])["lease"]
        for key in keys
    ]
    print("before:", server.cost())
    began = time.monotonic()
    waiting = [
        server.send("POST", keys[i % 50], {"owner": f"w{i}", "wait_ms": 300000}) for i in range(n)
    ]
    while server.metric("waiting") < n or server.metric("jobs_queued") > 0:
        time.sleep(0.2)
    print(f"{n} wait, after {time.monotonic() - began:.1f} s:", server.cost())
    stored = sum(len(json.loads(server("GET", key)[1])["waiters"]) for key in keys)
    print(f"{stored} are in the keys' queues", flush=True)
    poller, began = select.poll(), time.monotonic()
    by_fd = {connection.sock.fileno(): connection for connection in waiting}
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    for key, lease in zip(keys, leases):
        server("DELETE", key, headers={"Lease-Id": lease})
    granted = 0
    while granted < 50 and time.monotonic() < began + 60:
        for fd, _ in poller.poll(1000):
            poller.unregister(fd)
            granted += by_fd[fd].getresponse().status == 201
    print(
        f"50 keys released: {granted} were granted to the next in {time.monotonic() - began:.1f} s"
    )
    for connection in waiting:
        connection.close()
    began = time.monotonic()
    while server.metric("waiting") > 0:
        time.sleep(0.2)
    print(
        f"all others went away: out of the queues after {time.monotonic() - began:.1f} s:",
        server.cost(),
    )
    server.end()


def normal(server, until):
    """Acquires and releases; how long each took."""
    took, connection = [], server.connect()
    while time.monotonic() < until:
        for method in ("POST", "DELETE"):
            began = time.monotonic()
            body, headers = (
                ({"owner": "normal"}, {}) if method == "POST" else (None, {"Lease-Id": lease})
            )
            status, text = (lambda r: (r.status, r.read()))(
                server.send(method, "/v1/leases/normal", body, headers, connection).getresponse()
            )
            took.append(time.monotonic() - began)
            assert status in (200, 201), text
            lease = json.loads(text).get("lease")
    return took


def slow(uri, n=2000, seconds=30):
    server = Server(uri)
    print("alone: ", percentiles(normal(server, time.monotonic() + seconds / 6)))
    halves = []

    def drip(until):
        while time.monotonic() < until:
            while len(halves) < n:
                connection = server.connect()
                connection.connect()
                connection.sock.sendall(b"GET /v1/leases HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                halves.append(connection.sock)
            for half in list(halves):  # a byte each; those that were ended are made anew
                try:
                    half.send(b"x")
                except OSError:
                    halves.remove(half)
            time.sleep(0.5)

    until = time.monotonic() + seconds
    dripping = threading.Thread(target=drip, args=(until,))
    dripping.start()
    time.sleep(2)
    print(f"beside {n} half-open requests:", percentiles(normal(server, until)))
    dripping.join()
    print(f"{server.metric('http_timeouts_total'):.0f} were ended (408);", server.cost())
    status, _ = server("POST", "/v1/leases/large", {"owner": "x" * 100000})
    print("a body of 100,000 bytes:", status)
    server.end()


def a_list(uri, n=100000):
    server = Server(uri)
    lease = json.loads(server("POST", "/v1/leases/list", {"owner": "bench", "ttl_ms": 600000})[1])[
        "lease"
    ]
    with pymongo.MongoClient(uri) as client:
        locks = client[DB].workspace_locks
        model = locks.find_one({"workspace_id": "list"})
        for i in range(0, n, 10000):
            locks.insert_many(
                [
                    {**model, "_id": f"list:{k:07}", "workspace_id": f"list:{k:07}"}
                    for k in range(i, min(i + 10000, n))
                ]
            )
        print("before:", server.cost())
        began = time.monotonic()
        status, text = server("GET", "/v1/leases?prefix=list:&limit=1000000")
        print(
            (
                f"{status}: {len(json.loads(text)['leases'])} leases, {len(text) >> 20} MiB in"
                f" {time.monotonic() - began:.1f} s:"
            ),
            server.cost(),
        )
        server("DELETE", "/v1/leases/list", headers={"Lease-Id": lease})
        locks.delete_many({"_id": {"$regex": "^list:"}})
    server.end()


def events(uri, n=200):
    server = Server(uri)
    stream = server.send("GET", "/v1/events").getresponse()
    lines = (line.decode() for line in iter(stream.readline, b""))
    began, took = {}, []

    def change():
        connection = server.connect()
        for i in range(n):
            began[f"events:{i}"] = time.monotonic()
            server.send(
                "POST",
                f"/v1/leases/events:{i}",
                {"owner": "bench", "ttl_ms": 60000},
                connection=connection,
            ).getresponse().read()
            time.sleep(0.02)

    time.sleep(1)
    thread = threading.Thread(target=change)
    thread.start()
    while len(took) < n:
        found = re.match(r'data:.*"event"\s*:\s*"granted".*"key"\s*:\s*"(events:\d+)"', next(lines))
        if found:
            took.append(time.monotonic() - began[found[1]])
    thread.join()
    print(
        f"{n} grants, from the request to the event, which the grant's own time is part of:"
        f" {percentiles(took)}"
    )
    server.end()


FLOODER, OTHER = "flooding-token-0123456789", "other-token-0123456789"


def close_at_once(netloc, n, rounds=1):
    """By a process of its own: sends n waits for one key, none of which is waited for."""
    host, port = netloc.split(":")
    body = json.dumps({"owner": "flooder", "wait_ms": 60000})
    request = (
        f"POST /v1/leases/flooded HTTP/1.1\r\nHost: {netloc}\r\nAuthorization: Bearer {FLOODER}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    for _ in range(rounds):
        for _ in range(n):
            with contextlib.suppress(OSError), socket.create_connection(
                (host, int(port))
            ) as connection:
                connection.sendall(request)
        time.sleep(0.5)


def looks(server, until):
    """How long each GET of one that asks a hundred times a second took."""
    took, connection, headers = [], server.connect(), {"Authorization": f"Bearer {OTHER}"}
    while not until():
        began = time.monotonic()
        response = server.send(
            "GET", "/v1/leases/other", headers=headers, connection=connection
        ).getresponse()
        response.read()
        assert response.status == 200
        took.append(time.monotonic() - began)
        time.sleep(0.01)
    return took


def flooding(server, n, rounds):
    """What the other client meets meanwhile."""
    code = f"import serve; serve.close_at_once({server.netloc!r}, {n}, {rounds})"
    flood = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    took = looks(server, lambda: flood.poll() is not None)
    assert flood.returncode == 0
    return took


def p99(values):
    return sorted(values)[len(values) * 99 // 100]


@contextlib.contextmanager
def two_clients(uri):
    """A server with two tokens, and a key that is held."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(f"flooder:{FLOODER}\nother:{OTHER}\n")
        file.flush()
        server = Server(uri, "--token-file", file.name)
        server(
            "POST",
            "/v1/leases/flooded",
            {"owner": "holder", "ttl_ms": 600000},
            headers={"Authorization": f"Bearer {OTHER}"},
        )
        yield server
        server.end()


def flood(uri, n=300, rounds=20):
    with two_clients(uri) as server:

        def alone(seconds):
            until = time.monotonic() + seconds
            return looks(server, lambda: time.monotonic() > until)

        quiet = alone(5)
        print(f"alone: {percentiles(quiet)} ({len(quiet)} requests)")
        for n, rounds in ((n, rounds), (12400, 1)):
            took = flooding(server, n, rounds)
            print(
                f"beside {rounds} x {n} waits closed at once:"
                f" {percentiles(took)} ({len(took)} requests): p99 is"
                f" {p99(took) / p99(quiet):.1f} times"
            )
        print(f"afterwards: {percentiles(alone(5))}")


def kill(seconds=30):
    name = f"bench-serve-{os.getpid()}"
    mongod = ROOT / "scripts/mongod"
    uri = subprocess.run(
        [mongod, "up", "set", "--name", name, "--end-with", str(os.getpid())],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    server = Server(uri)
    until = time.monotonic() + seconds
    saw, gaps, lock = collections.Counter(), [], threading.Lock()

    def work(number):
        last, key, lease, longest = time.monotonic(), f"/v1/leases/kill:{number}", None, 0
        while time.monotonic() < until:
            method, headers = (
                ("PATCH", {"Lease-Id": lease})
                if lease and saw["turn"] % 3
                else ("DELETE" if lease else "POST", {"Lease-Id": lease} if lease else {})
            )
            saw["turn"] += 1
            try:
                status, text = server(
                    method,
                    key,
                    None if lease else {"owner": "bench", "ttl_ms": 60000},
                    headers=headers,
                )
            except OSError as error:
                status, text = type(error).__name__, b"{}"
            good = status in (200, 201)
            with lock:
                saw[method, status] += 1
            if good:
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
                lease = None if method == "DELETE" else lease or json.loads(text)["lease"]
            elif status == 410:
                lease = None
        gaps.append(longest)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 3)
    with pymongo.MongoClient(uri) as client:
        port = client.admin.command("hello")["primary"].split(":")[1]
        data = client.get_database("admin").command("getCmdLineOpts")["parsed"]["storage"]["dbPath"]
    pid = int(
        (Path(data).parent / "pid").read_text()
    )  # of serverStatus it may be another process's
    os.kill(pid, signal.SIGKILL)
    print(f"killed the primary ({port})")
    for thread in threads:
        thread.join()
    del saw["turn"]
    for (method, status), n in sorted(saw.items(), key=str):
        print(f"{method:6} {status}: {n}")
    print(
        f"longest time without success, of 16 clients: {max(gaps):.1f} s (the shortest of them:"
        f" {min(gaps):.1f} s)"
    )
    server.end()
    subprocess.run([mongod, "down", "--name", name], check=True, capture_output=True)


if __name__ == "__main__":
    commands = {
        "waits": waits,
        "slow": slow,
        "list": a_list,
        "events": events,
        "flood": flood,
        "kill": kill,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    arguments = sys.argv[2:]
    uri = [] if sys.argv[1] == "kill" else [arguments.pop(0)]
    commands[sys.argv[1]](*uri, *map(int, arguments))
    if uri:
        with pymongo.MongoClient(uri[0]) as client:
            client.drop_database(DB)
