#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker whose jobs need a project to themselves. A project that is busy is no failure: the job
goes back into the queue, keeps its attempts, and says who was in its way; an attempt is used up
only by work that was begun.

    LEASEHOLD_URI='mongodb://db0,db1,db2/?replicaSet=rs' ./deferral.py DATABASE

works until nothing is due

Jobs are documents of the collection `jobs`: {_id, project, command: [...], state: "queued",
attempts: 0, due: a date}. Prints a line for each that it took. Exit status 0."""
import datetime
import os
import subprocess
import sys

import leasehold
import pymongo

MOST_ATTEMPTS = 3
HIDDEN = datetime.timedelta(minutes=1)  # who takes a job and dies leaves it to others after that


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def take(jobs):
    """A job that is due, for us alone for a while."""
    return jobs.find_one_and_update(
        {"state": "queued", "due": {"$lte": now()}},
        {"$set": {"due": now() + HIDDEN}},
        sort=[("due", 1)],
    )


def defer(jobs, job, busy):
    """Back into the queue until it is worth asking again; no attempt is used up."""
    holder = {"owner": busy.holder.owner, "purpose": busy.holder.purpose} if busy.holder else None
    last = {"why": busy.why, "message": str(busy), "holder": holder, "at": now()}
    jobs.update_one(
        {"_id": job["_id"]},
        {
            "$set": {
                "due": now() + datetime.timedelta(seconds=busy.retry_after),
                "last_busy": last,
            },
            "$inc": {"deferred": 1},
        },
    )
    print(f"{job['_id']}: deferred, {busy}", flush=True)


def work(jobs, job, lease):
    """The work itself. Whoever stores something for it sends the token along."""
    jobs.update_one({"_id": job["_id"]}, {"$inc": {"attempts": 1}})
    done = subprocess.run(
        job["command"], env=os.environ | {"TOKEN": str(lease.token)}, stdin=subprocess.DEVNULL
    )
    good = done.returncode == 0 and lease.valid
    state = "done" if good else "failed" if job["attempts"] + 1 >= MOST_ATTEMPTS else "queued"
    jobs.update_one({"_id": job["_id"]}, {"$set": {"state": state, "due": now()}})
    print(f"{job['_id']}: {state}, attempt {job['attempts'] + 1}", flush=True)


def main():
    uri, name = os.environ["LEASEHOLD_URI"], sys.argv[1]
    jobs = pymongo.MongoClient(uri, tz_aware=True)[name].jobs
    with leasehold.Store(uri, name, owner=f"worker {os.getpid()}", at_open="migrate") as store:
        while job := take(jobs):
            try:
                with store.acquire(
                    leasehold.key_join("project", job["project"]), purpose=f"job {job['_id']}"
                ) as lease:
                    work(jobs, job, lease)
            except leasehold.Busy as busy:
                defer(jobs, job, busy)


if __name__ == "__main__":
    main()
