# SPDX-License-Identifier: Apache-2.0
"""commands.json: the commands that a driver sends, as the library's own dump says them, in a form
to read and to fill in.

    python3 commands.py build/tests/conformance_dump > commands.json      writes it anew
"""
import json
import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("commands.json")
# What the dump writes for numbers, in its order.
NUMBERS = [
    "ttl_ms",
    "grace_ms",
    "token",
    "max_shared",
    "pid",
    "claim_ms",
    "beat",
    "max_waiters",
    "keep_ms",
]
FIRST = 900000001


def read(text):
    """Each {"$numberLong": "900000001"} becomes "<ttl_ms>"; a null token clock stays as it is."""
    for i, name in enumerate(NUMBERS):
        text = re.sub(r'\{ "\$number(?:Long|Int)" : "%d" \}' % (FIRST + i), f'"<{name}>"', text)
    return re.sub(r'\{ "\$numberInt" : "(\d+)" \}', r"\1", text)


def dumped(program):
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    commands = {}
    for line in read(out).splitlines():
        commands |= json.loads(line)
    return commands


def pretty(value, indent=0, width=150):
    """JSON where what fits on a line stands on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or not value or len(flat) + indent <= width:
        return flat
    inner = indent + 1
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(name)}: " + pretty(part, inner, width) for name, part in value.items()
        ]
    else:
        parts = [pretty(part, inner, width) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return (
        opening
        + "\n"
        + ",\n".join(" " * inner + part for part in parts)
        + "\n"
        + " " * indent
        + closing
    )


if __name__ == "__main__":
    print(pretty(dumped(sys.argv[1])))
