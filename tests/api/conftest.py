# SPDX-License-Identifier: Apache-2.0
"""What the tests of the installed software share: a staged installation, and a database of each
test's own.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a server)."""
import os
import secrets
import subprocess
from pathlib import Path

import pymongo
import pytest

URI = os.environ["LEASEHOLD_TEST_URI"]
BUILD = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve()
ROOT = Path(__file__).resolve().parents[2]


def cached(variable):
    """What CMake was configured with."""
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        name, _, value = line.partition("=")
        if name.split(":")[0] == variable:
            return value
    raise KeyError(variable)


def install(destdir, *options):
    """Installs under a DESTDIR, as a package's build does. Returns where the prefix is in it."""
    env = os.environ | {"DESTDIR": str(destdir)}
    subprocess.run(
        ["cmake", "--install", BUILD, *options], env=env, check=True, capture_output=True
    )
    return destdir / cached("CMAKE_INSTALL_PREFIX").lstrip("/")


class Staged:
    """The software as a package's build would collect it."""

    def __init__(self, destdir):
        self.prefix = install(destdir)
        (self.libdir,) = {path.parent for path in self.prefix.rglob("libleasehold.so")}
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")
        } | {"PKG_CONFIG_PATH": str(self.libdir / "pkgconfig"), "LD_LIBRARY_PATH": str(self.libdir)}

    def run(self, *command, **options):
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=120, **options
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def staged(tmp_path_factory):
    return Staged(tmp_path_factory.mktemp("staged"))


@pytest.fixture(scope="session")
def client():
    with pymongo.MongoClient(URI, serverSelectionTimeoutMS=10000, tz_aware=True) as client:
        yield client


def fresh_database(client):
    name = "api_" + secrets.token_hex(6)
    yield client.get_database(name, write_concern=pymongo.WriteConcern("majority"))
    client.drop_database(name)


database = pytest.fixture(fresh_database)
module_database = pytest.fixture(fresh_database, scope="module")
