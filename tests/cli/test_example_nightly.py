# SPDX-License-Identifier: Apache-2.0
"""tools/examples/nightly: a report that one of several machines makes, by cron or by a timer."""
import configparser
import datetime
import re
import shutil
import subprocess
import warnings

import pytest
from conftest import URI
from jobs import EXAMPLES, Job, expect_readme

FOLDER = EXAMPLES / "nightly"
INSTALLED = "/usr/local/lib/nightly/"


@pytest.fixture
def job(cli, tmp_path):
    job = Job("nightly", cli.env["LEASEHOLD_DB"], "machine")
    job.env["REPORTS"] = str(tmp_path)
    return job


def test_readme(job, tmp_path):
    expect_readme(job, tmp_path)


def test_one_machine_makes_the_report(job, tmp_path):
    machines = [job.start("nightly.sh", "2026-03-01") for _ in range(3)]
    printed = [machine.communicate(timeout=60)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0, 0]
    assert sum("2026-03-01 is done\n" in text for text in printed) == 1, printed
    assert [each.name for each in tmp_path.iterdir()] == ["2026-03-01.txt"]


def keep_no_longer(locks):
    """As if the ten minutes were over."""
    past = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
    assert locks.update_one({}, {"$set": {"expires_at": past}}).modified_count == 1


def test_the_note_says_what_was_done(job, locks):
    for day, how in (("2026-03-01", "is"), ("2026-03-01", "was"), ("2026-03-02", "is")):
        assert job("nightly.sh", day)[0] == f"{day} {how} done\n"
        keep_no_longer(locks)
    assert locks.find_one()["released"]["note"]["text"] == "2026-03-02"


def test_a_failed_report_is_made_by_the_next_run(job, locks, tmp_path):
    nowhere = {"REPORTS": str(tmp_path / "nowhere")}
    assert job("nightly.sh", "2026-03-01", env=nowhere, exit=1)[0] == ""
    keep_no_longer(locks)
    assert job("nightly.sh", "2026-03-01")[0] == "2026-03-01 is done\n"


def run_as_written(job, command, variables, tmp_path):
    """Runs what a scheduler would, with the installed files where they are here."""
    (tmp_path / "uri").write_text(URI + "\n")
    known = {"LEASEHOLD_URI_FILE": str(tmp_path / "uri"), "REPORTS": str(tmp_path)}
    assert set(variables) == set(known)
    env = {name: value for name, value in job.env.items() if name != "LEASEHOLD_URI"} | known
    assert command.startswith(INSTALLED)
    done = subprocess.run(
        [FOLDER / command[len(INSTALLED) :]], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and re.fullmatch(r"[-\d]{10} is done\n", done.stdout), done


def test_crontab(job, tmp_path):
    lines = [line for line in (FOLDER / "crontab").read_text().splitlines() if line[0] != "#"]
    *variables, line = lines
    fields = re.fullmatch(r"15 2 \* \* \* nightly (\S+)", line)
    run_as_written(job, fields[1], [each.split("=")[0] for each in variables], tmp_path)


def test_units(job, tmp_path):
    service = configparser.ConfigParser(interpolation=None)
    service.optionxform = str
    service.read(FOLDER / "nightly.service")
    variables = [each.split("=")[0] for each in service["Service"]["Environment"].split()]
    run_as_written(job, service["Service"]["ExecStart"], variables, tmp_path)
    if not shutil.which("systemd-analyze"):
        warnings.warn("NOT TESTED: the units, because systemd-analyze is missing")
        return
    for name in ("nightly.service", "nightly.timer"):
        text = (FOLDER / name).read_text().replace(INSTALLED, f"{FOLDER}/")
        (tmp_path / name).write_text(text)
    units = sorted(tmp_path.glob("nightly.*"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "nightly" not in done.stderr, done
