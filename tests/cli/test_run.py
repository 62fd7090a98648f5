# SPDX-License-Identifier: Apache-2.0
"""run: CMD holds the lease as long as it runs, and never longer than the lease."""
import json
import os
import pty
import re
import select
import signal
import time

import pytest
from conftest import BINARY, alive, wait_until
from tunnel import Tunnel


def state(cli, key="k"):
    return cli("--json", "status", key).json["state"]


def start_sleeper(cli, tmp_path, *options, script="sleep 60", **how):
    """Starts a shell that writes its pid and then does `script`; returns the process and that
    pid."""
    file = tmp_path / "pid"
    process = cli.start(
        "run",
        "k",
        *options,
        "--",
        "sh",
        "-c",
        f'echo $$ > "{file}.part"; mv "{file}.part" "{file}"; {script}',
        **how,
    )
    wait_until(lambda: file.exists() or process.poll() is not None)
    assert file.exists(), process.communicate()
    return process, int(file.read_text())


@pytest.mark.parametrize("status", [0, 1, 7, 75, 255])
def test_the_status_is_passed_on(cli, status):
    result = cli("run", "k", "--", "sh", "-c", f"exit {status}")
    assert (result.exit, result.out, result.err) == (status, "", "")
    assert state(cli) == "free"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_is_passed_on_as_128_plus_its_number(cli, number):
    assert cli("run", "k", "--", "sh", "-c", f"kill -{int(number)} $$").exit == 128 + number


def test_what_cannot_be_run(cli, tmp_path):
    result = cli("run", "k", "--", "no-such-command-xyz")
    assert result.exit == 127 and "no-such-command-xyz" in result.err and result.out == ""
    result = cli("--json", "run", "k", "--", str(tmp_path))
    assert result.exit == 126 and result.json["exit"] == 126
    assert state(cli) == "free"


def test_the_command_is_told_of_its_lease(cli, locks):
    result = cli(
        "run",
        "project:42",
        "--owner",
        "alice",
        "--purpose",
        "rebuild",
        "--",
        "env",
        env={"LEASEHOLD_KEY": "stale", "LEASEHOLD_TOKEN": "stale"},
    )
    given = dict(line.split("=", 1) for line in result.out.splitlines() if "=" in line)
    stored = locks.find_one({})
    assert given["LEASEHOLD_KEY"] == "project:42" and given["LEASEHOLD_OWNER"] == "alice"
    assert given["LEASEHOLD_LEASE"] == stored["id"] and given["LEASEHOLD_TOKEN"] == str(
        stored["token"]
    )
    assert result.out.count("LEASEHOLD_KEY=") == 1 and stored["purpose"] == "rebuild"


SECRET = "canary-7d1f"
SECRETS = [
    f"mongodb://u:{SECRET}@h/",
    f"mongodb+srv://u:{SECRET}@h/?tls=true",
    f"mongodb://u:{SECRET}/x@h/",
    f"mongodb://u:{SECRET}@x@h,h2/db",
    f"u:{SECRET}@h",
    f"mongodb://:{SECRET}@h/",
    f"mongodb://h/?tlsCertificateKeyFilePassword={SECRET}",
    f"mongodb://h/?PROXYPASSWORD={SECRET}",
    f"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}",
]
OPEN = [
    "mongodb://h/",
    "mongodb://h:27017,i:27018/db?replicaSet=rs",
    "mongodb://user@h:1/?authMechanism=MONGODB-X509",
    "mongodb://[::1]:27017/",
    "",
]


@pytest.mark.parametrize("uri", SECRETS + OPEN)
def test_a_password_is_kept_from_the_command(cli, uri):
    for flags, passed in (([], uri not in SECRETS), (["--pass-uri"], True)):
        result = cli(
            "--uri",
            cli.env["LEASEHOLD_URI"],
            "run",
            "k",
            *flags,
            "--",
            "env",
            env={"LEASEHOLD_URI": uri, "MONGODB_URI": uri, "MONGODB_URIS": uri},
        )
        assert result.exit == 0, result
        lines = result.out.splitlines()
        assert (
            f"LEASEHOLD_URI={uri}" in lines,
            f"MONGODB_URI={uri}" in lines,
            f"MONGODB_URIS={uri}" in lines,
        ) == (passed, passed, True)


def test_stdin_is_the_command_s(cli):
    assert cli("run", "k", "--", "cat", input="through\n").out == "through\n"


def test_options_of_the_command_are_its_own(cli):
    assert cli("run", "k", "--", "echo", "--json", "-E", "--").out == "--json -E --\n"
    assert cli("run", "--", "-k", "--", "echo", "x").out == "x\n"


def test_no_descriptor_of_ours_is_passed_on(cli):
    reader, writer = os.pipe()
    result = cli("run", "k", "--", "ls", "/proc/self/fd", pass_fds=[writer])
    os.close(reader)
    os.close(writer)
    # 0, 1, 2, the one that was passed, and the one that ls opens
    assert {"0", "1", "2", str(writer)} <= set(result.out.split()) and len(
        result.out.split()
    ) == 5, result


def test_the_signal_mask_is_not_passed_on(cli):
    status = cli("run", "k", "--", "cat", "/proc/self/status").out
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    assert int(masks["SigBlk"], 16) == 0 and int(masks["SigIgn"], 16) & 1 << signal.SIGPIPE - 1 == 0


def test_it_is_held_and_renewed_while_the_command_runs(cli, tmp_path):
    process, _ = start_sleeper(cli, tmp_path, "--ttl", "4s", script="sleep 6")
    end = time.monotonic() + 5.5
    while time.monotonic() < end:
        assert cli("acquire", "k").exit == 75
        time.sleep(0.1)
    assert process.wait(timeout=10) == 0 and state(cli) == "free"
    process.communicate()


def test_busy(cli):
    cli.acquire("k", "--owner", "alice")
    result = cli("--json", "run", "k", "--wait", "0", "--", "echo", "ran")
    assert (
        result.exit == 75
        and result.json["outcome"] == "busy"
        and result.json["holder"]["owner"] == "alice"
    )
    assert cli("run", "k", "--wait", "0", "-E", "0", "--", "echo", "ran").exit == 0
    assert cli("run", "k", "--wait", "300ms", "-E7", "--", "echo", "ran").exit == 7


def test_it_waits_for_ever_by_default(cli):
    lease = cli.acquire("k")["lease"]
    process = cli.start("run", "k", "--", "echo", "ran")
    time.sleep(1.2)
    assert process.poll() is None
    cli("release", "k", "--lease", lease)
    assert process.communicate(timeout=10) == ("ran\n", "") and process.returncode == 0


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2],
)
def test_signals_are_forwarded(cli, tmp_path, number):
    name = number.name[3:]
    process, _ = start_sleeper(
        cli, tmp_path, script=f"trap 'echo got {name}; exit 9' {name}; while :; do sleep 0.05; done"
    )
    time.sleep(0.2)
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert out == f"got {name}\n" and process.returncode == 9 and state(cli) == "free"


def test_a_signal_reaches_the_whole_group(cli, tmp_path):
    process, pid = start_sleeper(cli, tmp_path, script="sleep 60 & echo $!; wait")
    grandchild = int(process.stdout.readline())
    process.terminate()
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    wait_until(lambda: not alive(pid) and not alive(grandchild))
    process.communicate()


def test_when_leasehold_is_killed_nothing_of_the_command_goes_on(cli, tmp_path):
    process, pid = start_sleeper(
        cli, tmp_path, script="trap '' TERM HUP; sleep 60 & echo $!; wait; sleep 60"
    )
    grandchild = int(process.stdout.readline())
    process.kill()
    wait_until(lambda: not alive(pid) and not alive(grandchild), 5)
    process.wait()
    process.communicate()


def end_it(how, cli, locks):
    if how == "broken":
        assert cli("break", "k", "--reason", "test", "--yes").exit == 0
    elif how == "deleted":
        locks.delete_one({"workspace_id": "k"})
    else:
        locks.update_one(
            {"workspace_id": "k"},
            {"$set": {"id": "thief", "owner": "thief"}, "$unset": {"released": 1}},
        )


@pytest.mark.parametrize("how", ["broken", "stolen", "deleted"])
def test_when_the_lease_is_lost_the_command_is_ended(cli, locks, tmp_path, how):
    process, pid = start_sleeper(
        cli,
        tmp_path,
        "--ttl",
        "3s",
        script="trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done",
    )
    end_it(how, cli, locks)
    start = time.monotonic()
    out, err = process.communicate(timeout=10)
    assert process.returncode == 76 and out == "asked\n" and "lost" in err
    assert time.monotonic() - start < 3 and not alive(pid)


def test_a_command_that_ignores_term_is_killed_after_the_grace(cli, locks, tmp_path):
    process, pid = start_sleeper(
        cli,
        tmp_path,
        "--ttl",
        "6s",
        "--grace",
        "1s",
        script="trap '' TERM; echo $$; sleep 60 & sleep 60",
    )
    process.stdout.readline()
    end_it("stolen", cli, locks)
    asked = wait_until(
        lambda: "ending the command" in process.stderr.readline() and time.monotonic()
    )
    assert process.wait(timeout=10) == 76
    assert 0.8 < time.monotonic() - asked < 2 and not alive(pid)
    process.communicate()


def test_lost_is_told_as_an_object_too(cli, locks, tmp_path):
    process, _ = start_sleeper(cli, tmp_path, "--json", "--ttl", "1s")
    end_it("stolen", cli, locks)
    out, _ = process.communicate(timeout=10)
    error = json.loads(out)
    assert (error["outcome"], error["code"], error["exit"]) == ("error", "lost", 76)


def test_a_command_that_ends_after_its_lease_was_taken_is_no_success(cli, locks):
    script = "sleep 0.3; exit 0"
    process = cli.start("run", "k", "--ttl", "60s", "--", "sh", "-c", script)
    wait_until(lambda: locks.find_one({"workspace_id": "k"}))
    end_it("stolen", cli, locks)
    process.communicate(timeout=10)
    assert process.returncode == 76


def test_stopped_past_the_lease_s_end_the_command_is_killed_on_waking(cli, tmp_path):
    process, pid = start_sleeper(
        cli, tmp_path, "--ttl", "1s", script="trap '' TERM; while :; do sleep 0.05; done"
    )
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    assert cli("acquire", "k").exit == 0
    process.send_signal(signal.SIGCONT)
    start = time.monotonic()
    assert process.wait(timeout=10) == 76
    assert time.monotonic() - start < 1 and not alive(pid)
    process.communicate()


def test_stopped_for_a_while_it_goes_on(cli, tmp_path):
    process, _ = start_sleeper(cli, tmp_path, "--ttl", "6s", script="sleep 2")
    process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=10) == 0
    process.communicate()


def test_the_server_going_away_ends_the_command_before_the_lease(cli, tmp_path):
    """Through a tunnel that then keeps silent: a renewal that hangs delays nothing."""
    with Tunnel(cli.env["LEASEHOLD_URI"]) as tunnel:
        process, pid = start_sleeper(
            cli,
            tmp_path,
            "--ttl",
            "3s",
            script="trap '' TERM; while :; do sleep 0.05; done",
            env={"LEASEHOLD_URI": tunnel.uri},
        )
        time.sleep(0.3)
        tunnel.freeze()
        expiry = (
            cli("--json", "status", "k").json["holders"][0]["remaining_ms"] / 1000
            + time.monotonic()
        )
        wait_until(lambda: not alive(pid), 6)
        assert time.monotonic() < expiry
        assert process.wait(timeout=15) == 76
        process.communicate()


def test_two_never_run_at_once(cli, tmp_path):
    log = tmp_path / "log"
    script = f"echo in >> {log}; sleep 0.1; echo out >> {log}"
    processes = [cli.start("run", "k", "--", "sh", "-c", script) for _ in range(8)]
    assert [p.wait(timeout=60) for p in processes] == [0] * 8
    for process in processes:
        process.communicate()
    assert log.read_text().split() == ["in", "out"] * 8


def test_readers_run_together(cli, tmp_path):
    marks = [tmp_path / "a", tmp_path / "b"]
    processes = [
        cli.start(
            "run",
            "k",
            "--shared",
            "--",
            "sh",
            "-c",
            f"touch {mine}; until [ -e {other} ]; do sleep 0.05; done",
        )
        for mine, other in (marks, marks[::-1])
    ]
    assert [p.wait(timeout=20) for p in processes] == [0, 0]
    for process in processes:
        process.communicate()


class Terminal:
    """A shell with job control on a terminal of its own."""

    def __init__(self, cli):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(
                "/bin/sh",
                ["sh", "-i"],
                cli.env | {"PS1": "prompt> ", "PATH": f"{BINARY.parent}:{os.environ['PATH']}"},
            )
        self.shown = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, seconds=10):
        """Waits until it is shown, and forgets what came before."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 4096).decode()
        self.shown = self.shown.partition(text)[2]

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(cli):
    terminal = Terminal(cli)
    terminal.expect("prompt> ")
    yield terminal
    terminal.close()


def test_on_a_terminal_the_command_reads_and_the_shell_gets_it_back(terminal):
    terminal.type(
        'leasehold run k -- sh -c \'echo rea""dy; read x; echo got $x\'; echo sta""tus $?\n'
    )
    terminal.expect("ready")
    terminal.type("hello\n")
    terminal.expect("got hello")
    terminal.expect("status 0")
    terminal.type('echo my tu""rn\n')
    terminal.expect("my turn")


def test_control_c_ends_the_command(cli, terminal):
    # "ready" comes when sleep runs: a shell that is between fork and exec may lose the signal (dash
    # does).
    terminal.type(
        'leasehold run k -- sh -c \'(sleep 1; echo rea""dy) & exec sleep 60\'; echo sta""tus $?\n'
    )
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("status 130")
    assert state(cli) == "free"


def test_control_z_stops_both_and_fg_goes_on(cli, terminal):
    terminal.type(
        'leasehold run k --ttl 1m -- sh -c \'echo rea""dy; read x; echo got $x\'; echo sta""tus'
        " $?\n"
    )
    terminal.expect("ready")
    terminal.type("\x1a")
    terminal.expect("prompt> ")
    terminal.type("fg\n")
    terminal.expect("leasehold run")
    time.sleep(0.3)
    terminal.type("hello\n")
    terminal.expect("got hello")
    terminal.expect("prompt> ")
    assert state(cli) == "free"


def test_woken_after_the_lease_s_end_a_stopped_command_does_not_go_on(cli, terminal):
    terminal.type("leasehold run k --ttl 1s -- sh -c 'echo rea\"\"dy; read x; echo got $x'\n")
    terminal.expect("ready")
    terminal.type("\x1a")
    terminal.expect("prompt> ")
    time.sleep(1.5)
    terminal.type("fg\n")
    terminal.expect("the command was ended")
    terminal.expect("prompt> ")
    terminal.type('echo sta""tus $?\n')
    terminal.expect("status 76")


def test_several_keys_are_held_together(cli):
    """Or none: and the first that is lost ends the command."""
    shown = cli("run", "b", "a", "--owner", "alice", "--", "env").out
    values = re.findall(r"LEASEHOLD_(KEY|TOKEN|LEASE|OWNER)=((?:.+\n)+?)(?=\w+=|\Z)", shown)
    values = {name: value.split("\n")[:-1] for name, value in values}
    assert values["KEY"] == ["b", "a"] and values["OWNER"] == ["alice"]
    assert len(values["LEASE"]) == len(values["TOKEN"]) == 2
    process = cli.start("run", "a", "b", "--", "sleep", "60")
    wait_until(lambda: cli("list", "--quiet").out.split() == ["a", "b"])
    busy = cli("run", "c", "b", "--wait", "0", "--", "echo", "never")
    assert busy.exit == 75 and "never" not in busy.out and "busy  b" in busy.out
    assert cli("status", "c", "--quiet").out.strip() == "free"
    assert cli("break", "b", "--reason", "r", "--yes").exit == 0
    assert process.wait(20) == 76
    wait_until(lambda: cli("list", "--quiet").out == "")


def test_several_keys_leave_their_notes_and_the_exit_code(cli):
    assert cli("run", "a", "b", "--note", "v1", "--", "true").exit == 0
    assert (
        cli("run", "b", "--", "sh", "-c", 'test "$LEASEHOLD_NOTE" = v1; exit $((3 + $?))').exit == 3
    )
    assert cli("run", "a", "b", "--", "sh", "-c", "exit 5").exit == 5
    assert cli("run", "a", "a", "--", "true").exit == 64
    assert cli("run", *(f"k{i}" for i in range(101)), "--", "true").exit == 64
