# SPDX-License-Identifier: Apache-2.0
"""migrate, cleanup, break: what they do, what they ask, what they refuse."""
import datetime
import os
import pty
import select
import time

import pytest
from conftest import BINARY

UTC = datetime.timezone.utc
MIGRATE = [
    "v",
    "outcome",
    "index",
    "scanned",
    "duplicate_keys",
    "removed",
    "archived",
    "quarantined",
    "malformed",
    "waited_ms",
    "elapsed_ms",
    "foreign_keys",
    "foreign_live",
    "interrupted",
    "tried",
    "problems",
]


def ahead(seconds):
    return datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)


def on_a_terminal(cli, *args, answer=None):
    """Runs with a terminal for stdin, stdout and stderr. Returns the exit code and all that was
    shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(BINARY, [BINARY, *args], cli.env)
    shown, end = b"", time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        if answer and b"[y/N]" in shown:
            os.write(terminal, answer.encode() + b"\n")
            answer = None
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()


@pytest.fixture
def duplicates(locks):
    """Three documents of one key; the last one ends last. And one that has no twin."""
    locks.insert_many(
        [{"workspace_id": "k", "id": f"i{i}", "expires_at": ahead(3600 + i)} for i in range(3)]
    )
    locks.insert_one({"workspace_id": "single", "id": "s", "expires_at": None})
    return locks


def test_migrate_creates_the_index(bare, locks):
    result = bare("--json", "migrate", "--yes")
    assert result.exit == 0 and list(result.json) == MIGRATE
    assert (result.json["outcome"], result.json["index"], result.json["removed"]) == (
        "ok",
        "created",
        0,
    )
    assert locks.index_information()["workspace_id_unique"]["unique"]
    again = bare("--json", "migrate").json
    assert (again["outcome"], again["index"], again["scanned"]) == ("ok", "present", 0)


def test_migrate_removes_duplicates_with_yes(bare, duplicates, database):
    report = bare("--json", "migrate", "--yes").json
    assert (report["outcome"], report["duplicate_keys"], report["removed"], report["archived"]) == (
        "ok",
        1,
        2,
        2,
    )
    assert [d["id"] for d in duplicates.find({"workspace_id": "k"})] == ["i2"]
    assert database.workspace_locks_archive.count_documents({}) == 2


def test_migrate_reports_duplicates_without_yes(bare, duplicates):
    result = bare("--json", "migrate")
    report = result.json
    assert (
        result.exit == 78
        and report["outcome"] == "failed"
        and report["duplicate_keys"] == 1
        and report["removed"] == 0
    )
    assert (report["code"], report["exit"]) == ("config", 78) and report["message"] in result.err
    assert duplicates.count_documents({}) == 4


def test_migrate_dry_run_changes_nothing(bare, duplicates):
    result = bare("--json", "migrate", "--dry-run", "--verbose")
    *verdicts, report = result.lines
    assert result.exit == 0 and (
        report["outcome"],
        report["duplicate_keys"],
        report["removed"],
    ) == ("dry_run", 1, 2)
    assert [(v["outcome"], v["key"], v["losers"]) for v in verdicts] == [
        ("keep", "k", 2)
    ] and verdicts[0]["reason"]
    assert (
        duplicates.count_documents({}) == 4
        and "workspace_id_unique" not in duplicates.index_information()
    )
    result = bare("migrate", "--dry-run", "--verbose")
    assert result.out.startswith("keep  k  ") and "dry run" in result.out and result.err == ""


def test_migrate_to_another_archive_and_to_none(bare, duplicates, database):
    assert bare("migrate", "--yes", "--archive", "attic").exit == 0
    assert database.attic.count_documents({}) == 2


def test_migrate_without_archive(bare, duplicates, database):
    report = bare("--json", "migrate", "--yes", "--no-archive").json
    assert (report["removed"], report["archived"]) == (2, 0)
    assert "workspace_locks_archive" not in database.list_collection_names()


def test_migrate_quarantine(bare, locks):
    locks.insert_many(
        [
            {"id": "a"},
            {"workspace_id": None, "id": "b"},
            {"workspace_id": 7, "id": "c"},
            {"workspace_id": "k"},
        ]
    )
    result = bare("--json", "migrate", "--yes")
    assert (
        result.exit == 78
        and "`leasehold migrate --yes --quarantine --even-live --even-most`"
        in result.json["message"]
    )
    report = bare("--json", "migrate", "--yes", "--quarantine", "--even-live", "--even-most").json
    assert (report["outcome"], report["quarantined"]) == ("ok", 3) and locks.count_documents(
        {}
    ) == 1


@pytest.mark.parametrize(
    "prepare",
    [
        lambda db: db.workspace_locks.create_index(
            "workspace_id", name="workspace_id_unique", sparse=True, unique=True
        ),
        lambda db: db.create_collection("workspace_locks", capped=True, size=4096),
        lambda db: db.create_collection("workspace_locks", viewOn="others", pipeline=[]),
        lambda db: db.create_collection(
            "workspace_locks", collation={"locale": "en", "strength": 2}
        ),
    ],
)
def test_migrate_refuses_what_is_not_fit(bare, database, prepare):
    prepare(database)
    result = bare("--json", "migrate", "--yes")
    assert result.exit == 78 and result.json["outcome"] == "failed", result


def test_migrate_protected_still_looks(bare, duplicates):
    env = {"LEASEHOLD_PROTECT": "migrate"}
    assert bare("migrate", "--yes", env=env).exit == 77
    assert bare("migrate", "--dry-run", env=env).exit == 0
    assert bare("migrate", env=env).exit == 78
    assert duplicates.count_documents({}) == 4


def test_migrate_asks_on_a_terminal(bare, duplicates):
    exit, shown = on_a_terminal(bare, "migrate", answer="n")
    assert exit == 77 and "2 documents" in shown and "nothing was changed" in shown
    assert duplicates.count_documents({}) == 4
    exit, shown = on_a_terminal(bare, "migrate", answer="y")
    assert exit == 0 and duplicates.count_documents({}) == 2
    exit, shown = on_a_terminal(bare, "migrate")
    assert exit == 0 and "[y/N]" not in shown and "\x1b[32mok" in shown
    assert "\x1b[32m" not in on_a_terminal(bare, "migrate", "--no-color")[1]


def test_cleanup(cli, locks):
    lease = cli.acquire("freed")["lease"]
    cli("release", "freed", "--lease", lease)
    cli.acquire("ended", "--ttl", "1s")
    cli.acquire("held", "--ttl", "1h")
    time.sleep(2.2)
    result = cli("--json", "cleanup", "--older-than", "1s", "--dry-run")
    assert result.exit == 0 and list(result.json) == [
        "v",
        "outcome",
        "removed",
        "holders_dropped",
        "waiters_dropped",
    ]
    assert result.json["outcome"] == "dry_run" and result.json["removed"] >= 1
    assert locks.count_documents({}) == 3
    result = cli("--json", "cleanup", "--older-than", "1s", "--yes")
    assert result.exit == 0 and result.json["outcome"] == "ok" and result.json["removed"] >= 1
    assert locks.find_one({"workspace_id": "held"}) and not locks.find_one(
        {"workspace_id": "freed"}
    )


def test_cleanup_keeps_what_is_young_or_unreadable(cli, locks):
    cli("release", "young", "--lease", cli.acquire("young")["lease"])
    locks.insert_many(
        [
            {"workspace_id": "odd", "id": "o", "expires_at": []},
            {"workspace_id": "endless", "id": "e"},
        ]
    )
    assert cli("cleanup", "--yes").exit == 0
    assert locks.count_documents({}) == 3


def test_cleanup_asks_on_a_terminal(cli, locks):
    locks.insert_one({"workspace_id": "old", "id": "o", "expires_at": ahead(-90000)})
    assert on_a_terminal(cli, "cleanup", answer="no")[0] == 77 and locks.count_documents({}) == 1
    assert on_a_terminal(cli, "cleanup", answer="yes")[0] == 0 and locks.count_documents({}) == 0


def test_break(cli):
    granted = cli.acquire("k", "--owner", "alice")
    result = cli(
        "--json",
        "break",
        "k",
        "--reason",
        "web1 is gone",
        "--yes",
        env={"LEASEHOLD_OWNER": "root@ops"},
    )
    assert result.exit == 0 and list(result.json) == ["v", "outcome", "key", "holders"]
    assert (result.json["outcome"], result.json["key"]) == ("broken", "k")
    (holder,) = result.json["holders"]
    assert (holder["owner"], holder["token"]) == ("alice", granted["token"])
    released = cli("--json", "status", "k").json["released"]
    assert (released["owner"], released["how"], released["by"], released["reason"]) == (
        "alice",
        "break",
        "root@ops",
        "web1 is gone",
    )
    assert cli("renew", "k", "--lease", granted["lease"]).exit == 76
    assert cli.acquire("k")["token"] > granted["token"]


def test_break_only_that_grant(cli):
    token = cli.acquire("k")["token"]
    result = cli("--json", "break", "k", "--reason", "r", "--yes", "--token", str(token + 1))
    assert result.exit == 76 and result.json["outcome"] == "not_held"
    assert cli("break", "k", "--reason", "r", "--yes", "--token", str(token)).exit == 0


def test_break_of_what_nobody_holds(cli):
    result = cli("--json", "break", "k", "--reason", "r", "--yes")
    assert result.exit == 76 and (result.json["outcome"], result.json["key"]) == ("not_held", "k")


def test_break_frees_what_cannot_be_read(cli, locks):
    locks.insert_one({"workspace_id": "k", "id": "x", "expires_at": "garbage"})
    assert cli("acquire", "k").exit == 75
    assert cli("break", "k", "--reason", "garbage", "--yes").exit == 0
    assert cli("acquire", "k").exit == 0


def test_break_shows_who_and_asks_on_a_terminal(cli):
    cli.acquire("k", "--owner", "alice")
    exit, shown = on_a_terminal(cli, "break", "k", "--reason", "r", answer="n")
    assert exit == 77 and "alice" in shown and cli("status", "k", "--quiet").out == "held\n"
    exit, shown = on_a_terminal(cli, "break", "k", "--reason", "r", answer="y")
    assert exit == 0 and "broken" in shown and cli("status", "k", "--quiet").out == "free\n"
    exit, shown = on_a_terminal(cli, "break", "k", "--reason", "r")
    assert exit == 76 and "[y/N]" not in shown
