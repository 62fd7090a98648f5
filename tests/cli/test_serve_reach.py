# SPDX-License-Identifier: Apache-2.0
"""serve: paths, several keys, keys of parts, resume, transfer, and what operators read."""
import time
import urllib.parse

import pytest
from conftest import wait_until
from serving import (  # noqa: F401
    STANDALONE,
    Server,
    WithEnvironment,
    key,
    path_of,
    program_on,
    ready,
)
from tunnel import Tunnel

NAMED, NAMELESS = "token-of-billing-0123456789", "token-without-a-name-0123456789"
ALL = "/v1/leases"


@pytest.fixture(scope="module")
def server(ready, tmp_path_factory):
    """With a token that has a name, an audit trail, and bounds from the environment."""
    file = tmp_path_factory.mktemp("tokens") / "clients"
    file.write_text(f"billing-1:{NAMED}\n{NAMELESS}\n")
    environment = {
        "LEASEHOLD_TOKEN_FILE": str(file),
        "LEASEHOLD_DEFAULT_TTL": "20s",
        "LEASEHOLD_MAX_TTL": "1m",
        "LEASEHOLD_MAX_WAIT": "200ms",
        "LEASEHOLD_AUDIT": "on",
    }
    assert ready("--audit", "on", "migrate", "--yes", "--no-trial").exit == 0
    started = Server(WithEnvironment(ready, environment), "--listen", "127.0.0.1:0", token=NAMED)
    yield started
    log = started.end()
    assert NAMED not in log and NAMELESS not in log


def states(server, *keys):
    query = "&".join("key=" + urllib.parse.quote(key, safe="") for key in keys)
    answer = server("GET", f"{ALL}?{query}")
    assert answer.status == 200 and answer.json["truncated"] is False
    found = {lease["key"]: lease for lease in answer.json["leases"]}
    assert sorted(found) == sorted(keys) and len(answer.json["leases"]) == len(keys)
    return [found[key]["state"] for key in keys]


def test_a_path_excludes_what_is_below_and_above(server, key):
    below = server.held(key + "/a b", path=True)
    for other in (key, key + "/a b/c"):
        busy = server.acquire(other, "bob", path=True)
        assert (busy.status, busy.json["reason"]) == (423, "path")
        assert busy.json["holder_key"] == key + "/a b" and busy.json["holder"]["owner"] == "alice"
    assert server.acquire(key + "/b", "bob", path=True).status == 201
    assert server.release(key + "/a b", below).status == 200
    assert server.acquire(key + "/a b/c", "bob", path=True).status == 201
    waits = server.acquire(key, "bob", path=True, wait_ms=1)
    assert waits.status == 400 and '"path"' in waits.json["detail"]


def test_several_keys_are_granted_together_or_not_at_all(server, key):
    keys = [f"{key}:{name}" for name in ("b", "a", "c")]
    granted = server("POST", ALL, {"owner": "alice", "purpose": "move", "keys": keys[:2]})
    assert granted.status == 201 and "Location" not in granted.headers
    leases = granted.json["leases"]
    assert [lease["key"] for lease in leases] == keys[:2]
    assert {lease["ttl_ms"] for lease in leases} == {20000}  # the environment's
    busy = server("POST", ALL, {"owner": "bob", "keys": [keys[2], keys[1]]})
    assert (busy.status, busy.json["key"], busy.json["holder"]["owner"]) == (423, keys[1], "alice")
    assert states(server, *keys, key) == ["held", "held", "free", "free"]
    for lease in leases:
        id = {"Lease-Id": lease["lease"]}
        assert server("PATCH", path_of(lease["key"]), headers=id).status == 200
        assert server.release(lease["key"], lease["lease"]).status == 200
    assert states(server, *keys) == ["free"] * 3


@pytest.mark.parametrize(
    "body, headers, says",
    [
        ({}, {}, '"keys"'),
        ({"keys": []}, {}, '"keys"'),
        ({"keys": ["a"], "parts": ["a"]}, {}, '"parts"'),
        ({"keys": "a"}, {}, "array of strings"),
        ({"keys": ["a", 1]}, {}, "must be a string"),
        ({"keys": ["a", "a"]}, {}, "twice"),
        ({"keys": ["a", "b\n"]}, {}, "key 2 of 2"),
        ({"keys": [f"k{i}" for i in range(101)]}, {}, "maxItems"),
        ({"keys": ["a"], "wait_ms": 5}, {}, "retry_after_ms"),
        ({"keys": ["a"]}, {"Idempotency-Key": "one"}, "Idempotency-Key"),
        ({"parts": ["a", ""]}, {}, "part"),
        ({"keys": ["a"], "path": 1}, {}, "true or false"),
        ({"keys": ["a"], "ttl_ms": 60001}, {}, "--max-ttl"),
    ],
)
def test_what_is_no_request_for_several_keys(server, body, headers, says):
    answer = server("POST", ALL, {"owner": "alice", **body}, headers)
    assert answer.status == 400 and says in answer.json["detail"], answer.body


def test_parts_are_joined_as_everywhere(server, ready, key):
    parts = ["root", "git:hub", f"a/b%{key}"]
    joined = ready("key", "join", *parts).out.strip()
    granted = server("POST", ALL, {"owner": "alice", "parts": parts}, {"Idempotency-Key": key})
    assert granted.status == 201 and granted.json["key"] == joined
    again = server("POST", ALL, {"owner": "alice", "parts": parts}, {"Idempotency-Key": key})
    assert again.json["lease"] == granted.json["lease"]
    assert states(server, joined) == ["held"]


def test_only_the_bearer_of_a_name_resumes(server, key):
    old = server.held(key, owner="billing-1")
    for owner, token in (("billing-2", NAMED), ("billing-1", NAMELESS), ("#1", NAMELESS)):
        body = {"owner": owner, "resume": True}
        refused = server("POST", path_of(key), body, token=token)
        assert (refused.status, refused.json["code"]) == (403, "resume"), refused.body
    new = server.held(key, owner="billing-1", resume=True)
    assert server("PATCH", path_of(key), headers={"Lease-Id": old}).status == 410
    assert server.release(key, new).status == 200


def test_a_lease_is_transferred(server, key):
    old = server.acquire(key, "alice").json
    mine = {"Lease-Id": old["lease"]}
    assert server("POST", path_of(key) + "/transfer", {}, mine).status == 400
    new = server("POST", path_of(key) + "/transfer", {"to": "bob"}, mine)
    assert (new.status, new.json["owner"]) == (200, "bob") and new.json["token"] > old["token"]
    assert server("PATCH", path_of(key), headers=mine).status == 410
    assert server("POST", path_of(key) + "/transfer", {"to": "carol"}, mine).status == 410
    assert server("GET", path_of(key)).json["holders"][0]["owner"] == "bob"
    assert server.release(key, new.json["lease"]).status == 200


def test_null_is_no_body(server, key):
    id = {"Lease-Id": server.held(key)}
    assert server("PATCH", path_of(key), b" null\n", id).status == 200
    for body in (b"nul", b"null null", b"nullx", b"null\0"):
        assert server("DELETE", path_of(key), body, id).status == 400, body
    assert server("DELETE", path_of(key), b"null", id).status == 200


def test_bounds_are_the_servers(server, key):
    lease = server.acquire(key, "alice").json
    assert lease["ttl_ms"] == 20000
    assert 0 < lease["renew_after_ms"] <= lease["remaining_ms"] / 3
    longer = server("PATCH", path_of(key), {"ttl_ms": 60001}, {"Lease-Id": lease["lease"]})
    assert longer.status == 400 and "--max-ttl" in longer.json["detail"]
    waited = server.acquire(key, "bob", wait_ms=60000)
    assert (waited.status, waited.json["reason"]) == (423, "timeout")
    assert server.acquire(key, "bob").json["reason"] == "held"


def test_what_is_no_list_of_keys(server, key):
    for query in ("key=", "key=a%0A", "key=%zz", "&".join(["key=a"] * 61)):
        assert server("GET", f"{ALL}?{query}").status == 400, query
    assert states(server, key) == ["free"]


def test_counts_and_the_trail(server, key):
    token = server.acquire(key, "alice", purpose="why").json["token"]
    stats = server("GET", "/v1/stats").json
    assert stats["held"] >= 1 and stats["oldest"]["key"] and stats["documents"] >= stats["held"]

    def entries(query=""):
        return server("GET", "/v1/audit?key=" + urllib.parse.quote(key) + query).json

    wait_until(lambda: entries()["entries"])
    trail = entries("&since=5m")
    assert trail["truncated"] is False
    assert [(e["event"], e["owner"], e["token"]) for e in trail["entries"]] == [
        ("granted", "alice", token)
    ]
    assert server("GET", "/v1/audit?since=soon").status == 400


def test_hosts_are_hidden(ready, key):
    server = Server(ready, "--listen", "127.0.0.1:0", "--hide-hosts")
    lease = server.held(key)
    holder = server("GET", path_of(key)).json["holders"][0]
    assert (holder["owner"], holder["host"], holder["pid"]) == ("alice", None, None)
    assert server.acquire(key, "bob").json["holder"]["host"] is None
    trail = server("GET", "/v1/audit")  # it runs without a trail
    assert trail.status == 400 and "audit" in trail.json["detail"]
    server.release(key, lease)
    server.end()


def test_several_keys_that_could_not_be_told_are_released(key):
    """The client closes its connection while the database is asked."""
    with Tunnel(STANDALONE) as tunnel, program_on(tunnel.uri) as cli:
        server = Server(cli, "--listen", "127.0.0.1:0")
        server.held(key)
        tunnel.frozen = True
        keys = [f"{key}:{n}" for n in range(50)]
        connection = server.send("POST", ALL, {"owner": "gone", "keys": keys})
        time.sleep(0.3)  # a worker has it by now
        connection.close()
        time.sleep(0.2)
        tunnel.frozen = False
        wait_until(lambda: any('"status":null,"sent":false' in line for line in server.log))
        wait_until(lambda: cli("list", "--owner", "gone", "--quiet").out == "")
        listed = cli("--json", "list", "--all").lines
        assert len([one for one in listed if (one["released"] or {}).get("owner") == "gone"]) == 50
        server.end()
