# SPDX-License-Identifier: Apache-2.0
"""What `leasehold migrate` costs on a collection full of duplicates, beside the obvious way to find
them.

    python migrate.py URI LEASEHOLD [documents] [losers] [one]      (default: 1000000 200000)

The obvious way is one aggregation, $group by key and $push of everything, which removes nothing
yet. With `one`, all losers are of a single key. Prints seconds, their ratio, and the most memory
that the migration took; asserts nothing."""
import datetime
import subprocess
import sys
import time

import pymongo

NAME = "migrate_bench"
BATCH = 10000


def documents(n, losers, one):
    """`n` documents of which `losers` lose: the later ones of a key, in turn by a second."""
    start = datetime.datetime(2026, 1, 1)
    keys = n - losers
    for i in range(n):
        key = i if i < keys else 0 if one else (i - keys) * 3 % keys
        at = start + datetime.timedelta(seconds=(i * 7919) % 10000000)
        yield {
            "id": f"{i:032x}",
            "workspace_id": f"workspace:{key:08d}",
            "user_id": f"user-{i % 1000}",
            "expires_at": at,
        }


def fill(collection, n, losers, one):
    batch = []
    for document in documents(n, losers, one):
        batch.append(document)
        if len(batch) == BATCH:
            collection.insert_many(batch, ordered=False)
            batch = []
    if batch:
        collection.insert_many(batch, ordered=False)


def obvious(collection):
    started = time.monotonic()
    for _ in collection.aggregate(
        [
            {"$group": {"_id": "$workspace_id", "all": {"$push": "$$ROOT"}}},
            {"$match": {"all.1": {"$exists": True}}},
        ],
        allowDiskUse=True,
    ):
        pass
    return time.monotonic() - started


def most_memory(pid, so_far):
    """In MiB. The child's resource usage would count this process's memory, from before it became
    another program."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return max(
                [so_far]
                + [int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")]
            )
    except (OSError, ProcessLookupError):
        return so_far


def migrate(binary, uri):
    started, memory = time.monotonic(), 0
    process = subprocess.Popen(
        [binary, "--uri", uri, "--db", NAME, "migrate", "--yes", "--json"], stdout=subprocess.PIPE
    )
    while process.poll() is None:
        time.sleep(0.05)
        memory = most_memory(process.pid, memory)
    return time.monotonic() - started, memory, process.stdout.read().decode()


def main():
    uri, binary = sys.argv[1], sys.argv[2]
    n, losers = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (1000000, 200000)
    with pymongo.MongoClient(uri) as client:
        client.drop_database(NAME)
        fill(
            client[NAME].get_collection("workspace_locks", write_concern=pymongo.WriteConcern(1)),
            n,
            losers,
            "one" in sys.argv,
        )
        plain = None
        try:
            plain = obvious(client[NAME].workspace_locks)
        except pymongo.errors.OperationFailure as error:
            print(f"$group and $push          fails: {str(error)[:80]}")
        seconds, memory, told = migrate(binary, uri)
        if plain:
            print(f"$group and $push     {plain:8.1f} s")
        ratio = f"   {seconds / plain:.2f} x" if plain else ""
        print(
            f"leasehold migrate    {seconds:8.1f} s   {memory:.0f} MiB at"
            f" most{ratio}\n{told.strip()}"
        )
        client.drop_database(NAME)


main()
