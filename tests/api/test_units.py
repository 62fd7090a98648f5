# SPDX-License-Identifier: Apache-2.0
"""systemd takes the units as they are installed, and finds them well confined."""
import json
import os
import shutil
import socket
import subprocess
import warnings

import pytest
from conftest import BUILD, URI, cached


@pytest.fixture(scope="module")
def units(staged, tmp_path_factory):
    if not shutil.which("systemd-analyze"):
        warnings.warn("NOT TESTED: the units, for want of systemd-analyze")
        pytest.skip("there is no systemd-analyze")
    place = tmp_path_factory.mktemp("units")
    for unit in (staged.prefix / cached("LEASEHOLD_UNIT_DIR")).iterdir():
        text = unit.read_text()
        if unit.suffix == ".service":
            program = {
                "leasehold.service": "leasehold-serve",
                "leasehold-cleanup.service": "leasehold",
            }[unit.name]
            assert f"ExecStart={cached('CMAKE_INSTALL_PREFIX')}/bin/{program} " in text
            # Where it is to be is nothing yet.
            text = text.replace(
                f"{cached('CMAKE_INSTALL_PREFIX')}/bin/leasehold",
                str(BUILD / "tools" / "leasehold"),
            )
        text = "\n".join(
            line for line in text.splitlines() if not line.startswith("Documentation=")
        )  # man looks at what is installed
        (place / unit.name).write_text(text)
    assert {path.name for path in place.iterdir()} == {
        "leasehold-cleanup.service",
        "leasehold-cleanup.timer",
    } | ({"leasehold.service"} if cached("LEASEHOLD_SERVE") in ("ON", "1") else set())
    return place


def analyze(*arguments):
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60
    )


def test_the_units_are_right(units):
    for unit in units.iterdir():
        done = analyze("verify", unit)
        # Of our units only: what else is on the machine is not ours.
        assert not [line for line in done.stderr.splitlines() if "leasehold" in line], done


def test_the_services_are_confined(units, capsys):
    for unit in units.glob("*.service"):
        done = analyze("security", "--offline=yes", "--threshold=15", unit)
        assert done.returncode == 0 and "exposure level" in done.stdout, (
            done.stdout[-300:] + done.stderr
        )
        with capsys.disabled():
            print("\n" + done.stdout.strip().splitlines()[-1].strip("→ "), end="")


def test_the_server_tells_systemd_when_it_is_ready(units, database, tmp_path):
    """As systemd would start it: credentials, a socket to be told on, and SIGTERM at the end."""
    if not (units / "leasehold.service").exists():
        pytest.skip("built without serve")
    text = (units / "leasehold.service").read_text()
    assert "\nType=notify\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    (tmp_path / "uri").write_text(URI + "\n")
    (tmp_path / "tokens").write_text("a-token-that-is-long-enough-0123456789\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(30)
        env = os.environ | {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "LEASEHOLD_LISTEN": "127.0.0.1:0",
            "LEASEHOLD_DB": database.name,
        }
        command = line.removeprefix("ExecStart=").replace("%d", str(tmp_path)).split()
        server = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert b"READY=1" in told.recv(1000)
        finally:
            server.terminate()
        assert server.wait(30) == 0


def test_its_command_line_does_what_it_is_for(units, database, tmp_path):
    (line,) = [
        line
        for line in (units / "leasehold-cleanup.service").read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    (tmp_path / "uri").write_text(URI + "\n")
    command = line.removeprefix("ExecStart=").replace("%d", str(tmp_path)).split()
    done = subprocess.run(
        [*command, "--db", database.name, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "ok", done
