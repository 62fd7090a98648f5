# SPDX-License-Identifier: Apache-2.0
"""What a reader does not see, or what turns text around, is escaped wherever others' text is
printed: each character of the table, at each place, on a terminal and off it, in JSON too."""
import datetime
import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import bson
import pymongo
import pytest
from bson.int64 import Int64
from conftest import BINARY
from serving import Server, path_of, ready  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parents[2]
DOM = ROOT / "tools/serve/dashboard/dom.js"
SERVES = BINARY.with_name("leasehold-serve").exists()


def table_of(file, name):
    """The ranges, as they stand in the source."""
    text = file.read_text().split(name)[1]
    return [
        tuple(int(end, 16) for end in pair)
        for pair in re.findall(r"[{\[](0x\w+), (0x\w+)[}\]]", text[: text.index(";")])
    ]


TABLE = table_of(ROOT / "tools/common/text.c", "} misleading[] =")
# The ends of each range, and what is often met within; a control character is none that a key may
# have.
INSIDE = [
    0x200C,
    0x200D,
    0x202B,
    0x2066,
    0x2067,
    0x180E,
    0xFE0E,
    0xE0020,
    0xE0041,
    0xE007F,
    0xE0100,
    0xE01EF,
]
ALL = sorted(
    {end for pair in TABLE for end in pair if not 0xD800 <= end <= 0xDFFF and end != 0}
    | {0x1B, 0x85, *INSIDE}
)
KEYED = [c for c in ALL if c > 0x9F]
FEW = "".join(map(chr, KEYED[:5]))
# An owner that a caller names has no white space but blanks.
EVIL_OWNER = "".join(
    chr(c) for c in KEYED if not chr(c).isspace() and c not in (0x180E, 0x200B, 0x2060, 0xFEFF)
)
EVIL, EVIL_KEY = ("|".join(map(chr, points)) for points in (ALL, KEYED))
# What looks odd, and is what it is: as it stands.
PLAIN = "ä漢字עברית😀é\u00a0 \\u202e %s"


def is_misleading(character):
    return any(first <= ord(character) <= last for first, last in TABLE)


def shown(character):
    code = ord(character)
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return named.get(
        character,
        f"\\x{code:02x}"
        if code < 0x80
        else f"\\u{code:04x}"
        if code <= 0xFFFF
        else f"\\U{code:08x}",
    )


def safe(text):
    return "".join(shown(c) if is_misleading(c) else c for c in text)


def on_terminal(cli, *args, env=None):
    """What a terminal is sent on both streams, and the exit code."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [BINARY, *args],
        env=cli.environment({"NO_COLOR": "1", "TERM": "xterm"} | (env or {})),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    sent = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # nobody has the other end any more
            break
        if not part:
            break
        sent += part
    os.close(master)
    text = sent.decode().replace("\r\n", "\n")  # UTF-8, or this is an error
    return re.sub("\r[^\n]*?\033\\[K", "", text), process.wait()


def rid():
    return secrets.token_hex(16)


def ahead(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def lock(key, **fields):
    return {
        "_id": key,
        "workspace_id": key,
        "id": rid(),
        "owner": EVIL,
        "host": EVIL,
        "purpose": EVIL,
        "expires_at": ahead(3600),
        "acquired_at": ahead(-9),
        "token": Int64(5),
        "mode": "exclusive",
        "v": 1,
    } | fields


def before(how):
    return {
        "id": "gone",
        "owner": EVIL + "!",
        "how": how,
        "by": EVIL,
        "reason": EVIL,
        "at": ahead(-9),
        "note": {"text": EVIL, "token": Int64(4), "at": ahead(-9)},
    }


WAITING = {
    "mode": "exclusive",
    "owner": EVIL,
    "purpose": EVIL,
    "since": ahead(-60),
    "beat": Int64(1),
    "beat_at": ahead(600),
    "ttl_ms": Int64(30000),
    "claim_ms": Int64(600000),
}
LOCKS = [
    lock("held" + EVIL_KEY, waiters={rid(): WAITING}),
    lock("broken" + EVIL_KEY),
    lock("alive" + EVIL_KEY, id="a" * 32),
    lock("free" + EVIL_KEY, id="gone", expires_at=ahead(-9), released=before("break")),
    lock("odd" + EVIL_KEY, token="x"),
]
LINE = {
    "at": ahead(-9),
    "event": "granted",
    "key": EVIL_KEY,
    "owner": EVIL,
    "host": EVIL,
    "purpose": EVIL,
    "token": Int64(5),
    "previous_owner": EVIL,
    "previous_how": "expire",
}


@pytest.fixture
def stored(client, ready):
    """The program, where there is a key for each of what there is to say of one."""
    database = client.get_database(
        ready.env["LEASEHOLD_DB"], write_concern=pymongo.WriteConcern("majority")
    )
    database.workspace_locks.delete_many({})
    database.workspace_locks.insert_many(LOCKS)
    database.twice.delete_many({})
    database.twice.insert_many({**lock(EVIL_KEY), "_id": end + EVIL_KEY} for end in "ab")
    database.workspace_locks_audit.delete_many({})
    database.workspace_locks_audit.insert_one(dict(LINE))
    return ready


# What is run, and what of it is said back.
PLACES = {
    "status": ("status", "held" + EVIL_KEY),
    "status of what is free": ("status", "free" + EVIL_KEY),
    "status of what cannot be read": ("status", "odd" + EVIL_KEY),
    "list": ("list", "--all"),
    "list of keys": ("--quiet", "list"),
    "audit": ("--audit", "on", "audit"),
    "busy": ("acquire", "held" + EVIL_KEY),
    "busy, malformed": ("acquire", "odd" + EVIL_KEY),
    "run, busy": ("run", "held" + EVIL_KEY, "--wait", "0s", "--", "true"),
    "acquire, waiting": ("acquire", "held" + EVIL_KEY, "--wait", "300ms"),
    "granted": ("acquire", "free" + EVIL_KEY),
    "granted, new": ("acquire", "new" + EVIL_KEY),
    "renew": ("renew", "alive" + EVIL_KEY, "--lease", "a" * 32),
    "renew, lost": ("renew", "held" + EVIL_KEY, "--lease", "b" * 32),
    "not the holder": ("release", "held" + EVIL_KEY, "--lease", "b" * 32),
    "release": ("release", "alive" + EVIL_KEY, "--lease", "a" * 32),
    "transfer": ("transfer", "alive" + EVIL_KEY, "--lease", "a" * 32, "--to", "x" + EVIL_OWNER),
    "break": ("break", "broken" + EVIL_KEY, "--reason", "r" + EVIL_KEY, "--yes"),
    "break, not held": ("break", "none" + EVIL_KEY, "--reason", "r", "--yes"),
    "stats": ("stats",),
    "migrate's verdicts": ("--collection", "twice", "--verbose", "migrate", "--dry-run"),
    "doctor": ("doctor",),
    "a wrong option": ("list", "--" + EVIL_KEY),
    "a wrong command": (FEW,),
    "a wrong duration": ("acquire", "k", "--ttl", FEW),
    "a command that is not there": ("run", "k", "--", "/none/" + EVIL_KEY),
}


# Sentences have a greatest length: these show the beginning.
CUT = {
    "doctor",
    "a wrong option",
    "a wrong command",
    "a wrong duration",
    "a command that is not there",
}


def check(name, text, as_json):
    raw = sorted({f"U+{ord(c):04X}" for c in text if is_misleading(c) and c != "\n"})
    assert not raw, (name, raw, text)
    for character in map(chr, KEYED[:5] if name in CUT else KEYED):
        escape = json.dumps(character)[1:-1] if as_json else shown(character)
        assert escape in text, (name, f"U+{ord(character):04X}", text)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", PLACES)
def test_nothing_misleads_on_a_terminal(stored, name, as_json):
    text, code = on_terminal(stored, *(["--json"] if as_json else []), *PLACES[name])
    assert 0 <= code < 128, text
    check(name, text, as_json and text.lstrip().startswith("{"))


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", ["status", "list", "renew, lost", "a wrong duration"])
def test_a_pipe_is_sent_the_same(stored, name, as_json):
    result = stored(*(["--json"] if as_json else []), *PLACES[name])
    for text in filter(None, (result.out, result.err)):
        check(name, text, as_json and text.startswith("{"))


def test_json_means_what_was_stored(stored, client):
    result = stored("--json", "status", "held" + EVIL_KEY)
    holder = result.json["holders"][0]
    assert (result.json["key"], holder["owner"], holder["host"]) == ("held" + EVIL_KEY, EVIL, EVIL)
    assert result.out.isascii()
    client[stored.env["LEASEHOLD_DB"]].workspace_locks.insert_one(lock("plain", owner=PLAIN))
    result = stored("--json", "status", "plain")
    assert result.json["holders"][0]["owner"] == PLAIN and PLAIN.split("\\")[0] in result.out
    assert PLAIN in stored("status", "plain").out


def test_the_table_is_complete_and_the_dashboard_s_is_the_same(tmp_path):
    assert TABLE == sorted(TABLE) and len(TABLE) > 20
    assert table_of(DOM, "misleading =") == TABLE
    node = shutil.which("node")
    if not node:
        pytest.skip("NOT TESTED: Unicode's own table, for want of node")
    (tmp_path / "dom.mjs").write_text(DOM.read_text())
    (tmp_path / "try.mjs").write_text(
        """
import { visible } from "./dom.mjs";
const unicode = /[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{DI}]/u, wrong = [];
for (let c = 0; c <= 0x10ffff; c++) {
  const text = String.fromCodePoint(c);
  if (unicode.test(text) === (visible(text) === text)) wrong.push(c.toString(16));
}
console.log(JSON.stringify({ wrong, shown: JSON.parse(process.argv[2]).map(visible) }));
"""
    )
    texts = [EVIL, PLAIN, "\ud800x", "a\udc00", "\ud83d\ude00"]
    done = subprocess.run(
        [node, tmp_path / "try.mjs", json.dumps(texts)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "wrong": [],
        "shown": [safe(EVIL), PLAIN, "\\ud800x", "a\\udc00", "😀"],
    }


def raw_lock(key, owner):
    """With bytes that no driver would send."""
    whole = bson.encode(lock(key, owner="?" * len(owner), host="", purpose=""))
    return bson.raw_bson.RawBSONDocument(whole.replace(b"?" * len(owner), owner))


@pytest.mark.parametrize("as_json", [False, True])
def test_bytes_that_are_no_text(stored, client, as_json):
    bad = [b"\xed\xa0\x80", b"\xff", b"\xc0\xae", b"\xe2\x80", b"\xf4\x90\x80\x80", b"\x9b"]
    locks = client[stored.env["LEASEHOLD_DB"]].workspace_locks
    locks.insert_many(raw_lock(f"raw{i}", b"a" + some + b"b") for i, some in enumerate(bad))
    for i, some in enumerate(bad):
        text, code = on_terminal(stored, *(["--json"] if as_json else []), "status", f"raw{i}")
        assert (
            code == 0
            and not [c for c in text if is_misleading(c) and c != "\n"]
            and f"a{'?' * len(some)}b" in text
        ), text


@pytest.mark.skipif(
    not shutil.which("bash"), reason="NOT TESTED: advice in bash's words, because bash is missing"
)
@pytest.mark.parametrize(
    "key", [EVIL_KEY, "it's \\u202e \u202e", "a\\'b\u00ad", "plain \\u202e 'quoted'"]
)
def test_advice_names_the_same_key(stored, client, key):
    locks = client[stored.env["LEASEHOLD_DB"]].workspace_locks
    locks.insert_one(lock("advice" + key, token="x"))
    text, _ = on_terminal(stored, "status", "advice" + key)
    assert not [c for c in text if is_misleading(c) and c != "\n"]
    (word,) = re.findall(r"migrate --quarantine --even-live --id (\$?'.*)\n", text)
    said = subprocess.run(
        ["bash", "-c", f"printf %s {word}"],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(said) == "advice" + key


def test_reap(ready, stored, client):
    key = "r" + EVIL_KEY
    process = ready.start(
        "run",
        key,
        "--owner",
        "o" + EVIL_OWNER,
        "--purpose",
        "p" + EVIL_KEY,
        "--",
        "sh",
        "-c",
        "echo; exec sleep 60",
    )
    assert process.stdout.readline() == "\n"
    process.kill()
    process.communicate()
    for as_json in (True, False):
        text, code = on_terminal(ready, *(["--json"] if as_json else []), "reap", "--dry-run")
        assert code == 0
        check("reap", text, as_json)


def test_watch(ready, stored):
    for as_json in (False, True):
        process = ready.start(*(["--json"] if as_json else []), "watch")
        try:
            assert "opened" in process.stdout.readline()
            lease = ready.acquire(
                "k" + EVIL_KEY, "--owner", "o" + EVIL_OWNER, "--purpose", "p" + EVIL_KEY
            )["lease"]
            check(
                "watch",
                next(line for line in iter(process.stdout.readline, "") if "granted" in line),
                as_json,
            )
            ready("release", "k" + EVIL_KEY, "--lease", lease, "--note", "n" + EVIL_KEY)
            check(
                "watch",
                next(line for line in iter(process.stdout.readline, "") if "released" in line),
                as_json,
            )
        finally:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not SERVES, reason="NOT TESTED: built without serve")
def test_serve(ready, stored):
    server = Server(ready, "--listen", "127.0.0.1:0")
    assert (
        server.acquire("k" + EVIL_KEY, owner="o" + EVIL_OWNER, purpose="p" + EVIL_KEY).status == 201
    )
    for answer in (
        server("GET", path_of("k" + EVIL_KEY)),
        server.acquire("k" + EVIL_KEY),
        server("GET", "/v1/leases"),
        server("GET", "/v1/leases?%E2%80%AE=%E2%80%AE"),
    ):
        body = answer.body.decode()
        assert not [c for c in body if is_misleading(c) and c != "\n"], body
    assert server("GET", path_of("k" + EVIL_KEY)).json["holders"][0]["owner"] == "o" + EVIL_OWNER
    log = server.end()
    assert not [c for c in log if is_misleading(c) and c != "\n"], log
