# SPDX-License-Identifier: Apache-2.0
"""A way to a server that can fall silent: what is sent is kept and not passed on."""
import selectors
import socket
import threading
import urllib.parse


class Served:
    """Something that listens, as long as it is entered: `serve` runs in a thread of its own until
    `closed`."""

    def __enter__(self):
        self.closed = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closed = True
        self.thread.join()


class Tunnel(Served):
    def __init__(self, uri):
        parts = urllib.parse.urlsplit(uri.replace("mongodb://", "http://").split(",")[0])
        self.target = (parts.hostname, parts.port or 27017)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"mongodb://127.0.0.1:{self.listener.getsockname()[1]}/?directConnection=true"
        self.frozen = False
        self.sockets = []
        self.lock = threading.Lock()

    def freeze(self):
        self.frozen = True

    def serve(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while not self.closed:
                for key, _ in selector.select(0.02):
                    if self.frozen:
                        break
                    if key.fileobj is self.listener:
                        self.accept(selector)
                    else:
                        self.pass_on(selector, key.fileobj, key.data)
                if self.frozen:
                    threading.Event().wait(0.02)
            for opened in self.sockets + [self.listener]:
                opened.close()

    def accept(self, selector):
        here, _ = self.listener.accept()
        there = socket.create_connection(self.target)
        self.sockets += [here, there]
        selector.register(here, selectors.EVENT_READ, there)
        selector.register(there, selectors.EVENT_READ, here)

    def pass_on(self, selector, source, sink):
        try:
            data = source.recv(65536)
            if data:
                sink.sendall(data)
                return
        except OSError:
            pass
        for end in (source, sink):
            try:
                selector.unregister(end)
            except (KeyError, ValueError):
                pass  # closed by the other one's end
            end.close()
