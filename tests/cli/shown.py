# SPDX-License-Identifier: Apache-2.0
"""Texts that show commands and what they print: a test runs these and compares.

In a ```console block, a line that begins with "$ " is a command, and the lines up to the next one
are what it prints on stdout and then on stderr. What differs from run to run is masked on both
sides. A block of another kind is only shown."""
import difflib
import re
import subprocess

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


def blocks(text, kind):
    """The fenced blocks of that kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def session(text):
    """[(command, what it prints)] of all the blocks that are to be run."""
    steps = []
    for line in "".join(blocks(text, "console")).splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append([line[2:].rstrip("\n"), ""])
        else:
            steps[-1][1] += line
    return steps


def run_in_one_shell(commands, directory, env):
    """What each command printed. The shell goes on after one that failed."""
    script = "".join(
        f"{{ {command}\n}} >.{i}.out 2>.{i}.err </dev/null\n" for i, command in enumerate(commands)
    )
    subprocess.run(["bash", "-c", script], cwd=directory, env=env, timeout=120)
    return [
        (directory / f".{i}.out").read_text() + (directory / f".{i}.err").read_text()
        for i in range(len(commands))
    ]


def expect_shown(name, text, directory, env):
    """What the text shows is what happens in this directory."""
    steps = session(text)
    commands = [command for command, _ in steps]
    assert commands, name
    printed = run_in_one_shell(commands, directory, env)
    shown = [line for command, output in steps for line in ["$ " + command, *masked(output)]]
    real = [
        line
        for command, output in zip(commands, printed)
        for line in ["$ " + command, *masked(output)]
    ]
    assert real == shown, "\n".join(
        difflib.unified_diff(shown, real, name, "what happens", lineterm="")
    )
