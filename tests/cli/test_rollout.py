# SPDX-License-Identifier: Apache-2.0
"""LEASEHOLD_MODE: whether the command line's leases bind, which is never left unsaid; and what
operators do in every mode."""
import time

import pytest
from serving import Server

NOWHERE = "mongodb://127.0.0.1:1/"
OBSERVE, OFF = {"LEASEHOLD_MODE": "observe"}, {"LEASEHOLD_MODE": "off"}


@pytest.mark.parametrize("uri", [None, NOWHERE])
def test_off_needs_no_server(offline, uri):
    env = OFF | {"LEASEHOLD_URI": uri}
    result = offline("--json", "acquire", "k", "--wait", "forever", env=env)
    assert (
        result.exit == 0
        and result.json["outcome"] == "granted"
        and result.json["enforced"] is False
    ), result
    assert (
        result.json["token"] == 0
        and "refusal" not in result.json
        and "LEASEHOLD_MODE" not in result.out
    )
    lease = result.json["lease"]
    renewed = offline("--json", "renew", "k", "--lease", lease, env=env).json
    assert renewed["outcome"] == "renewed" and renewed["enforced"] is False
    handed = offline("--json", "transfer", "k", "--lease", lease, "--to", "bob", env=env).json
    assert handed["enforced"] is False and handed["lease"] != lease
    released = offline("--json", "release", "k", "--lease", lease, "--note", "v1", env=env).json
    assert released["outcome"] == "released" and released["enforced"] is False
    result = offline("run", "k", "--", "sh", "-c", "echo $LEASEHOLD_TOKEN; exit 7", env=env)
    assert (result.exit, result.out) == (7, "0\n") and "not enforced" in result.err
    assert offline("acquire", "k", env=env).err.count("not enforced") == 1
    assert "not enforced" in offline("release", "k", "--lease", lease, env=env).out
    assert offline("acquire", "", env=env).exit == 64  # what is wrong stays wrong


def test_observing_refuses_nobody_and_says_who_it_would_have_been(cli, locks):
    held = cli.acquire("k", "--owner", "alice", "--ttl", "1h")
    before = locks.find_one({"workspace_id": "k"})
    result = cli("--json", "acquire", "k", "--wait", "forever", env=OBSERVE)
    assert (
        result.exit == 0 and result.json["enforced"] is False and result.json["refusal"] == "busy"
    )
    assert "alice" in result.json["message"] and result.json["token"] == 0
    text = cli("acquire", "k", env=OBSERVE)
    assert (
        text.exit == 0
        and "not enforced, and would have been refused" in text.err
        and "alice" in text.err
    )
    lease = result.json["lease"]
    renewed = cli("renew", "k", "--lease", lease, env=OBSERVE)
    assert renewed.exit == 0 and "not enforced" in renewed.out
    assert cli("release", "k", "--lease", lease, env=OBSERVE).exit == 0
    ran = cli("run", "k", "--note", "v9", "--", "echo", "ran", env=OBSERVE)
    assert (ran.exit, ran.out) == (0, "ran\n") and "alice" in ran.err
    assert locks.find_one({"workspace_id": "k"}) == before
    assert cli("release", "k", "--lease", held["lease"]).exit == 0


def test_observing_records_and_does_not_end_work_whose_lease_is_lost(cli, locks):
    process = cli.start(
        "run", "k", "--ttl", "2s", "--", "sh", "-c", "sleep 3; echo done", env=OBSERVE
    )
    while not locks.find_one({"workspace_id": "k"}):
        time.sleep(0.02)
    assert cli("acquire", "k").exit == 75  # who enforces is refused
    assert cli("break", "k", "--reason", "test", "--yes").exit == 0
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "done\n")
    assert cli.acquire("k")["enforced"] is True


def test_observing_bears_an_outage_and_a_database_that_is_not_ready(offline, bare, locks):
    began = time.monotonic()
    result = offline(
        "--json", "acquire", "k", "--timeout", "60s", env=OBSERVE | {"LEASEHOLD_URI": NOWHERE}
    )
    assert (
        result.exit == 0
        and result.json["refusal"] == "unreachable"
        and time.monotonic() - began < 30
    )
    locks.insert_many(
        [{"workspace_id": "d"}, {"workspace_id": "d"}]
    )  # no unique index before a migration
    assert bare("acquire", "k").exit == 78
    assert bare("--json", "acquire", "k", env=OBSERVE).json["refusal"] == "config"


def test_what_operators_ask_for_is_done_in_every_mode(cli):
    for env in (OBSERVE, OFF):
        cli.acquire("k")
        assert cli("--json", "status", "k", env=env).json["state"] == "held"
        assert [line["key"] for line in cli("--json", "list", env=env).lines] == ["k"]
        assert cli("break", "k", "--reason", "r", "--yes", env=env).exit == 0
        assert cli("cleanup", "--older-than", "1s", "--yes", env=env).exit == 0
        assert cli("migrate", "--yes", env=env).exit == 0
        findings = cli("--json", "doctor", env=env).json["findings"]
        assert [f["severity"] for f in findings if f["id"] == "not_enforced"] == ["warning"]
    assert "not_enforced" not in cli("doctor").out


def test_over_http(cli, offline):
    held = cli.acquire("k", "--owner", "alice")
    cli.env |= OBSERVE
    server = Server(cli, "--listen", "127.0.0.1:0")
    granted = server.acquire("k", "bob", wait_ms=20000)
    assert (
        granted.status == 201
        and granted.json["enforced"] is False
        and granted.json["refusal"] == "busy"
    )
    head = {"Lease-Id": granted.json["lease"]}
    assert server("PATCH", "/v1/leases/k", {}, head).status == 200
    assert server("DELETE", "/v1/leases/k", None, head).status == 200
    assert [server("GET", "/readyz").status for _ in range(3)] == [200] * 3
    metrics = server("GET", "/metrics").body.decode()
    assert (
        "leasehold_enforced 0\n" in metrics
        and 'leasehold_observed_total{what="contended"} 1\n' in metrics
    )
    server.end()
    assert cli("--json", "status", "k").json["holders"][0]["token"] == held["token"]
    offline.env |= OFF
    server = Server(offline, "--listen", "127.0.0.1:0")  # without any database
    assert server.acquire("k").status == server.acquire("k").status == 201
    assert [server("GET", "/readyz").status for _ in range(3)] == [200] * 3
    assert 'leasehold_observed_total{what="skipped"} 2\n' in server("GET", "/metrics").body.decode()
    server.end()
