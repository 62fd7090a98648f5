# SPDX-License-Identifier: Apache-2.0
"""The README says what is true: every ```console block in it is run, in order, in one shell, in a
fresh database.

In such a block a line that begins with "$ " is a command, and the lines up to the next one are what
it prints on stdout and then on stderr. What differs from run to run is masked on both sides. The
first ```c block is rebuild.c; a block of any other kind is only shown."""
import difflib
import re
import shutil
import subprocess

from conftest import BINARY, Cli, URI
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

MASKS = [
    (r"\b[0-9a-f]{32}\b", "LEASE"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b\d+(\.\d+)? (ms|s|min|h|d)\b( \d+ (s|min|h)\b)?", "DURATION"),
    (r"\(\S+, pid \d+\)", "(HOST, PID)"),
    (r"[^\s@]+@[^\s@:,]+", "USER@HOST"),
    (r"\b\d{12,}\b", "TOKEN"),
    (r" {2,}", " "),  # the columns are as wide as what was masked
    (r" +$", ""),
]


def masked(text):
    """The text's lines without what differs from run to run."""
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.splitlines()


def blocks(kind):
    """The fenced blocks of that kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def session():
    """[(command, what it prints)] of all the blocks that are to be run."""
    steps = []
    for line in "".join(blocks("console")).splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append([line[2:].rstrip("\n"), ""])
        else:
            steps[-1][1] += line
    return steps


def run_in_one_shell(commands, directory, env):
    """What each command printed. The shell goes on after one that failed."""
    script = "".join(
        f"{{ {command}\n}} >{i}.out 2>{i}.err </dev/null\n" for i, command in enumerate(commands)
    )
    subprocess.run(["bash", "-c", script], cwd=directory, env=env, timeout=120)
    return [
        (directory / f"{i}.out").read_text() + (directory / f"{i}.err").read_text()
        for i in range(len(commands))
    ]


def place(directory):
    """A folder that looks like the checkout after ./scripts/build; a cc that builds as this build
    was built."""
    build = BINARY.parents[1]
    for name, target in (("build", build), ("include", ROOT / "include")):
        (directory / name).symlink_to(target)
    (directory / "rebuild.c").write_text(blocks("c")[0])
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
    steps = session()
    commands = [command for command, _ in steps]
    printed = run_in_one_shell(commands, tmp_path, env)
    shown = [line for command, output in steps for line in ["$ " + command, *masked(output)]]
    real = [
        line
        for command, output in zip(commands, printed)
        for line in ["$ " + command, *masked(output)]
    ]
    assert real == shown, "\n".join(
        difflib.unified_diff(shown, real, "README.md", "what happens", lineterm="")
    )


def test_nothing_is_missing():
    """The test above runs what it finds; this one says that there is something to find."""
    commands = [command for command, _ in session()]
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
    used = set(re.findall(r"\bleasehold ([a-z]+)\b", "".join(blocks("console") + blocks("text"))))
    assert used and used <= commands
