# SPDX-License-Identifier: Apache-2.0
"""acquire, renew, release: outcomes, exit codes, and the fields of their JSON."""
import datetime
import re
import time

import pytest
from conftest import wait_until

RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ID = "0123456789abcdef0123456789abcdef"


def instant(text):
    assert re.fullmatch(RFC3339, text)
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_acquire_grants(cli, locks):
    granted = cli.acquire("project:42", "--ttl", "60s", "--owner", "alice", "--purpose", "rebuild")
    assert list(granted) == [
        "v",
        "outcome",
        "key",
        "lease",
        "owner",
        "mode",
        "token",
        "ttl_ms",
        "expires_at",
        "remaining_ms",
        "renew_after_ms",
        "enforced",
        "note",
    ]
    assert (granted["v"], granted["outcome"], granted["key"], granted["owner"]) == (
        1,
        "granted",
        "project:42",
        "alice",
    )
    assert (granted["mode"], granted["ttl_ms"]) == ("exclusive", 60000)
    assert re.fullmatch("[0-9a-f]{32}", granted["lease"]) and granted["token"] > 0
    assert 50000 < granted["remaining_ms"] <= 60000
    stored = locks.find_one({"workspace_id": "project:42"})
    assert (
        stored["id"] == granted["lease"]
        and stored["owner"] == "alice"
        and stored["purpose"] == "rebuild"
    )
    assert stored["token"] == granted["token"] and stored["expires_at"] == instant(
        granted["expires_at"]
    )


def test_the_lease_outlives_acquire(cli):
    cli.acquire("k")
    assert cli("--json", "status", "k").json["state"] == "held"


def test_acquire_for_people_and_for_scripts(cli):
    result = cli("acquire", "k", "--ttl", "2m")
    assert result.exit == 0 and result.err == ""
    assert re.match(
        r"granted  k\n  lease    [0-9a-f]{32}\n  token    \d+\n  ends in  2 min 0 s", result.out
    )
    result = cli("acquire", "q", "--quiet")
    assert result.exit == 0 and re.fullmatch(r"[0-9a-f]{32}\n", result.out)


def test_busy_says_who(cli):
    cli.acquire("k", "--owner", "alice", "--purpose", "rebuild", "--ttl", "5m")
    result = cli("--json", "acquire", "k", "--owner", "bob")
    busy = result.json
    assert result.exit == 75 and result.err == ""
    assert list(busy) == [
        "v",
        "outcome",
        "key",
        "reason",
        "holder",
        "holders",
        "waiters",
        "retry_after_ms",
    ]
    assert (busy["v"], busy["outcome"], busy["key"], busy["reason"]) == (1, "busy", "k", "held")
    assert (busy["holders"], busy["waiters"]) == (1, 0) and busy["retry_after_ms"] > 0
    holder = busy["holder"]
    assert list(holder) == [
        "owner",
        "host",
        "pid",
        "purpose",
        "mode",
        "token",
        "acquired_at",
        "expires_at",
        "remaining_ms",
        "kept",
    ]
    assert (holder["owner"], holder["purpose"], holder["mode"]) == ("alice", "rebuild", "exclusive")
    assert holder["pid"] > 0 and holder["host"] and 0 < holder["remaining_ms"] <= 300000
    assert instant(holder["expires_at"]) > instant(holder["acquired_at"])


def test_busy_for_people(cli):
    cli.acquire("k", "--owner", "alice", "--purpose", "rebuild")
    result = cli("acquire", "k")
    assert result.exit == 75 and result.err == ""
    assert result.out.startswith("busy  k") and "alice" in result.out and "rebuild" in result.out
    assert cli("acquire", "k", "--quiet").out == ""


def test_nobody_is_shown_somebody_else_s_lease(cli):
    lease = cli.acquire("k")["lease"]
    for args in (
        ["acquire", "k"],
        ["status", "k"],
        ["list"],
        ["--json", "acquire", "k"],
        ["--json", "status", "k"],
        ["--json", "list"],
        ["renew", "k", "--lease", ID],
        ["release", "k", "--lease", ID],
        ["--json", "break", "k", "--reason", "r", "--yes"],
    ):
        result = cli(*args)
        assert lease not in result.out + result.err


def test_shared_leases(cli):
    first = cli.acquire("k", "--shared")
    second = cli.acquire("k", "--shared")
    assert first["mode"] == second["mode"] == "shared" and second["token"] >= first["token"]
    result = cli("--json", "acquire", "k")
    assert (
        result.exit == 75
        and result.json["holders"] == 2
        and result.json["holder"]["mode"] == "shared"
    )
    for lease in (first, second):
        assert cli("release", "k", "--lease", lease["lease"]).exit == 0
    assert cli("acquire", "k").exit == 0


def test_a_path_shuts_out_those_above_and_below(cli):
    cli.acquire("org/project", "--path", "--owner", "anna")
    for key in ("org", "org/project/file"):
        busy = cli("--json", "acquire", key, "--path")
        assert busy.exit == 75 and busy.json["reason"] == "path", busy
        assert busy.json["key"] == key and busy.json["holder_key"] == "org/project"
        assert busy.json["holder"]["owner"] == "anna"
    shown = cli("acquire", "org", "--path")
    assert "a path above or below" in shown.out and re.search(
        r"path +org/project\n", shown.out
    ), shown
    cli.acquire("org/projects", "--path")
    assert cli("acquire", "org//x", "--path").exit == 64


def test_resume_takes_over_what_the_same_owner_holds(cli):
    before = cli.acquire("k", "--owner", "backend-7")
    assert cli("acquire", "k", "--owner", "backend-8", "--resume").exit == 75
    after = cli.acquire("k", "--owner", "backend-7", "--resume")
    assert after["token"] > before["token"] and after["lease"] != before["lease"]
    assert cli("renew", "k", "--lease", before["lease"]).exit == 76
    assert cli("renew", "k", "--lease", after["lease"]).exit == 0
    assert cli("acquire", "k", "--resume").exit == 64  # the default owner is many programs'


def test_a_signal_leaves_no_lease_behind(cli, locks):
    """Whenever it comes: held means that acquire said so with exit code 0."""
    for i in range(12):
        process = cli.start("acquire", f"k{i}")
        time.sleep(0.004 * i)
        process.terminate()
        out, _ = process.communicate(timeout=10)
        state = cli("--json", "status", f"k{i}").json["state"]
        assert (state == "held") == (process.returncode == 0), (i, process.returncode, out)


def test_owner_and_ttl_come_from_the_environment_too(cli):
    env = {"LEASEHOLD_OWNER": "from-env", "LEASEHOLD_TTL": "90"}
    result = cli("--json", "acquire", "k", env=env)
    assert result.json["owner"] == "from-env" and result.json["ttl_ms"] == 90000
    result = cli("--json", "acquire", "l", "--owner", "flag", "--ttl", "2m", env=env)
    assert result.json["owner"] == "flag" and result.json["ttl_ms"] == 120000
    assert re.fullmatch(r".+@.+", cli.acquire("m")["owner"])


@pytest.mark.parametrize(
    "text, ms",
    [
        ("1500ms", 1500),
        ("45", 45000),
        ("45s", 45000),
        ("3m", 180000),
        ("2h", 7200000),
        ("7d", 604800000),
    ],
)
def test_durations(cli, text, ms):
    assert cli.acquire("k", "--ttl", text)["ttl_ms"] == ms


def test_options_stand_before_and_after_the_key_and_globals_anywhere(cli):
    assert cli("acquire", "--ttl=5s", "--json", "k", "--owner", "o").json["owner"] == "o"
    assert cli("--json", "--quiet", "release", "--lease", ID, "k").exit == 76


@pytest.mark.parametrize(
    "key", ["-dash", "--json", "--", "$where", "a.b", "$", "日本語", "emoji 🔒", " space ", "a" * 1024]
)
def test_odd_keys(cli, locks, key):
    result = cli("--json", "acquire", "--", key)
    assert result.exit == 0 and result.json["key"] == key
    assert locks.count_documents({"workspace_id": key}) == 1
    assert (
        cli("--json", "release", "--lease", result.json["lease"], "--", key).json["outcome"]
        == "released"
    )


@pytest.mark.parametrize(
    "text", ["$token", "$$ROOT", "{$gt: 1}", "'; --", 'back\\slash "quoted"', "日本語"]
)
def test_texts_are_stored_as_given(cli, locks, text):
    granted = cli.acquire("k", "--owner", text, "--purpose", text)
    stored = locks.find_one({"workspace_id": "k"})
    assert granted["owner"] == stored["owner"] == stored["purpose"] == text


def test_renew(cli):
    granted = cli.acquire("k", "--ttl", "30s")
    result = cli("--json", "renew", "k", "--lease", granted["lease"], "--ttl", "5m")
    renewed = result.json
    assert result.exit == 0
    assert list(renewed) == [
        "v",
        "outcome",
        "key",
        "lease",
        "token",
        "ttl_ms",
        "expires_at",
        "remaining_ms",
        "renew_after_ms",
        "enforced",
    ]
    assert (renewed["outcome"], renewed["lease"], renewed["token"]) == (
        "renewed",
        granted["lease"],
        granted["token"],
    )
    assert renewed["ttl_ms"] == 300000 and 290000 < renewed["remaining_ms"] <= 300000
    assert instant(renewed["expires_at"]) > instant(granted["expires_at"])


def test_renew_without_ttl_keeps_the_ttl_it_has(cli):
    lease = cli.acquire("k", "--ttl", "77s")["lease"]
    assert cli("--json", "renew", "k", "--lease", lease).json["ttl_ms"] == 77000


def test_renew_never_shortens(cli):
    granted = cli.acquire("k", "--ttl", "10m")
    renewed = cli("--json", "renew", "k", "--lease", granted["lease"], "--ttl", "1s").json
    assert renewed["outcome"] == "renewed" and instant(renewed["expires_at"]) >= instant(
        granted["expires_at"]
    )


def test_the_lease_may_come_from_the_environment(cli):
    env = {"LEASEHOLD_LEASE": cli.acquire("k")["lease"]}
    assert cli("renew", "k", env=env).exit == 0
    assert cli("release", "k", env=env).exit == 0


def test_renew_and_release_for_people(cli):
    lease = cli.acquire("k")["lease"]
    result = cli("renew", "k", "--lease", lease)
    assert result.out.startswith("renewed  k\n") and result.err == ""
    assert cli("renew", "k", "--lease", lease, "--quiet").out == ""
    result = cli("release", "k", "--lease", lease)
    assert result.out == "released  k\n" and result.err == ""


def test_renew_of_what_is_not_mine_is_lost(cli):
    cli.acquire("k", "--owner", "alice")
    result = cli("--json", "renew", "k", "--lease", ID)
    assert result.exit == 76 and result.json["outcome"] == "lost" and result.json["key"] == "k"
    assert [holder["owner"] for holder in result.json["holders"]] == [
        "alice"
    ] and ID not in result.out
    assert "alice" in cli("renew", "k", "--lease", ID).out


def test_renew_of_an_ended_lease_is_lost(cli):
    lease = cli.acquire("k", "--ttl", "1s")["lease"]
    time.sleep(1.2)
    assert cli("--json", "renew", "k", "--lease", lease).json["outcome"] == "lost"


def test_renew_of_what_nobody_holds_is_lost(cli):
    assert cli("--json", "renew", "never-seen", "--lease", ID).json["outcome"] == "lost"


def test_release(cli):
    lease = cli.acquire("k")["lease"]
    result = cli("--json", "release", "k", "--lease", lease)
    assert result.exit == 0 and (result.json["outcome"], result.json["key"]) == ("released", "k")
    assert cli("acquire", "k").exit == 0


def test_release_again_is_no_error(cli):
    lease = cli.acquire("k")["lease"]
    for _ in range(3):
        assert cli("--json", "release", "k", "--lease", lease).json["outcome"] == "released"


def test_release_of_an_ended_lease_that_nobody_took_is_no_error(cli):
    lease = cli.acquire("k", "--ttl", "1s")["lease"]
    time.sleep(1.2)
    result = cli("--json", "release", "k", "--lease", lease)
    assert result.exit == 0 and result.json["outcome"] == "released"


def test_release_of_what_somebody_else_holds_changes_nothing(cli, locks):
    cli.acquire("k")
    before = locks.find_one({"workspace_id": "k"})
    result = cli("--json", "release", "k", "--lease", ID)
    assert result.exit == 76 and result.json["outcome"] == "not_holder"
    assert locks.find_one({"workspace_id": "k"}) == before


def test_taken_over_after_the_end_plus_grace(cli):
    first = cli.acquire("k", "--ttl", "1s")
    second = wait_until(lambda: (r := cli("--json", "acquire", "k")).exit == 0 and r.json)
    assert second["token"] > first["token"]
    assert cli("--json", "renew", "k", "--lease", first["lease"]).json["outcome"] == "lost"
    assert cli("--json", "release", "k", "--lease", first["lease"]).json["outcome"] == "not_holder"


def test_nothing_is_granted_without_the_index(bare, locks):
    locks.insert_many([{"workspace_id": "k", "id": "a"}, {"workspace_id": "k", "id": "b"}])
    result = bare("--json", "acquire", "other")
    assert (
        result.exit == 78
        and result.json["code"] == "config"
        and "migrate" in result.json["message"]
    )
    assert locks.count_documents({}) == 2


def test_an_empty_database_needs_no_preparation(bare):
    assert bare("acquire", "k").exit in (0, 78)
