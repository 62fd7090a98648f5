# SPDX-License-Identifier: Apache-2.0
"""The doctor, on deployments that are well and on some that were broken on purpose."""
import datetime
import glob
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pymongo
import pytest
import servers
from conftest import Cli, wait_until

# What the server that the tests fetch, its lack of access control, and the driver are always told
# of.
ALWAYS = {"not_tried", "no_access_control", "server_defect", "driver_defect", "standalone"}


def examine(cli, *options, role="runtime"):
    """The findings that are particular, by id, and the exit code."""
    result = cli("--json", "doctor", "--as", role, *options)
    assert result.exit in (0, 65, 77, 78), result
    findings = [f for f in result.json["findings"] if f["id"] not in ALWAYS]
    for finding in result.json["findings"]:
        assert list(finding) == ["id", "severity", "count", "what", "do"]
        assert finding["what"] and finding["do"] and finding["count"] >= 1
    return {f["id"]: f for f in findings}, result.exit


def now(**offset):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**offset)


def test_all_is_well(cli):
    cli.acquire("k")
    assert examine(cli) == ({}, 0)
    result = cli("doctor")
    assert result.exit == 0 and result.err == "" and "ok  0 errors" in result.out
    assert "note" not in cli("doctor", "--quiet").out


def test_it_changes_nothing(bare, database):
    assert examine(bare)[1] == 78
    assert database.list_collection_names() == []


def test_a_collection_that_is_not_there(bare):
    findings, exit = examine(bare)
    assert (
        exit == 78 and list(findings) == ["index"] and "does not exist" in findings["index"]["what"]
    )


def test_without_the_index_duplicates_are_counted(bare, locks):
    locks.insert_many(
        {"workspace_id": f"k{i % 2}", "id": str(i), "token": 1, "expires_at": now(hours=1)}
        for i in range(5)
    )
    findings, exit = examine(bare)
    assert exit == 78 and set(findings) == {"index", "duplicates"}
    assert findings["duplicates"]["count"] == 2 and "3 too many" in findings["duplicates"]["what"]
    assert bare("migrate", "--yes").exit == 0
    assert examine(bare) == ({}, 0)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"sparse": True}, "sparse"),
        ({"expireAfterSeconds": 60}, "deletes documents"),
        ({"collation": {"locale": "en", "strength": 2}}, "collation"),
        ({}, "not unique"),
        ({"partialFilterExpression": {"owner": "a"}}, "partialFilterExpression"),
    ],
)
def test_a_wrong_index(bare, locks, options, says):
    locks.create_index("workspace_id", name="workspace_id_unique", unique=bool(options), **options)
    findings, exit = examine(bare)
    assert (
        exit == 78
        and findings["index"]["severity"] == "error"
        and says in findings["index"]["what"]
    ), findings


def test_the_right_index_under_another_name_will_do(bare, locks):
    locks.create_index("workspace_id", name="another", unique=True)
    assert examine(bare) == ({}, 0)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"collation": {"locale": "en", "strength": 2}}, "collation"),
        ({"capped": True, "size": 4096}, "capped"),
        ({"viewOn": "other"}, "view"),
    ],
)
def test_a_collection_that_is_not_fit(bare, database, options, says):
    database.create_collection("workspace_locks", **options)
    findings, exit = examine(bare)
    assert exit == 78 and says in findings["collection"]["what"], findings


def test_other_indexes_that_act_on_leases(cli, locks):
    locks.create_index("owner")
    assert not {"other_index", "ttl_index"} & set(examine(cli)[0])
    locks.create_index("expires_at", expireAfterSeconds=60, name="ends")
    findings, exit = examine(cli)
    assert (
        findings["ttl_index"]["severity"] == "note"
        and '"ends"' in findings["ttl_index"]["what"]
        and exit == 0
    )
    locks.create_index([("owner", 1), ("id", 1)], unique=True, name="once")
    findings, exit = examine(cli)
    assert (
        findings["other_index"]["severity"] == "error"
        and '"once"' in findings["other_index"]["what"]
        and exit == 78
    )


@pytest.mark.parametrize(
    "name, field, options",
    [
        ("gone", "acquired_at", {"expireAfterSeconds": 2}),
        ('o\'clock "x"\\', "released.at", {"expireAfterSeconds": 3600, "hidden": True}),
        ("ends", "expires_at", {"expireAfterSeconds": 0}),
        ("workspace_id_unique", "created_at", {"expireAfterSeconds": 10}),
    ],
)
def test_an_index_that_deletes_held_leases_is_refused_by_all_and_the_advice_works(
    bare, database, locks, name, field, options
):
    locks.create_index(field, name=name, **options)
    findings, exit = examine(bare)
    assert (
        exit == 78
        and findings["ttl_index"]["severity"] == "error"
        and field in findings["ttl_index"]["what"]
    ), findings
    before = locks.index_information()
    for command in (["migrate", "--dry-run"], ["migrate", "--yes"], ["acquire", "k"]):
        done = bare(*command)
        assert (
            done.exit == 78
            and field in done.err
            and "expireAfterSeconds" in done.err + findings["ttl_index"]["what"]
        ), done
        assert locks.index_information() == before and locks.count_documents({}) == 0
        assert findings["ttl_index"]["do"] in done.err
    call = re.search(
        r'drop it: db\.getSiblingDB\((".*")\)\.getCollection\((".*")\)\.dropIndex\((".*")\)',
        findings["ttl_index"]["do"],
    )
    db, collection, index = (json.loads(part) for part in call.groups())
    assert (db, collection, index) == (database.name, locks.name, name)
    locks.drop_index(index)
    assert bare("migrate", "--yes").exit == 0 and examine(bare) == ({}, 0)
    bare.acquire("k")


# ---- Trying it ------------------------------------------------------------------------------


def test_a_trial_says_that_leases_work_and_leaves_nothing(cli, locks):
    cli.acquire("k")
    before = list(locks.find())
    result = cli("--json", "doctor")
    assert {"not_tried"} <= {
        f["id"] for f in result.json["findings"]
    }, "nothing was tried, and that is said"
    result = cli("--json", "doctor", "--trial")
    assert result.exit == 0 and not {"trial", "trial_left", "not_tried"} & {
        f["id"] for f in result.json["findings"]
    }, result
    assert list(locks.find()) == before


def test_a_trial_removes_what_a_killed_one_left_and_nothing_else(cli, locks):
    trial, purpose = "leasehold:trial:" + 32 * "a", {"purpose": "a trial: leasehold doctor --trial"}
    old = {"expires_at": now(minutes=-2)} | purpose
    locks.insert_many(
        [
            {"workspace_id": trial} | old,
            {"workspace_id": "leasehold:trial:mine"} | old,
            {"workspace_id": trial + "a"} | old,
            {"workspace_id": trial[:-1] + "b", "expires_at": now(minutes=-2)},
            {"workspace_id": trial[:-1] + "c"} | old | {"expires_at": now(seconds=5)},
            {"workspace_id": trial[:-1] + "d"} | old | {"expires_at": None},
        ]
    )
    assert cli("doctor", "--trial").exit == 0
    assert set(locks.distinct("workspace_id")) == {
        "leasehold:trial:mine",
        trial + "a",
        *(trial[:-1] + end for end in "bcd"),
    }


def test_a_trial_is_not_made_where_there_is_an_error(bare, database):
    result = bare("--json", "doctor", "--trial")
    assert (
        result.exit == 78
        and "not_tried" in {f["id"] for f in result.json["findings"]}
        and database.list_collection_names() == []
    )


def test_a_migration_that_made_the_index_tries_leases(bare, locks):
    locks.insert_one({"workspace_id": "old", "expires_at": now(hours=1)})
    result = bare("--json", "migrate", "--yes")
    assert (
        result.exit == 0
        and result.json["tried"] is True
        and locks.distinct("workspace_id") == ["old"]
    ), result
    assert bare("--json", "migrate", "--yes").json["tried"] is False
    locks.drop_index("workspace_id_unique")
    assert bare("--json", "migrate", "--yes", "--no-trial").json["tried"] is False


def test_documents(cli, locks):
    locks.insert_many(
        [
            {"workspace_id": "array", "id": "a", "token": 1, "expires_at": []},
            {"workspace_id": "token", "id": "b", "token": "x", "expires_at": now(hours=1)},
            {"workspace_id": 5, "id": "c", "token": 1, "expires_at": now(hours=1)},
            {"workspace_id": "null", "id": "d", "token": 1, "expires_at": None},
            {"workspace_id": "far", "id": "e", "token": 1, "expires_at": now(days=8)},
            {"workspace_id": "near", "id": "f", "token": 1, "expires_at": now(days=6)},
            {
                "workspace_id": "wrong unit",
                "id": "g",
                "token": 1,
                "expires_at": int(now().timestamp()) * 10000,
            },
            {"workspace_id": "dead", "id": "h", "token": 1, "expires_at": now(days=-2)},
            {"workspace_id": "ended", "id": "i", "token": 1, "expires_at": now(hours=-2)},
            {
                "workspace_id": "freed",
                "id": "j",
                "token": 1,
                "expires_at": now(days=-2),
                "released": {"id": "j", "how": "release", "at": now(days=-2)},
            },
            {"workspace_id": "old", "id": "k", "user_id": "u", "expires_at": now(hours=1)},
        ]
    )
    findings, exit = examine(cli)
    assert exit == 65, "only data is wrong"
    assert {name: (f["severity"], f["count"]) for name, f in findings.items()} == {
        "malformed": ("error", 3),
        "no_end": ("warning", 1),
        "too_long": ("warning", 2),
        "leaked": ("warning", 1),
        "no_token": ("note", 1),
    }
    for name, key in (
        ("malformed", '"array"'),
        ("malformed", '"token"'),
        ("no_end", '"null"'),
        ("too_long", '"far"'),
        ("leaked", '"dead"'),
        ("no_token", '"old"'),
    ):
        assert key in findings[name]["what"], findings[name]


def test_fields_of_ours_with_other_meanings_are_counted_before_the_switch(cli, locks):
    past = {"expires_at": now(hours=-1)}
    odd = (
        {"token": "u-u-i-d"},
        {"token": "x"},
        {"shared": True},
        {"shared": None, "waiters": 0},
        {"shared": False, "token": False},
        {"token": 2.5},
        {"mode": 5, "released": "yes"},
        {"mode": 6, "owner": None},
    )
    locks.insert_many({"workspace_id": f"s{i}", **past, **fields} for i, fields in enumerate(odd))
    what = examine(cli)[0]["malformed"]["what"]
    for problem in (
        "token is a string, not one from 0 to 2^62 - 1: 2",
        "shared is a boolean, not an object: 1",
        "waiters is a number, not an object: 1",
    ):
        assert problem in what
    locks.drop_index("workspace_id_unique")
    told = cli("--json", "migrate", "--dry-run").json
    assert told["malformed"] == 4
    for problem in (
        "token is a string, not one from 0 to 2^62 - 1: 2",
        "shared is a boolean, not an object: 1",
        "waiters is a number, not an object: 1",
        "mode is a number, which a grant overwrites: 2",
        "released is a string, which a grant overwrites: 1",
    ):
        assert problem in told["problems"]
    assert "owner" not in told["problems"] and "mode is a number" in cli("migrate", "--dry-run").out
    cli("migrate", "--yes")
    for i in (0, 1, 2, 3):
        assert cli("acquire", f"s{i}").exit == 75
        assert cli("break", f"s{i}", "--reason", "old meaning", "--yes").exit == 0
    for i in range(8):
        assert cli("acquire", f"s{i}").exit == 0
    assert "malformed" not in examine(cli)[0]


def test_a_document_whose_id_is_another_keys_name(cli, locks):
    locks.insert_one({"_id": "B", "workspace_id": "A", "token": 1, "expires_at": now(hours=1)})
    findings, exit = examine(cli)
    assert exit == 0 and findings["other_id"]["severity"] == "note"
    assert '"A" with the _id "B"' in findings["other_id"]["what"]
    granted = cli.acquire("B")
    assert cli("--json", "status", "A").json["document_id"] == "B"
    assert cli("--json", "status", "B").json["id_taken_by"] == "A"
    assert "_id      B (not its key)" in cli("status", "A").out
    assert "the document with this name as its _id has the key A" in cli("status", "B").out
    assert cli("--json", "list").out.count('"document_id":"B"') == 1
    cli("release", "B", "--lease", granted["lease"])
    assert examine(cli)[0]["other_id"]["count"] == 1


def test_many_documents_give_few_examples(cli, locks):
    locks.insert_many(
        {
            "workspace_id": "\u202e" + f"{i:04}" + "ü" * 400,
            "id": str(i),
            "token": 1,
            "expires_at": {},
        }
        for i in range(500)
    )
    finding = examine(cli)[0]["malformed"]
    assert (
        finding["count"] == 500 and finding["what"].count("üü…") == 3 and len(finding["what"]) < 500
    )
    assert "\u202e" not in cli("doctor").out


def test_configuration_comes_before_data(bare, locks):
    locks.insert_one({"workspace_id": "k", "expires_at": []})
    assert examine(bare)[1] == 78


def test_bad_usage(offline):
    result = offline("doctor", "--as", "king", "--uri", "mongodb://127.0.0.1:1/")
    assert result.exit == 64 and "runtime, setup or ops" in result.err
    assert offline("doctor", "--uri", "mongodb://127.0.0.1:1/", "--timeout", "300ms").exit == 69


# ---- A set of its own, with TLS and access control ------------------------------------------


class Set:
    def __init__(self, uri, client):
        self.uri, self.client, self.folder = uri, client, servers.folder_of(uri)
        self.db = client.doctor

    def user(self, name, *roles):
        self.db.command(
            "createUser", name, pwd="pw", roles=[{"role": role, "db": "doctor"} for role in roles]
        )
        return self.uri.replace("root:root@", f"{name}:pw@").replace(
            "authSource=admin", "authSource=doctor"
        )

    def secondary(self):
        states = self.client.admin.command("replSetGetStatus")["members"]
        return next(member["name"] for member in states if member["stateStr"] == "SECONDARY")

    def kill(self, member):
        pid = int((self.folder / member.split(":")[1] / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())

    def restart(self, member, env=()):
        subprocess.run(
            [self.folder / member.split(":")[1] / "run"],
            check=True,
            env=os.environ | dict(env),
            capture_output=True,
        )
        with pymongo.MongoClient(
            f"mongodb://{member}/?directConnection=true",
            tls=True,
            tlsCAFile=str(self.folder / "tls/ca.pem"),
        ) as one:
            wait_until(lambda: one.admin.command("hello").get("secondary"), 30)


@pytest.fixture(scope="module")
def own():
    uri, end = servers.start("cli-doctor", "set", "--tls", "--auth")
    with pymongo.MongoClient(uri) as client:
        result = Cli(uri, "doctor")("migrate", "--yes")
        assert result.exit == 0, result
        for role in Cli(uri, "doctor")("doctor", "--roles").lines:
            client.doctor.command(role)
        yield Set(uri, client)
    end()


def test_a_set_with_users(own):
    cli = Cli(own.user("runtime", "leaseholdRuntime"), "doctor")
    assert examine(cli) == ({}, 0)
    findings, exit = examine(cli, role="setup")
    assert exit == 77 and findings["privilege"]["severity"] == "error"
    assert "runtime@doctor lacks" in findings["privilege"]["what"]


def test_a_trial_as_each_role(own):
    """Who may not remove documents leaves the trial's, free; who may not acquire is told."""
    runtime = Cli(own.user("trying", "leaseholdRuntime"), "doctor")
    result = runtime("--json", "doctor", "--trial")
    left = [f for f in result.json["findings"] if f["id"] == "trial_left"]
    assert result.exit == 0 and len(left) == 1, result
    key = left[0]["what"].split()[-1]
    assert runtime("status", key, "--quiet").out == "free\n"
    ops = Cli(own.user("looking", "leaseholdOps"), "doctor")(
        "--json", "doctor", "--as", "ops", "--trial"
    )
    assert (
        ops.exit == 77
        and "acquire" in next(f for f in ops.json["findings"] if f["id"] == "trial")["what"]
    ), ops
    own.db.workspace_locks.update_one(
        {"_id": key},
        {"$set": {"expires_at": now(minutes=-2), "purpose": "a trial: leasehold doctor --trial"}},
    )
    assert Cli(own.uri, "doctor")("doctor", "--trial").exit == 0
    assert own.db.workspace_locks.count_documents({"_id": key}) == 0, "a later trial removes it"


def test_the_runtime_role_may_follow_the_change_stream(own):
    with pymongo.MongoClient(own.user("follower", "leaseholdRuntime")) as client:
        client.doctor.workspace_locks.watch().close()
    with pymongo.MongoClient(own.user("setup", "leaseholdSetup")) as client, pytest.raises(
        pymongo.errors.OperationFailure
    ):
        client.doctor.workspace_locks.watch().close()


def test_a_wrong_password_ends_the_visit(own):
    result = Cli(own.uri.replace("root:root@", "root:wrong@"), "doctor")("--json", "doctor")
    assert result.exit == 77 and result.json["code"] == "denied"


def test_server_versions_with_known_defects(own):
    version = own.client.server_info()["versionArray"][:3]
    result = Cli(own.uri, "doctor")("--json", "doctor")
    told = [f for f in result.json["findings"] if f["id"] == "server_defect"]
    assert len(told) == (3 if [6, 0, 0] <= version < [6, 0, 6] else 0)
    assert all("SERVER-75205" in f["what"] and f["severity"] == "warning" for f in told)


def test_a_member_that_is_down_and_one_whose_clock_is_off(own, tmp_path):
    cli, member, clock = Cli(own.uri, "doctor"), own.secondary(), tmp_path / "offset"
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    own.kill(member)
    findings, exit = examine(cli)
    assert exit == 0 and member in findings["member_down"]["what"] and "few_members" not in findings

    if not library:
        own.restart(member)
        pytest.skip(
            "libfaketime is not installed (scripts/setup test): what a clock's offset does is NOT"
            " tested"
        )
    clock.write_text("+0s\n")
    own.restart(
        member,
        {
            "LD_PRELOAD": library[0],
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    wait_until(lambda: examine(cli) == ({}, 0), 20)  # it closes connections while it starts
    for offset_ms, severity in (
        (5000, "error"),
        (-400, "warning"),
        (0, None),
    ):  # the grace is 500 ms
        clock.write_text(f"{offset_ms / 1000:+}s\n")
        findings, exit = examine(cli)
        assert exit == (78 if severity == "error" else 0)
        if not severity:
            assert findings == {}
            continue
        assert findings["clock_offset"]["severity"] == severity
        ahead, behind = findings["clock_offset"]["what"].split(" ms ahead of that of ")
        assert member in (ahead if offset_ms > 0 else behind)
        doubt_ms = int(behind.split("± ")[1].split()[0])
        assert abs(int(ahead.split()[-1]) - abs(offset_ms)) <= doubt_ms + 20, findings
