# SPDX-License-Identifier: Apache-2.0
"""What people use today, beside Leasehold's command, on one machine and in one run: acquire, busy
and release by one client; and 16 threads that want one key.

    python peers.py URI [rounds] [seconds]  (default: 500 rounds, 5 seconds of each for a hot key)

All on MongoDB through the same driver (pymongo), in turn, so that the ratios compare the commands
and not the languages. The recipes' filters and indexes are those of their projects' sources, as
named below; each has a collection of its own. Postgres' advisory locks are measured where `initdb`
and the module psycopg are: on a server of its own in a temporary folder. (They are no leases:
nothing ends them but their connection, and nobody counts tokens.) Prints the medians; asserts
nothing."""
import contextlib
import datetime
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pymongo
from pymongo.errors import DuplicateKeyError

NAME = "peers_bench"
TTL = datetime.timedelta(seconds=30)
MAJORITY = pymongo.WriteConcern("majority", j=True)
CONCERN = {"w": "majority", "j": True}
THREADS = 16


def utc_now():
    return datetime.datetime.now(datetime.timezone.utc)


class Floor:
    """A plain upsert, which no lock can go below."""

    name = "plain upsert"

    def __init__(self, db):
        self.locks = db.get_collection("floor", write_concern=MAJORITY)
        self.locks.create_index("workspace_id", unique=True)

    def acquire(self, key, who):
        self.locks.find_one_and_update(
            {"workspace_id": key}, {"$set": {"id": who, "expires_at": utc_now() + TTL}}, upsert=True
        )
        return True

    def release(self, key, who):
        self.acquire(key, who)


class SetOnInsert:
    """The usual recipe: $setOnInsert, and look whose id is in it; a delete to release."""

    name = "$setOnInsert"

    def __init__(self, db):
        self.locks = db.get_collection("set_on_insert", write_concern=MAJORITY)
        self.locks.create_index("workspace_id", unique=True)

    def acquire(self, key, who):
        self.locks.delete_one({"workspace_id": key, "expires_at": {"$lt": utc_now()}})
        found = self.locks.find_one_and_update(
            {"workspace_id": key},
            {"$setOnInsert": {"id": who, "expires_at": utc_now() + TTL}},
            upsert=True,
            return_document=pymongo.ReturnDocument.AFTER,
        )
        return found["id"] == who

    def release(self, key, who):
        self.locks.delete_one({"workspace_id": key, "id": who})


class ShedLock:
    """Upsert with the end in the filter; a held key is a duplicate-key error. Releases by setting
    the end to now.

    https://github.com/lukas-krecan/ShedLock, MongoLockProvider.java in
    providers/mongo/shedlock-provider-mongo: lock, unlock."""

    name = "ShedLock's filter"

    def __init__(self, db):
        self.locks = db.get_collection("shedlock", write_concern=MAJORITY)

    def acquire(self, key, who):
        now = utc_now()
        try:
            self.locks.find_one_and_update(
                {"_id": key, "lockUntil": {"$lte": now}},
                {"$set": {"lockUntil": now + TTL, "lockedAt": now, "lockedBy": who}},
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        return True

    def release(self, key, _who):
        self.locks.find_one_and_update({"_id": key}, {"$set": {"lockUntil": utc_now()}})


class MongoLock:
    """Upsert that asks for a lock not held, in the filter; releases in two round trips: finds what
    it holds, frees it.

    https://github.com/square/mongo-lock, lock.go: CreateIndexes (whose optional indexes are on
    names that no document has), XLock, Unlock, Status."""

    name = "mongo-lock's filter"

    def __init__(self, db):
        self.locks = db.get_collection("mongo_lock", write_concern=MAJORITY)
        self.locks.create_index("resource", unique=True, sparse=True)
        for name in (
            "exclusive.LockId",
            "exclusive.ExpiresAt",
            "shared.locks.LockId",
            "shared.locks.ExpiresAt",
        ):
            self.locks.create_index(name)

    def acquire(self, key, who):
        now = utc_now()
        held = {
            "lockId": who,
            "owner": "bench",
            "host": "host",
            "createdAt": now,
            "renewedAt": None,
            "expiresAt": now + TTL,
            "acquired": True,
        }
        try:
            self.locks.find_one_and_update(
                {
                    "resource": key,
                    "$or": [{"exclusive.acquired": False}, {"exclusive.expiresAt": {"$lte": now}}],
                    "shared.count": 0,
                },
                {"$set": {"resource": key, "exclusive": held, "shared": {"count": 0, "locks": []}}},
                upsert=True,
                return_document=pymongo.ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return False
        return True

    def release(self, key, who):
        mine = [
            {"$match": {"$or": [{"exclusive.lockId": who}, {"shared.locks.lockId": who}]}},
            {
                "$project": {
                    "resource": True,
                    "exclusive": True,
                    "shared.locks": {
                        "$filter": {
                            "input": "$shared.locks",
                            "as": "lock",
                            "cond": {"$and": [{"$eq": ["$$lock.lockId", who]}]},
                        }
                    },
                }
            },
        ]
        for held in list(self.locks.aggregate(mine)):
            freed = dict.fromkeys(
                ("lockId", "owner", "host", "createdAt", "renewedAt", "expiresAt"), None
            )
            self.locks.find_one_and_update(
                {"resource": held["resource"], "exclusive.lockId": who},
                {"$set": {"exclusive": freed | {"acquired": False}}},
            )


class Leasehold:
    """The commands that libleasehold sends (the short forms), replayed. It waits by a queue, not by
    asking again: see `bench_contest`."""

    name = "Leasehold's commands"

    def __init__(self, db):
        self.db, self.known = db, set()
        self.locks = db.get_collection("leasehold", write_concern=MAJORITY)
        self.locks.create_index("workspace_id", unique=True)

    def change(self, condition, change):
        return [{"$replaceWith": {"$cond": [condition, {"$mergeObjects": change}, "$$ROOT"]}}]

    def acquire(self, key, who):
        same = {"$eq": ["$id", "$released.id"]}
        simple = {
            "$and": [
                {
                    "$eq": [
                        [
                            {"$type": "$" + f}
                            for f in ("workspace_id", "shared", "waiters", "expires_at")
                        ],
                        {"$literal": ["string", "missing", "missing", "date"]},
                    ]
                },
                {"$in": [{"$type": "$token"}, {"$literal": ["long", "missing"]}]},
                {"$gte": [{"$ifNull": ["$token", 0]}, 0]},
                {"$lte": ["$token", 2**62 - 1]},
            ]
        }
        over = {
            "$cond": [
                same,
                {
                    "$and": [
                        {"$eq": [{"$type": "$id"}, "string"]},
                        {"$lte": ["$expires_at", "$released.at"]},
                    ]
                },
                {"$lte": ["$expires_at", {"$subtract": ["$$NOW", 500]}]},
            ]
        }
        known = key in self.known
        free = {"$and": [{"$eq": ["$workspace_id", {"$literal": key}]}, simple, over]}
        condition = {
            "$and": [
                {"$not": [{"$in": [{"$literal": who}, ["$id", "$released.id"]]}]},
                (
                    free
                    if known
                    else {
                        "$or": [{"$eq": [{"$type": "$_id"}, "missing"]}, {"$and": [simple, over]}]
                    }
                ),
            ]
        }
        ended = {
            "id": "$id",
            "owner": "$owner",
            "how": "expire",
            "by": None,
            "reason": None,
            "at": "$$NOW",
        }
        clock = {"$toLong": {"$multiply": [{"$toLong": "$$NOW"}, 4194.304]}}
        change = [
            {"$literal": {"_id": key}},
            "$$ROOT",
            {"$literal": {"id": who, "owner": "bench", "mode": "exclusive", "v": 1}},
            {
                "expires_at": {"$add": ["$$NOW", 30000]},
                "acquired_at": "$$NOW",
                "renewed_at": "$$NOW",
                "released": {"$cond": [same, "$released", ended]},
                "token": {"$max": [{"$add": ["$token", 1]}, clock]},
            },
        ]
        found = self.db.command(
            "findAndModify",
            "leasehold",
            query={"_id" if known else "workspace_id": key},
            update=self.change(condition, change),
            new=True,
            upsert=not known,
            writeConcern=CONCERN,
            fields={
                "_id": 1,
                "id": 1,
                "expires_at": 1,
                "owner": 1,
                "token": 1,
                "released": 1,
                "now": "$$NOW",
            },
        )["value"]
        self.known.add(key)
        return found["id"] == who

    def release(self, key, who):
        condition = {
            "$and": [
                {"$ne": ["$released.id", {"$literal": who}]},
                {
                    "$eq": [
                        ["$id", {"$type": "$shared"}, {"$type": "$waiters"}],
                        {"$literal": [who, "missing", "missing"]},
                    ]
                },
            ]
        }
        change = [
            "$$ROOT",
            {
                "expires_at": {"$min": ["$expires_at", "$$NOW"]},
                "released": {
                    "id": {"$literal": who},
                    "owner": "$owner",
                    "how": "release",
                    "at": "$$NOW",
                },
            },
        ]
        self.db.command(
            "update",
            "leasehold",
            updates=[{"q": {"_id": key}, "u": self.change(condition, change)}],
            writeConcern=CONCERN,
        )


class Postgres:
    """pg_try_advisory_lock and pg_advisory_unlock, a connection for each who asks; pg_advisory_lock
    to wait."""

    name = "Postgres advisory"

    def __init__(self, connect):
        self.connect, self.holder, self.other = connect, connect(), connect()

    def acquire(self, key, who):
        connection = self.holder if who == "holder" else self.other
        return connection.execute("select pg_try_advisory_lock(hashtext(%s))", (key,)).fetchone()[0]

    def release(self, key, _who):
        self.holder.execute("select pg_advisory_unlock(hashtext(%s))", (key,))


@contextlib.contextmanager
def postgres():
    """A server of its own, as the user postgres where root is who asks; gives what connects to it,
    or None."""
    initdb = shutil.which("initdb") or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None
    )
    try:
        import psycopg
    except ImportError:
        psycopg = None
    if not initdb or not psycopg:
        print(
            f"SKIPPED: Postgres: {'no initdb' if not initdb else 'no module psycopg'} here",
            file=sys.stderr,
        )
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="peers-pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data, quiet = folder / "data", {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL}
    subprocess.run([initdb, "-D", data, "-U", "postgres", "-A", "trust"], check=True, **quiet)
    server = subprocess.Popen(
        [
            Path(initdb).resolve().with_name("postgres"),
            "-D",
            data,
            "-k",
            folder,
            "-c",
            "listen_addresses=",
        ],
        stderr=subprocess.DEVNULL,
        **quiet,
    )

    def connect():
        return psycopg.connect(
            host=str(folder), user="postgres", dbname="postgres", autocommit=True
        )

    try:
        for _ in range(200):
            with contextlib.suppress(psycopg.OperationalError):
                connect().close()
                break
            time.sleep(0.1)
        yield connect
    finally:
        server.send_signal(signal.SIGINT)  # does not wait for its clients
        server.wait()
        shutil.rmtree(folder)


def timed(call, *args):
    started = time.perf_counter()
    result = call(*args)
    return (time.perf_counter() - started) * 1000, result


def polled(peer, counts, i, end):
    """Asks again after a pause that doubles up to 100 ms, as the recipes' users do."""
    pause = 0.002
    while time.perf_counter() < end:
        who = uuid.uuid4().hex
        if peer.acquire("hot", who):
            peer.release("hot", who)
            counts[i] += 1
            pause = 0.002
        else:
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, 0.1)


def queued(peer, counts, i, end):
    with peer.connect() as connection:
        while time.perf_counter() < end:
            connection.execute("select pg_advisory_lock(1)")
            counts[i] += 1
            connection.execute("select pg_advisory_unlock(1)")


def hot(peer, seconds):
    """Grants a second, and the fewest and most of a thread."""
    counts, end = [0] * THREADS, time.perf_counter() + seconds
    threads = [
        threading.Thread(
            target=queued if isinstance(peer, Postgres) else polled, args=(peer, counts, i, end)
        )
        for i in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{sum(counts) / seconds:8.0f}/s {min(counts):5}-{max(counts)}"


def measure(peers, rounds):
    samples = {peer: {"acquire": [], "busy": [], "release": []} for peer in peers}
    for round_ in range(rounds + 20):
        for peer in peers:
            who, other = (
                ("holder", "other")
                if isinstance(peer, Postgres)
                else (uuid.uuid4().hex, uuid.uuid4().hex)
            )
            acquire, granted = timed(peer.acquire, "k", who)
            busy, taken = timed(peer.acquire, "k", other)
            assert granted and (isinstance(peer, Floor) or not taken), peer.name
            release, _ = timed(peer.release, "k", who)
            if round_ >= 20:
                for what, ms in (("acquire", acquire), ("busy", busy), ("release", release)):
                    samples[peer][what].append(ms)
    return samples


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with pymongo.MongoClient(
        sys.argv[1], retryWrites=False, tz_aware=True
    ) as client, postgres() as connect:
        client.drop_database(NAME)
        peers = [
            peer(client[NAME]) for peer in (Floor, SetOnInsert, ShedLock, MongoLock, Leasehold)
        ]
        if connect:
            peers.append(Postgres(connect))
        samples = measure(peers, rounds)
        contested = {
            peer: "-" if isinstance(peer, (Floor, Leasehold)) else hot(peer, seconds)
            for peer in peers
        }
        client.drop_database(NAME)
    floor = statistics.median(samples[peers[0]]["acquire"])
    print(
        f"{'milliseconds (x floor)':24}{'acquire':>18}{'busy':>18}{'release':>18}"
        f"{f'{THREADS} threads, one key':>24}"
    )
    for peer in peers:
        cells = (statistics.median(samples[peer][what]) for what in ("acquire", "busy", "release"))
        print(
            f"{peer.name:24}"
            + "".join(f"{ms:10.2f} ({ms / floor:4.2f})" for ms in cells)
            + f"{contested[peer]:>24}"
        )


main()
