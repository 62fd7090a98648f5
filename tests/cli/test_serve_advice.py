# SPDX-License-Identifier: Apache-2.0
"""Advice of `leasehold serve` does what it says: in its problems by HTTP, and in what it says when
it starts."""
import re
import secrets
import shutil
import signal
import socket
import subprocess

import pytest
from advice import ROOT
from conftest import BINARY, wait_until
from serving import (  # noqa: F401  (fixtures among them)
    ADMIN,
    CLIENT,
    OTHER,
    Answer,
    Server,
    key,
    loopback,
    path_of,
    ready,
    server,
    tokens,
)

TEXT = {"Content-Type": "text/plain"}


def refused(server, *request, status=400):
    answer = server(*request)
    assert answer.status == status, answer.body
    return answer.json["detail"]


@pytest.mark.parametrize(
    "wrong, detail, right",
    [
        (("POST", {"wait_ms": 0}), '"owner" is missing', ("POST", {"owner": "ann"})),
        (
            ("POST", {"owner": "ann", "mode": "none"}),
            '"exclusive" or "shared"',
            ("POST", {"owner": "ann", "mode": "shared"}),
        ),
        (
            ("POST", {"owner": "ann", "mode": "none"}),
            '"exclusive" or "shared"',
            ("POST", {"owner": "ann", "mode": "exclusive"}),
        ),
        (
            ("POST", {"owner": "ann", "wait_ms": -1}),
            "0 or more",
            ("POST", {"owner": "ann", "wait_ms": 0}),
        ),
        (
            ("POST", {"owner": "ann"}, {"Idempotency-Key": "x" * 256}),
            "1 to 255 printable ASCII",
            ("POST", {"owner": "ann"}, {"Idempotency-Key": "~ " * 127 + "!"}),
        ),
        (("POST", {"owner": 1}), "must be a string", ("POST", {"owner": "1"})),
        (("POST", {"owner": "a\0b"}), "without a NUL", ("POST", {"owner": "ab"})),
        (
            ("POST", {"owner": "ann", "ttl_ms": 1500.5}),
            "a whole number",
            ("POST", {"owner": "ann", "ttl_ms": 1500}),
        ),
        (
            ("POST", {"owner": "ann", "ttl": 1}),
            "is not a field of this body",
            ("POST", {"owner": "ann"}),
        ),
        (("POST", [{"owner": "ann"}]), "one JSON object", ("POST", {"owner": "ann"})),
        (
            ("POST", {"owner": "ann"}, TEXT),
            "Content-Type: application/json",
            ("POST", {"owner": "ann"}, {"Content-Type": "application/json"}),
        ),
        (
            ("DELETE",),
            "Send the lease id in the header Lease-Id",
            ("DELETE", None, {"Lease-Id": "MINE"}),
        ),
        (
            ("PATCH", None, {"Lease-Id": "F" * 32}),
            "32 digits of lower-case hexadecimal",
            ("PATCH", None, {"Lease-Id": "MINE"}),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_request_that_is_wrong(server, key, wrong, detail, right):
    lease = server.held(key) if "MINE" in str(right) else None
    path = path_of(key)
    assert detail in refused(
        server, wrong[0], path, *wrong[1:], status=415 if TEXT in wrong else 400
    )
    method, *rest = right
    answer = server(
        method,
        path,
        *[{"Lease-Id": lease} if part == {"Lease-Id": "MINE"} else part for part in rest],
    )
    assert answer.status in (200, 201), answer.body


@pytest.mark.parametrize(
    "wrong, detail, right",
    [
        ("/v1/leases?limit=0", "1 to 1000000", "/v1/leases?limit=1"),
        ("/v1/leases?limit=2000000", "1 to 1000000", "/v1/leases?limit=1000000"),
        ("/v1/leases?all=perhaps", "true or false", "/v1/leases?all=true"),
        ("/v1/leases?all=perhaps", "true or false", "/v1/leases?all=false"),
        ("/v1/leases?prefix=%ff", "percent-encoded UTF-8", "/v1/leases?prefix=%C3%A4"),
        ("/v1/leases?onwer=x", 'no argument "onwer"', "/v1/leases?owner=x"),
        ("/v1/leases?limit=1&limit=2", "given twice", "/v1/leases?limit=1"),
        ("/v1/leases/a%zz", "two hexadecimal digits", "/v1/leases/a%25zz"),
        ("/v1/leases?" + "&".join(["limit=1"] * 70), "too many arguments", "/v1/leases?limit=1"),
        ("/v1/busy?after=x", '"next" of an earlier reply', "/v1/busy?after=NEXT"),
    ],
)
def test_an_argument_that_is_wrong(server, wrong, detail, right):
    connection = server.send("GET", wrong)
    answer = Answer(connection.getresponse())
    assert answer.status == 400 and detail in answer.json["detail"], answer.body
    right = right.replace("NEXT", str(server("GET", "/v1/busy").json.get("next")))
    assert server("GET", right).status == 200


def test_a_path_with_nothing_there(server, key):
    detail = refused(server, "GET", "/v1/leases/a/b", status=404)
    assert "/openapi.json" in detail and "%2F" in detail
    paths = server("GET", "/openapi.json").json["paths"]
    assert "/v1/leases/{key}" in paths and server("GET", "/v1/leases/a%2Fb").json["key"] == "a/b"
    wrong = server("PUT", path_of(key), {})
    assert (
        wrong.status == 405 and wrong.json["detail"] == "this path takes " + wrong.headers["Allow"]
    )
    assert server(wrong.headers["Allow"].split(", ")[0], path_of(key)).status == 200
    assert "takes no body here" in refused(server, "GET", path_of(key), {})


@pytest.mark.parametrize("field", ["owner", "purpose"])
def test_a_text_that_is_too_long(server, key, field):
    body = {"owner": "ann", field: "ä" * 2000}
    assert "see maxLength in /openapi.json (bytes of UTF-8)" in refused(
        server, "POST", path_of(key), body
    )
    text = server("GET", "/openapi.json").body.decode()
    longest = int(re.search(rf'"{field}":\s*{{[^{{}}]*"maxLength":\s*(\d+)', text)[1])
    body[field] = "ä" * (longest // 2)
    assert server("POST", path_of(key), body).status == 201
    body[field] += "x"
    assert server("POST", path_of(key + ":2"), body).status == 400


def test_an_idempotency_key_that_is_spent(server, key):
    def ask(again, **body):
        return server.acquire(key, "ann", {"Idempotency-Key": again}, **body)

    name = secrets.token_hex(8)
    lease = ask(name).json["lease"]
    other = ask(name, ttl_ms=5000)
    assert other.status == 422 and "use a new key" in other.json["detail"]
    server.release(key, lease)
    over = ask(name)
    assert over.status == 410 and "use a new key" in over.json["detail"]
    assert ask(name + "2", ttl_ms=5000).status == 201


def test_who_may_not_is_told_how(server, loopback, ready, tokens, key):
    unknown = server("GET", "/v1/leases", token="x" * 20)
    assert "Authorization: Bearer TOKEN" in unknown.json["detail"]
    assert server("GET", "/v1/leases", headers={"Authorization": "Bearer " + CLIENT}).status == 200
    server.held(key)
    path, body = path_of(key) + "/break", {"reason": "r"}
    assert "an admin's token" in refused(server, "POST", path, body, status=403)
    assert server("POST", path, body, token=ADMIN).status == 200
    detail = refused(loopback, "GET", "/v1/leases", None, {"Host": "evil.example"}, status=421)
    names = re.search(
        r"only requests whose Host header names (\S+), (\S+) or (\S+)", detail
    ).groups()
    assert [loopback("GET", "/v1/leases", headers={"Host": name}).status for name in names] == [
        200
    ] * 3
    held = server.held(key + ":2")
    assert (
        '"reason" is missing'
        in server("POST", path_of(key + ":2") + "/break", {}, token=ADMIN).json["detail"]
        and held
    )
    assert (
        server("POST", path_of(key + ":2") + "/break", {"reason": "r"}, token=ADMIN).status == 200
    )


def test_where_to_listen(ready, tokens, tmp_path):
    def said(*args):
        result = ready("serve", *args, env={"XDG_RUNTIME_DIR": ""})
        assert result.exit in (64, 78), result
        return result.err

    def serves(*args):
        server = Server(ready, *args)
        assert server("GET", "/healthz").status == 200
        server.end()

    nowhere = said()
    assert "--listen unix:PATH or HOST:PORT" in nowhere and "XDG_RUNTIME_DIR" in nowhere
    assert "unix:PATH or HOST:PORT, like 127.0.0.1:8080" in said("--listen", "nowhere")
    serves("--listen", f"unix:{tmp_path}/s")
    serves("--listen", "127.0.0.1:0")
    assert "at most 65535" in said("--listen", "127.0.0.1:65536")
    assert "a path of 1 to 107 bytes" in said("--listen", f"unix:{tmp_path}/" + "x" * 108)
    assert "give --token-file, or listen on 127.0.0.1" in said("--listen", "0.0.0.0:0")
    serves("--listen", "0.0.0.0:0", "--token-file", tokens / "clients")
    assert "needs --token-file" in said(
        "--listen", "127.0.0.1:0", "--admin-token-file", tokens / "admins"
    )
    serves(
        "--listen",
        "127.0.0.1:0",
        "--admin-token-file",
        tokens / "admins",
        "--token-file",
        tokens / "clients",
    )
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.bind(str(tmp_path / "used"))
    assert "Listen elsewhere, or remove the socket" in said("--listen", f"unix:{tmp_path}/used")
    serves("--listen", f"unix:{tmp_path}/elsewhere")
    (tmp_path / "used").unlink()
    serves("--listen", f"unix:{tmp_path}/used")


@pytest.mark.parametrize(
    "wrong, advice, right",
    [
        (f"{CLIENT}\n{OTHER}\n{CLIENT}\n", "remove one of the two", f"{CLIENT}\n{OTHER}\n"),
        (f"{CLIENT} {OTHER}\n", "one token on each line", f"{CLIENT}\n{OTHER}\n"),
        (f"na/me:{CLIENT}\n", "is written :TOKEN", f":na/me:{CLIENT}\n"),
        (f"{'n' * 65}:{CLIENT}\n", "1 to 64 of A-Z a-z 0-9 . _ @ -", f"{'n' * 64}:{CLIENT}\n"),
        (f"{CLIENT}\u00e4\n", "printable ASCII", f"{CLIENT}a\n"),
        ("short\n", "16 to 256 characters", f"{'t' * 16}\n{'u' * 256}\n"),
        (f"\ufeff{CLIENT}\n", "save it as plain ASCII", f"{CLIENT}\n"),
        (f"{CLIENT}\0\n", "plain text", f"{CLIENT}\n"),
        (f"{CLIENT}\r{OTHER}\r", "end with a line feed", f"{CLIENT}\n{OTHER}\n"),
        (
            "".join(f"{CLIENT}{i}\n" for i in range(65)),
            "64 tokens at most",
            "".join(f"{CLIENT}{i}\n" for i in range(64)),
        ),
    ],
)
def test_a_token_file_that_is_wrong(ready, tmp_path, wrong, advice, right):
    file = tmp_path / "tokens"
    file.write_text(wrong)
    options = ("--listen", "127.0.0.1:0", "--token-file", file)
    result = ready("serve", *options)
    assert result.exit == 78 and advice in result.err, result
    file.write_text(right)
    server = Server(ready, *options)
    for line in right.splitlines():
        token = re.sub(r"^[^:]*:", "", line)
        assert server("GET", "/v1/whoami", token=token).json["may"] == "call", line
    server.end()


def test_a_token_file_that_everybody_may_read(ready, tmp_path):
    file = tmp_path / "tokens"
    file.write_text(CLIENT + "\n")
    file.chmod(0o644)
    server = Server(ready, "--listen", "127.0.0.1:0", "--token-file", file)
    line = wait_until(lambda: next((line for line in server.log if "chmod o= it" in line), None))
    server.end()
    assert str(file) in line
    subprocess.run(["chmod", re.search(r"chmod (\S+) it", line)[1], file], check=True)
    server = Server(ready, "--listen", "127.0.0.1:0", "--token-file", file)
    assert "chmod" not in server.end()


def test_a_server_that_ends_is_asked_again(ready, key):
    server = Server(ready, "--listen", "127.0.0.1:0")
    lease = server.held(key)
    waiting = server.wait(key, "bob")
    server.process.send_signal(signal.SIGTERM)
    answer = Answer(waiting.getresponse())
    assert answer.status == 503 and "nothing is held: try again" in answer.json["detail"]
    assert server.process.wait(timeout=20) == 0
    server = Server(ready, "--listen", "127.0.0.1:0")
    assert server.queue(key) == []
    waiting = server.wait(key, "bob")
    server.release(key, lease)
    assert Answer(waiting.getresponse()).status == 201
    server.end()


@pytest.mark.parametrize("command", ["serve", "torture"])
def test_a_command_that_is_not_installed_names_a_package_that_there_is(offline, tmp_path, command):
    """The command line alone, away from the programs beside it; put there, the program is found."""
    alone = tmp_path / "leasehold"
    shutil.copy(BINARY, alone)
    env = offline.env | {"PATH": str(tmp_path)}
    said = subprocess.run([alone, command, "--help"], env=env, capture_output=True, text=True)
    if said.returncode == 0:  # its help is the command line's
        said = subprocess.run(
            [alone, command, "--yes"] if command == "torture" else [alone, command],
            env=env,
            capture_output=True,
            text=True,
        )
    name = re.search(r"the program (\S+) is not installed", said.stderr)[1]
    packages = "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in (ROOT / "scripts").glob("deb*")
        if path.is_file()
    )
    packages += "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "tools/dist").rglob("control*")
        if path.is_file()
    )
    assert name in packages
    shutil.copy(BINARY.parent / name, tmp_path / name)
    found = subprocess.run([alone, command, "--nonsense"], env=env, capture_output=True, text=True)
    assert found.returncode == 64 and "there is no option --nonsense" in found.stderr, found
