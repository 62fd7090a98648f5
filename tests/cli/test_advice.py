# SPDX-License-Identifier: Apache-2.0
"""Advice that a message gives does what it says. Each row makes a message appear, takes the command out of it, and runs that, letter by
letter, on a terminal that answers yes. A message in the sources that advises a command must have a row here."""
import datetime
import re
import shlex
import uuid
from pathlib import Path

import pytest
from bson import ObjectId, Regex
from test_operators import ahead, on_a_terminal

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"leasehold ((?:status|list|migrate|break|cleanup|doctor|reap)\b[^`\n;()]*)")


def advised(text, start):
    """The advised command that begins with this."""
    found = [match for match in COMMAND.findall(text) if match.startswith(start)]
    assert found, (start, text)
    return found[0].split(" removes ")[0].split(" shows ")[0].split(" tells ")[0].split(", which ")[0].rstrip(" ,.:")


def follow(cli, text, start):
    return on_a_terminal(cli, *shlex.split(advised(text, start)), answer="y")


def findings(cli):
    return {finding["id"]: finding for finding in cli("--json", "doctor").json["findings"]}


# ---- Documents whose key is none, or no string
ODD = [ObjectId(), 42, 2.5, 2**40, uuid.uuid4().bytes, ["a", "b"], {"a": 1}, True, None, datetime.datetime(2026, 1, 1), Regex("x"),
       "tab\there", "", "x" * 1100, "it's"]
ODD_IDS = ["oid", 7, "it's", {"a": 1}, "new\nline", 2.5, "", True, ObjectId(), "x" * 300]


@pytest.mark.parametrize("key", ODD, ids=lambda key: type(key).__name__)
def test_what_the_doctor_says_of_an_odd_key(cli, locks, key):
    identity = ODD_IDS[ODD.index(key) % len(ODD_IDS)]
    end = ODD.index(key) % 2 and key != "it's"
    locks.insert_one({"_id": identity, "workspace_id": key, "expires_at": ahead(3600) if end else None})
    locks.insert_one({"workspace_id": "sound", "expires_at": ahead(3600)})
    found = findings(cli)
    which = "malformed" if not isinstance(key, str) else "odd_key" if key != "it's" else "no_end"
    exit, shown = follow(cli, found[which]["do"], "break" if which == "no_end" else "migrate")
    assert exit == 0, (found[which], shown)
    if which != "no_end":
        assert locks.count_documents({}) == 1 and locks.find_one()["workspace_id"] == "sound"
        entry = locks.database.workspace_locks_archive.find_one()
        assert entry["document"]["_id"] == identity and entry["deleted"] is not None
    assert which not in findings(cli)


@pytest.mark.parametrize("key", [ObjectId(), 42, ["a", "b"], None, "tab\there"], ids=lambda key: type(key).__name__)
def test_status_and_break_find_a_document_by_its_id(cli, locks, key):
    locks.insert_one({"_id": ObjectId("65f0a1b2c3d4e5f601234567"), "workspace_id": key, "expires_at": ahead(3600), "owner": "o"})
    named = ("--id", '{"$oid": "65f0a1b2c3d4e5f601234567"}')
    shown = cli("--json", "status", *named)
    assert shown.exit == (0 if isinstance(key, str) else 65) and shown.json["holders"][0]["owner"] == "o", shown
    result = cli("--json", "break", *named, "--reason", "r", "--yes")
    assert result.exit == 0, result
    document = locks.find_one()
    assert document["workspace_id"] == key and document["released"]["reason"] == "r"
    assert document["expires_at"] < ahead(1)
    assert cli("status", "--id", "7").exit == 76 and cli("break", "--id", "7", "--reason", "r", "--yes").exit == 76
    for wrong in ("{", "", '1, "x": 2', "nonsense"):
        assert cli("status", "--id", wrong).exit == 64, wrong
    assert cli("status", "k", "--id", "7").exit == 64


def test_only_what_is_named_is_moved_and_only_what_is_odd(cli, locks):
    locks.insert_many([{"_id": n, "workspace_id": n, "expires_at": ahead(-3600)} for n in range(3)] +
                      [{"_id": "sound", "workspace_id": "sound", "expires_at": ahead(-3600)}])
    assert cli("migrate", "--quarantine", "--yes", "--id", '"sound"').exit == 78
    assert cli("migrate", "--quarantine", "--yes", "--id", "9").exit == 78
    assert cli("migrate", "--quarantine", "--id", "1").exit == 64
    assert cli("migrate", "--yes", "--id", "1").exit == 64
    assert cli("migrate", "--quarantine", "--yes", "--id", "1", env={"LEASEHOLD_PROTECT": "migrate"}).exit == 77
    assert cli("--json", "migrate", "--quarantine", "--dry-run", "--id", "1").json["quarantined"] == 1
    assert cli("--json", "migrate", "--quarantine", "--yes", "--id", "1").json["quarantined"] == 1
    assert sorted(locks.distinct("_id"), key=str) == [0, 2, "sound"]


def test_a_migration_with_the_index_there_sees_typed_keys(cli, locks):
    for key in (ObjectId(), 42, ["a", "b"], None, {"a": 1}, True):
        locks.insert_one({"workspace_id": key, "expires_at": ahead(3600)})
        result = cli("--json", "migrate", "--yes")
        assert result.exit == 78 and result.json["foreign_live"] == 1 and sum(result.json["foreign_keys"].values()) == 1, (key, result)
        for start in ("migrate --yes --accept-foreign-keys", "migrate --yes --quarantine"):
            exit, shown = follow(cli, result.err, start)
            assert exit == 0, (result.err, shown)
        assert locks.count_documents({}) == 0


# ---- The other messages: name, what makes it appear, and the command
def duplicates(cli, locks):
    locks.drop()
    locks.insert_many([{"workspace_id": "k", "expires_at": ahead(60), "n": n} for n in range(2)])


def test_duplicates_without_yes(cli, locks):
    duplicates(cli, locks)
    exit, _ = follow(cli, cli("migrate").err, "migrate --yes")
    assert exit == 0 and locks.count_documents({}) == 1


def test_the_doctor_on_duplicates_and_a_missing_index(cli, locks):
    duplicates(cli, locks)
    found = findings(cli)
    assert follow(cli, found["index"]["do"], "migrate --dry-run")[0] == 0
    assert follow(cli, found["duplicates"]["do"], "migrate")[0] == 0
    assert not {"index", "duplicates"} & findings(cli).keys()


def test_an_acquire_without_the_index(cli, locks):
    duplicates(cli, locks)
    message = cli("acquire", "k").err
    exit, shown = follow(cli, message, "migrate")
    assert exit == 0 and "present" not in shown and cli("acquire", "other").exit == 0


def test_keys_that_stand_in_the_way(cli, locks):
    locks.drop()
    locks.insert_many([{"n": 1}, {"n": 2}, {"workspace_id": "k"}])
    exit, shown = follow(cli, cli("migrate", "--yes").err, "migrate --yes --quarantine")
    assert exit == 0 and locks.count_documents({}) == 1, shown


@pytest.mark.parametrize("document", [{"token": "uuid"}, {"expires_at": "soon"}, {"waiters": {"a": 1}}, {"shared": 3}])
def test_a_document_that_cannot_be_read(cli, locks, document):
    locks.insert_one({"workspace_id": "it's", "expires_at": ahead(60)} | document)
    busy = cli("acquire", "it's").out
    if "cannot be read" in busy: # the short form of an acquire may see no more than that it is held
        assert follow(cli, busy, "list --malformed")[0] == 0
    exit, shown = follow(cli, cli("status", "it's").out, "migrate --quarantine")
    assert exit == 0 and locks.count_documents({}) == 0, shown
    assert cli("acquire", "it's").exit == 0


def test_a_lock_without_an_end(cli, locks):
    locks.insert_one({"workspace_id": "it's", "owner": "o"})
    exit, shown = follow(cli, cli("status", "it's").out, "break")
    assert exit == 0, shown
    assert cli("acquire", "it's").exit == 0


def test_what_is_left_over(cli, locks):
    locks.insert_one({"_id": "k", "workspace_id": "k", "id": "a", "token": 5, "expires_at": ahead(-3 * 24 * 3600)})
    exit, shown = follow(cli, findings(cli)["leaked"]["do"], "cleanup")
    assert exit == 0 and locks.count_documents({}) == 0, shown


def test_an_end_too_far_away(cli, locks):
    locks.insert_one({"workspace_id": "k", "expires_at": ahead(30 * 24 * 3600)})
    assert follow(cli, findings(cli)["too_long"]["do"], "break")[0] == 0
    assert cli("acquire", "k").exit == 0


@pytest.mark.parametrize("options", [{"hidden": True, "name": "older"}, {"sparse": True, "name": "workspace_id_unique"}])
def test_an_index_to_drop(cli, locks, options):
    locks.drop()
    locks.insert_one({"workspace_id": "k"})
    locks.create_index("workspace_id", **options)
    message = cli("migrate", "--yes").err
    name = re.search(r'db\.workspace_locks\.dropIndex\("([^"]*)"\)', message).group(1)
    locks.drop_index(name)
    assert cli("migrate", "--yes").exit == 0


# ---- That none is forgotten: each advised command in a string of the sources, and the test that follows it. Not from here: comments,
# help texts (test_pages.py, test_readme.py), questions.
FOLLOWED = {
    "src/operate/doctor_data.c": {"migrate --dry-run", "migrate", "list --malformed", "migrate --quarantine --even-live", "break", "cleanup"},
    "src/store/index.c": {"migrate"},
    "src/migrate/migrate.c": {"migrate --yes"},
    "src/migrate/migrate_look.c": {"migrate --yes --quarantine", "migrate"},
    "tools/cli/record.c": {"break", "migrate --quarantine --even-live", "list --malformed"},
    "tools/cli/cmd_migrate.c": {"list --malformed"},
    # Followed elsewhere, or by a person: the roles are given to a user by an administrator (test_roles.py does it); what a status shows
    # after a lost answer is in test_unknown.py.
    "src/operate/doctor_finding.c": {"doctor --roles"},
    "src/operate/doctor.c": {"doctor --trial", "cleanup"}, # the trial, and what it leaves: test_doctor.py
    "src/trial.c": {"doctor --trial"}, # by this name the next trial knows what one left
    "src/operate/doctor_rights.c": {"doctor --roles", "doctor"}, "src/store/store_denied.c": {"doctor --roles"},
    # A server that refuses to scan a collection (notablescan) is a setting of all its databases: tried by hand.
    "src/store/store_refused.c": {"migrate", "status"}, # test_twice.py
    "src/lease/lease.c": {"status"}, "src/lease/lease_transfer.c": {"status"},
    "src/protocol/twice.c": {"status"}, # test_twice.py
}
HELP = re.compile(r"\.(summary|detail|example|help)\s*=(?:\s*\"(?:[^\"\\]|\\.)*\")+")


def test_no_advice_is_without_a_test():
    strings = re.compile(r'"((?:[^"\\]|\\.)*)"')
    advice = re.compile(r"leasehold ((?:status|list|migrate|break|cleanup|doctor|reap|audit|stats)(?: --[a-z-]+)*)(?![a-z:])")
    for path in sorted([*ROOT.glob("src/**/*.c"), *ROOT.glob("tools/*/*.c")]):
        name = str(path.relative_to(ROOT))
        if path.name in ("help.c", "overview.c", "manual.c", "cmd_completion.c"):
            continue
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        text = re.sub(r'"\s*\n\s*"', "", HELP.sub("", text)) # strings that go on in the next line
        found = {command for string in strings.findall(text) for command in advice.findall(string)
                 if not string.startswith(f"leasehold {command.split()[0]}: ")}
        assert found <= FOLLOWED.get(name, set()), f"{name} advises {found - FOLLOWED.get(name, set())}: follow it in a test above"
