# SPDX-License-Identifier: Apache-2.0
"""serve, attacked by those who may call it: others' leases, what a revoked token keeps, token
files, logs, sockets."""
import http.client
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import wait_until
from serving import (
    ADMIN,
    CLIENT,
    OTHER,
    Answer,
    Server,
    Stream,
    key,
    path_of,
    ready,
)  # noqa: F401  (fixtures among them)

NEW = "third-token-0123456789"


class Guarded:
    """A server with token files of its own, which can be changed."""

    def __init__(self, ready, folder, clients, admins=(ADMIN,)):
        self.clients, self.admins = folder / "clients", folder / "admins"
        self.write(clients, admins)
        self.server = Server(
            ready,
            "--listen",
            "127.0.0.1:0",
            "--token-file",
            self.clients,
            "--admin-token-file",
            self.admins,
        )

    def write(self, clients, admins=None):
        for file, lines in ((self.clients, clients), (self.admins, admins)):
            if lines is not None:
                file.write_bytes(
                    lines
                    if isinstance(lines, bytes)
                    else "".join(f"{line}\n" for line in lines).encode()
                )
                file.chmod(0o600)

    def reload(self, clients, admins=None, noted="read again"):
        before = sum(noted in line for line in self.server.log)
        self.write(clients, admins)
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: sum(noted in line for line in self.server.log) > before)

    def acquire(self, key, token, again=None, **body):
        headers = {"Idempotency-Key": again} if again else {}
        return self.server(
            "POST", path_of(key), {"owner": "alice", "ttl_ms": 60000, **body}, headers, token=token
        )


@pytest.fixture
def guarded(ready, tmp_path):
    made = []

    def make(*args, **options):
        made.append(Guarded(ready, tmp_path, *args, **options))
        return made[-1]

    yield make
    for each in made:
        log = each.server.end()
        for secret in (CLIENT, OTHER, NEW, ADMIN):
            assert secret not in log


# ---- another's lease ----


CHANGES = [
    ([OTHER], OTHER),  # the owner's line is gone: the next moves up
    ([NEW, CLIENT, OTHER], NEW),  # a line in front of it
    ([OTHER, CLIENT], OTHER),  # turned round
    ([NEW, OTHER], NEW),  # exchanged in its place
    (["#gone", OTHER], OTHER),
    ([f"ci:{OTHER}", f"ci:{CLIENT}"], OTHER),  # the same name
]


def test_nobody_gets_anothers_lease_by_a_changed_file(guarded, key):
    it = guarded([CLIENT, OTHER])
    for i, (after, thief) in enumerate(CHANGES):
        it.reload([CLIENT, OTHER])
        mine = it.acquire(f"{key}:{i}", CLIENT, "job-42")
        assert mine.status == 201
        it.reload(after)
        stolen = it.acquire(f"{key}:{i}", thief, "job-42")
        assert stolen.status == 423 and mine.json["lease"] not in stolen.body.decode(), (
            after,
            stolen.body,
        )
        if any(line.endswith(CLIENT) for line in after):
            assert it.acquire(f"{key}:{i}", CLIENT, "job-42").json["lease"] == mine.json["lease"]


def test_a_token_that_comes_back_begins_anew(guarded, key):
    it = guarded([CLIENT, OTHER])
    assert it.acquire(key, CLIENT, "job-42").status == 201
    it.reload([OTHER])
    it.reload([OTHER, CLIENT])
    assert it.acquire(key, CLIENT, "job-42").status == 423


def test_keys_of_idempotency_are_told_apart_by_path(guarded, key):
    it = guarded([CLIENT])
    first, second = it.acquire(key, CLIENT, "one"), it.acquire(key + "/1", CLIENT, "one")
    assert first.status == second.status == 201 and first.json["lease"] != second.json["lease"]


TWICE = [
    ([CLIENT, CLIENT, OTHER], [ADMIN], ["clients, line 2", "clients, line 1"]),
    ([CLIENT, "# a comment", "", OTHER, CLIENT], [ADMIN], ["clients, line 5", "clients, line 1"]),
    ([f"a:{CLIENT}", f"b:{CLIENT}"], [ADMIN], ["clients, line 2", "clients, line 1"]),
    ([f"a:{CLIENT}", CLIENT], [ADMIN], ["clients, line 2", "clients, line 1"]),
    ([CLIENT], [ADMIN, f"root:{ADMIN}"], ["admins, line 2", "admins, line 1"]),
    ([OTHER, CLIENT], [ADMIN, CLIENT], ["admins, line 2", "clients, line 2"]),
]


def test_a_token_stands_once(guarded, ready):
    it = guarded([CLIENT, OTHER])
    for clients, admins, named in TWICE:
        it.reload(clients, admins, noted="stay as they were")
        noted = [line for line in it.server.log if "stay as they were" in line][-1]
        assert all(name in noted for name in named), noted
        assert it.server("GET", "/v1/whoami", token=OTHER).json["may"] == "call"
    result = ready(
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        it.clients,
        "--admin-token-file",
        it.admins,
    )
    assert result.exit == 78 and all(name in result.err for name in named), result


@pytest.mark.skipif(os.getuid() != 0, reason="needs two users")
def test_users_of_a_socket_are_clients_of_their_own(ready, tmp_path, key):
    folder = Path(f"/tmp/leasehold-test-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o755)
    server = Server(ready, "--listen", f"unix:{folder}/socket")
    mine = server.acquire(key, "alice", {"Idempotency-Key": "job-42"})
    assert mine.status == 201
    (folder / "socket").chmod(0o666)
    stolen = subprocess.run(
        [
            "curl",
            "-s",
            "--unix-socket",
            f"{folder}/socket",
            "-H",
            "Idempotency-Key: job-42",
            "--json",
            '{"owner":"alice"}',
            "http://localhost" + path_of(key),
        ],
        user=65534,
        capture_output=True,
        text=True,
    )
    assert json.loads(stolen.stdout)["status"] == 423, stolen
    server.end()
    folder.rmdir()


# ---- names ----


def test_tokens_have_names(guarded, key):
    it = guarded([f"ci.build-1:{CLIENT}", OTHER], [f"ops@example:{ADMIN}"])
    it.acquire(key, CLIENT)
    it.acquire(key, OTHER)

    def logged(name):
        return [json.loads(line) for line in it.server.log if f'"{name}"' in line]

    wait_until(lambda: logged("ci.build-1"))
    assert logged("ci.build-1")[0]["token"] == "ci.build-1"
    anonymous = wait_until(
        lambda: [
            line for line in map(json.loads, it.server.log) if line.get("token", "").startswith("#")
        ]
    )
    assert re.fullmatch("#[0-9]+", anonymous[0]["token"])
    path = path_of(key) + "/break"
    assert it.server("POST", path, {"reason": "stuck"}, token=ADMIN).status == 200
    assert it.server("GET", path_of(key), token=CLIENT).json["released"]["by"] == "ops@example"
    it.acquire(key, CLIENT)
    assert it.server("POST", path, {"reason": "stuck", "by": "alice"}, token=ADMIN).status == 200
    assert (
        it.server("GET", path_of(key), token=CLIENT).json["released"]["by"] == "alice (ops@example)"
    )
    it.acquire(key, CLIENT)
    assert it.server("POST", path, {"reason": "stuck", "by": "x" * 256}, token=ADMIN).status == 400
    assert it.server("GET", "/v1/whoami", token=CLIENT).json["name"] == "ci.build-1"
    it.reload([OTHER, f"new:{CLIENT}"])
    assert it.server("GET", "/v1/whoami", token=CLIENT).json["name"] == "new"
    assert it.server("GET", "/v1/whoami", token=OTHER).json["name"] == anonymous[0]["token"]


# ---- a token that is taken away ----


def test_a_removed_token_keeps_nothing_open(guarded, key):
    it = guarded([f"gone:{CLIENT}", OTHER])
    held = it.acquire(key + ":session", CLIENT, ttl_ms=6000).json["lease"]
    lease = it.acquire(key, OTHER).json["lease"]

    def stream(path, **headers):
        return Stream(it.server, path, Authorization=f"Bearer {CLIENT}", **headers)

    session, idle = (
        stream(path_of(key + ":session") + "/session", **{"Lease-Id": held}) for _ in range(2)
    )
    events = stream("/v1/events")
    assert session.next()["event"] == "renewed" and events.next()
    body = {"owner": "bob", "wait_ms": 30000}
    waits = [
        it.server.send(
            "POST",
            path_of(key),
            {**body, "owner": f"w{i}"},
            {"Idempotency-Key": "k"} if i < 1 else {},
            token=CLIENT,
        )
        for i in range(3)
    ]
    others = it.server.send("POST", path_of(key), body, token=OTHER)
    wait_until(lambda: len(it.server("GET", path_of(key), token=OTHER).json["waiters"]) == 4)
    began = time.monotonic()
    it.reload([OTHER])
    for each in waits:
        answer = Answer(each.getresponse())
        assert answer.status == 401 and answer.json["code"] == "unauthorized"
    last = session.next()
    while last["event"] == "renewed":
        last = session.next()
    assert (
        last["event"] == "revoked" and last["remaining_ms"] > 0 and last["key"] == key + ":session"
    )
    for each in (session, events):
        with pytest.raises(EOFError):
            while True:
                each.next()
    wait_until(lambda: len(it.server("GET", path_of(key), token=OTHER).json["waiters"]) == 1)
    assert time.monotonic() - began < 1.5
    # What is released now goes to the one that may still call, and the session's lease is not
    # renewed any more.
    assert it.server("DELETE", path_of(key), headers={"Lease-Id": lease}, token=OTHER).status == 200
    assert Answer(others.getresponse()).json["owner"] == "bob"
    ends = it.server("GET", path_of(key + ":session"), token=OTHER).json
    assert ends["state"] == "held" and ends["waiters"] == []
    time.sleep(2.5)
    later = it.server("GET", path_of(key + ":session"), token=OTHER).json
    assert (
        later["state"] == "free"
        or later["holders"][0]["expires_at"] == ends["holders"][0]["expires_at"]
    )
    idle.close()


def test_a_renamed_token_keeps_all_and_a_demoted_one_breaks_nothing(guarded, key):
    it = guarded([f"old:{CLIENT}"], [f"ops:{ADMIN}", NEW])
    lease = it.acquire(key, CLIENT).json["lease"]
    session = Stream(
        it.server,
        path_of(key) + "/session",
        Authorization=f"Bearer {CLIENT}",
        **{"Lease-Id": lease},
    )
    events = Stream(it.server, Authorization=f"Bearer {ADMIN}")
    assert session.next()["event"] == "renewed" and events.next()["event"] == "opened"
    waiting = it.server.send(
        "POST", path_of(key), {"owner": "admin", "wait_ms": 30000}, token=ADMIN
    )
    wait_until(lambda: it.server("GET", path_of(key), token=CLIENT).json["waiters"])
    it.reload([f"new:{CLIENT}", f"was-ops:{ADMIN}"], [NEW])
    refused = it.server("POST", path_of(key) + "/break", {"reason": "x"}, token=ADMIN)
    assert (
        refused.status == 403 and it.server("GET", "/v1/whoami", token=ADMIN).json["may"] == "call"
    )
    assert (
        it.server("DELETE", path_of(key), headers={"Lease-Id": lease}, token=CLIENT).status == 200
    )
    assert session.next()["event"] == "released"
    assert Answer(waiting.getresponse()).json["owner"] == "admin"
    assert events.next_of("granted", key)


# ---- token files ----


TOO_LONG = "t" * 257
FILES = [
    (b"\xef\xbb\xbf" + CLIENT.encode() + b"\n", "line 1", "byte order mark"),
    (
        b"\xef\xbb\xbf# tokens of production\n" + CLIENT.encode() + b"\n",
        "line 1",
        "byte order mark",
    ),
    (CLIENT.encode("utf-16"), "line 1", "byte order mark"),
    (CLIENT.encode("utf-16-le"), "line 1", "NUL"),
    (f"{CLIENT}\r{OTHER}\r".encode(), "line 1", "carriage return"),
    (f"{OTHER}\n{CLIENT}\r\r\n".encode(), "line 2", "carriage return"),
    (f"{CLIENT}\0{OTHER}\n".encode(), "line 1", "NUL"),
    (f"# a\0b\n{CLIENT}\n".encode(), "line 1", "NUL"),
    (f"{OTHER}\n{CLIENT}\0".encode(), "line 2", "NUL"),
    (f"{OTHER}\n{TOO_LONG}\n".encode(), "line 2", "16 to 256"),
    (f"{OTHER}\nshort\n".encode(), "line 2", "16 to 256"),
    (f"{OTHER}\nname:short\n".encode(), "line 2", "16 to 256"),
    (f"{OTHER}\nname:\n".encode(), "line 2", "16 to 256"),
    (f"{OTHER}\na name:{CLIENT}\n".encode(), "line 2", "name"),
    (f"{OTHER}\n{'n' * 65}:{CLIENT}\n".encode(), "line 2", "name"),
    (f"{OTHER}\nna/me:{CLIENT}\n".encode(), "line 2", "name"),
    (f"{OTHER}\n{CLIENT} {NEW}\n".encode(), "line 2", "blanks"),
    (f"{OTHER}\n{CLIENT}\u00e4\n".encode(), "line 2", "ASCII"),
    (f"{OTHER}\n{CLIENT}\x1b[m\n".encode(), "line 2", "ASCII"),
    (b"", "clients", "no token"),
    (b"\n\n# nothing\n", "clients", "no token"),
    (b"#" * (1 << 20) + b"\n" + CLIENT.encode(), "clients", "1 MiB"),
    ("".join(f"{CLIENT}{i:04}\n" for i in range(65)).encode(), "line 65", "64 tokens"),
]


def test_token_files_that_are_no_such(ready, guarded):
    it = guarded([CLIENT, OTHER])
    for content, where, what in FILES:
        it.reload(content, noted="stay as they were")
        noted = [line for line in it.server.log if "stay as they were" in line][-1]
        assert where in noted and what in noted, (content[:60], noted)
        assert it.server("GET", "/v1/whoami", token=OTHER).json["may"] == "call", content[:60]
    for content, where, what in FILES[::7]:
        it.write(content)
        result = ready("serve", "--listen", "127.0.0.1:0", "--token-file", it.clients)
        assert result.exit == 78 and where in result.err and what in result.err, (
            content[:60],
            result,
        )
    it.write([CLIENT])


GOOD_FILES = [
    (f"{CLIENT}\r\n{OTHER}\r\n", [CLIENT, OTHER]),
    (CLIENT, [CLIENT]),
    (f"{CLIENT}\r", [CLIENT]),
    (f"\t {CLIENT} \t\n  # x\n\n", [CLIENT]),
    (f":{CLIENT}:x\n", [CLIENT + ":x"]),
    (f"a:{CLIENT}:{OTHER}\n", [f"{CLIENT}:{OTHER}"]),
    (f"{'t' * 16}\n{'u' * 256}\n", ["t" * 16, "u" * 256]),
    (f"a_b.c@d-e:{CLIENT}\n", [CLIENT]),
    ("!$%&'*+/=?^`{|}~()\n", ["!$%&'*+/=?^`{|}~()"]),
]


def test_token_files_that_are_good(guarded):
    it = guarded([CLIENT])
    for content, tokens in GOOD_FILES:
        it.reload(content.encode())
        for token in tokens:
            assert it.server("GET", "/v1/whoami", token=token).json["may"] == "call", content


def test_a_token_file_that_would_block_is_refused(ready, guarded, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, "/dev/zero", "/dev/stdin"):
        result = ready("serve", "--listen", "127.0.0.1:0", "--token-file", path, timeout=10)
        assert result.exit == 78 and "regular file" in result.err, result
    it = guarded([CLIENT])
    it.clients.unlink()
    os.mkfifo(it.clients)
    it.server.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: any(
            "stay as they were" in line and "regular file" in line for line in it.server.log
        )
    )
    assert it.server("GET", "/v1/whoami", token=CLIENT).json["may"] == "call"


# ---- a log that nobody reads ----


def ask(server, path, method=b"GET"):
    with socket.create_connection(server.name.removeprefix("http://").split(":")) as connection:
        connection.settimeout(5)
        connection.sendall(
            method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        return b"".join(iter(lambda: connection.recv(65536), b""))


def ask_often(server, n):
    """Enough, with their paths in the log, to fill a pipe and what waits for it."""
    connection = http.client.HTTPConnection(server.name.removeprefix("http://"), timeout=5)
    for _ in range(n):
        connection.request("GET", "/" + "x" * 4000)
        answer = connection.getresponse()
        assert answer.status == 404 and answer.read()
    connection.close()


class Deaf:
    """A server whose log goes where `stderr` says."""

    def __init__(self, cli, stderr):
        self.process = cli.start("serve", "--listen", "127.0.0.1:0", stderr=stderr)
        self.name = self.process.stdout.readline().split(" listens on ")[1].strip()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        try:
            assert self.process.wait(timeout=10) == 0
        finally:
            self.process.kill()
        return time.monotonic() - began


def test_a_log_that_nobody_reads_stops_nobody(ready, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    server = Deaf(ready, os.open(fifo, os.O_WRONLY))
    ask_often(server, 400)
    counted = ask(server, b"/metrics").decode()
    dropped = int(re.search(r"^leasehold_log_lines_dropped_total (\d+)", counted, re.M)[1])
    assert dropped > 0
    # Read again, it tells how many are missing.
    read = b""
    while b"lines dropped here" not in read:
        assert select.select([reader], [], [], 5)[0]
        read += os.read(reader, 65536)
        ask(server, b"/healthz")
    lines = [json.loads(line) for line in read.decode().split("\n")[:-1]]
    told = next(line for line in lines if "lines dropped here" in line.get("message", ""))
    assert int(re.search(r": (\d+)$", told["message"])[1]) >= dropped
    assert max(len(line["path"]) for line in lines if line["log"] == "request") <= 1024 + len("…")
    ask_often(server, 400)
    assert server.end() < 5
    os.close(reader)


@pytest.mark.parametrize("where", ["/dev/full", "closed", "nobody"])
def test_a_log_that_is_full_or_gone_stops_nobody(ready, where):
    if where == "/dev/full":
        server = Deaf(ready, os.open(where, os.O_WRONLY))
    else:
        reader, writer = os.pipe()
        if where == "nobody":
            os.close(reader)
        server = Deaf(ready, writer)
        os.close(writer)
        if where == "closed":
            os.close(reader)
    for _ in range(20):
        assert ask(server, b"/healthz").startswith(b"HTTP/1.1 200 ")
    assert re.search(rb"^leasehold_log_lines_dropped_total [1-9]", ask(server, b"/metrics"), re.M)
    assert server.end() < 5


def test_a_pipe_that_others_share_stays_as_it_was(ready):
    reader, writer = os.pipe()
    server = Deaf(ready, writer)
    ask(server, b"/healthz")
    assert os.get_blocking(writer)
    server.end()
    os.close(reader)
    os.close(writer)


# ---- sockets of others ----


def test_a_living_socket_is_not_taken_away(ready, tmp_path):
    path = tmp_path / "socket"
    for kind, fills in (
        (socket.SOCK_DGRAM, False),
        (socket.SOCK_SEQPACKET, False),
        (socket.SOCK_STREAM, True),
    ):
        there, waiting = socket.socket(socket.AF_UNIX, kind), []
        there.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            there.listen(0)
        while fills and len(waiting) < 10:  # nobody accepts them
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            fills = waiting[-1].connect_ex(str(path)) == 0
        result = ready("serve", "--listen", f"unix:{path}", timeout=10)
        assert result.exit == 78 and str(path) in result.err and path.is_socket(), result
        for each in (there, *waiting):
            each.close()
        path.unlink()


@pytest.mark.skipif(os.getuid() != 0, reason="needs two users")
def test_another_users_socket_is_not_taken_away(ready):
    folder = Path(f"/tmp/leasehold-test-{secrets.token_hex(4)}")
    folder.mkdir()
    folder.chmod(0o777)
    server = Server(ready, "--listen", f"unix:{folder}/socket")
    other = ready.start(
        "serve", "--listen", f"unix:{folder}/socket", user=65534, group=65534, extra_groups=[]
    )
    out, err = other.communicate(timeout=10)
    assert other.returncode == 78 and "Permission denied" in err, (out, err)
    assert server("GET", "/healthz").status == 200
    server.end()
    folder.rmdir()


def test_at_its_end_it_leaves_anothers_socket(ready, tmp_path):
    path = tmp_path / "socket"
    server = Server(ready, "--listen", f"unix:{path}")
    path.unlink()
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    server.end()
    assert path.is_socket()
    other.close()
