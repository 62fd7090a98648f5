# SPDX-License-Identifier: Apache-2.0
"""The vectors, replayed by a driver of its own and by the library; and both at once on the same keys.

A vector is {name, operation, with, before, outcome, after}: the key's document before (null: none), what is asked, what is told, the
document after: all of its fields. In it
    {"$now": ms}      a date, so many ms from the server's now
    {"$kept": true}   as it was before          {"$grown": true}   a long, greater than the token before
    {"$any": type}    whatever of that type     "as before"        nothing was written
                      ("process": a string, null, or missing)
native_only says why the library cannot be asked so.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a replica set)."""
import datetime
import json
import os
import secrets
import sys
import threading
import time
from pathlib import Path

import pymongo
import pytest
from bson import json_util
from bson.int64 import Int64
from commands import FILE, dumped
from native import Native

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve()
os.environ["LEASEHOLD_LIBRARY"] = str(BUILD / "src" / "libleasehold.so.0")
sys.path.insert(0, str(HERE.parents[1] / "tools" / "python"))
import leasehold  # noqa: E402

URI = os.environ["LEASEHOLD_TEST_URI"]
VECTORS = [vector for name in ("acquire", "busy", "renew", "release")
           for vector in json_util.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))]


class Library:
    """The library, asked as a vector asks."""

    def __init__(self, name, **options):
        self.store = leasehold.Store(URI, name, at_open="migrate", **options)

    def run(self, operation, key, lease, owner=None, purpose=None, ttl_ms=0, **_):
        try:
            if operation.startswith("acquire"):
                self.store.acquire(key, ttl=ttl_ms / 1000, shared=operation.endswith("shared"), owner=owner, purpose=purpose,
                                   lease_id=lease, by_hand=True)
                return "granted", None
            attached = self.store.attach(key, lease)
            if operation == "renew":
                attached.renew(ttl_ms / 1000)
                return "renewed", None
            attached.release()
            return "released", None
        except leasehold.Busy:
            return "busy", None
        except leasehold.Lost:
            return "lost", None


@pytest.fixture(scope="module")
def database():
    name = "conformance_" + secrets.token_hex(6)
    with pymongo.MongoClient(URI, retryWrites=False) as client:
        leasehold.Store(URI, name, at_open="migrate").close()
        yield client[name]
        client.drop_database(name)


def server_now(database):
    return database.client.admin.command("hello")["localTime"]


def ms(count):
    return datetime.timedelta(milliseconds=count)


def made(value, now):
    """The document before: its dates, from the server's clock."""
    if isinstance(value, dict):
        return now + ms(value["$now"]) if "$now" in value else {name: made(part, now) for name, part in value.items()}
    return value


TYPES = {"string": str, "long": Int64, "process": (str, type(None))}


def differences(wanted, found, before, token, since, until, path=""):
    """What is not as the vector says, in words. `token`: the document's before."""
    if isinstance(wanted, dict):
        if "$now" in wanted:
            good = isinstance(found, datetime.datetime) and since + ms(wanted["$now"]) <= found <= until + ms(wanted["$now"])
        elif "$kept" in wanted:
            good = found == before and type(found) is type(before)
        elif "$any" in wanted:
            good = isinstance(found, TYPES[wanted["$any"]])
        elif "$grown" in wanted:
            good = isinstance(found, Int64) and found > token
        elif not isinstance(found, dict):
            good = False
        else:
            missing = [f"{path}.{name} is missing" for name in wanted.keys() - found.keys()
                       if wanted[name] != {"$any": "process"}]
            more = [f"{path}.{name} is there: {found[name]!r}" for name in found.keys() - wanted.keys()]
            inner = before if isinstance(before, dict) else {}
            return missing + more + [words for name in wanted.keys() & found.keys()
                                     for words in differences(wanted[name], found[name], inner.get(name), token, since, until,
                                                              f"{path}.{name}")]
    else:
        good = wanted == found and type(wanted) is type(found)
    return [] if good else [f"{path} is {found!r}, not {wanted!r} (before: {before!r})"]


CASES = [pytest.param(vector, driver, id=f"{vector['operation']}: {vector['name']}: {driver}") for vector in VECTORS
         for driver in ("whole", "short", "library") if driver != "library" or "native_only" not in vector]


@pytest.mark.parametrize("vector, driver", CASES)
def test_vector(database, stores, vector, driver):
    locks, asked = database.workspace_locks, vector["with"]
    locks.delete_many({})
    since = server_now(database)
    before = made(vector["before"], since)
    if before:
        locks.insert_one(before)
        before = locks.find_one({"_id": before["_id"]})
    if driver == "library":
        player = stores(asked.get("grace_ms", 500), asked.get("max_shared", 128))
    else:
        player = Native(database, driver == "short")
        if driver == "short" and vector["operation"] in ("renew", "release"): # which need to know it
            asked = {"token": (before or {}).get("token", 0)} | asked
    outcome, _ = player.run(vector["operation"], **asked)
    until = server_now(database) + ms(1)
    assert outcome == vector["outcome"]
    found = list(locks.find())
    assert len(found) == (vector["after"] is not None)
    if vector["after"] == "as before":
        assert found == [before]
    elif vector["after"]:
        assert differences(vector["after"], found[0], before, (before or {}).get("token", 0), since, until) == []


@pytest.fixture(scope="module")
def stores(database):
    """The library's stores, by grace and bound."""
    opened = {}

    def of(grace_ms, max_shared):
        if (grace_ms, max_shared) not in opened:
            opened[grace_ms, max_shared] = Library(database.name, clock_skew=grace_ms / 1000, max_shared=max_shared)
        return opened[grace_ms, max_shared]

    yield of
    for library in opened.values():
        library.store.close()


def test_the_commands_are_what_the_library_sends():
    ours = dumped(BUILD / "tests" / "conformance_dump")
    assert len(ours) > 10
    assert json.loads(FILE.read_text(encoding="utf-8")) == ours, "make it anew: see commands.py"


def test_every_vector_has_its_own_name_and_something_to_say():
    names = [(vector["operation"], vector["name"]) for vector in VECTORS]
    assert len(set(names)) == len(names) > 50
    assert {vector["outcome"] for vector in VECTORS} == {"granted", "busy", "renewed", "released", "lost"}


KEYS = ["one", "two", "three"]
SECONDS = 3


class Ledger:
    """Sees whether anybody is inside of a key together with somebody else, and the tokens in the order of grants."""

    def __init__(self):
        self.inside, self.tokens, self.grants, self.wrong = {key: 0 for key in KEYS}, {key: [] for key in KEYS}, {}, []
        self.lock = threading.Lock()

    def enter(self, key, who, token):
        with self.lock:
            self.inside[key] += 1
            if self.inside[key] != 1:
                self.wrong.append(f"two hold {key}")
            if self.tokens[key] and token <= self.tokens[key][-1]:
                self.wrong.append(f"{key}: {token} after {self.tokens[key][-1]}")
            self.tokens[key].append(token)
            self.grants[who] = self.grants.get(who, 0) + 1

    def leave(self, key):
        with self.lock:
            self.inside[key] -= 1


def test_both_contend_for_the_same_keys(database, stores):
    """Neither ever holds a key together with the other, tokens grow over both, and both get their share."""
    database.workspace_locks.delete_many({})
    ledger, end = Ledger(), time.monotonic() + SECONDS
    library, failures = stores(500, 128), []

    def work(who, take, give):
        try:
            turn = 0
            while time.monotonic() < end:
                key = KEYS[(turn := turn + 1) % len(KEYS)]
                lease, token = secrets.token_hex(16), None
                token = take(key, lease)
                if token is None:
                    time.sleep(0.001)
                    continue
                ledger.enter(key, who, token)
                time.sleep(0.001)
                ledger.leave(key)
                give(key, lease)
        except Exception as why:
            failures.append(f"{who}: {why!r}")

    def native_take(driver):
        def take(key, lease):
            outcome, found = driver.run("acquire", key=key, lease=lease, owner="native", purpose=None, ttl_ms=30000)
            return found["token"] if outcome == "granted" else None
        return take

    def native_give(driver):
        def give(key, lease):
            assert driver.run("release", key=key, lease=lease, token=ledger.tokens[key][-1])[0] == "released"
        return give

    def library_take(key, lease):
        try:
            held[lease] = library.store.acquire(key, lease_id=lease)
            return held[lease].token
        except leasehold.Busy:
            return None

    def library_give(key, lease):
        held.pop(lease).release()

    held, threads = {}, []
    for short in (False, True, True):
        driver = Native(database, short)
        threads.append(threading.Thread(target=work, args=("native", native_take(driver), native_give(driver))))
        threads.append(threading.Thread(target=work, args=("library", library_take, library_give)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and ledger.wrong == []
    assert ledger.grants["native"] > 20 and ledger.grants["library"] > 20, ledger.grants
    for key in KEYS:
        assert database.workspace_locks.find_one({"_id": key})["token"] == ledger.tokens[key][-1]
