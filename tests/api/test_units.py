# SPDX-License-Identifier: Apache-2.0
"""systemd takes the units as they are installed, and finds them well confined."""
import json
import shutil
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
            assert f"ExecStart={cached('CMAKE_INSTALL_PREFIX')}/bin/leasehold " in text
            # Where it is to be is nothing yet.
            text = text.replace(f"{cached('CMAKE_INSTALL_PREFIX')}/bin/leasehold", str(BUILD / "tools" / "leasehold"))
        text = "\n".join(line for line in text.splitlines() if not line.startswith("Documentation=")) # man looks at what is installed
        (place / unit.name).write_text(text)
    assert {path.name for path in place.iterdir()} == {"leasehold-cleanup.service", "leasehold-cleanup.timer"}
    return place


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


def test_the_units_are_right(units):
    for unit in units.iterdir():
        done = analyze("verify", unit)
        # Of our units only: what else is on the machine is not ours.
        assert not [line for line in done.stderr.splitlines() if "leasehold" in line], done


def test_the_service_is_confined(units):
    done = analyze("security", "--offline=yes", "--threshold=15", units / "leasehold-cleanup.service")
    assert done.returncode == 0 and "exposure level" in done.stdout, done.stdout[-300:] + done.stderr


def test_its_command_line_does_what_it_is_for(units, database, tmp_path):
    (line,) = [line for line in (units / "leasehold-cleanup.service").read_text().splitlines() if line.startswith("ExecStart=")]
    (tmp_path / "uri").write_text(URI + "\n")
    command = line.removeprefix("ExecStart=").replace("%d", str(tmp_path)).split()
    done = subprocess.run([*command, "--db", database.name, "--json"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "ok", done
