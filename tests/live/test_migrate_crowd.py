# SPDX-License-Identifier: Apache-2.0
"""Migrators in a crowd: sixteen at once, killed ones, and live writers beside them. pymongo watches
and is the judge; what stays is compared with the oracle of tests/support/legacy.py, which was
written from the specification.

Needs LEASEHOLD_TEST_URI, and LEASEHOLD_BUILD (default: build) with tools/leasehold in it.
LEASEHOLD_TEST_SEED replays."""
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import bson
import pymongo
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import legacy  # noqa: E402

URI = os.environ.get("LEASEHOLD_TEST_URI", "")
BUILD = pathlib.Path(os.environ.get("LEASEHOLD_BUILD", HERE.parent.parent / "build"))
SEED = int(os.environ.get("LEASEHOLD_TEST_SEED", random.randrange(1 << 30)))
INDEX = "workspace_id_unique"
pytestmark = pytest.mark.skipif(not URI, reason="LEASEHOLD_TEST_URI is not set")


@pytest.fixture
def db():
    print("seed", SEED)
    client = pymongo.MongoClient(URI)
    name = f"mig_crowd_{random.randrange(1 << 32):08x}"
    yield client[name]
    client.drop_database(name)
    client.close()


def start(db, *options):
    command = [
        BUILD / "tools" / "leasehold",
        "--uri",
        URI,
        "--db",
        db.name,
        "--collection",
        "locks",
        "--json",
        "migrate",
        "--yes",
    ]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process, seconds=120):
    """The JSON of a migrator that must have done it."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, (process.returncode, out, err)
    report = json.loads(out.splitlines()[-1])
    assert report["outcome"] == "ok"
    return report


def is_unique(db):
    return bool(db.locks.index_information().get(INDEX, {}).get("unique"))


def tokens(docs):
    highest = {}
    for document in docs:
        key = document["workspace_id"]
        if isinstance(key, str):
            highest[key] = max(highest.get(key, 0), document.get("token", 0))
    return highest


def nothing_is_lost(db, docs):
    """Every original document is in the collection or, byte by byte, in the archive."""
    there = {document["_id"] for document in db.locks.find({}, {"_id": 1})}
    kept = {bson.encode(entry["document"]) for entry in db.locks_archive.find()}
    for document in docs:
        assert document["_id"] in there or bson.encode(document) in kept, document


def is_as_the_oracle_says(db, docs):
    best, highest = legacy.survivors(docs), tokens(docs)
    left = {
        document["workspace_id"]: document
        for document in db.locks.find()
        if isinstance(document["workspace_id"], str)
    }
    # A migrator that is killed while it tries leases leaves the key of its trial, for the next
    # cleanup.
    left = {
        key: document for key, document in left.items() if not key.startswith("leasehold:trial:")
    }
    assert left.keys() == best.keys()
    for key, document in best.items():
        wanted = dict(document)
        if highest[key]:
            wanted["token"] = highest[key]
        assert left[key] == wanted
    entries = list(db.locks_archive.find())
    trials = {"workspace_id": {"$regex": "^leasehold:trial:"}}
    assert len(entries) == len(docs) - db.locks.count_documents({"$nor": [trials]})
    for entry in entries:
        assert entry["deleted"] is not None
        assert entry["survivor"] == best[entry["document"]["workspace_id"]]["_id"]
        assert entry["_id"]["id"] == entry["document"]["_id"]


@pytest.mark.parametrize("odd,largest", [(0, 0), (40, 0), (0, 7000)])
def test_sixteen_at_once_on_ten_thousand_documents(db, odd, largest):
    docs = list(legacy.documents(10_000, SEED, odd, largest))
    legacy.load(db.locks, docs)
    reports = [
        finish(process) for process in [start(db, "--accept-foreign-keys") for _ in range(16)]
    ]
    assert is_unique(db)
    nothing_is_lost(db, docs)
    is_as_the_oracle_says(db, docs)
    truth = legacy.summary(docs)
    assert sum(report["removed"] for report in reports) == truth["losers"]
    assert sum(report["archived"] for report in reports) == truth["losers"]
    assert [report["index"] for report in reports].count("converted") == 1
    assert db.locks_migration.count_documents({}) == 0


def test_sixteen_at_once_on_a_collection_that_is_not_there(db):
    reports = [finish(process) for process in [start(db) for _ in range(16)]]
    assert is_unique(db)
    assert {report["index"] for report in reports} <= {"created", "present"}


def test_the_report_counts_as_the_oracle_does(db):
    docs = list(legacy.documents(6_000, SEED, 25))
    legacy.load(db.locks, docs)
    truth = legacy.summary(docs)
    dry = finish_any(start(db, "--dry-run", "--accept-foreign-keys"))
    assert dry["outcome"] == "dry_run"
    real = finish(start(db, "--accept-foreign-keys"))
    for report in dry, real:
        assert report["scanned"] == truth["documents"]
        assert report["duplicate_keys"] == truth["duplicate_keys"]
        assert report["removed"] == truth["losers"]
        assert report["malformed"] == truth["malformed"]


def finish_any(process):
    out, _ = process.communicate(timeout=60)
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("lease_ends_by_itself", [False, True])
def test_a_migrator_that_is_killed_again_and_again_loses_nothing(db, lease_ends_by_itself):
    rng = random.Random(SEED)
    docs = list(legacy.documents(12_000, SEED, 0, 6_000))
    legacy.load(db.locks, docs)
    killed = 0
    for _ in range(1 if lease_ends_by_itself else 20):
        process = start(db)
        time.sleep(rng.uniform(0.02, 0.6))
        process.kill()
        process.communicate()
        killed += process.returncode == -9
        nothing_is_lost(db, docs)
        if not lease_ends_by_itself:  # or the next one waits for it
            db.locks_migration.delete_many({})
    assert killed
    finish(start(db))
    assert is_unique(db)
    nothing_is_lost(db, docs)
    is_as_the_oracle_says(db, docs)


def test_a_killed_one_among_many_holds_nobody_up_for_long(db):
    docs = list(legacy.documents(20_000, SEED))
    legacy.load(db.locks, docs)
    processes = [start(db) for _ in range(6)]
    while not db.locks_migration.count_documents({}):
        time.sleep(0.01)
    pid = db.locks_migration.find_one()["pid"]
    for process in processes:
        if process.pid == pid:
            process.kill()
            process.communicate()
    for process in processes:
        if process.pid != pid:
            finish(process)
    is_as_the_oracle_says(db, docs)


def old_code(db, stop, rng):
    """Acquires and releases as older code does: an upsert that may make duplicates, and a delete by
    id."""
    while not stop.is_set():
        key, mine = f"live-{rng.randrange(40)}", f"{rng.getrandbits(64):x}"
        at = legacy.EPOCH + legacy.datetime.timedelta(
            milliseconds=legacy.BASE_MS + rng.randrange(10**6)
        )
        fresh = {"id": mine, "workspace_id": key, "user_id": "live", "expires_at": at}
        try:
            if rng.random() < 0.5:
                db.locks.insert_one(fresh)
            else:
                db.locks.update_one({"workspace_id": key}, {"$setOnInsert": fresh}, upsert=True)
        except pymongo.errors.DuplicateKeyError:
            pass
        if rng.random() < 0.5:
            db.locks.update_one(
                {"id": mine}, {"$set": {"expires_at": at + legacy.datetime.timedelta(seconds=5)}}
            )
        else:
            db.locks.delete_one({"id": mine})


def test_it_ends_beside_live_writers(db):
    docs = list(legacy.documents(8_000, SEED))
    legacy.load(db.locks, docs)
    stop = threading.Event()
    threads = [
        threading.Thread(target=old_code, args=(db, stop, random.Random(SEED + i)))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)  # some duplicates of theirs
        for process in [start(db) for _ in range(4)]:
            finish(process)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert is_unique(db)
    nothing_is_lost(db, docs)
    best = legacy.survivors(docs)
    left = {
        document["workspace_id"]: document["_id"]
        for document in db.locks.find({"workspace_id": {"$regex": "^ws-"}})
    }
    assert left == {key: document["_id"] for key, document in best.items()}


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", __file__, *sys.argv[1:]]))
