# SPDX-License-Identifier: Apache-2.0
"""The programs to copy from, tools/examples/http: with curl, and with Node's fetch."""
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests
from conftest import wait_until
from serving import (
    ADMIN,
    CLIENT,
    Server,
    path_of,
    ready,
    tokens,
)  # noqa: F401  (fixtures among them)

EXAMPLES = Path(__file__).parents[2] / "tools/examples/http"
TTL_MS = 2500


@pytest.fixture(scope="module")
def server(ready, tokens):
    server = Server(
        ready,
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        tokens / "clients",
        "--admin-token-file",
        tokens / "admins",
        token=CLIENT,
    )
    yield server
    server.end()


@pytest.fixture(scope="module")
def env(server):
    return os.environ | {
        "LEASEHOLD_HTTP": server.name,
        "LEASEHOLD_TOKEN": CLIENT,
        "TTL_MS": str(TTL_MS),
    }


class App:
    """The program, and a browser."""

    def __init__(self, env, *command):
        self.process = subprocess.Popen(
            [*command, "0"], env=env, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.url = self.process.stdout.readline().split("/plan")[0]
        self.browser = requests.Session()

    def __call__(self, path):
        reply = self.browser.get(self.url + path, timeout=20)
        return reply.status_code, reply.text

    def stream(self, path):
        return self.browser.get(self.url + path, timeout=20, stream=True)

    def end(self):
        self.process.kill()
        self.process.wait(timeout=10)


def expect_busy(answer):
    status, text = answer
    assert status == 423 and "<b>alice</b> is editing" in text
    assert 1 <= int(re.search(r'<span id="seconds">(\d+)</span>', text)[1]) <= TTL_MS // 1000 + 1


@pytest.fixture
def old_lock(ready, client):
    """A lock of older code, without a name and without an end."""
    locks = client[ready.env["LEASEHOLD_DB"]].workspace_locks
    locks.insert_one({"workspace_id": "workspace:old", "id": "x"})
    yield
    locks.delete_one({"workspace_id": "workspace:old"})


def expect_old_lock(app):
    status, text = app("/old?user=alice")
    assert (
        status == 423
        and "<b>somebody</b> is editing" in text
        and re.search(r'<span id="seconds">[1-9]\d*</span>', text)
    ), text


def test_node_with_a_session(env, server, old_lock):
    node = shutil.which("node")
    assert node, "node is not installed: scripts/setup test"
    app = App(env, node, EXAMPLES / "workspace.mjs")
    expect_old_lock(app)
    status, text = app("/node?user=alice")
    assert status == 200 and "You are editing, alice" in text
    page = app.stream("/node/open?user=alice")
    lines = page.iter_lines()
    assert next(lines) == b"event: renewed"
    until = time.monotonic() + 2 * TTL_MS / 1000
    while time.monotonic() < until:
        expect_busy(app("/node?user=bob"))
        time.sleep(TTL_MS / 3000)
    page.close()
    wait_until(lambda: app("/node?user=bob")[0] == 200)
    assert next(app.stream("/node/open?user=alice").iter_lines()) == b"event: lost"
    app.end()


def test_node_after_a_restart(env, server):
    first = App(env, shutil.which("node"), EXAMPLES / "workspace.mjs")
    assert first("/restart%20a?user=alice")[0] == 200
    first.end()
    second = App(env, shutil.which("node"), EXAMPLES / "workspace.mjs")
    second.browser = first.browser
    assert "You are editing, alice" in second("/restart%20a?user=alice")[1]
    assert second("/%ff?user=alice")[0] == 400
    expect_busy(second("/restart%20a?user=bob"))
    second.end()


def test_curl_with_a_session(env, server, tmp_path):
    script = EXAMPLES / "rebuild.sh"

    def rebuild(*command):
        return subprocess.Popen(
            [script, "curl", *command],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    first = rebuild("sh", "-c", f"echo 1 >>{tmp_path}/log; sleep 1; echo 2 >>{tmp_path}/log")
    wait_until((tmp_path / "log").exists)
    wait_until(lambda: "leasehold_sessions 1\n" in server("GET", "/metrics").body.decode(), 30)
    second = rebuild("sh", "-c", f"echo 3 >>{tmp_path}/log; exit 5")
    assert first.wait(timeout=60) == 0, first.communicate()
    assert second.wait(timeout=60) == 5, second.communicate()
    assert (tmp_path / "log").read_text() == "1\n2\n3\n"
    assert server("GET", path_of("curl")).json["state"] == "free"
    # The work ends with the lease.
    lost = rebuild("sleep", "30")
    wait_until(lambda: "leasehold_sessions 1\n" in server("GET", "/metrics").body.decode(), 30)
    broken = server("POST", path_of("curl") + "/break", {"reason": "test"}, token=ADMIN)
    assert broken.json["holders"][0]["purpose"] == "rebuild"
    assert lost.wait(timeout=60) == 143
    env = env | {"LEASEHOLD_TOKEN": "not a token that is known"}
    refused = rebuild("true")
    assert refused.wait(timeout=60) == 69 and "unauthorized" in refused.stderr.read()
