# SPDX-License-Identifier: Apache-2.0
"""Advice that a message gives does what it says: commands of ours, options, connection strings.
test_advice_listed.py has a list of all advice."""
import datetime
import json
import re
import secrets
import shlex
import uuid

import pymongo
import pytest
import servers
from advice import advised, findings, follow, page
from bson import ObjectId, Regex
from conftest import URI, Cli
from test_operators import ahead


# ---- Documents whose key is none, or no string
ODD = [
    ObjectId(),
    42,
    2.5,
    2**40,
    uuid.uuid4().bytes,
    ["a", "b"],
    {"a": 1},
    True,
    None,
    datetime.datetime(2026, 1, 1),
    Regex("x"),
    "tab\there",
    "",
    "x" * 1100,
    "it's",
]
ODD_IDS = ["oid", 7, "it's", {"a": 1}, "new\nline", 2.5, "", True, ObjectId(), "x" * 300]


@pytest.mark.parametrize("key", ODD, ids=lambda key: type(key).__name__)
def test_what_the_doctor_says_of_an_odd_key(cli, locks, key):
    identity = ODD_IDS[ODD.index(key) % len(ODD_IDS)]
    end = ODD.index(key) % 2 and key != "it's"
    locks.insert_one(
        {"_id": identity, "workspace_id": key, "expires_at": ahead(3600) if end else None}
    )
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


@pytest.mark.parametrize(
    "key", [ObjectId(), 42, ["a", "b"], None, "tab\there"], ids=lambda key: type(key).__name__
)
def test_status_and_break_find_a_document_by_its_id(cli, locks, key):
    locks.insert_one(
        {
            "_id": ObjectId("65f0a1b2c3d4e5f601234567"),
            "workspace_id": key,
            "expires_at": ahead(3600),
            "owner": "o",
        }
    )
    named = ("--id", '{"$oid": "65f0a1b2c3d4e5f601234567"}')
    shown = cli("--json", "status", *named)
    assert (
        shown.exit == (0 if isinstance(key, str) else 65)
        and shown.json["holders"][0]["owner"] == "o"
    ), shown
    result = cli("--json", "break", *named, "--reason", "r", "--yes")
    assert result.exit == 0, result
    document = locks.find_one()
    assert document["workspace_id"] == key and document["released"]["reason"] == "r"
    assert document["expires_at"] < ahead(1)
    assert (
        cli("status", "--id", "7").exit == 76
        and cli("break", "--id", "7", "--reason", "r", "--yes").exit == 76
    )
    for wrong in ("{", "", '1, "x": 2', "nonsense"):
        assert cli("status", "--id", wrong).exit == 64, wrong
    assert cli("status", "k", "--id", "7").exit == 64


def test_only_what_is_named_is_moved_and_only_what_is_odd(cli, locks):
    locks.insert_many(
        [{"_id": n, "workspace_id": n, "expires_at": ahead(-3600)} for n in range(3)]
        + [{"_id": "sound", "workspace_id": "sound", "expires_at": ahead(-3600)}]
    )
    assert cli("migrate", "--quarantine", "--yes", "--id", '"sound"').exit == 78
    assert cli("migrate", "--quarantine", "--yes", "--id", "9").exit == 78
    assert cli("migrate", "--quarantine", "--id", "1").exit == 64
    assert cli("migrate", "--yes", "--id", "1").exit == 64
    assert (
        cli(
            "migrate", "--quarantine", "--yes", "--id", "1", env={"LEASEHOLD_PROTECT": "migrate"}
        ).exit
        == 77
    )
    assert (
        cli("--json", "migrate", "--quarantine", "--dry-run", "--id", "1").json["quarantined"] == 1
    )
    assert cli("--json", "migrate", "--quarantine", "--yes", "--id", "1").json["quarantined"] == 1
    assert sorted(locks.distinct("_id"), key=str) == [0, 2, "sound"]


def test_a_migration_with_the_index_there_sees_typed_keys(cli, locks):
    for key in (ObjectId(), 42, ["a", "b"], None, {"a": 1}, True):
        locks.insert_one({"workspace_id": key, "expires_at": ahead(3600)})
        result = cli("--json", "migrate", "--yes")
        assert (
            result.exit == 78
            and result.json["foreign_live"] == 1
            and sum(result.json["foreign_keys"].values()) == 1
        ), (key, result)
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


@pytest.mark.parametrize(
    "document", [{"token": "uuid"}, {"expires_at": "soon"}, {"waiters": {"a": 1}}, {"shared": 3}]
)
def test_a_document_that_cannot_be_read(cli, locks, document):
    locks.insert_one({"workspace_id": "it's", "expires_at": ahead(60)} | document)
    busy = cli("acquire", "it's").out
    if (
        "cannot be read" in busy
    ):  # the short form of an acquire may see no more than that it is held
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
    locks.insert_one(
        {
            "_id": "k",
            "workspace_id": "k",
            "id": "a",
            "token": 5,
            "expires_at": ahead(-3 * 24 * 3600),
        }
    )
    exit, shown = follow(cli, findings(cli)["leaked"]["do"], "cleanup")
    assert exit == 0 and locks.count_documents({}) == 0, shown


def test_an_end_too_far_away(cli, locks):
    locks.insert_one({"workspace_id": "k", "expires_at": ahead(30 * 24 * 3600)})
    assert follow(cli, findings(cli)["too_long"]["do"], "break")[0] == 0
    assert cli("acquire", "k").exit == 0


# ---- Other places, other flags


def test_what_stands_on_the_command_line_stands_in_the_advice(bare, database, client, tmp_path):
    """Else it would go to another collection: for each source of advice one message."""
    cli = Cli(URI, database.name)
    del cli.env["LEASEHOLD_DB"]
    where = ["--db", database.name, "--collection", "work-locks"]
    locks = database["work-locks"]
    locks.insert_many([{"workspace_id": "k", "expires_at": ahead(60), "n": n} for n in range(2)])
    message = cli("migrate", *where).err
    assert cli("--json", "migrate", *where).json["message"] in message
    assert follow(cli, message, "migrate")[0] == 0 and locks.count_documents({}) == 1
    locks.insert_many([{"workspace_id": key} for key in ("it's", "-x")] + [{"workspace_id": 5}])
    for key in ("it's", "-x"):
        exit, shown = follow(cli, cli("status", *where, "--", key).out, "break")
        assert exit == 0 and "broken" in shown, shown
    malformed = findings(cli, *where)["malformed"]["do"]
    assert malformed in cli("doctor", *where).out
    exit, shown = follow(cli, malformed, "list")
    assert exit == 0 and "is a number" in shown, shown
    assert follow(cli, malformed, "migrate")[0] == 0
    assert sorted(locks.distinct("workspace_id")) == ["-x", "it's", "k"]
    (tmp_path / "it is").write_text(URI)
    file = Cli(None, None)
    locks.insert_one({"workspace_id": "n"})
    exit, shown = follow(
        file, file("--uri-file", tmp_path / "it is", "status", "n", *where).out, "break"
    )
    assert exit == 0 and "broken" in shown, shown
    assert not [
        name
        for name in client.list_database_names()
        if name == "leasehold" and "work-locks" in client[name].list_collection_names()
    ]


@pytest.mark.parametrize(
    "flags", [["--archive", "attic(old)"], ["--no-archive"], ["--adopt"], ["--accept-foreign-keys"]]
)
def test_a_flag_of_the_refused_run_stands_in_the_advice(bare, database, locks, flags):
    keys = [5, 5.5] if "keys" in flags[0] else []
    locks.insert_many([{"workspace_id": key, "expires_at": ahead(60)} for key in ["k", "k", *keys]])
    message = bare("migrate", *flags).err
    assert set(flags) <= set(shlex.split(advised(message, "migrate --yes"))), message
    exit, shown = follow(bare, message, "migrate --yes")
    assert exit == 0 and locks.count_documents({"workspace_id": "k"}) == 1, shown
    archives = [
        name
        for name in database.list_collection_names()
        if name in ("attic(old)", "workspace_locks_archive")
    ]
    assert archives == (
        {"--archive": ["attic(old)"], "--no-archive": []}.get(flags[0], ["workspace_locks_archive"])
    )


@pytest.mark.parametrize("key", ["k", "it's", "-x", "--help", "a b\\"])
def test_a_key_in_advice_is_that_key_for_a_shell(cli, locks, key):
    lease = cli("--json", "acquire", "--ttl", "1h", "--", key).json["lease"]
    locks.update_one({"workspace_id": key}, {"$set": {"token": "spoilt"}})
    for command in (["renew"], ["release"], ["transfer", "--to", "ben"]):
        message = cli(*command, "--lease", lease, "--", key)
        assert message.exit == 65, message
        exit, shown = follow(cli, message.err, "status")
        assert exit == 65 and "malformed" in shown and "token is a string" in shown, (
            message,
            shown,
        )
    locks.update_one({"workspace_id": key}, {"$unset": {"token": 1}, "$set": {"expires_at": None}})
    for text in (cli("status", "--", key).out, findings(cli)["no_end"]["do"]):
        locks.update_one(
            {"workspace_id": key}, {"$set": {"expires_at": None}, "$unset": {"released": 1}}
        )
        assert follow(cli, text, "break")[0] == 0
        assert locks.find_one({"workspace_id": key})["released"]["how"] == "break"


# ---- The doctor's, that are no commands for a shell of either kind


def test_a_trial_that_was_not_made(cli):
    assert follow(cli, findings(cli)["not_tried"]["do"], "doctor --trial")[0] == 0
    assert not {"not_tried", "trial"} & findings(cli, "--trial").keys()


def test_a_mode_that_refuses_nobody(cli):
    do = findings(
        Cli(URI, cli.env["LEASEHOLD_DB"]) if not cli.env.update(LEASEHOLD_MODE="observe") else cli
    )  # as a rule: none
    assert "not_enforced" not in do
    do = findings(cli)["not_enforced"]["do"]
    assert "enforce:" in do and "# STEPS" in page("leasehold-upgrade(7)")
    cli.env["LEASEHOLD_MODE"] = "enforce"
    assert "not_enforced" not in findings(cli)


@pytest.mark.parametrize(
    "options",
    [{"collation": {"locale": "en"}}, {"capped": True, "size": 4096}, {"viewOn": "other"}],
)
def test_a_collection_that_is_not_fit(bare, database, options):
    database.create_collection("workspace_locks", **options)
    assert "(--collection)" in findings(bare)["collection"]["do"]
    assert bare("migrate", "--yes", "--collection", "another").exit == 0
    assert "collection" not in findings(bare, "--collection", "another")


def test_documents_of_older_programs_need_nothing(cli, locks):
    locks.insert_many(
        [
            {"workspace_id": "old", "expires_at": ahead(-60)},
            {"_id": "B", "workspace_id": "A", "expires_at": ahead(60)},
        ]
    )
    found = findings(cli)
    assert found["no_token"]["do"].startswith("nothing: ") and found["other_id"]["do"].startswith(
        "nothing: "
    )
    assert cli.acquire("old")["token"] > 0 and cli("acquire", "B").exit == 0
    assert found["no_token"]["count"] == findings(cli)["no_token"]["count"] + 1


def test_an_option_that_does_not_exist(cli):
    uri = URI + ("&" if "?" in URI else "/?" if not URI.endswith("/") else "?")
    other = Cli(uri + "tmeoutMS=5", cli.env["LEASEHOLD_DB"])
    do = findings(other)["uri_option"]["do"]
    assert "leasehold-connection(7)" in do and "*connectTimeoutMS*" in page(
        "leasehold-connection(7)"
    )
    for better in ("connectTimeoutMS=5000", ""):
        assert "uri_option" not in findings(Cli(uri + better, cli.env["LEASEHOLD_DB"]))


@pytest.mark.parametrize("way", ["/", "/?directConnection=true", "/?directConnection=false"])
def test_a_connection_string_that_names_one_member(cli, client, way):
    if not client.primary or "replicaSet" not in URI:
        pytest.skip("NOT TESTED: this is no set")
    one = Cli("mongodb://%s:%s" % client.primary + way, cli.env["LEASEHOLD_DB"])
    found = findings(one)
    which = found.get("uri_follows_no_election") or found["uri_names_one_member"]
    good = Cli(re.search(r"mongodb://\S+", which["do"])[0], cli.env["LEASEHOLD_DB"])
    assert (
        not {id for id in findings(good) if id.startswith("uri_")}
        and good("acquire", "k").exit == 0
    )
    secondary = Cli(
        "mongodb://%s:%s" % next(iter(client.secondaries)) + "/?directConnection=true",
        cli.env["LEASEHOLD_DB"],
    )
    refused = secondary("acquire", "other")
    assert refused.exit == 78, refused
    good = Cli(re.search(r"mongodb://\S+", refused.err)[0], cli.env["LEASEHOLD_DB"])
    assert good("acquire", "other").exit == 0


@pytest.fixture(scope="module")
def guarded():
    """A server with access control."""
    uri, end = servers.start("cli-advice-auth", "standalone", "--auth")
    with pymongo.MongoClient(uri) as client:
        yield uri, client
    end()


def as_user(guarded, db, *roles):
    uri, client = guarded
    name = "u" + secrets.token_hex(4)
    client[db].command("createUser", name, pwd="pw", roles=list(roles))
    return name, Cli(f"mongodb://{name}:pw@{uri.split('@')[1].split('/')[0]}/?authSource={db}", db)


def create_roles(client, db, shown):
    """As the help says of what it prints: each line on the leases' database."""
    for line in shown.splitlines():
        client[db].command(json.loads(line))


def test_a_user_without_the_roles(guarded):
    uri, client = guarded
    db = "cli_" + secrets.token_hex(4)
    assert Cli(uri, db)("migrate", "--yes").exit == 0
    name, cli = as_user(guarded, db)
    texts = [cli("acquire", "k").err, findings(cli)["privilege"]["do"]]
    shown = {follow(cli, text, "doctor --roles")[1] for text in texts}
    assert len(shown) == 1
    create_roles(client, db, shown.pop())
    client[db].command("grantRolesToUser", name, roles=["leaseholdRuntime"])
    assert "privilege" not in findings(cli) and cli("acquire", "k").exit == 0


def test_a_server_without_access_control(cli):
    exit, shown = follow(cli, findings(cli)["no_access_control"]["do"], "doctor --roles")
    assert exit == 0 and shown.count("createRole") == 3


def test_what_a_trial_leaves_where_it_may_not_remove(guarded):
    """Cleanup removes it, as all that is free: when it has been free for as long as it is told, a
    day if it is not."""
    uri, client = guarded
    db = "cli_" + secrets.token_hex(4)
    root = Cli(uri, db)
    assert root("migrate", "--yes").exit == 0
    create_roles(client, db, root("doctor", "--roles").out)
    _, cli = as_user(guarded, db, "leaseholdRuntime")
    do = findings(cli, "--trial")["trial_left"]["do"]
    assert client[db].workspace_locks.count_documents({}) == 1
    day = ahead(-25 * 3600)
    client[db].workspace_locks.update_one(
        {}, {"$set": {"expires_at": day, "released.at": day, "token": 5}}
    )  # a day ago
    exit, shown = follow(root, do, "cleanup")
    assert exit == 0 and client[db].workspace_locks.count_documents({}) == 0, shown


# ---- Connection strings


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://:pw@HOST/",
        "mongodb://@HOST/",
        "mongodb://u@HOST/",
        "mongodb://u@HOST/?authMechanism=PLAIN",
        "mongodb://HOST/?authMechanism=SCRAM-SHA-256",
        "mongodb://HOST?w=majority",
        "mongodb://u@HOST/?authMechanism=SCRAM-SHA-1",
    ],
)
def test_a_connection_string_that_is_wrong(offline, uri):
    """What the message writes in its place is taken, and then nobody answers there."""
    refused = offline(
        "status", "k", "--timeout", "300ms", "--uri", uri.replace("HOST", "127.0.0.1:1")
    )
    assert refused.exit == 78, refused
    better = re.findall(r"mongodb://[^\s,;`]+", refused.err)
    assert better, refused
    for each in better:
        each = each.replace("host", "127.0.0.1:1").replace("option=value", "w=majority")
        done = offline("status", "k", "--timeout", "300ms", "--uri", each)
        assert done.exit == 69, (refused, each, done)


def test_no_connection_string(offline, cli, tmp_path):
    """Each of the three ways that the message names is one."""
    message = offline("status", "k").err
    assert all(
        way in message for way in ("LEASEHOLD_URI=mongodb://host/", "--uri-file FILE", "--uri URI")
    ), message
    (tmp_path / "uri").write_text(URI)
    for args, env in (
        ([], {"LEASEHOLD_URI": URI}),
        (["--uri-file", str(tmp_path / "uri")], {}),
        (["--uri", URI], {}),
    ):
        assert offline("status", "k", *args, env=env).exit == 0


def test_no_lease(cli):
    message = cli("renew", "k").err
    lease = cli("--quiet", "acquire", "k").out.strip()
    assert "--lease ID" in message and "LEASEHOLD_LEASE=ID" in message
    assert (
        cli("renew", "k", "--lease", lease).exit
        == cli("renew", "k", env={"LEASEHOLD_LEASE": lease}).exit
        == 0
    )


# ---- What is refused until an option is there


@pytest.mark.parametrize(
    "args, message, more, exit",
    [
        (["break", "k", "--reason", "r"], "add --yes", ["--yes"], 0),
        (["break", "k", "--yes"], "--reason TEXT", ["--reason", "r"], 0),
        (["cleanup"], "add --yes", ["--yes"], 0),
        (["cleanup"], "--dry-run", ["--dry-run"], 0),
        (["migrate", "--quarantine"], "add --yes", ["--yes", "--even-live", "--even-most"], 0),
        (
            ["migrate", "--quarantine"],
            "or --dry-run",
            ["--dry-run", "--even-live", "--even-most"],
            0,
        ),
        (
            ["migrate", "--even-live", "--yes"],
            "needs --quarantine",
            ["--quarantine", "--even-most"],
            0,
        ),
        (
            ["migrate", "--even-most", "--yes"],
            "needs --quarantine",
            ["--quarantine", "--even-live"],
            0,
        ),
        (["migrate", "--quarantine", "--yes", "--even-most"], "--even-live", ["--even-live"], 0),
        (["migrate", "--quarantine", "--yes", "--even-live"], "--even-most", ["--even-most"], 0),
        (["migrate", "--quarantine", "--yes", "--id", "5"], "--even-live", ["--even-live"], 0),
        (
            ["torture", "--seconds", "1s"],
            "add --yes",
            ["--yes", "--processes", "2", "--faults", "none"],
            0,
        ),
        (["transfer", "k", "--lease", "LEASE"], "--to OWNER", ["--to", "ben"], 0),
        (["doctor", "--as", "king"], "runtime, setup or ops", ["--as", "setup"], 0),
        (["acquire", "-x"], "put -- before", ["--", "-x"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_option_that_is_missing(cli, locks, args, message, more, exit):
    lease = cli.acquire("k")["lease"]
    if args[0] == "migrate":
        locks.insert_many(
            [{"_id": n, "workspace_id": n, "expires_at": ahead(60)} for n in range(5, 8)]
        )
    args = [lease if word == "LEASE" else word for word in args]
    refused = cli(*args)
    assert refused.exit in (64, 78) and message in refused.err, refused
    if args[-1] in ("king", "-x"):
        args = args[:-1] if args[-1] == "-x" else args[:-2]
    done = cli(*args, *more, timeout=120)
    assert done.exit == exit, done


def test_a_collection_that_is_not_taken_for_ours(bare, locks):
    locks.insert_many([{"n": 1}, {"n": 2}])
    refused = bare("migrate", "--yes")
    assert refused.exit == 78 and "--adopt" in refused.err
    assert (
        bare("migrate", "--yes", "--adopt", "--quarantine", "--even-live", "--even-most").exit == 0
    )


def test_what_waits_by_itself(cli):
    held = cli.acquire("k", "--ttl", "1s")
    assert "or let --wait do it" in cli("acquire", "k").out and held
    assert cli("acquire", "k", "--wait", "10s").exit == 0


def test_no_trail(cli):
    said = cli("audit")
    assert "LEASEHOLD_AUDIT, or --audit" in said.out + said.err
    assert (
        cli("acquire", "a", "--audit", "on").exit
        == cli("acquire", "b", env={"LEASEHOLD_AUDIT": "on"}).exit
        == 0
    )
    assert {line["key"] for line in cli("--json", "audit", "--audit", "on").lines} == {"a", "b"}


def test_a_word_that_is_no_command_or_option(offline):
    assert "leasehold --help" in offline("frobnicate").err and "acquire" in offline("--help").out
    assert (
        "see --help" in offline("acquire", "k", "--frobnicate").err
        and "--ttl" in offline("acquire", "--help").out
    )


@pytest.mark.parametrize(
    "args, ways",
    [
        (["migrate", "--yes"], (["--archive", "attic"], ["--no-archive"])),
        (["migrate", "--yes"], (["--quarantine"], ["--accept-foreign-keys"])),
        (["stats"], (["--json"], ["--prometheus"])),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else None,
)
def test_one_of_two_that_exclude_each_other(cli, args, ways):
    both = cli(*args, *ways[0], *ways[1])
    assert (
        both.exit == 64 and "either" in both.err and all(way[0] in both.err for way in ways)
    ), both
    assert [cli(*args, *way).exit for way in ways] == [0, 0]


@pytest.mark.parametrize(
    "command, option",
    [
        (["bench", "--seconds", "1"], "--only"),
        (["torture", "--yes", "--seconds", "1s", "--processes", "2"], "--faults"),
    ],
)
def test_one_of_several_words(cli, command, option):
    wrong = cli(*command, option, "nothing")
    assert wrong.exit == 64 and option in wrong.err, wrong
    words = re.findall(
        r"[a-z]+", re.search(r"none of (.*)|is one of (.*)", wrong.err)[0].split(" of ")[1]
    )
    assert {"--only": "handoff", "--faults": "none"}[option] in words
    for word in {"--only": ["handoff"], "--faults": ["none", "pause"]}[option]:
        assert cli(*command, option, word, timeout=120).exit == 0, word


def test_a_note_that_is_too_long(cli):
    for note in ("x" * 1025, "a\x1bb"):
        refused = cli("run", "k", "--note", note, "--", "true")
        assert (
            refused.exit == 64
            and "up to 1,024 bytes of UTF-8 without control characters" in refused.err
        ), refused
    assert cli("run", "k", "--note", "é" * 512, "--", "true").exit == 0
