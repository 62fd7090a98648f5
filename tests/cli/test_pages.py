# SPDX-License-Identifier: Apache-2.0
"""The manual says what the help says: commands, options, environment, exit codes; and every
function, and every outcome, of the header."""
import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from conftest import commands_of

BUILD = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve()
HEADERS = Path(__file__).resolve().parents[2] / "include" / "leasehold"
MAN = BUILD / "man"
OPTION = re.compile(r"^  (?:-(\w), )?--([a-z-]+)(?: ([A-Z]+))? .*?(?: \[(\w+)\])?$", re.M)


@pytest.fixture(scope="module", autouse=True)
def pages():
    if not (MAN / "stamp").exists() or not shutil.which("mandoc"):
        warnings.warn(
            "NOT TESTED: the manual pages, because scdoc or mandoc is missing: scripts/setup docs"
        )
        pytest.skip("there is no scdoc, or no mandoc")


def shown(page):
    """As somebody reads it, on one line."""
    text = subprocess.run(
        ["mandoc", "-Tutf8", "-Owidth=1000", MAN / f"man{page[-1]}" / page],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return re.sub(".\x08", "", text)


def section(text, name):
    found = re.search(rf"^{name}\n(.*?)(?=^[A-Z]|\Z)", text, re.M | re.S)
    return found[1] if found else ""


def test_every_command_has_a_page_and_no_other(offline):
    commands = commands_of(offline)
    assert len(commands) > 10
    assert {path.name for path in (MAN / "man1").iterdir()} == {"leasehold.1"} | {
        f"leasehold-{name}.1" for name in commands
    }
    listed = section(shown("leasehold.1"), "COMMANDS")
    assert re.findall(r"leasehold-([a-z]+)\(1\)", listed) == commands


def options_in_help(text):
    return [tuple(part or "" for part in option) for option in OPTION.findall(text)]


def options_in_page(text):
    found = []
    for entry in re.split(r"\n(?=       (?:-\w, )?--)", section(text, "OPTIONS")):
        head = re.match(r"\s*(?:-(\w), )?--([a-z-]+)(?: ([A-Z]+))?\n", entry)
        if head:
            environment = re.search(r"Environment: (\w+)", entry)
            found.append(
                tuple(part or "" for part in head.groups())
                + (environment[1] if environment else "",)
            )
    return found


def test_pages_and_help_have_the_same_options(offline):
    everything = options_in_help(offline("--help").out.split("Global options")[1])
    assert len(everything) > 10
    assert options_in_page(shown("leasehold.1")) == everything
    for command in commands_of(offline):
        help = options_in_help(offline(command, "--help").out)
        assert options_in_page(shown(f"leasehold-{command}.1")) == help, command
        everything += help
    assert (
        len(everything) > 40
        and ("E", "busy-exit", "N", "") in everything
        and ("", "ttl", "DURATION", "LEASEHOLD_TTL") in everything
    )


def test_pages_and_help_have_the_same_exit_codes(offline):
    told = offline("--help").out.split("Exit codes:")[1].split(".\n")[0]
    codes = {
        int(code): meaning
        for code, meaning in re.findall(r"(\d+) ([^,]+?)(?:,|$)", " ".join(told.split()))
    }
    assert set(codes) == {0, 64, 65, 69, 70, 74, 75, 76, 77, 78}
    for page in ["leasehold.1"] + [f"leasehold-{command}.1" for command in commands_of(offline)]:
        listed = re.findall(r"^       (\d+)\n\s+(.*)$", section(shown(page), "EXIT STATUS"), re.M)
        assert {int(code): meaning for code, meaning in listed} == codes, page


def test_pages_and_help_have_the_same_summary_and_example(offline):
    for command in commands_of(offline):
        help, page = offline(command, "--help").out, shown(f"leasehold-{command}.1")
        assert help.split("\n")[0] in page
        for line in help.split("Example:\n")[1].split("\n\n")[0].splitlines():
            assert " ".join(line.split()) in " ".join(page.split()), command


def test_the_librarys_page_names_every_function_and_outcome():
    page = shown("libleasehold.3")
    text = "".join(path.read_text() for path in HEADERS.glob("*.h"))
    functions = {
        re.search(r"\b(lh_\w+)\s*\(", declaration)[1]
        for declaration in re.findall(r"^LH_API\b[^;]*;", text, re.M)
    }
    assert len(functions) > 50
    assert {name for name in functions if not re.search(rf"\b{name}\b", page)} == set()
    types = set(re.findall(r"^typedef (?:struct|enum) \w+ .*?(lh_\w+);", text, re.M)) | set(
        re.findall(r"^\} (lh_\w+);", text, re.M)
    )
    assert set(re.findall(r"\blh_\w+", page)) - functions <= types
    assert {
        name for name in re.findall(r"X\((LH_[A-Z]+), \d+, \"\w+\", ", text) if name not in page
    } == set()


def test_the_pages_are_clean():
    pages = sorted(MAN.glob("man?/*.?"))
    assert len(pages) > 12
    lint = subprocess.run(["mandoc", "-Tlint", *pages], capture_output=True, text=True)
    assert lint.stdout == "" and lint.returncode == 0
