#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fills a collection as older code left it: duplicates of a workspace_id, ends of many types,
fields nobody knows.

Usage: legacy.py URI DB COLLECTION --documents N --seed S [--odd N] [--largest N]

Prints one line of JSON: what is in the collection, by an oracle of its own that the tests compare
the migration with. The same seed gives the same documents. tests/live/migrate_crowd.py imports
documents(), survivors() and instant()."""
import argparse
import datetime
import json
import math
import random
import re
import uuid

import bson
import pymongo

EPOCH = datetime.datetime(1970, 1, 1)
BASE_MS = 1_772_000_000_000  # early in 2026
UNREADABLE = ["soon", "", "2026-13-01T00:00:00Z", True, {"at": 5}, [], [1, 2], b"\0"]
ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?$")


def instant(value):
    """expires_at in milliseconds; None when it has no end (null) or cannot be read. Written from
    the specification, not from the C."""
    if isinstance(value, datetime.datetime):
        return round((value - EPOCH) / datetime.timedelta(milliseconds=1))
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return int(value * 1000 if abs(value) < 1e11 else value)
    match = ISO.match(value) if isinstance(value, str) else None
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        at = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    fraction, zone = match.group(7), match.group(8)
    ms = int((fraction[1:] + "000")[:3]) if fraction else 0
    offset = 0
    if zone and zone not in "Zz":
        offset = int(zone[1:3]) * 60 + int(zone[-2:])
        offset = -offset if zone[0] == "-" else offset
    return round((at - EPOCH) / datetime.timedelta(milliseconds=1)) + ms - offset * 60_000


def end(rng, ms):
    """expires_at at about `ms`, in one of the ways that were in use. A second value says that there
    is none."""
    at = EPOCH + datetime.timedelta(milliseconds=ms)
    kind = rng.randrange(20)
    if kind < 9:
        return at, True
    if kind < 11:
        return at.isoformat(timespec="milliseconds") + "Z", True
    if kind < 12:
        return (at + datetime.timedelta(minutes=90)).isoformat(
            timespec="microseconds"
        ) + "+01:30", True
    if kind < 13:
        return (at - datetime.timedelta(hours=5)).isoformat(timespec="seconds") + "-05:00", True
    if kind < 14:
        return at.isoformat(timespec="seconds"), True
    if kind < 15:
        return ms // 1000, True
    if kind < 16:
        return float(ms), True
    if kind < 17:
        return bson.Int64(ms), True
    if kind < 18:
        return None, True
    if kind < 19:
        return None, False
    return rng.choice(UNREADABLE), True


def documents(count, seed, odd=0, largest=0):
    """`count` documents; `odd` of them without a string workspace_id, all different; `largest` of
    one key."""
    rng = random.Random(seed)
    keys = max(1, (count - odd - largest) * 3 // 4)
    for i in range(count):
        key = f"ws-{rng.randrange(keys):07d}"
        if i < odd:
            key = [i, {"n": i}, float(i) + 0.5, bson.ObjectId(i.to_bytes(12, "big"))][i % 4]
        elif i < odd + largest:
            key = "large"
        ms = BASE_MS + rng.randrange(40) * 60_000 * (1 if rng.random() < 0.7 else 1440)
        value, there = end(rng, ms)
        document = {
            "_id": bson.ObjectId(rng.randbytes(12)),
            "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "workspace_id": key,
            "user_id": f"user-{rng.randrange(500)}",
        }
        if there:
            document["expires_at"] = value
        document["created_at"] = EPOCH + datetime.timedelta(milliseconds=ms - 30_000)
        if rng.random() < 0.1:
            document["session"] = {"tab": rng.randrange(9), "agent": rng.choice(["ff", "ch", None])}
        if rng.random() < 0.05:
            document["token"] = bson.Int64(rng.randrange(1, 1 << 50))
        yield document


def order(document):
    """The higher one stays. The _ids here are ObjectIds: their bytes are their order."""
    at = instant(document.get("expires_at"))
    return (at is not None, at or 0, document["_id"].binary)


def survivors(docs):
    """{key: the document that stays} of those with a string workspace_id."""
    best = {}
    for document in docs:
        key = document.get("workspace_id")
        if isinstance(key, str) and (key not in best or order(document) > order(best[key])):
            best[key] = document
    return best


def is_malformed(document):
    value = document.get("expires_at")
    return not isinstance(document.get("workspace_id"), str) or (
        value is not None and instant(value) is None
    )


def summary(docs):
    per_key, malformed = {}, 0
    for document in docs:
        malformed += is_malformed(document)
        key = document.get("workspace_id")
        if isinstance(key, str):
            per_key[key] = per_key.get(key, 0) + 1
    return {
        "documents": len(docs),
        "keys": len(per_key),
        "duplicate_keys": sum(n > 1 for n in per_key.values()),
        "losers": sum(per_key.values()) - len(per_key),
        "malformed": malformed,
    }


def load(collection, docs):
    collection.drop()
    for i in range(0, len(docs), 10_000):
        collection.insert_many(docs[i : i + 10_000], ordered=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uri")
    parser.add_argument("db")
    parser.add_argument("collection")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--odd", type=int, default=0, help="documents whose workspace_id is no string"
    )
    parser.add_argument("--largest", type=int, default=0, help="documents of one more key")
    args = parser.parse_args()
    docs = list(documents(args.documents, args.seed, args.odd, args.largest))
    load(pymongo.MongoClient(args.uri)[args.db][args.collection], docs)
    print(json.dumps(summary(docs)))


if __name__ == "__main__":
    main()
