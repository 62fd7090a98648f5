# SPDX-License-Identifier: Apache-2.0
"""Deployments that leases cannot live on are refused when a store is opened, with what is wrong and what to do: a mongos, and servers
older than 6.0. Here a real server whose answers to `hello` pass through a tunnel that says so; real servers of 4.4 and 5.0 were tried
by hand."""
import socket
import struct
import threading
import urllib.parse

import bson
import pytest
from conftest import URI, Cli

OP_REPLY, OP_MSG = 1, 2013
START = {OP_REPLY: 16 + 20, OP_MSG: 16 + 5}  # of the document, behind the header


class Disguise:
    """Passes on what is sent; changes the server's answers to hello."""

    def __init__(self, **changes):
        first = urllib.parse.urlsplit(URI.split(",")[0].replace("mongodb://", "http://"))
        self.target, self.changes = (first.hostname, first.port), changes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"mongodb://127.0.0.1:{self.listener.getsockname()[1]}/?directConnection=true"
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(self.target)
            self.sockets += [here, there]
            threading.Thread(target=self.pass_on, args=(here, there, lambda message: message), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(there, here, self.changed), daemon=True).start()

    def pass_on(self, source, sink, change):
        try:
            with source.makefile("rb") as stream:
                while head := stream.read(4):
                    sink.sendall(change(head + stream.read(struct.unpack("<i", head)[0] - 4)))
        except (OSError, struct.error):
            pass
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def changed(self, message):
        start = START[struct.unpack_from("<i", message, 12)[0]]
        answer = bson.decode(message[start:])
        if "maxWireVersion" not in answer:
            return message
        answer |= self.changes
        for name in [name for name, value in self.changes.items() if value is None]:
            del answer[name]
        flags = struct.pack("<I", struct.unpack_from("<I", message, 16)[0] & ~1) if start == START[OP_MSG] else message[16:20]  # no checksum
        body = message[4:16] + flags + message[20:start] + bson.encode(answer)
        return struct.pack("<i", len(body) + 4) + body

    def close(self):
        for opened in [self.listener, *self.sockets]:
            opened.close()


@pytest.fixture
def disguised(request):
    disguise = Disguise(**request.param)
    yield Cli(disguise.uri, "refused")
    disguise.close()


MONGOS = {"msg": "isdbgrid", "setName": None, "hosts": None, "secondary": None, "primary": None, "me": None}


@pytest.mark.parametrize("disguised, words", [
    pytest.param({"maxWireVersion": 13}, ["older than MongoDB 6.0", "upgrade"], id="5.0"),
    pytest.param(MONGOS, ["mongos", "connect to a replica set"], id="mongos")], indirect=["disguised"])
@pytest.mark.parametrize("command", [["acquire", "k"], ["migrate", "--yes"], ["list"], ["doctor"]], ids=lambda command: command[0])
def test_it_is_refused_with_what_to_do(disguised, words, command):
    done = disguised(*command, "--json")
    assert done.exit == 78, done
    assert all(word in done.out + done.err for word in words), done


@pytest.mark.parametrize("disguised", [{}], indirect=True)
def test_undisguised_it_is_not_refused(disguised):
    """So that it is the disguise that is refused above."""
    done = disguised("status", "k")
    assert done.exit == 0, done
