# SPDX-License-Identifier: Apache-2.0
"""serve and requests whose ends can be read in two ways: 400, and nothing behind them is read."""
import socket
import urllib.parse

import pytest
from conftest import wait_until
from serving import CLIENT, OTHER, Server, key, ready, tokens  # noqa: F401  (fixtures)

BEHIND = b"GET /v1/leases/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
JSON = b'{"ttl_ms":60000}'
LENGTH = b"Content-Length: 16"
CHUNKS = b"10\r\n" + JSON + b"\r\n0\r\n\r\n"


def head(*lines, first=b"PATCH /v1/leases/framed HTTP/1.1", host=b"Host: localhost", end=b"\r\n"):
    known = [b"Content-Type: application/json", b"Lease-Id: " + b"f" * 32]
    return end.join([first, *([host] if host else []), *known, *lines, b"", b""])


def get(path, *lines):
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: localhost", *lines, b"", b""])


def many(n):
    return b"/v1/leases?" + b"&".join(b"a%d=1" % i for i in range(n))


TWICE = b"Authorization: Bearer " + CLIENT.encode()

# What is refused, and nothing behind it is read: 400, and the connection is closed.
REFUSED = {
    "two lengths that differ": head(b"Content-Length: 3", LENGTH) + JSON,
    "two lengths, the first is right": head(LENGTH, b"Content-Length: 57") + JSON,
    "two lengths, one zero": head(b"Content-Length: 0", LENGTH) + JSON,
    "the same length twice": head(LENGTH, LENGTH) + JSON,
    "the same length in other letters": head(LENGTH, b"CONTENT-LENGTH: 16") + JSON,
    "three lengths": head(LENGTH, LENGTH, LENGTH) + JSON,
    "a list of lengths": head(b"Content-Length: 16, 16") + JSON,
    "a length with a sign": head(b"Content-Length: +16") + JSON,
    "a negative length": head(b"Content-Length: -16") + JSON,
    "a length in hexadecimal": head(b"Content-Length: 0x10") + JSON,
    "an empty length": head(b"Content-Length:") + JSON,
    "a length with a blank inside": head(b"Content-Length: 1 6") + JSON,
    "a length with a form feed": head(b"Content-Length: \x0c16") + JSON,
    "a length before chunks": head(LENGTH, b"Transfer-Encoding: chunked") + CHUNKS,
    "a length behind chunks": head(b"Transfer-Encoding: chunked", LENGTH) + CHUNKS,
    "no length beside chunks": head(b"Transfer-Encoding: chunked", b"Content-Length: 0") + CHUNKS,
    "a blank before the length's colon": head(b"Content-Length : 16") + JSON,
    "a tab before the length's colon": head(b"Content-Length\t: 16") + JSON,
    "a blank before the encoding's colon": head(b"Transfer-Encoding : chunked") + CHUNKS,
    "a blank before any colon": head(b"X-Other : 1", LENGTH) + JSON,
    "a blank in a name": head(b"X Other: 1", LENGTH) + JSON,
    "no name": head(b": 1", LENGTH) + JSON,
    "a name in brackets": head(b"(x): 1", LENGTH) + JSON,
    "a name with a quote": head(b'"Content-Length": 3', LENGTH) + JSON,
    "a name that is not ASCII": head(b"Content-L\xc3\xa9ngth: 3", LENGTH) + JSON,
    "a control character before a name": head(b"\x0bContent-Length: 3", LENGTH) + JSON,
    "an encoding that is not known": head(b"Transfer-Encoding: xchunked") + CHUNKS,
    "an encoding with quotes": head(b'Transfer-Encoding: "chunked"') + CHUNKS,
    "an encoding that is nothing": head(b"Transfer-Encoding: identity") + CHUNKS,
    "no encoding": head(b"Transfer-Encoding:") + CHUNKS,
    "two encodings": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + CHUNKS,
    "the same encoding twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")
    + CHUNKS,
    "a list of encodings": head(b"Transfer-Encoding: gzip, chunked") + CHUNKS,
    "chunked twice in a list": head(b"Transfer-Encoding: chunked, chunked") + CHUNKS,
    "an encoding with a parameter": head(b"Transfer-Encoding: chunked;q=1") + CHUNKS,
    "an encoding behind a vertical tab": head(b"Transfer-Encoding: \x0bchunked") + CHUNKS,
    "an encoding on a second line": head(b"Transfer-Encoding:", b" chunked") + CHUNKS,
    "an encoding in HTTP/1.0": head(
        b"Transfer-Encoding: chunked", first=b"PATCH /v1/leases/framed HTTP/1.0"
    )
    + CHUNKS,
    "chunks without an encoding's value": head(b"Transfer-Encoding: chunked\0x") + CHUNKS,
    "a NUL behind the encoding": head(b"Transfer-Encoding: chunked\0") + CHUNKS,
    "a length on two lines": head(b"Content-Length: 1", b" 6") + JSON,
    "any value on two lines": head(b"X-Other: a", b" b", LENGTH) + JSON,
    "any value on two lines, by a tab": head(b"X-Other: a", b"\tContent-Length: 3", LENGTH) + JSON,
    "a first line that is folded": head(
        LENGTH, first=b"PATCH /v1/leases/framed HTTP/1.1\r\n X-Other: 1"
    )
    + JSON,
    "a last line that is folded": head(LENGTH, b"X-Other: 1", b" ") + JSON,
    "a NUL in a value": head(b"X-Other: a\0b", LENGTH) + JSON,
    "a NUL at a value's end": head(b"X-Other: a\0", LENGTH) + JSON,
    "a NUL at the last value's end": head(LENGTH, b"X-Other: a\0") + JSON,
    "a NUL in a length": head(b"Content-Length: 16\x000") + JSON,
    "a NUL in a name": head(b"X-\0Other: a", LENGTH) + JSON,
    "a line that begins with a NUL": head(b"\0X-Other: a", LENGTH) + JSON,
    "a line that is a NUL": head(b"\0", LENGTH) + JSON,
    "a NUL behind the method": head(LENGTH, first=b"PATCH\0 /v1/leases/framed HTTP/1.1") + JSON,
    "a NUL in the path": head(LENGTH, first=b"PATCH /v1/leases/framed\0/x HTTP/1.1") + JSON,
    "a NUL in the query": get(b"/v1/leases?limit=1\0&x=1"),
    "a NUL behind the version": head(LENGTH, first=b"PATCH /v1/leases/framed HTTP/1.1\0") + JSON,
    "a carriage return in a value": head(b"X-Other: a\rContent-Length: 3", LENGTH) + JSON,
    "a carriage return at a value's end": head(b"X-Other: a\r", LENGTH) + JSON,
    "a bare line feed": head(b"X-Other: a\nX-More: b", LENGTH) + JSON,
    "bare line feeds": head(LENGTH, end=b"\n") + JSON,
    "a bare line feed at the end": head(LENGTH)[:-2] + b"\n" + JSON,
    "a bare line feed behind the first line": head(
        LENGTH, first=b"PATCH /v1/leases/framed HTTP/1.1\nX-Other: 1"
    )
    + JSON,
    "an escape in a value": head(b"X-Other: a\x1b[m", LENGTH) + JSON,
    "two blanks in the first line": head(LENGTH, first=b"PATCH  /v1/leases/framed HTTP/1.1") + JSON,
    "a blank behind the version": head(LENGTH, first=b"PATCH /v1/leases/framed HTTP/1.1 ") + JSON,
    "two hosts": head(b"Host: evil.example", LENGTH) + JSON,
    "the same host twice": head(b"Host: localhost", LENGTH) + JSON,
    "no host": head(LENGTH, host=None) + JSON,
    "a line without a colon": head(b"Content-Length", LENGTH) + JSON,
    "two Authorizations": head(TWICE, b"Authorization: Bearer " + OTHER.encode(), LENGTH) + JSON,
    "the same Authorization twice": head(TWICE, TWICE, LENGTH) + JSON,
    "a NUL behind the token": head(TWICE + b"\0zzz", LENGTH) + JSON,
    "two Lease-Ids": head(b"lease-id: " + b"e" * 32, LENGTH) + JSON,
    "two Idempotency-Keys": head(b"Idempotency-Key: a", b"Idempotency-Key: b", LENGTH) + JSON,
    "two Content-Types": head(b"Content-Type: text/plain", LENGTH) + JSON,
    "two Expects": head(b"Expect: 100-continue", b"Expect: 100-continue", LENGTH) + JSON,
    "500 arguments": get(many(500)),
    "2000 arguments": get(many(2000)),
    "5000 separators": get(b"/v1/leases?" + b"&" * 5000),
    "20,000 separators": get(b"/v1/leases?" + b"&" * 20000),
}

# What is as it should be: answered, and the next request on the connection is, too.
TAKEN = {
    "a length": (head(LENGTH) + JSON, b"410"),
    "no body": (head(), b"410"),
    "a body of no length": (head(b"Content-Length: 0"), b"410"),
    "blanks before a value": (head(b"Content-Length: \t 16") + JSON, b"410"),
    "no blank before a value": (head(b"Content-Length:16") + JSON, b"410"),
    "an empty value": (head(b"X-Other:", LENGTH) + JSON, b"410"),
    "an empty last value": (head(LENGTH, b"X-Other:") + JSON, b"410"),
    "a tab in a value": (head(b"X-Other: a\tb", LENGTH) + JSON, b"410"),
    "bytes beyond ASCII in a value": (head(b"X-Other: \xc3\xa4\xff", LENGTH) + JSON, b"410"),
    "a header twice that is none of ours": (
        head(b"X-Other: a", b"X-Other: b", b"Via: a", b"Via: b", LENGTH) + JSON,
        b"410",
    ),
    "all that a name may have": (head(b"!#$%&'*+-.^_`|~09azAZ: 1", LENGTH) + JSON, b"410"),
    "a cookie": (head(b"Cookie: a=b; c=d", LENGTH) + JSON, b"410"),
    "many headers": (head(*(b"X-%d: %d" % (i, i) for i in range(90)), LENGTH) + JSON, b"410"),
    "an empty line before it": (b"\r\n" + get(b"/healthz"), b"200"),
    "arguments": (get(b"/v1/leases?limit=1&prefix=a+b&owner=%41"), b"200"),
    "an argument without a name": (get(b"/v1/leases?=x"), b"400"),
    "an argument without a name or value": (get(b"/v1/leases?&limit=1"), b"400"),
    "an argument twice": (get(b"/v1/leases?limit=1&limit=2"), b"400"),
    "400 arguments": (get(many(60)), b"400"),
    "Host with a port": (b"GET /v1/busy HTTP/1.1\r\nHost: localhost:80\r\n\r\n", b"200"),
    "Host that begins like ours": (
        b"GET /v1/busy HTTP/1.1\r\nHost: localhost:x@evil.example\r\n\r\n",
        b"421",
    ),
    "Host with no port": (b"GET /v1/busy HTTP/1.1\r\nHost: localhost:\r\n\r\n", b"200"),
    "Host that goes on": (b"GET /v1/busy HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", b"421"),
}


def connect(server):
    address = urllib.parse.urlsplit(server.name)
    connection = socket.create_connection((address.hostname, address.port))
    connection.settimeout(5)
    return connection


def exchange(server, request):
    """All that is answered until the server closes."""
    with connect(server) as connection:
        connection.sendall(request)
        got = b""
        try:
            while part := connection.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        except TimeoutError:
            got += b"<the server did not close>"
        return got


def statuses(got):
    return [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture(scope="module")
def loopback(ready):
    server = Server(ready, "--listen", "127.0.0.1:0")
    yield server
    assert "smuggled" not in server.end()


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(loopback, name):
    got = exchange(loopback, REFUSED[name] + BEHIND)
    assert set(statuses(got)) == {
        b"400"
    }, got  # libmicrohttpd says some of its own twice, and closes
    assert b"did not close" not in got


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_clear_is_answered(loopback, name):
    request, status = TAKEN[name]
    got = exchange(loopback, request + get(b"/healthz", b"Connection: close"))
    assert statuses(got) == [status, b"200"], got


def test_nothing_is_read_behind_chunks(loopback):
    """Where a chunk ends is read in more than one way, too, and libmicrohttpd does not say how it
    was."""
    for body in (
        CHUNKS,
        b"10;x=y\r\n" + JSON + b"\r\n0\r\n\r\n",
        b"10\n" + JSON + b"\n0\n\n",
        b"10;\nx\r\n" + JSON + b"\r\n0\r\n\r\n",
    ):
        for encoding in (b"chunked", b"Chunked"):
            got = exchange(loopback, head(b"Transfer-Encoding: " + encoding) + body + BEHIND)
            assert statuses(got) in ([b"410"], [b"400"]), got
    assert statuses(exchange(loopback, head(b"Transfer-Encoding: chunked") + CHUNKS)) == [b"410"]


# ---- through a proxy ----


class Proxy:
    """Sends the requests of several clients over one connection, where it finds their ends by a
    rule that is not the server's."""

    def __init__(self, server, length_of):
        self.length_of, self.connection = length_of, connect(server)

    def pass_on(self, text):
        """What it takes for one request; the rest is thrown away. All that came back."""
        head, _, rest = text.partition(b"\r\n\r\n")
        self.connection.settimeout(0.5)
        try:
            self.connection.sendall(head + b"\r\n\r\n" + rest[: self.length_of(head, rest)])
            return self.connection.recv(65536)
        except (TimeoutError, OSError):
            return b""


def lengths(head):
    return [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]


def chunked(head, rest):
    return (
        rest.index(b"0\r\n\r\n") + 5 if b"chunked" in head.lower() else (lengths(head) or [0])[-1]
    )


PREFIX = b"POST /v1/leases/smuggled/break HTTP/1.1\r\nX: "
RULES = {
    "by the last length": (
        lambda head, rest: (lengths(head) or [0])[-1],
        lambda n: [b"Content-Length: 0", b"Content-Length: %d" % n],
        b"",
    ),
    "by the first length": (
        lambda head, rest: (lengths(head) or [0])[0],
        lambda n: [b"Content-Length: %d" % n, b"Content-Length: 0"],
        b"",
    ),
    "by the length, beside chunks": (
        lambda head, rest: (lengths(head) or [0])[0],
        lambda n: [b"Content-Length: %d" % (n + 5), b"Transfer-Encoding: chunked"],
        b"0\r\n\r\n",
    ),
    "by any encoding that has chunked in it": (
        chunked,
        lambda n: [b"Transfer-Encoding : chunked"],
        b"",
    ),
    "by chunks on a second line": (chunked, lambda n: [b"Transfer-Encoding:", b" chunked"], b""),
    "by chunks behind a NUL": (chunked, lambda n: [b"Transfer-Encoding: \0chunked"], b""),
    "by a length behind a NUL": (
        lambda head, rest: (lengths(head.replace(b"\0", b"")) or [0])[0],
        lambda n: [b"\0Content-Length: %d" % n],
        b"",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_lax_proxy_smuggles_nothing(ready, tokens, name):
    length_of, lines, first = RULES[name]
    server = Server(ready, "--listen", "127.0.0.1:0", "--token-file", tokens / "clients")
    body = first + PREFIX
    if length_of is chunked:  # in a chunk, for the proxy
        body = b"%x\r\n" % len(PREFIX) + PREFIX + b"\r\n0\r\n\r\n"
    proxy = Proxy(server, length_of)
    attacker = b"Authorization: Bearer " + CLIENT.encode()
    proxy.pass_on(head(attacker, *lines(len(body)), first=b"GET /v1/leases HTTP/1.1") + body)
    proxy.pass_on(get(b"/v1/leases/victim", b"Authorization: Bearer " + OTHER.encode()))
    proxy.connection.close()
    wait_until(lambda: server.log or True)
    log = server.end()
    assert "smuggled" not in log, log
