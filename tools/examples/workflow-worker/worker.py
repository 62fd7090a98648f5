#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker for workflows that change shared storage.

    worker.py add JOB [--project ID] [--root PROVIDER:ROOT]… [--destroys ENVIRONMENT] -- CMD…
    worker.py work [--environment NAME]     works until nothing is due
    worker.py show

A workflow that changes a project's storage holds project:{id}:StorageMutation, one that changes a
root holds root:{provider}:{root}, and some hold both: all keys or none. If a key is busy, the job
is deferred: it returns to the queue, keeps its attempts, and shows the holder. Nothing overrides a
holder. A job that destroys something runs only on workers of the environment that it names.

Jobs are documents of the collection `jobs` in LEASEHOLD_DB: {_id, keys, command, destroys, state:
"queued", attempts, deferred, due, last}. CMD gets the fencing tokens in TOKENS, as an object by
key. The exit status is 0."""
import argparse
import datetime
import json
import os
import subprocess
import sys

import leasehold
import pymongo

MOST_ATTEMPTS = 3
PAUSE = 10  # seconds after a failed attempt
HIDDEN = datetime.timedelta(minutes=1)  # then others may take the job of a worker that died


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def keys_of(project, roots):
    """The keys of a workflow, the same for every program in every language."""
    keys = [leasehold.key_join("project", project, "StorageMutation")] if project else []
    return keys + [leasehold.key_join("root", *root.split(":", 1)) for root in roots]


def add(jobs, arguments):
    jobs.insert_one(
        {
            "_id": arguments.job,
            "keys": keys_of(arguments.project, arguments.root),
            "command": arguments.command,
            "destroys": arguments.destroys,
            "state": "queued",
            "attempts": 0,
            "deferred": 0,
            "due": now(),
        }
    )


def take(jobs):
    """A job that is due, hidden from other workers for a while."""
    return jobs.find_one_and_update(
        {"state": "queued", "due": {"$lte": now()}},
        {"$set": {"due": now() + HIDDEN}},
        sort=[("due", 1)],
    )


def as_known(job):
    """Selects the job, unless another worker has begun or ended it meanwhile."""
    return {"_id": job["_id"], "state": "queued", "attempts": job["attempts"]}


def settle(jobs, job, state, reason, after=0, **counts):
    """Ends this turn of the job: it is in this state, for this reason."""
    due = now() + datetime.timedelta(seconds=after)
    jobs.update_one(
        as_known(job), {"$set": {"state": state, "due": due, "last": reason}, "$inc": counts}
    )
    print(f"{job['_id']}: {reason}", flush=True)


def defer(jobs, job, busy):
    """Returns the job to the queue until it is worth asking again. It keeps its attempts."""
    purpose = f" ({busy.holder.purpose})" if busy.holder and busy.holder.purpose else ""
    settle(jobs, job, "queued", f"deferred: {busy}{purpose}", busy.retry_after, deferred=1)


def begin(jobs, job):
    """Uses up an attempt. False: the job was done meanwhile."""
    begun = jobs.update_one(as_known(job), {"$inc": {"attempts": 1}, "$set": {"last": "begun"}})
    job["attempts"] += begun.matched_count
    return begun.matched_count == 1


def work(jobs, job, leases):
    tokens = json.dumps({lease.key: lease.token for lease in leases})
    process = subprocess.Popen(
        job["command"], env={**os.environ, "TOKENS": tokens}, stdin=subprocess.DEVNULL
    )
    for lease in leases:
        lease.on_lost(lambda _: process.terminate())
    status = process.wait()
    attempt = job["attempts"]
    if status == 0 and leases.valid:
        settle(jobs, job, "done", f"done in attempt {attempt}")
    else:
        state = "failed" if attempt >= MOST_ATTEMPTS else "queued"
        why = f"exit status {status}" if leases.valid else "a lease was lost"
        settle(jobs, job, state, f"{state} after attempt {attempt}: {why}", PAUSE)


def run(store, jobs, job, environment):
    if job["destroys"] not in (None, environment):
        settle(jobs, job, "refused", f"refused: it destroys only in {job['destroys']}")
        return
    try:
        with store.acquire_many(job["keys"], purpose=f"job {job['_id']}") as leases:
            if begin(jobs, job):
                work(jobs, job, leases)
    except leasehold.Busy as busy:
        defer(jobs, job, busy)
    except leasehold.Lost:
        pass  # the job was settled as one whose lease was lost


def show(jobs, _):
    for job in jobs.find(sort=[("_id", 1)]):
        counts = f"attempts {job['attempts']}, deferred {job['deferred']}"
        print(f"{job['_id']}  {job['state']}  {counts}  {job.get('last', '')}".rstrip())


def work_all(jobs, arguments):
    with leasehold.Store.from_environment(at_open="migrate") as store:
        while job := take(jobs):
            run(store, jobs, job, arguments.environment)


def parse():
    parser = argparse.ArgumentParser(description="workflows on shared storage")
    commands = parser.add_subparsers(required=True)
    adding = commands.add_parser("add")
    adding.set_defaults(call=add)
    adding.add_argument("job")
    adding.add_argument("--project")
    adding.add_argument("--root", action="append", default=[])
    adding.add_argument("--destroys")
    adding.add_argument("command", nargs="+")
    working = commands.add_parser("work")
    working.set_defaults(call=work_all)
    working.add_argument("--environment")
    commands.add_parser("show").set_defaults(call=show)
    arguments = parser.parse_args()
    if arguments.call is add and not keys_of(arguments.project, arguments.root):
        adding.error("a workflow needs a project, a root, or both")
    return arguments


def main():
    arguments = parse()
    uri, db = os.environ["LEASEHOLD_URI"], os.environ["LEASEHOLD_DB"]
    with pymongo.MongoClient(uri, tz_aware=True) as client:
        arguments.call(client[db].jobs, arguments)


if __name__ == "__main__":
    sys.exit(main())
