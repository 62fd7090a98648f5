# SPDX-License-Identifier: Apache-2.0
"""serve: leases over HTTP, as any client sees them."""
import json
import os
import re
import secrets
import signal
import socket
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
import pytest
from conftest import wait_until
from serving import (  # noqa: F401  (fixtures among them)
    ADMIN,
    CLIENT,
    COMMENTED,
    OTHER,
    Answer,
    Server,
    Stream,
    WithEnvironment,
    key,
    loopback,
    path_of,
    ready,
    server,
    tokens,
)

SPEC = json.loads((Path(__file__).parents[2] / "tools/serve/openapi.json").read_text())


# ---- a lease's life ----


def test_a_lease_is_granted_renewed_and_released(server):
    key = "project:42/ä%"
    granted = server.acquire(key, "alice", purpose="rebuild", ttl_ms=20000)
    assert granted.status == 201 and granted.headers["Location"] == path_of(key)
    lease = granted.json["lease"]
    assert (
        granted.json["key"] == key
        and granted.json["mode"] == "exclusive"
        and granted.json["ttl_ms"] == 20000
    )
    status = server("GET", path_of(key)).json
    assert status["state"] == "held" and status["holders"][0]["owner"] == "alice"
    assert status["holders"][0]["purpose"] == "rebuild" and lease not in json.dumps(status)
    renewed = server("PATCH", path_of(key), {"ttl_ms": 60000}, {"Lease-Id": lease})
    assert (
        renewed.status == 200
        and renewed.json["outcome"] == "renewed"
        and renewed.json["remaining_ms"] > 50000
    )
    assert renewed.json["token"] == granted.json["token"]
    for _ in range(2):  # what was released may be released again
        released = server.release(key, lease)
        assert released.status == 200 and released.json["outcome"] == "released"
    assert server("GET", path_of(key)).json["state"] == "free"
    lost = server("PATCH", path_of(key), headers={"Lease-Id": lease})
    assert lost.status == 410 and lost.json["code"] == "lost"


def test_busy_names_the_holder(server, key):
    lease = server.held(key, purpose="rebuild")
    busy = server.acquire(key, "bob")
    assert busy.status == 423 and int(busy.headers["Retry-After"]) >= 1
    assert busy.json["reason"] == "held" and busy.json["holder"]["owner"] == "alice"
    assert busy.json["holder"]["purpose"] == "rebuild" and busy.json["retry_after_ms"] > 0
    assert lease not in busy.body.decode()
    server.release(key, lease)
    bob = server.held(key, owner="bob")
    not_mine = server.release(key, "f" * 32)
    assert not_mine.status == 410 and not_mine.json["code"] == "not_holder"
    lost = server("PATCH", path_of(key), headers={"Lease-Id": lease})
    assert lost.status == 410 and lost.json["holders"][0]["owner"] == "bob"
    server.release(key, bob)


def test_a_lease_that_is_over_is_410_and_a_key_that_does_not_allow_it_409(
    server, ready, client, key
):
    path, name = path_of(key), {"Lease-Id": server.held(key)}
    ways = [("PATCH", path, name), ("GET", path + "/session", name), ("DELETE", path, name)]
    stranger = [(method, where, {"Lease-Id": "f" * 32}) for method, where, _ in ways]
    assert [server(method, where, headers=id).status for method, where, id in stranger] == [410] * 3
    locks = client[ready.env["LEASEHOLD_DB"]].workspace_locks
    locks.update_one({"workspace_id": key}, {"$set": {"expires_at": "garbage"}})
    for method, where, id in ways:
        answer = server(method, where, headers=id)
        assert (answer.status, answer.json["code"]) == (409, "data"), answer.body
    assert server("POST", path + "/break", {"reason": "r"}, token=ADMIN).status == 200
    assert [server(method, where, headers=id).status for method, where, id in ways] == [410] * 3
    nobody = server("POST", path + "/break", {"reason": "r"}, token=ADMIN)
    assert (nobody.status, nobody.json["code"]) == (409, "not_held")


def test_what_a_renewal_answers_is_what_is_stored(server, key):
    """Nothing shortens a lease, and nothing says that it did."""
    lease = server.held(key, ttl_ms=20000)
    for ttl_ms, last in ((5000, 5000), (None, 5000), (30000, 30000), (None, 30000), (1000, 1000)):
        began = time.monotonic()
        renewed = server(
            "PATCH",
            path_of(key),
            {"ttl_ms": ttl_ms} if ttl_ms else None,
            headers={"Lease-Id": lease},
        ).json
        holder = server("GET", path_of(key)).json["holders"][0]
        took_ms = (time.monotonic() - began) * 1000 + 5
        assert renewed["ttl_ms"] == last and renewed["expires_at"] == holder["expires_at"]
        assert (
            -holder["remaining_ms"] / 1000 - took_ms
            <= renewed["remaining_ms"] - holder["remaining_ms"]
            <= took_ms
        ), (renewed, holder)
    session = Stream(server, path_of(key) + "/session", **{"Lease-Id": lease})
    while "remaining_ms" not in (told := session.next()):
        pass
    assert told["event"] == "renewed" and told["expires_at"] == holder["expires_at"]
    assert told["remaining_ms"] > 20000
    session.close()


def test_shared_leases(server, key):
    assert server.acquire(key, "a", mode="shared").status == 201
    assert server.acquire(key, "b", mode="shared").json["mode"] == "shared"
    assert server.acquire(key, "c").status == 423


def test_the_list(server, key):
    for i in range(3):
        server.held(f"{key}:{i}", owner=f"owner {i}")
    listed = server("GET", f"/v1/leases?prefix={urllib.parse.quote(key)}").json
    assert [lease["key"] for lease in listed["leases"]] == [
        f"{key}:{i}" for i in range(3)
    ] and not listed["truncated"]
    few = server("GET", f"/v1/leases?limit=2&prefix={urllib.parse.quote(key)}").json
    assert len(few["leases"]) == 2 and few["truncated"]
    mine = server("GET", f"/v1/leases?owner=owner+1&prefix={urllib.parse.quote(key)}").json
    assert [lease["key"] for lease in mine["leases"]] == [f"{key}:1"]
    assert server("GET", "/v1/leases?malformed=true").json["leases"] == []
    assert server("GET", "/v1/leases?expired=true&all=false").status == 200


def test_admins_break(server, key):
    token = server.acquire(key).json["token"]
    path = path_of(key) + "/break"
    assert server("POST", path, {"reason": "stuck"}).status == 403
    assert server("POST", path, {}, token=ADMIN).status == 400
    wrong = server("POST", path, {"reason": "stuck", "token": token + 1}, token=ADMIN)
    assert wrong.status == 409 and wrong.json["code"] == "not_held"
    broken = server("POST", path, {"reason": "stuck", "by": "ops", "token": token}, token=ADMIN)
    assert broken.status == 200 and broken.json["holders"][0]["owner"] == "alice"
    released = server("GET", path_of(key)).json["released"]
    assert (released["how"], released["by"], released["reason"]) == ("break", "ops", "stuck")
    assert server("POST", path, {"reason": "stuck"}, token=ADMIN).status == 409


def test_what_cannot_be_read_is_held(server, ready, client, key):
    locks = client[ready.env["LEASEHOLD_DB"]].workspace_locks
    locks.insert_one({"workspace_id": key, "id": "x", "expires_at": [1]})
    busy = server.acquire(key)
    assert busy.status == 423 and busy.json["reason"] == "malformed"
    assert server("GET", path_of(key)).json["state"] == "malformed"
    locks.delete_one({"workspace_id": key})


# ---- waiting ----


def test_whoever_waits_is_granted_in_order(server, key):
    lease = server.held(key)
    waiting = [server.wait(key, f"w{i}") for i in range(3)]
    assert server.queue(key) == ["w0", "w1", "w2"]
    for i, connection in enumerate(waiting):
        server.release(key, lease)
        granted = Answer(connection.getresponse())
        assert granted.status == 201 and granted.json["owner"] == f"w{i}"
        assert granted.json["remaining_ms"] > 25000  # claimed: the whole ttl
        lease = granted.json["lease"]
    server.release(key, lease)


def test_a_wait_that_is_over_is_busy_and_leaves_the_queue(server, key):
    server.held(key)
    busy = server.acquire(key, "bob", wait_ms=300)
    assert busy.status == 423 and busy.json["holder"]["owner"] == "alice"
    assert server.queue(key) == []


@pytest.mark.parametrize("name", ["server", "loopback"])
def test_a_client_that_goes_away_leaves_the_queue(name, key, request):
    server = request.getfixturevalue(name)
    lease = server.held(key)
    waiting = server.wait(key, "bob")
    waiting.close()
    wait_until(lambda: server.queue(key) == [])
    server.release(key, lease)
    assert server("GET", path_of(key)).json["state"] == "free"


def test_a_client_may_not_wait_too_often(server, key):
    lease = server.held(key)
    waiting = [
        server.send("POST", path_of(key), {"owner": f"w{i}", "wait_ms": 20000}) for i in range(50)
    ]
    wait_until(lambda: len(server.queue(key)) == 50)
    refused = server.acquire(key, "w50", wait_ms=1000)
    assert (
        refused.status == 429
        and refused.json["code"] == "too_many_waits"
        and "Retry-After" in refused.headers
    )
    other = server("POST", path_of(key), {"owner": "other", "wait_ms": 50}, token=OTHER)
    assert other.status == 423
    threads = len(os.listdir(f"/proc/{server.process.pid}/task"))
    assert threads < 40, "a thread a wait"
    for connection in waiting:
        connection.close()
    wait_until(lambda: server.queue(key) == [])
    server.release(key, lease)
    assert server.acquire(key, "again", wait_ms=1000).status == 201


# ---- again ----


def test_the_same_request_again_is_the_same_grant(server, key):
    again = {"Idempotency-Key": secrets.token_hex(8)}
    first = server.acquire(key, "alice", again, ttl_ms=10000, mode="shared")
    second = server.acquire(key, "alice", again, ttl_ms=10000, mode="shared")
    assert first.status == second.status == 201
    assert {name: first.json[name] for name in ("lease", "token", "mode", "owner")} == {
        name: second.json[name] for name in ("lease", "token", "mode", "owner")
    }
    other = server.acquire(key, "bob", again)
    assert other.status == 422 and other.json["code"] == "idempotency_key"
    stranger = server(
        "POST",
        path_of(key),
        {"owner": "alice", "ttl_ms": 10000, "mode": "shared"},
        again,
        token=OTHER,
    )
    assert stranger.status == 201 and stranger.json["lease"] != first.json["lease"]
    assert server.release(key, first.json["lease"]).status == 200
    assert server.acquire(key, "alice", again, ttl_ms=10000, mode="shared").status == 410


def test_the_same_request_again_is_the_same_wait(server, key):
    again = {"Idempotency-Key": secrets.token_hex(8)}
    lease = server.held(key)
    first = server.wait(key, "bob", **again)
    second = server.send("POST", path_of(key), {"owner": "bob", "wait_ms": 20000}, again)
    wait_until(lambda: "leasehold_waiting 1\n" in server("GET", "/metrics").body.decode())
    first.close()  # and comes back: its place is kept
    third = server.send("POST", path_of(key), {"owner": "bob", "wait_ms": 20000}, again)
    second.close()
    time.sleep(0.2)
    assert server.queue(key) == ["bob"]
    server.release(key, lease)
    granted = Answer(third.getresponse())
    assert granted.status == 201
    assert server.acquire(key, "bob", again, wait_ms=20000).json["lease"] == granted.json["lease"]


def test_a_refusal_is_asked_anew(server, key):
    again = {"Idempotency-Key": "one"}
    lease = server.held(key)
    assert server.acquire(key, "bob", again).status == 423
    server.release(key, lease)
    assert server.acquire(key, "bob", again).status == 201


def test_who_waits_with_an_idempotency_key_and_does_not_come_back_leaves(server, key):
    server.held(key)
    server.wait(key, "bob", **{"Idempotency-Key": "gone"}).close()
    began = time.monotonic()
    wait_until(lambda: server.queue(key) == [])
    assert time.monotonic() - began > 1


# ---- what is refused ----


@pytest.mark.parametrize(
    "method,path,body,headers,status",
    [
        ("GET", "/nothing", None, {}, 404),
        ("GET", "/v1/leases/a/b", None, {}, 404),
        ("PUT", "/v1/leases/a", b"{}", {}, 405),
        ("DELETE", "/v1/leases", None, {}, 405),
        ("GET", "/v1/leases/a%0Ab", None, {}, 400),
        ("GET", "/v1/leases/a%zz", None, {}, 400),
        ("GET", "/v1/leases/a%4", None, {}, 400),
        ("GET", "/v1/leases/a%00b", None, {}, 400),
        ("GET", "/v1/leases/%ff", None, {}, 400),
        ("GET", "/v1/leases/", None, {}, 400),
        ("GET", "/v1/leases/" + "k" * 1025, None, {}, 400),
        ("GET", "/v1/leases/" + "k" * 9000, None, {}, 414),
        ("GET", "/v1/leases?onwer=x", None, {}, 400),
        ("GET", "/v1/leases?limit=0", None, {}, 400),
        ("GET", "/v1/leases?limit=1000001", None, {}, 400),
        ("GET", "/v1/leases?all=perhaps", None, {}, 400),
        ("GET", "/v1/leases?prefix=%zz", None, {}, 400),
        ("GET", "/v1/events?prefix=%ff", None, {}, 400),
        ("GET", "/healthz", None, {"X-Long": "x" * 9000}, 431),
        ("POST", "/v1/leases/a", None, {}, 400),
        ("POST", "/v1/leases/a", b"", {}, 400),
        ("POST", "/v1/leases/a", b"{}", {}, 400),
        ("POST", "/v1/leases/a", b"{", {}, 400),
        ("POST", "/v1/leases/a", b"[]", {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a"} {}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a"} x', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a"}\0', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a\\u0000b"}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"\xff"}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","owner":"b"}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":1}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":{"$oid":"000000000000000000000000"}}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","ttl":1}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","ttl_ms":999}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","ttl_ms":1500.5}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","ttl_ms":1e300}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","ttl_ms":99999999999999999999}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","ttl_ms":"30s"}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","wait_ms":-1}', {}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a","mode":"none"}', {}, 400),
        ("POST", "/v1/leases/a", b'{"a":' * 2000 + b"1" + b"}" * 2000, {}, 400),
        ("POST", "/v1/leases/a", json.dumps({"owner": "x" * 257}).encode(), {}, 400),
        (
            "POST",
            "/v1/leases/a",
            json.dumps({"owner": "x", "purpose": "x" * 1025}).encode(),
            {},
            400,
        ),
        ("POST", "/v1/leases/a", b'{"owner":"a"}', {"Idempotency-Key": ""}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a"}', {"Idempotency-Key": "x" * 256}, 400),
        ("POST", "/v1/leases/a", b'{"owner":"a"}', {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/leases/a", b'{"owner":"a"}', {"Content-Type": "application/jsonx"}, 415),
        ("POST", "/v1/leases/a", b" " * 17000, {}, 413),
        ("PATCH", "/v1/leases/a", None, {}, 400),
        ("PATCH", "/v1/leases/a", None, {"Lease-Id": "x"}, 400),
        ("PATCH", "/v1/leases/a", None, {"Lease-Id": "F" * 32}, 400),
        ("PATCH", "/v1/leases/a", b'{"ttl_ms":1}', {"Lease-Id": "f" * 32}, 400),
        ("PATCH", "/v1/leases/a", None, {"Lease-Id": "f" * 32}, 410),
        ("DELETE", "/v1/leases/a", None, {}, 400),
        ("DELETE", "/v1/leases/a", b'{"what":1}', {"Lease-Id": "f" * 32}, 400),
        (
            "DELETE",
            "/v1/leases/a",
            json.dumps({"note": "x" * 1025}).encode(),
            {"Lease-Id": "f" * 32},
            400,
        ),
        ("DELETE", "/v1/leases/a", b'{"note":"a\\u001bb"}', {"Lease-Id": "f" * 32}, 400),
        ("GET", "/v1/leases/a/session", None, {}, 400),
        ("GET", "/v1/leases/a/session", None, {"Lease-Id": "f" * 32}, 410),
        ("POST", "/v1/leases/a/session", b"{}", {"Lease-Id": "f" * 32}, 405),
    ],
)
def test_bad_requests(server, method, path, body, headers, status):
    answer = server(method, path, body, headers)
    assert answer.status == status, answer.body
    if status == 405:
        assert answer.headers["Allow"] == (
            "GET, POST"
            if path == "/v1/leases"
            else "GET"
            if path.endswith("/session")
            else "GET, POST, PATCH, DELETE"
        )


def test_a_key_is_kept_after_its_release(server):
    lease = server.held("kept")
    assert server.release("kept", lease, {"keep_ms": -1}).status == 400
    assert server.release("kept", lease, {"keep_ms": 1000}).status == 200
    (holder,) = server("GET", path_of("kept")).json["holders"]
    assert holder["kept"] is True and holder["remaining_ms"] <= 1000
    busy = server.acquire("kept")
    assert busy.status == 423 and busy.json["holder"]["kept"] is True
    assert server.acquire("kept", owner="bob", wait_ms=20000).status == 201
    shared = server.acquire("kept-shared", mode="shared").json["lease"]
    assert server.release("kept-shared", shared, {"keep_ms": 1000}).status == 400


def test_a_note_goes_to_who_is_granted_next(server):
    lease = server.held("noted")
    waiter = server.wait("noted", "bob")
    assert server.release("noted", lease, {"note": "etag 7"}).status == 200
    granted = Answer(waiter.getresponse()).json
    assert (
        granted["owner"] == "bob"
        and granted["note"]["text"] == "etag 7"
        and granted["note"]["token"] < granted["token"]
    )
    assert server("GET", path_of("noted")).json["note"] == granted["note"]
    assert server.release("noted", granted["lease"]).status == 200
    assert server.acquire("noted").json["note"] is None


def test_a_body_in_chunks_has_the_same_bound(server):
    connection = server.connect()
    connection.request(
        "POST",
        "/v1/leases/a",
        (b" " * 1000 for _ in range(30)),
        server.head({"Content-Type": "application/json"}),
        encode_chunked=True,
    )
    assert Answer(connection.getresponse()).status == 413


def test_an_endless_body_is_cut_off(server):
    connection = server.connect()
    connection.connect()
    connection.sock.sendall(
        b"POST /v1/leases/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + CLIENT.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(4000):
            connection.sock.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
    assert server("GET", "/healthz").status == 200


def test_half_a_request_does_no_harm(server):
    for half in (
        b"GET",
        b"GET /v1/leases HTTP/1.1\r\nHost:",
        b"POST /v1/leases/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ):
        connection = server.connect()
        connection.connect()
        connection.sock.sendall(half)
        connection.close()
    connection = server.connect()
    connection.connect()
    connection.sock.sendall(b"\0\1\2 / HTTP/9\r\n\r\n")
    connection.close()
    assert server("GET", "/healthz").status == 200


def test_connections_are_used_again(server, key):
    connection = server.connect()
    for owner, status in (("alice", 201), ("bob", 423), ("carol", 423)):
        connection.request(
            "POST",
            path_of(key),
            json.dumps({"owner": owner}),
            server.head({"Content-Type": "application/json; charset=utf-8"}),
        )
        response = connection.getresponse()
        assert response.status == status
        response.read()
    connection.close()


# ---- who may ----


def test_tokens(server, key):
    def raw(authorization):
        connection = server.connect()
        connection.request("GET", "/v1/leases", headers=authorization)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    for authorization in (
        {},
        {"Authorization": "Bearer wrong-token-0123456789"},
        {"Authorization": f"Basic {CLIENT}"},
        {"Authorization": f"Bearer {CLIENT}x"},
        {"Authorization": f"Bearer {CLIENT[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer # a comment"},
        {"Authorization": f"Bearer {COMMENTED}"},
    ):
        answer = raw(authorization)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    for token in (CLIENT, OTHER, ADMIN):
        assert raw({"Authorization": f"bearer {token}"}).status == 200
    assert (
        server("POST", "/v1/leases/a/break", {"reason": "x"}, token="wrong-token-0123456789").status
        == 401
    )
    assert server("GET", "/healthz", token="wrong-token-0123456789").status == 200
    assert server("GET", "/readyz").json["outcome"] == "ready"


def test_without_tokens_nobody_breaks_and_only_loopback_is_served(loopback, ready, tokens, key):
    assert loopback.acquire(key).status == 201
    assert loopback("POST", path_of(key) + "/break", {"reason": "x"}).status == 403
    assert loopback("GET", "/v1/leases", headers={"Host": "evil.example"}).status == 421
    result = ready("serve", "--listen", "0.0.0.0:0")
    assert result.exit == 78 and "--token-file" in result.err
    everywhere = Server(
        ready, "--listen", "0.0.0.0:0", "--token-file", tokens / "clients", token=CLIENT
    )
    assert everywhere("GET", "/v1/leases", headers={"Host": "leases.example"}).status == 200
    everywhere.end()


def test_tokens_are_read_again(ready, tmp_path):
    file = tmp_path / "tokens"
    file.write_text(CLIENT + "\n")
    file.chmod(0o640)
    server = Server(ready, "--listen", "127.0.0.1:0", "--token-file", file)
    assert server("GET", "/v1/leases", token=CLIENT).status == 200
    assert not any("everybody" in line for line in server.log)
    file.chmod(0o644)
    file.write_text(OTHER + "\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server("GET", "/v1/leases", token=OTHER).status == 200)
    wait_until(lambda: any("everybody" in line and str(file) in line for line in server.log))
    assert server("GET", "/v1/leases", token=CLIENT).status == 401
    file.write_text("short\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("stay as they were" in line for line in server.log))
    assert server("GET", "/v1/leases", token=OTHER).status == 200
    log = server.end(signal.SIGINT)
    assert "short" not in log.replace("shortest", "") and OTHER not in log


@pytest.mark.parametrize(
    "args,exit",
    [
        (["--listen", "nowhere"], 64),
        (["--listen", "unix:"], 64),
        (["--listen", "127.0.0.1:port"], 64),
        (["--listen", "127.0.0.1:65536"], 64),
        (["--listen", "127.0.0.1:99999999999999999999999"], 64),
        (["--listen", "127.0.0.1:0", "--token-file", "/nowhere/tokens"], 78),
        (["--listen", "127.0.0.1:0", "--token-file", "/dev/null"], 78),
        (["--listen", "127.0.0.1:0", "--admin-token-file", "/dev/null"], 64),
        (["--listen", "unix:/dev/null"], 78),
        ([], 64),
    ],
)
def test_bad_starts(ready, args, exit):
    result = ready("serve", *args, env={"XDG_RUNTIME_DIR": ""})
    assert result.exit == exit, result


def test_a_socket_that_was_left_behind_is_taken_over(ready, tmp_path):
    path = tmp_path / "leasehold.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    server = Server(ready, "--listen", f"unix:{path}")
    assert server("GET", "/readyz").status == 200
    assert ready("serve", "--listen", f"unix:{path}").exit == 78
    assert ready("serve", "--probe", "--listen", f"unix:{path}").exit == 0
    assert server("GET", "/readyz").status == 200
    server.end()


def test_what_is_protected_is_not_broken(ready, tokens, key):
    protected = Server(
        WithEnvironment(ready, {"LEASEHOLD_PROTECT": "break"}),
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        tokens / "clients",
        "--admin-token-file",
        tokens / "admins",
        token=ADMIN,
    )
    protected.held(key)
    refused = protected("POST", path_of(key) + "/break", {"reason": "stuck"})
    assert refused.status == 403 and refused.json["code"] == "protected"
    protected.end()
    assert ready("serve", env={"LEASEHOLD_PROTECT": "brake"}).exit == 78


# ---- events ----


def test_events_as_they_happen(server, key):
    stream, filtered = Stream(server), Stream(
        server, f"/v1/events?prefix={urllib.parse.quote(key + ':b')}"
    )
    assert stream.next()["event"] == filtered.next()["event"] == "opened"
    late = []
    for i in range(20):
        at = time.time()
        server.held(f"{key}:{'ab'[i % 2]}:{i}")
        granted = stream.next_of("granted", f"{key}:{'ab'[i % 2]}:{i}")
        late.append(granted["came"] - at)
        if i % 2:
            assert filtered.next_of("granted", f"{key}:b:{i}")["id"] == granted["id"]
    print(
        f"seen {1000 * sorted(late)[len(late) // 2]:.0f} ms after the request was sent,"
        f" {1000 * max(late):.0f} ms at most"
    )
    again = Stream(server, **{"Last-Event-ID": granted["id"]})
    again.next()
    lease = server.held(f"{key}:c")
    assert again.next_of("granted", f"{key}:c")["owner"] == "alice"
    server.release(f"{key}:c", lease)
    behind = Stream(server, **{"Last-Event-ID": granted["id"]})
    assert [behind.next()["event"] for _ in range(3)] == ["opened", "granted", "released"]
    unknown = Stream(server, **{"Last-Event-ID": "1.1.1"})
    assert [unknown.next()["event"] for _ in range(2)] == ["opened", "gap"]
    for each in (stream, filtered, again, behind, unknown):
        each.connection.close()


def test_who_does_not_read_holds_nobody_up(server, key):
    idle = Stream(server)
    stream = Stream(server)
    stream.next()
    for i in range(100):
        server.held(f"{key}:{i}")
    assert stream.next_of("granted", f"{key}:99")
    idle.connection.close()
    stream.connection.close()


# ---- what it says of itself ----


def test_generators_of_clients_get_along_with_the_specification():
    """A token needs 64 bits; and null where an object may be lets nothing be required in it."""

    def look(node, name=""):
        if isinstance(node, list):
            for each in node:
                look(each, name)
        elif isinstance(node, dict):
            kinds = node.get("type", [])
            kinds = kinds if isinstance(kinds, list) else [kinds]
            assert "integer" not in kinds or node["format"] == "int64", (name, node)
            assert "null" not in kinds or "required" not in node, (name, node)
            for key, each in node.items():
                look(each, key)

    look(SPEC)


def test_routes_and_specification_agree(server):
    counted = server("GET", "/metrics").body.decode()
    routes = set(re.findall(r'requests_total\{method="([A-Z]+)",route="([^"]+)"', counted))
    assert routes == {
        (method.upper(), path)
        for path, item in SPEC["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert server("GET", "/openapi.json").json == SPEC and SPEC["openapi"].startswith("3.1")
    for path, item in SPEC["paths"].items():
        there = [method.upper() for method in item if method != "parameters"]
        answer = server("PUT", path.replace("{key}", "k"), b"{}")
        assert answer.status == 405 and answer.headers["Allow"].split(", ") == there
        for method, operation in item.items():
            if method != "parameters":
                known = {
                    p["name"] for p in operation.get("parameters", []) if p.get("in") == "query"
                }
                good = server(
                    method.upper(), path.replace("{key}", "k") + "?nonsense=1", token=ADMIN
                )
                assert good.status == 400 and "nonsense" in good.json["detail"]
                for name in known - {"prefix", "owner", "key"}:
                    bad = server(method.upper(), f"{path}?{name}=nonsense")
                    assert bad.status == 400 and name in bad.json["detail"]
    assert server("HEAD", "/healthz").status == 200


def test_metrics_are_in_prometheus_format(server, key):
    names = {}
    server.acquire(key)
    lines = server("GET", "/metrics").body.decode().splitlines()
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in names
            names[name] = kind
        elif not line.startswith("# HELP "):
            found = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+', line)
            assert found, line
            name = (
                re.sub("_(bucket|sum|count)$", "", found[1])
                if names.get(found[1]) is None
                else found[1]
            )
            assert name in names and (names[name] != "counter" or name.endswith("_total")), line
    assert (
        names["leasehold_wait_seconds"]
        == names["leasehold_store_round_trip_seconds"]
        == "histogram"
    )
    assert any(
        re.fullmatch(
            r'leasehold_store_commands_total\{operation="acquire",outcome="ok"\} [1-9]\d*', line
        )
        for line in lines
    )


def test_alerts_and_dashboard_name_what_there_is(server, key):
    server.acquire(key, wait_ms=10)
    counted = server("GET", "/metrics").body.decode()
    there = set(re.findall(r"^(leasehold_[a-z_]+)", counted, re.M))
    tools = Path(__file__).parents[2] / "tools/dist"
    outcomes = {"unreachable", "unknown", "server", "denied", "config", "lost", "ok", "failed"}
    dashboard = json.loads((tools / "grafana/leasehold.json").read_text())
    for text in ((tools / "prometheus/alerts.yml").read_text(), json.dumps(dashboard)):
        named = set(re.findall(r"leasehold_[a-z_]+(?=[{}\[,) >])", text))
        assert len(named) > 5 and named <= there, named - there
        for words in re.findall(r'outcome=~?\\?"([a-z|]+)', text):
            assert set(words.split("|")) <= outcomes
        for words in re.findall(r'call=~?\\?"([a-z|]+)', text):
            assert set(words.split("|")) <= set(re.findall(r'call="([a-z]+)"', counted))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 10


def test_the_log_is_a_line_a_request(server, key):
    server.acquire(key, "alice", {"Idempotency-Key": "not-to-be-logged"})
    line = wait_until(
        lambda: next((line for line in server.log if urllib.parse.quote(key) in line), None)
    )
    entry = json.loads(line)
    assert (
        entry["method"] == "POST" and entry["status"] == 201 and entry["sent"] and entry["us"] > 0
    )
    assert entry["path"] == path_of(key) and entry["client"] == f"uid {os.getuid()}"
    assert not any("not-to-be-logged" in line for line in server.log)


# ---- beginning and end ----


def test_a_probe_asks_whether_a_server_answers(ready, server, key, tmp_path):
    nowhere = [f"unix:{tmp_path}/nothing", "127.0.0.1:1"]
    assert ready("serve", "--probe", "--listen", server.name.removeprefix("http://")).exit == 0
    for address in nowhere:
        refused = ready("serve", "--probe", "--listen", address)
        assert refused.exit == 69 and "no server responds" in refused.err, refused
    assert ready("serve", "--probe", "--listen", "nonsense").exit == 64
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(
            target=lambda: other.accept()[0].sendall(b"SSH-2.0-something\r\n"), daemon=True
        ).start()
        refused = ready("serve", "--probe", "--listen", "127.0.0.1:%d" % other.getsockname()[1])
        assert refused.exit == 69 and "does not reply" in refused.err, refused


def test_it_ends_in_good_order(ready, key, tmp_path):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    server = Server(
        WithEnvironment(ready, {"NOTIFY_SOCKET": str(tmp_path / "notify")}),
        "--listen",
        "127.0.0.1:0",
    )
    assert notify.recv(100) == b"READY=1"
    server.held(key)
    waiting = server.wait(key, "bob", **{"Idempotency-Key": "bob"})
    twin = server.send(
        "POST", path_of(key), {"owner": "bob", "wait_ms": 20000}, {"Idempotency-Key": "bob"}
    )
    other = server.wait(key, "carol")
    stream = Stream(server)
    while stream.next()["event"] != "opened":
        pass
    time.sleep(0.1)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for connection in (waiting, twin, other):
        answer = Answer(connection.getresponse())
        assert answer.status == 503 and answer.json["code"] == "stopping"
    with pytest.raises(EOFError):
        stream.next()
    assert server.process.wait(timeout=20) == 0 and time.monotonic() - began < 10
    assert notify.recv(100) == b"STOPPING=1"
    status = ready("--json", "status", key).json
    assert status["holders"][0]["owner"] == "alice" and status["waiters"] == []
    with pytest.raises(ConnectionRefusedError):
        server("GET", "/healthz")


def test_a_database_that_is_gone_is_503(offline):
    env = {"LEASEHOLD_URI": "mongodb://127.0.0.1:1/"}
    server = Server(WithEnvironment(offline, env), "--listen", "127.0.0.1:0", "--timeout", "300ms")
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda i: server.acquire(f"k{i}"), range(40)))
    assert {(answer.status, answer.json["code"], answer.json["reason"]) for answer in answers} == {
        (503, "unreachable", "no_server")
    }
    assert answers[0].headers["Retry-After"] == "1"
    assert server("GET", "/readyz").status == 503 and server("GET", "/healthz").status == 200
    assert server.acquire("k", wait_ms=1000).status == 503
    assert server("GET", "/v1/leases").status == 503
    server.end()


def test_a_database_that_refuses_is_502(cli, locks, database):
    """Asking again would not help: no Retry-After."""
    server = Server(cli, "--listen", "127.0.0.1:0")
    database.command("collMod", locks.name, validator={"user_id": {"$exists": True}})
    answer = server.acquire("k")
    assert (
        answer.status == 502
        and answer.json["code"] == "config"
        and "validator" in answer.json["detail"]
    ), answer.json
    assert "Retry-After" not in answer.headers
    database.command("collMod", locks.name, validator={})
    assert server.acquire("k").status == 201
    server.end()
