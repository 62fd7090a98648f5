# SPDX-License-Identifier: Apache-2.0
"""Servers of a test's own, with access control or TLS; gone when the test's process ends."""
import os
import subprocess
from pathlib import Path

import pytest


def start(name, *options):
    """The URI of a deployment, and a function that ends it."""
    script = os.environ.get("LEASEHOLD_MONGOD")
    if not script:
        pytest.skip("LEASEHOLD_MONGOD does not name scripts/mongod")
    name = f"{name}-{os.getpid()}"
    up = subprocess.run([script, "up", *options, "--name", name, "--end-with", str(os.getpid())], check=True, capture_output=True,
                        text=True)
    return up.stdout.strip(), lambda: subprocess.run([script, "down", "--name", name], check=True, capture_output=True)


def folder_of(uri):
    """Where a deployment with TLS has its files."""
    return Path(uri.split("tlsCAFile=")[1].split("&")[0]).parent.parent


def hosts_of(uri):
    return uri.split("@")[-1].split("/")[2 if "@" not in uri else 0]
