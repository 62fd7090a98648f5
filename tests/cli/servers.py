# SPDX-License-Identifier: Apache-2.0
"""Servers of a test's own, with access control or TLS; gone when the test's process ends."""
import ctypes
import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from tunnel import Served


def start(name, *options):
    """The URI of a deployment, and a function that ends it."""
    script = os.environ.get("LEASEHOLD_MONGOD")
    if not script:
        pytest.skip("LEASEHOLD_MONGOD does not name scripts/mongod")
    if "--tls" in options and os.environ.get("LEASEHOLD_SERVER_LACKS") == "tls":
        pytest.skip("NOT TESTED: what needs TLS, which this server does not have")
    name = f"{name}-{os.getpid()}"
    up = subprocess.run(
        [script, "up", *options, "--name", name, "--end-with", str(os.getpid())],
        check=True,
        capture_output=True,
        text=True,
    )
    return up.stdout.strip(), lambda: subprocess.run(
        [script, "down", "--name", name], check=True, capture_output=True
    )


def folder_of(uri):
    """Where a deployment with TLS has its files."""
    return Path(uri.split("tlsCAFile=")[1].split("&")[0]).parent.parent


class Impostor(Served):
    """Speaks TLS with a certificate of its own, and nothing after that."""

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = b""

    def serve(self):
        with self.listener:
            self.listener.settimeout(0.05)
            while not self.closed:
                try:
                    connection, _ = self.listener.accept()
                    connection.settimeout(1)
                    with self.context.wrap_socket(connection, server_side=True) as secured:
                        self.heard += secured.recv(4096)
                except OSError:
                    continue


def start_alone(folder, *options):
    """The URI of one mongod with options that scripts/mongod does not have, and a function that
    ends it."""
    script = os.environ.get("LEASEHOLD_MONGOD")
    if not script:
        pytest.skip("LEASEHOLD_MONGOD does not name scripts/mongod")
    binary = subprocess.run(
        [script, "get"], check=True, capture_output=True, text=True
    ).stdout.strip()
    (folder / "db").mkdir()
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [
                binary,
                f"--dbpath={folder}/db",
                f"--port={port}",
                "--bind_ip=127.0.0.1",
                "--nounixsocket",
                "--wiredTigerCacheSizeGB=0.25",
                f"--logpath={folder}/log",
                *options,
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
        )  # with the test's process it ends, too
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
                continue

            def end():
                process.kill()
                process.wait()

            return f"mongodb://127.0.0.1:{port}/", end
        if process.returncode != 48:  # somebody else has the port
            return None, (folder / "log").read_text()
    raise AssertionError("mongod found no free port")
