# SPDX-License-Identifier: Apache-2.0
"""leasehold bench: what it tells, and that nothing of it stays."""
import re
import signal
import time

SAMPLES = ("ping", "floor", "acquire", "renew", "release", "busy", "status", "list")


def names(database):
    return [
        name for name in database.list_collection_names() if name.startswith("leasehold_bench_")
    ]


def test_tells_each_figure_and_leaves_nothing_behind(cli, database):
    lease = cli.acquire("project:42")
    before = database.workspace_locks.find_one({"_id": "project:42"})
    done = cli("bench", "--json", "--seconds", "1", "--only", "commands")
    told = done.json
    assert told["outcome"] == "ok"
    assert re.search(r"\.\d", done.out) and not re.search(r"\.\d{4}", done.out), done.out
    for name in SAMPLES:
        row = told[name]
        assert row["n"] > 0 and 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"], (name, row)
        assert row["floor_ratio"] > 0, (name, row)
    assert told["floor"]["floor_ratio"] == 1
    assert "handoff" not in told and "threads" not in told and "hot" not in told
    assert names(database) == [] and lease["outcome"] == "granted"
    assert list(database.workspace_locks.find()) == [before]


def test_measures_hand_offs_between_processes_and_within_one(cli, database):
    told = cli("bench", "--json", "--seconds", "1", "--only", "handoff").json
    for name in ("handoff", "handoff_local"):
        assert told[name]["n"] > 0 and told[name]["p50_ms"] > 0
    assert names(database) == []


def test_measures_threads_and_a_hot_key(cli, database):
    told = cli("bench", "--json", "--seconds", "1", "--only", "threads").json
    assert [load["threads"] for load in told["threads"]] == [1, 4, 16, 64]
    assert all(load["cycles_per_s"] > 0 and load["floor_per_s"] > 0 for load in told["threads"])
    hot = cli("bench", "--json", "--seconds", "1", "--only", "hot").json["hot"]
    assert hot["clients"] == 16 and hot["grants_per_s"] > 0 and hot["fewest"] <= hot["most"]
    assert names(database) == []


def test_prints_a_table_for_people(cli, database):
    done = cli("bench", "--seconds", "1", "--only", "commands")
    assert (
        done.exit == 0 and done.err == "" and "\r" not in done.out
    ), done  # no progress off a terminal
    assert "plain upsert (floor)" in done.out and "x floor" in done.out


def test_an_interrupted_run_cleans_up_too(cli, database):
    process = cli.start("bench", "--seconds", "60")
    until = time.monotonic() + 10
    while not names(database) and time.monotonic() < until:
        time.sleep(0.02)
    assert names(database)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 128 + signal.SIGINT
    assert names(database) == [] and process.stdout.read() == ""


def test_refuses_what_it_does_not_know(cli):
    done = cli("bench", "--only", "everything")
    assert done.exit == 64 and "commands, handoff, threads, hot" in done.err, done


def test_says_that_no_server_can_be_reached(cli, database):
    done = cli("--uri", "mongodb://127.0.0.1:1/", "--timeout", "300ms", "bench", "--json")
    assert done.exit == 69 and done.json["outcome"] == "error", done
