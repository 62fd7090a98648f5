# SPDX-License-Identifier: Apache-2.0
"""Waiting in the key's queue: order, deadlines, signals, kills, and the line on the terminal."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pytest
from conftest import wait_until


def queued(locks):
    return len((locks.find_one({"workspace_id": "k"}) or {}).get("waiters", {}))


def start_waiting(cli, locks, *args, **options):
    """Starts the program and waits until it stands in the queue."""
    before = queued(locks)
    process = cli.start(*args, **options)
    wait_until(lambda: queued(locks) > before or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


def test_first_come_first_served(cli, locks, tmp_path):
    lease = cli.acquire("k")["lease"]
    log = tmp_path / "log"
    processes = [
        start_waiting(cli, locks, "run", "k", "--", "sh", "-c", f"echo {i} >> {log}; sleep 0.05")
        for i in range(5)
    ]
    cli("release", "k", "--lease", lease)
    assert [p.wait(timeout=30) for p in processes] == [0] * 5
    for process in processes:
        process.communicate()
    assert log.read_text().split() == ["0", "1", "2", "3", "4"]
    assert queued(locks) == 0


@pytest.mark.parametrize("command", [["acquire", "k"], ["run", "k"]])
def test_at_the_deadline_it_leaves_no_trace(cli, locks, command):
    cli.acquire("k", "--owner", "alice")
    rest = ["--", "echo", "ran"] if command[0] == "run" else []
    result = cli("--json", *command, "--wait", "400ms", *rest)
    assert (
        result.exit == 75
        and result.json["outcome"] == "busy"
        and result.json["holder"]["owner"] == "alice"
    )
    assert result.err == "" and queued(locks) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "command", [["acquire", "k", "--wait", "forever"], ["run", "k", "--", "echo", "ran"]]
)
def test_a_signal_leaves_the_queue_at_once(cli, locks, command, number):
    cli.acquire("k")
    process = start_waiting(cli, locks, *command)
    process.send_signal(number)
    out, err = process.communicate(timeout=5)
    assert queued(locks) == 0
    assert (process.returncode, out, err) == (128 + number, "", "")


def test_a_killed_one_is_passed_over(cli, locks):
    lease = cli.acquire("k")["lease"]
    first = start_waiting(
        cli, locks, "acquire", "k", "--wait", "forever", "--ttl", "1500ms"
    )  # claims within its ttl
    second = start_waiting(cli, locks, "--json", "acquire", "k", "--wait", "30s")
    first.kill()
    first.communicate()
    cli("release", "k", "--lease", lease)
    out, _ = second.communicate(timeout=20)
    assert second.returncode == 0 and '"granted"' in out


def test_after_a_wait_it_has_its_full_ttl(cli, locks):
    lease = cli.acquire("k")["lease"]
    process = start_waiting(cli, locks, "--json", "acquire", "k", "--wait", "20s", "--ttl", "60s")
    cli("release", "k", "--lease", lease)
    process.communicate(timeout=10)
    status = cli("--json", "status", "k").json
    assert (
        process.returncode == 0 and status["holders"][0]["remaining_ms"] > 50000
    )  # and not just what was to be claimed


def test_after_a_wait_the_command_is_left_in_peace(cli, locks, tmp_path):
    """A lease that was granted directly lasts no longer than the grace: it is claimed before the
    command begins."""
    lease = cli.acquire("k")["lease"]
    process = start_waiting(
        cli, locks, "run", "k", "--ttl", "30s", "--", "sh", "-c", "sleep 1; echo done"
    )
    cli("release", "k", "--lease", lease)
    assert process.communicate(timeout=20) == ("done\n", "") and process.returncode == 0


def test_off_a_terminal_it_says_nothing_or_one_line(cli, locks):
    cli.acquire("k", "--owner", "alice")
    assert cli("acquire", "k", "--wait", "300ms", "--quiet").err == ""
    result = cli(
        "acquire", "k", "--wait", "3s", "--verbose"
    )  # long enough to be queued on a busy machine
    assert result.err.count("\n") == 1 and "waiting: k is held by alice" in result.err


class Screen:
    """A terminal for stderr."""

    def __init__(self, columns):
        self.fd, self.other = pty.openpty()
        fcntl.ioctl(self.other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.shown = ""

    def read(self, enough, seconds=10):
        end = time.monotonic() + seconds
        while not enough(self.shown):
            assert time.monotonic() < end, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 4096).decode()
        return self.shown


@pytest.fixture
def screen():
    screen = Screen(columns=100)
    yield screen
    os.close(screen.fd)
    os.close(screen.other)


def test_on_a_terminal_a_line_says_who_and_how_long(cli, locks, screen):
    lease = cli.acquire("k", "--owner", "alice\u202e", "--ttl", "5m")["lease"]
    first = start_waiting(cli, locks, "acquire", "k", "--wait", "forever")
    process = start_waiting(cli, locks, "acquire", "k", "--wait", "forever", stderr=screen.other)
    screen.read(lambda shown: len(set(re.findall(r"\r([|/\\-]) ", shown))) == 4)  # it turns
    line = screen.shown.split("\r")[-2]
    assert "waiting for k, 1 ahead; held by alice\\u202e, 4 min 5" in line and line.endswith(
        "\033[K"
    ), line
    assert "\n" not in screen.shown
    first.terminate()
    first.communicate()
    cli("release", "k", "--lease", lease)
    out, _ = process.communicate(timeout=10)
    assert out.startswith("granted  k\n")
    assert screen.read(lambda shown: shown.endswith("\r\033[K"))


def test_the_line_fits_the_terminal(cli, locks, screen):
    fcntl.ioctl(screen.other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    cli.acquire("k", "--owner", "日本語" * 10)
    process = start_waiting(cli, locks, "acquire", "k", "--wait", "forever", stderr=screen.other)
    screen.read(lambda shown: shown.count("\r") > 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    process.communicate()
    for line in screen.shown.split("\r"):
        text = line.removesuffix("\033[K")
        assert sum(2 if ord(c) > 0x2E80 else 1 for c in text) <= 29, line


def test_quiet_draws_nothing(cli, screen):
    cli.acquire("k")
    assert (
        cli.start("acquire", "k", "--wait", "500ms", "--quiet", stderr=screen.other).wait(
            timeout=10
        )
        == 75
    )
    assert not select.select([screen.fd], [], [], 0.1)[0]
