# SPDX-License-Identifier: Apache-2.0
"""What the tests of tools/examples share: the Python module of this tree with the library of this
build, for the test and for what it starts."""
import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BINARY, URI
from shown import expect_shown

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tools" / "examples"
MODULE = ROOT / "tools" / "bindings" / "python"
BUILD = BINARY.parents[1]
LIBRARY = str(BUILD / "src" / "libleasehold.so.0")
NODE_MODULE = ROOT / "tools" / "bindings" / "node"
NODE_DRIVER = (
    Path(
        subprocess.run(
            [ROOT / "scripts" / "setup", "--node"], capture_output=True, text=True
        ).stdout.strip()
    )
    / "mongodb"
)
ADDON = BUILD / "tools" / "bindings" / "node" / "leasehold.node"

os.environ["LEASEHOLD_LIBRARY"] = LIBRARY
sys.path.insert(0, str(MODULE))
import leasehold  # noqa: E402


class Job:
    """Starts programs of one example on a database of their own."""

    def __init__(self, folder, database, owner):
        self.folder = EXAMPLES / folder
        self.env = {
            **{name: value for name, value in os.environ.items() if name[:10] != "LEASEHOLD_"},
            "LEASEHOLD_URI": URI,
            "LEASEHOLD_DB": database,
            "LEASEHOLD_OWNER": owner,
            "LEASEHOLD_LIBRARY": LIBRARY,
            "LEASEHOLD_NODE_ADDON": str(ADDON),
            "PYTHONPATH": f"{MODULE}{os.pathsep}{self.folder}",
            "PYTHONWARNINGS": "error::ResourceWarning",
            "PATH": os.pathsep.join(
                [str(BINARY.parent), os.path.dirname(sys.executable), os.environ["PATH"]]
            ),
        }

    def copied(self, folder):
        """The same, in a copy of the example that may be written to, and has the Node module."""
        job = copy.copy(self)
        job.env = dict(self.env)
        job.folder = shutil.copytree(EXAMPLES / self.folder.name, folder / self.folder.name)
        (job.folder / "node_modules").mkdir()
        (job.folder / "node_modules" / "leasehold").symlink_to(NODE_MODULE)
        (job.folder / "node_modules" / "mongodb").symlink_to(NODE_DRIVER)
        return job

    def start(self, program, *arguments, env={}, **options):
        """A program of the example: a file of it, or a command."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*self.command(program), *arguments],
            env={**self.env, **env},
            encoding="utf-8",
            **{**pipes, **options},
        )

    def command(self, program):
        path = self.folder / program
        if not path.exists():
            return [program]
        return [sys.executable, path] if path.suffix == ".py" else [path]

    def __call__(self, program, *arguments, input="", env={}, exit=0, **options):
        """Its stdout and stderr, at its end."""
        process = self.start(program, *arguments, env=env, **options)
        out, err = process.communicate(input, timeout=60)
        assert process.returncode == exit, (process.returncode, out, err)
        return out, err


def expect_readme(job, folder):
    """What the README of the example shows is what happens."""
    job = job.copied(folder)
    del job.env["LEASEHOLD_OWNER"]
    expect_shown("README.md", (job.folder / "README.md").read_text(), job.folder, job.env)


__all__ = ["ADDON", "EXAMPLES", "NODE_DRIVER", "Job", "expect_readme", "leasehold"]
