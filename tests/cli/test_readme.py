# SPDX-License-Identifier: Apache-2.0
"""The README says what is true: every ```console block in it is run, in order, in one shell, in a
fresh database. The first ```c block is rebuild.c."""
import re
import shutil

from conftest import BINARY, Cli, URI
from pathlib import Path
from shown import blocks, expect_shown, session

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def place(directory):
    """A folder that looks like the checkout after ./scripts/build; a cc that builds as this build
    was built."""
    build = BINARY.parents[1]
    for name, target in (("build", build), ("include", ROOT / "include")):
        (directory / name).symlink_to(target)
    (directory / "rebuild.c").write_text(blocks(README, "c")[0])
    sanitize = re.search(
        r"^LEASEHOLD_SANITIZE:\w+=(.+)$", (build / "CMakeCache.txt").read_text(), re.MULTILINE
    )
    flags = f"-fsanitize={sanitize[1]}" if sanitize else ""
    (directory / "bin").mkdir()
    cc = directory / "bin" / "cc"
    cc.write_text(f'#!/bin/sh\nexec {shutil.which("cc")} {flags} -Wall -Wextra -Werror "$@"\n')
    cc.chmod(0o755)


def test_what_it_shows_is_what_happens(database, tmp_path):
    place(tmp_path)
    # The driver prints a warning where a killed process left its counters in shared memory and ours
    # has its pid.
    env = Cli(URI, database.name).env | {"MONGOC_DISABLE_SHM": "1"}
    env["PATH"] = f"{tmp_path / 'bin'}:{BINARY.parent}:{env['PATH']}"
    expect_shown("README.md", README, tmp_path, env)


def test_nothing_is_missing():
    """The test above runs what it finds; this one says that there is something to find."""
    commands = [command for command, _ in session(README)]
    for name in ("migrate", "run", "acquire", "renew", "release", "break", "cleanup", "list"):
        assert any(f"leasehold {name}" in command for command in commands), name
    assert any(command.startswith("cc ") for command in commands) and "./rebuild" in commands


def test_it_stays_readable():
    assert README.count("\n") <= 250
    named = re.findall(r"\]\(([^):]+)\)|\./(scripts/\w+)", README)
    assert named and not [
        name for pair in named for name in pair if name and not (ROOT / name).exists()
    ]


def test_it_lists_the_exit_codes_and_variables_of_the_help(offline):
    """Those that --help names, and no command that it does not name."""
    text = offline("--help").out
    table = re.search(r"^## Exit codes$(.*?)^## ", README, re.MULTILINE | re.DOTALL)[1]
    codes = re.search(r"Exit codes: (.*?)\.$", text, re.MULTILINE | re.DOTALL)[1]
    assert set(re.findall(r"\b\d+\b", codes)) <= set(re.findall(r"\b\d+\b", table))
    for name in re.findall(r"\[(LEASEHOLD_\w+)\]", text):
        assert f"`{name}`" in README, name
    commands = set(re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE))
    used = set(
        re.findall(
            r"\bleasehold ([a-z]+)\b", "".join(blocks(README, "console") + blocks(README, "text"))
        )
    )
    assert used and used <= commands
