# SPDX-License-Identifier: Apache-2.0
"""What people use today, beside Leasehold's command, on one server and in one run: acquire, busy and release, one client.

    python peers.py URI [rounds]      (default: 500)

All of them through the same driver (pymongo), in turn, so that the ratios compare the commands and not the languages.
The recipes' filters are rebuilt from what their projects document; each gets a collection of its own, with the index that
it asks for. Prints the medians; asserts nothing."""
import datetime
import statistics
import sys
import time
import uuid

import pymongo
from pymongo.errors import DuplicateKeyError

NAME = "peers_bench"
TTL = datetime.timedelta(seconds=30)
MAJORITY = pymongo.WriteConcern("majority", j=True)


def utc_now():
    return datetime.datetime.now(datetime.timezone.utc)


class Floor:
    """A plain upsert, which no lock can go below."""
    name = "plain upsert"

    def __init__(self, db):
        self.locks = db.get_collection("floor", write_concern=MAJORITY)
        self.locks.create_index("workspace_id", unique=True)

    def acquire(self, key, who):
        self.locks.find_one_and_update({"workspace_id": key}, {"$set": {"id": who, "expires_at": utc_now() + TTL}}, upsert=True)
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
        found = self.locks.find_one_and_update({"workspace_id": key}, {"$setOnInsert": {"id": who, "expires_at": utc_now() + TTL}},
                                               upsert=True, return_document=pymongo.ReturnDocument.AFTER)
        return found["id"] == who

    def release(self, key, who):
        self.locks.delete_one({"workspace_id": key, "id": who})


class ShedLock:
    """Upsert with the end in the filter; a held key is a duplicate-key error. Releases by setting the end to now."""
    name = "ShedLock's filter"

    def __init__(self, db):
        self.locks = db.get_collection("shedlock", write_concern=MAJORITY)

    def acquire(self, key, who):
        now = utc_now()
        try:
            self.locks.find_one_and_update({"_id": key, "lockUntil": {"$lte": now}},
                                           {"$set": {"lockUntil": now + TTL, "lockedAt": now, "lockedBy": who}}, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    def release(self, key, _who):
        self.locks.find_one_and_update({"_id": key}, {"$set": {"lockUntil": utc_now()}})


class MongoLock:
    """Upsert that asks for a lock not held, in the filter; releases in two round trips: finds what it holds, frees it."""
    name = "mongo-lock's filter"

    def __init__(self, db):
        self.locks = db.get_collection("mongo_lock", write_concern=MAJORITY)
        self.locks.create_index("resource", unique=True)

    def acquire(self, key, who):
        try:
            self.locks.find_one_and_update({"resource": key, "exclusive.acquired": False, "shared.count": 0},
                                           {"$set": {"exclusive": {"acquired": True, "lockId": who, "expiresAt": utc_now() + TTL}},
                                            "$setOnInsert": {"shared": {"count": 0, "locks": []}}}, upsert=True)
        except (DuplicateKeyError, pymongo.errors.OperationFailure):
            return False
        return True

    def release(self, key, who):
        held = self.locks.find_one({"exclusive.lockId": who})
        self.locks.find_one_and_update({"resource": held["resource"], "exclusive.lockId": who},
                                       {"$set": {"exclusive": {"acquired": False}}})


class Leasehold:
    """The commands that libleasehold sends (the short forms), replayed."""
    name = "Leasehold's commands"

    def __init__(self, db):
        self.db = db
        self.locks = db.get_collection("leasehold", write_concern=MAJORITY)
        self.locks.create_index("workspace_id", unique=True)

    def command(self, key, condition, change, upsert):
        whole = {"$cond": [condition, {"$mergeObjects": change}, "$$ROOT"]}
        return self.db.command("findAndModify", "leasehold", query={"workspace_id": key}, update=[{"$replaceWith": whole}],
                               new=True, upsert=upsert, writeConcern={"w": "majority", "j": True},
                               fields={"id": 1, "expires_at": 1, "owner": 1, "token": 1, "released": 1, "now": "$$NOW"})["value"]

    def acquire(self, key, who):
        same = {"$eq": ["$id", "$released.id"]}
        simple = {"$and": [{"$eq": [[{"$type": "$" + f} for f in ("workspace_id", "shared", "waiters", "expires_at")],
                                    {"$literal": ["string", "missing", "missing", "date"]}]},
                           {"$in": [{"$type": "$token"}, {"$literal": ["long", "missing"]}]},
                           {"$gte": [{"$ifNull": ["$token", 0]}, 0]}, {"$lte": ["$token", 2**62 - 1]}]}
        over = {"$cond": [same, {"$and": [{"$eq": [{"$type": "$id"}, "string"]}, {"$lte": ["$expires_at", "$released.at"]}]},
                          {"$lte": ["$expires_at", {"$subtract": ["$$NOW", 500]}]}]}
        condition = {"$and": [{"$not": [{"$in": [{"$literal": who}, ["$id", "$released.id"]]}]},
                              {"$or": [{"$eq": [{"$type": "$_id"}, "missing"]}, {"$and": [simple, over]}]}]}
        ended = {"id": "$id", "owner": "$owner", "how": "expire", "by": None, "reason": None, "at": "$$NOW"}
        clock = {"$toLong": {"$multiply": [{"$toLong": "$$NOW"}, 4194.304]}}
        change = [{"$literal": {"_id": key}}, "$$ROOT", {"$literal": {"id": who, "owner": "bench", "mode": "exclusive", "v": 1}},
                  {"expires_at": {"$add": ["$$NOW", 30000]}, "acquired_at": "$$NOW", "renewed_at": "$$NOW",
                   "released": {"$cond": [same, "$released", ended]}, "token": {"$max": [{"$add": ["$token", 1]}, clock]}}]
        return self.command(key, condition, change, True)["id"] == who

    def release(self, key, who):
        condition = {"$and": [{"$ne": ["$released.id", {"$literal": who}]},
                              {"$eq": [["$id", {"$type": "$shared"}, {"$type": "$waiters"}], {"$literal": [who, "missing", "missing"]}]}]}
        change = ["$$ROOT", {"expires_at": {"$min": ["$expires_at", "$$NOW"]},
                             "released": {"id": {"$literal": who}, "owner": "$owner", "how": "release", "at": "$$NOW"}}]
        self.command(key, condition, change, False)


def timed(call, *args):
    started = time.perf_counter()
    result = call(*args)
    return (time.perf_counter() - started) * 1000, result


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    with pymongo.MongoClient(sys.argv[1], retryWrites=False, tz_aware=True) as client:
        client.drop_database(NAME)
        peers = [peer(client[NAME]) for peer in (Floor, SetOnInsert, ShedLock, MongoLock, Leasehold)]
        samples = {peer: {"acquire": [], "busy": [], "release": []} for peer in peers}
        for round_ in range(rounds + 20):
            for peer in peers:
                who, other = uuid.uuid4().hex, uuid.uuid4().hex
                acquire, granted = timed(peer.acquire, "k", who)
                busy, taken = timed(peer.acquire, "k", other)
                assert granted and (isinstance(peer, Floor) or not taken), peer.name
                release, _ = timed(peer.release, "k", who)
                if round_ >= 20:
                    for what, ms in (("acquire", acquire), ("busy", busy), ("release", release)):
                        samples[peer][what].append(ms)
        client.drop_database(NAME)
    floor = statistics.median(samples[peers[0]]["acquire"])
    print(f"{'milliseconds (x floor)':24}{'acquire':>18}{'busy':>18}{'release':>18}")
    for peer in peers:
        cells = (statistics.median(samples[peer][what]) for what in ("acquire", "busy", "release"))
        print(f"{peer.name:24}" + "".join(f"{ms:10.2f} ({ms / floor:4.2f})" for ms in cells))


main()
