# SPDX-License-Identifier: Apache-2.0
"""What the tests of advice share: a command is taken out of a message, and run letter by letter on
a terminal that answers yes."""
import re
import shlex
from pathlib import Path

from test_operators import on_a_terminal

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "tools/cli/commands.h").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"\bcmd_(\w+)", TABLE)))
COMMAND = re.compile(rf"leasehold ((?:{'|'.join(NAMES)})\b(?!:)(?:'[^'\n]*'|\\.|[^'`\n;()])*)")
BEHIND = (  # how a sentence goes on
    " removes | also removes | shows | tells | prints | names | acquires,|, which |: of "
)


def advised(text, start):
    """The advised command that begins with this."""
    found = [match for match in COMMAND.findall(text) if match.startswith(start)]
    assert found, (start, text)
    return re.split(BEHIND, found[0])[0].rstrip(" ,.:")


def follow(cli, text, start):
    return on_a_terminal(cli, *shlex.split(advised(text, start)), answer="y")


def findings(cli, *options):
    return {
        finding["id"]: finding for finding in cli("--json", "doctor", *options).json["findings"]
    }


def page(name):
    """A manual page's source: of "leasehold-upgrade(7)"."""
    return (ROOT / "tools/man" / (name.replace("(", ".").replace(")", "") + ".scd")).read_text(
        encoding="utf-8"
    )
