# SPDX-License-Identifier: Apache-2.0
"""Old code beside ours on one collection: `$setOnInsert` upserts, deletes by `id` on expiry. Never
two live holders.

Environment: LEASEHOLD_BUILD (the build folder), LEASEHOLD_TEST_URI (a server)."""
import datetime
import json
import os
import secrets
import subprocess
import threading
import time
import uuid
from pathlib import Path

import pymongo
import pytest

URI = os.environ["LEASEHOLD_TEST_URI"]
BINARY = Path(os.environ.get("LEASEHOLD_BUILD", "build")).resolve() / "tools" / "leasehold"
KEY = "workspace-1"
TTL = datetime.timedelta(seconds=30)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Old:
    """The lock as it was written before: one document a workspace, made by whoever comes first."""

    def __init__(self, locks):
        self.locks, self.id = locks, None

    def acquire(self, ttl=TTL):
        mine = str(uuid.uuid4())
        fields = {"id": mine, "workspace_id": KEY, "user_id": "old", "expires_at": now() + ttl}
        try:
            found = self.locks.find_one_and_update(
                {"workspace_id": KEY},
                {"$setOnInsert": fields},
                upsert=True,
                return_document=pymongo.ReturnDocument.AFTER,
            )
        except pymongo.errors.DuplicateKeyError:
            return False
        if found["id"] == mine:
            self.id = mine
            return True
        if found["expires_at"] < now():
            self.locks.delete_one({"id": found["id"]})
        return False

    def release(self):
        return self.locks.delete_one({"id": self.id}).deleted_count == 1


class Ours:
    def __init__(self, db):
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")
        }
        self.env |= {"LEASEHOLD_URI": URI, "LEASEHOLD_DB": db}
        self.lease = self.token = None

    def run(self, *args):
        done = subprocess.run(
            [BINARY, "--json", *args],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode in (0, 75, 76), done
        return done.returncode, json.loads(done.stdout)

    def acquire(self):
        code, answer = self.run("acquire", KEY, "--ttl", "30")
        if code == 0:
            self.lease, self.token = answer["lease"], answer["token"]
        return code == 0

    def renew(self):
        return self.run("renew", KEY, "--lease", self.lease)[0] == 0

    def release(self):
        return self.run("release", KEY, "--lease", self.lease)[0] == 0


@pytest.fixture
def database():
    name = "legacy_" + secrets.token_hex(6)
    with pymongo.MongoClient(URI, tz_aware=True) as client:
        yield client.get_database(name, write_concern=pymongo.WriteConcern("majority"))
        client.drop_database(name)


@pytest.fixture
def locks(database):
    assert Ours(database.name).run("migrate", "--yes")[0] == 0
    return database.workspace_locks


@pytest.fixture
def ours(database):
    return Ours(database.name)


def age(locks, **ago):
    locks.update_one(
        {"workspace_id": KEY},
        [
            {
                "$set": {
                    "expires_at": {
                        "$subtract": [
                            "$$NOW",
                            datetime.timedelta(**ago) // datetime.timedelta(milliseconds=1),
                        ]
                    }
                }
            }
        ],
    )


def test_neither_gets_what_the_other_holds(locks, ours):
    old = Old(locks)
    assert old.acquire()
    assert not ours.acquire()
    assert old.release()
    assert ours.acquire()
    assert not Old(locks).acquire()
    assert ours.renew()
    assert ours.release()
    assert not old.acquire()  # finds what we left, and deletes it
    assert old.acquire()
    assert not ours.acquire()


def test_what_old_code_left_behind_is_taken_over(locks, ours):
    old = Old(locks)
    assert old.acquire()
    age(locks, hours=1)
    assert ours.acquire()
    assert not old.release()  # deletes by its own id: nothing
    assert ours.renew()
    assert (
        locks.find_one({"workspace_id": KEY})["user_id"] == "old"
    )  # fields that we do not know stay


def test_what_we_left_behind_is_taken_over_by_old_code(locks, ours):
    assert ours.acquire()
    first = ours.token
    age(locks, hours=1)
    old = Old(locks)
    assert not old.acquire()
    assert old.acquire()
    assert not ours.renew()
    assert not ours.release()
    assert locks.find_one({"workspace_id": KEY})["id"] == old.id  # and nothing was changed by that
    assert old.release()
    assert ours.acquire()
    assert ours.token > first


def test_readers_and_old_code_keep_each_other_out(locks, ours):
    assert ours.run("acquire", KEY, "--shared", "--ttl", "30")[0] == 0
    assert not Old(locks).acquire()
    assert ours.run("acquire", KEY, "--shared", "--ttl", "30")[0] == 0
    assert not Old(locks).acquire()


class Watch:
    """Who is inside, and whether anybody ever was twice."""

    def __init__(self, until):
        self.lock, self.inside, self.entered, self.doubles, self.tokens = (
            threading.Lock(),
            None,
            {},
            [],
            [],
        )
        self.until = until

    def enter(self, name, token=None):
        with self.lock:
            if self.inside:
                self.doubles.append((self.inside, name))
            self.inside = name
            kind = name[:3]
            self.entered[kind] = self.entered.get(kind, 0) + 1
            if token:
                self.tokens.append(token)

    def leave(self):
        with self.lock:
            self.inside = None


def compete(name, one, watch, errors):
    try:
        while time.monotonic() < watch.until or len(watch.entered) < 2:
            if not one.acquire():
                time.sleep(0.002)
                continue
            watch.enter(name, getattr(one, "token", None))
            time.sleep(0.003)
            watch.leave()
            if not one.release():
                errors.append(f"{name} lost what it held")
            time.sleep(0.01)
    except Exception as error:  # told by the test, not by the thread
        errors.append(repr(error))


def test_both_compete_and_never_are_two_inside(locks, database):
    watch, errors = Watch(time.monotonic() + 6), []
    crowd = [
        ("old-1", Old(locks)),
        ("old-2", Old(locks)),
        ("new-1", Ours(database.name)),
        ("new-2", Ours(database.name)),
        ("new-3", Ours(database.name)),
    ]
    threads = [
        threading.Thread(target=compete, args=(name, one, watch, errors)) for name, one in crowd
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert not watch.doubles
    assert watch.tokens == sorted(set(watch.tokens))
    assert watch.entered.keys() == {"old", "new"}, watch.entered
