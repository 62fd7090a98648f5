# SPDX-License-Identifier: Apache-2.0
"""The vectors, replayed by two drivers that are not ours (pymongo and, where node is, npm's
`mongodb`) and by the library; and all three at once on the same keys. The last test prints the
table.

A vector is {name, operation, with, before, outcome, after}: the key's document before (null: none),
what is asked, what is told, the document after: all of its fields, and the queue's order. In it
    {"$now": ms}      a date, so many ms from the server's now
    {"$kept": true}   as it was before     {"$grown": true}   a long, greater than the token before
    {"$any": type}    whatever of that type; "process": a string, null, or missing
                                           {"$new": true}     a lease id that was not there before
    "as before"       nothing was written
native_only says why the library cannot be asked so.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a replica set)."""
import collections
import datetime
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pymongo
import pytest
from bson import json_util
from bson.int64 import Int64
from commands import FILE, dumped
from native import SHORT, Native

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve()
os.environ["LEASEHOLD_LIBRARY"] = str(BUILD / "src" / "libleasehold.so.0")
sys.path.insert(0, str(ROOT / "tools" / "bindings" / "python"))
import leasehold  # noqa: E402
from library import Library  # noqa: E402

URI = os.environ["LEASEHOLD_TEST_URI"]
FILES = sorted(
    path
    for path in HERE.glob("*.json")
    if path.name not in ("commands.json", "keys.json", "package.json", "package-lock.json")
)
VECTORS = [vector for path in FILES for vector in json_util.loads(path.read_text(encoding="utf-8"))]
OUTCOMES = {
    "acquire": "granted busy",
    "acquire_shared": "granted busy",
    "wait": "granted queued busy",
    "wait_shared": "granted queued busy",
    "beat": "alive gone",
    "claim": "renewed lost",
    "renew": "renewed lost",
    "release": "released lost",
    "cancel": "left",
    "transfer": "transferred lost",
    "break": "broken lost",
}
NODE_MODULES = subprocess.run(
    [ROOT / "scripts" / "setup", "--node"], capture_output=True, text=True, check=True
).stdout.strip()
HAS_NODE = Path(NODE_MODULES, "mongodb").exists()
if not HAS_NODE:
    warnings.warn("NOT TESTED: node's mongodb, for want of it: scripts/setup node")
RESULTS, GRANTS = collections.Counter(), {}


class Node:
    """player.js, which is asked by a line and answers by a line."""

    def __init__(self, database):
        self.process = subprocess.Popen(
            ["node", HERE / "player.js", URI, database.name],
            env=os.environ | {"NODE_PATH": NODE_MODULES},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request):
        self.process.stdin.write(
            json_util.dumps(request, json_options=json_util.CANONICAL_JSON_OPTIONS) + "\n"
        )
        self.process.stdin.flush()
        return json_util.loads(self.process.stdout.readline())

    def run(self, operation, short, given):
        return self.ask(run={"operation": operation, "short": short, "with": given})["outcome"]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def database():
    name = "conformance_" + secrets.token_hex(6)
    with pymongo.MongoClient(URI, retryWrites=False) as client:
        leasehold.Store(URI, name, at_open="migrate").close()
        yield client.get_database(
            name, write_concern=pymongo.WriteConcern(1)
        )  # for what is prepared
        client.drop_database(name)


@pytest.fixture(scope="module")
def node(database):
    if not HAS_NODE:
        pytest.skip("there is no node, or no mongodb for it")
    node = Node(database)
    yield node
    node.close()


def server_now(database):
    return database.client.admin.command("hello")["localTime"]


def ms(count):
    return datetime.timedelta(milliseconds=count)


def made(value, now):
    """The document before: its dates, from the server's clock."""
    if isinstance(value, list):
        return [made(part, now) for part in value]
    if isinstance(value, dict):
        return (
            now + ms(value["$now"])
            if "$now" in value
            else {name: made(part, now) for name, part in value.items()}
        )
    return value


TYPES = {"string": str, "long": Int64, "process": (str, type(None))}


def differences(wanted, found, before, told, path=""):
    """What is not as the vector says, in words. `told`: (the token before, since, until)."""
    token, since, until = told
    if isinstance(wanted, dict):
        if "$now" in wanted:
            good = isinstance(found, datetime.datetime) and since + ms(
                wanted["$now"]
            ) <= found <= until + ms(wanted["$now"])
        elif "$kept" in wanted:
            good = found == before and type(found) is type(before)
        elif "$any" in wanted:
            good = isinstance(found, TYPES[wanted["$any"]])
        elif "$new" in wanted:
            good = (
                isinstance(found, str)
                and re.fullmatch("[0-9a-f]{32}", found) is not None
                and found != before
            )
        elif "$grown" in wanted:
            good = isinstance(found, Int64) and found > (
                token if isinstance(token, (int, float)) else 0
            )
        elif not isinstance(found, dict):
            good = False
        else:
            missing = [
                f"{path}.{name} is missing"
                for name in wanted.keys() - found.keys()
                if wanted[name] != {"$any": "process"}
            ]
            more = [
                f"{path}.{name} is there: {found[name]!r}" for name in found.keys() - wanted.keys()
            ]
            if (
                path in (".waiters", ".shared")
                and not missing
                and not more
                and list(wanted) != list(found)
            ):
                more = [f"{path} is in another order: {list(found)}"]
            inner = before if isinstance(before, dict) else {}
            return (
                missing
                + more
                + [
                    words
                    for name in wanted.keys() & found.keys()
                    for words in differences(
                        wanted[name], found[name], inner.get(name), told, f"{path}.{name}"
                    )
                ]
            )
    else:
        good = wanted == found and type(wanted) is type(found)
    return [] if good else [f"{path} is {found!r}, not {wanted!r} (before: {before!r})"]


def longs(value):
    return {name: Int64(part) if isinstance(part, int) else part for name, part in value.items()}


DRIVERS = ("pymongo", "pymongo, short", "node", "node, short", "library")
CASES = [
    (vector, driver)
    for vector in VECTORS
    for driver in DRIVERS
    if not (
        driver == "library"
        and "native_only" in vector
        or driver.endswith("short")
        and vector["operation"] not in SHORT
    )
]


class Pymongo:
    def __init__(self, database):
        self.database = database

    def run(self, operation, short, given):
        return Native(self.database, short).run(operation, **given)[0]

    def close(self):
        pass


class Libraries:
    """The library's stores, by grace and bounds."""

    def __init__(self, locks):
        self.locks, self.opened = locks, {}

    def of(self, grace_ms=500, max_shared=128, max_waiters=1000, **_):
        how = (grace_ms, max_shared, max_waiters)
        if how not in self.opened:
            self.opened[how] = Library(
                URI,
                self.locks,
                clock_skew=grace_ms / 1000,
                max_shared=max_shared,
                max_waiters=max_waiters,
            )
        return self.opened[how]

    def run(self, operation, _, given):
        return self.of(**given).run(operation, **given)

    def close(self):
        for library in self.opened.values():
            library.store.close()


def play(driver, player, locks, vector):
    """(outcome, the document before, those after, since, until)"""
    operation, asked, short = vector["operation"], vector["with"], driver.endswith("short")
    locks.delete_many({})
    since = server_now(locks.database)
    before = made(vector["before"], since)
    if before:
        locks.insert_one(before)
        before = locks.find_one({"_id": before["_id"]})
    if short and operation in ("renew", "release"):  # which need to know it
        token = (before or {}).get("token", 0)
        asked = {"token": token if isinstance(token, int) else 0} | asked
    outcome = player.run(
        operation,
        short,
        longs(asked | {"collection": locks.name}) if driver != "library" else asked,
    )
    until, found = server_now(locks.database) + ms(1), list(locks.find())
    if driver == "library":
        player.of(**vector["with"]).leave()
    return outcome, before, found, since, until


def play_all(driver, database, played):
    """Each driver has a collection of its own, and a thread."""
    majority = pymongo.WriteConcern(
        "majority" if driver == "library" else 1
    )  # a break by the library reads what is committed
    locks = database.get_collection("locks_" + driver.replace(", ", "_"), write_concern=majority)
    player = (
        Libraries(locks)
        if driver == "library"
        else Node(database)
        if driver.startswith("node")
        else Pymongo(database)
    )
    for i, (vector, who) in enumerate(CASES):
        if who == driver:
            try:
                played[i] = play(driver, player, locks, vector)
            except Exception as why:
                played[i] = why
    player.close()


@pytest.fixture(scope="module")
def played(database):
    results = {}
    threads = [
        threading.Thread(target=play_all, args=(driver, database, results))
        for driver in DRIVERS
        if HAS_NODE or not driver.startswith("node")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(i, id=f"{vector['operation']}: {vector['name']}: {driver}")
        for i, (vector, driver) in enumerate(CASES)
    ],
)
def test_vector(played, case):
    vector, driver = CASES[case]
    if driver.startswith("node") and not HAS_NODE:
        pytest.skip("there is no node, or no mongodb for it")
    if isinstance(played[case], Exception):
        raise played[case]
    outcome, before, found, since, until = played[case]
    assert outcome == vector["outcome"]
    assert len(found) == (vector["after"] is not None)
    if vector["after"] == "as before":
        assert repr(found) == repr([before])  # of NaN too
    elif vector["after"]:
        token = (before or {}).get("token", 0)
        assert differences(vector["after"], found[0], before, (token, since, until)) == []
    RESULTS[driver] += 1


def test_the_commands_are_what_the_library_sends():
    ours = dumped(BUILD / "tests" / "conformance_dump")
    assert len(ours) > 10
    assert json.loads(FILE.read_text(encoding="utf-8")) == ours, "make it anew: see commands.py"


def test_every_vector_has_its_own_name_and_every_outcome_has_one():
    names = [(vector["operation"], vector["name"]) for vector in VECTORS]
    assert len(set(names)) == len(names) > 150
    assert {(vector["operation"], vector["outcome"]) for vector in VECTORS} == {
        (operation, outcome)
        for operation, outcomes in OUTCOMES.items()
        for outcome in outcomes.split()
    }


KEYS = ["one", "two", "three"]
SECONDS = 3


def take_turns(database, salt, acquire, failures, turns):
    """One who competes: under each lease it counts, and not atomically. acquire(key) gives (token,
    how to release), or None."""
    try:
        end, turn = time.monotonic() + SECONDS, secrets.randbelow(3)
        while time.monotonic() < end:
            key = KEYS[(turn := turn + 1) % len(KEYS)]
            got = acquire(key)
            if got is None:
                time.sleep(0.001)
                continue
            n = database.counters.find_one({"_id": salt + key})["n"]
            database.counters.update_one({"_id": salt + key}, {"$set": {"n": n + 1}})
            turns.append({"key": key, "n": n, "token": got[0]})
            got[1]()
    except Exception as why:
        failures.append(repr(why))


def by_pymongo(database, short):
    driver = Native(database, short)

    def acquire(key):
        lease = secrets.token_hex(16)
        outcome, found = driver.run("acquire", key=key, lease=lease, ttl_ms=30000)
        if outcome != "granted":
            return None

        def release():
            assert (
                driver.run("release", key=key, lease=lease, token=found["token"])[0] == "released"
            )

        return found["token"], release

    return acquire


def by_library(store):
    def acquire(key):
        try:
            lease = store.acquire(key)
        except leasehold.Busy:
            return None
        return lease.token, lease.release

    return acquire


@pytest.fixture
def store(database):
    with leasehold.Store(URI, database.name) as store:
        yield store


def test_all_compete_for_the_same_keys(database, store, node):
    """Whoever counts beside another loses a count. And tokens grow in the order of the counts,
    whoever made them."""
    database.workspace_locks.delete_many({})
    salt = secrets.token_hex(4)
    database.counters.insert_many([{"_id": salt + key, "n": 0} for key in KEYS])
    failures, turns = [], {"library": [], "pymongo": [], "node": []}
    ways = [
        ("library", by_library(store)),
        ("pymongo", by_pymongo(database, False)),
        ("library", by_library(store)),
        ("pymongo", by_pymongo(database, True)),
    ]
    threads = [
        threading.Thread(target=take_turns, args=(database, salt, way, failures, turns[who]))
        for who, way in ways
    ]

    def by_node():
        turns["node"] = node.ask(
            contend={"keys": KEYS, "ms": SECONDS * 1000, "workers": 2, "salt": salt}
        )["turns"]

    threads.append(threading.Thread(target=by_node))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for key in KEYS:
        mixed = sorted(
            (int(turn["n"]), int(turn["token"]), who)
            for who, own in turns.items()
            for turn in own
            if turn["key"] == key
        )
        assert [n for n, _, _ in mixed] == list(range(len(mixed))), "counted twice: two held it"
        assert database.counters.find_one({"_id": salt + key})["n"] == len(mixed)
        tokens = [token for _, token, _ in mixed]
        assert all(a < b for a, b in zip(tokens, tokens[1:]))
        assert tokens[-1] == database.workspace_locks.find_one({"_id": key})["token"]
    GRANTS.update({who: len(own) for who, own in turns.items()})
    assert min(GRANTS.values()) > 3, GRANTS


def test_the_results_of_all_three(capsys):
    """What the tests above found, as a table. Says what did not run."""
    wanted = collections.Counter(driver for _, driver in CASES)
    names = {
        "library": f"libleasehold {leasehold.version()}",
        "pymongo": f"pymongo {pymongo.version}",
        "node": "node mongodb",
    }
    with_node = Path(NODE_MODULES, "mongodb", "package.json")
    if with_node.exists():
        names["node"] += " " + json.loads(with_node.read_text())["version"]
    with capsys.disabled():
        print(
            f"\n{'implementation':24}{'vectors':>12}{'short forms':>14}"
            f"{'grants on the same keys':>26}"
        )
        for who, name in names.items():
            short = (
                f"{RESULTS[who + ', short']}/{wanted[who + ', short']}" if who != "library" else "-"
            )
            print(
                f"{name:24}{RESULTS[who]:>8}/{wanted[who]}{short:>14}"
                f"{GRANTS.get(who, 'not run'):>26}"
            )
        print("none lost, tokens strictly increasing" if GRANTS else "the contest did not run")
    if not RESULTS:
        pytest.skip("nothing ran before")
