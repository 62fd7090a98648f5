# SPDX-License-Identifier: Apache-2.0
"""`python -m leasehold …` runs the command line: the one beside this package, or else the one that
is installed."""
from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    bundled = Path(__file__).parent / "bin" / "leasehold"
    program = str(bundled) if bundled.exists() else shutil.which("leasehold")
    if program is None:
        print(
            "leasehold: the command line is not installed (the Debian package is leasehold)",
            file=sys.stderr,
        )
        sys.exit(127)
    os.execv(program, ["leasehold", *sys.argv[1:]])


if __name__ == "__main__":
    main()
