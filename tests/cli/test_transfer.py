# SPDX-License-Identifier: Apache-2.0
"""transfer: the lease goes on under another id, owner and token, past the queue."""
import re
import time

import pytest
from conftest import wait_until

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("options", [[], ["--shared"]])
def test_it_is_handed_on(cli, options):
    old = cli.acquire("k", "--owner", "alice", "--ttl", "60s", *options)
    result = cli("--json", "transfer", "k", "--lease", old["lease"], "--to", "bob")
    new = result.json
    assert result.exit == 0 and result.err == "" and list(new) == list(old)
    assert (new["outcome"], new["key"], new["owner"], new["mode"]) == (
        "granted",
        "k",
        "bob",
        old["mode"],
    )
    assert new["lease"] != old["lease"] and new["token"] > old["token"] and new["ttl_ms"] == 60000
    assert cli("renew", "k", "--lease", old["lease"]).exit == 76
    assert cli("renew", "k", "--lease", new["lease"]).exit == 0
    status = cli("--json", "status", "k").json
    assert [holder["owner"] for holder in status["holders"]] == ["bob"]
    assert (status["released"]["owner"], status["released"]["how"]) == ("alice", "transfer")
    assert cli("release", "k", "--lease", new["lease"]).exit == 0


def test_it_goes_past_the_queue(cli, locks):
    old = cli.acquire("k")
    waiting = cli.start("--json", "acquire", "k", "--wait", "20s", "--owner", "carol")
    wait_until(lambda: locks.find_one({"workspace_id": "k"}).get("waiters"))
    new = cli("--json", "transfer", "k", "--to", "bob", env={"LEASEHOLD_LEASE": old["lease"]}).json
    assert new["owner"] == "bob" and waiting.poll() is None
    assert cli("release", "k", "--lease", new["lease"]).exit == 0
    out, _ = waiting.communicate(timeout=10)
    assert '"owner":"carol"' in out


def test_for_people_and_for_scripts(cli):
    lease = cli.acquire("k")["lease"]
    result = cli("transfer", "k", "--lease", lease, "--to", "bob")
    assert result.out.startswith("granted  k\n  lease    ") and result.err == ""
    lease = re.search("[0-9a-f]{32}", result.out)[0]
    assert re.fullmatch(
        r"[0-9a-f]{32}\n", cli("transfer", "k", "--lease", lease, "--to", "carol", "--quiet").out
    )


def test_of_what_is_not_mine_it_changes_nothing(cli, locks):
    def refused(key, lease):
        before = locks.find_one({"workspace_id": key})
        result = cli("--json", "transfer", key, "--lease", lease, "--to", "bob")
        assert result.exit == 76 and result.json["code"] == "lost", result
        assert locks.find_one({"workspace_id": key}) == before

    released = cli.acquire("released")["lease"]
    cli("release", "released", "--lease", released)
    ended = cli.acquire("ended", "--ttl", "1s")["lease"]
    cli.acquire("held")
    refused("held", ID)
    refused("nobody's", ID)
    refused("released", released)
    time.sleep(1.1)
    refused("ended", ended)


def test_what_must_be_said(offline):
    env = {"LEASEHOLD_URI": "mongodb://127.0.0.1:1/"}
    for args, hint in (
        (["--to", "bob"], "which lease?"),
        (["--lease", ID], "which new owner?"),
        (["--lease", "x", "--to", "bob"], "lease"),
    ):
        result = offline("transfer", "k", *args, env=env)
        assert result.exit == 64 and hint in result.err, result


@pytest.mark.parametrize("owner", ["", "x" * 257, b"\xff"])
def test_a_bad_owner_is_refused(cli, locks, owner):
    lease = cli.acquire("k")["lease"]
    assert cli("transfer", "k", "--lease", lease, "--to", owner).exit == 64
    assert locks.find_one({"workspace_id": "k"})["id"] == lease
