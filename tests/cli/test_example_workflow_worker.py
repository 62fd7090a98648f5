# SPDX-License-Identifier: Apache-2.0
"""tools/examples/workflow-worker: jobs on shared storage, deferred if a key is busy."""
import datetime
import json
import sys

import pytest
from conftest import URI, wait_until
from jobs import EXAMPLES, Job, expect_readme, leasehold
from serving import ready  # noqa: F401  (a fixture)

sys.path.insert(0, str(EXAMPLES / "workflow-worker"))
from worker import keys_of  # noqa: E402

MUTATION = "project:7:StorageMutation"
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def job(ready):
    return Job("workflow-worker", ready.env["LEASEHOLD_DB"], "worker")


@pytest.fixture(scope="module")
def store(ready):
    with leasehold.Store(URI, ready.env["LEASEHOLD_DB"], owner="ben", audit="") as store:
        yield store


@pytest.fixture
def jobs(ready, client):
    jobs = client[ready.env["LEASEHOLD_DB"]].jobs
    yield jobs
    jobs.drop()


def add(jobs, name, *command, keys=(MUTATION,), attempts=0, destroys=None):
    fixed = {"state": "queued", "deferred": 0, "due": PAST}
    jobs.insert_one(
        {
            "_id": name,
            "keys": keys,
            "command": command,
            "attempts": attempts,
            "destroys": destroys,
            **fixed,
        }
    )


def work(job, jobs, *options, **more):
    """Its lines, when all jobs were due."""
    jobs.update_many({"state": "queued"}, {"$set": {"due": PAST}})
    return job("worker.py", "work", *options, **more)[0].splitlines()


def test_readme(job, jobs, tmp_path):
    expect_readme(job, tmp_path)


def test_keys():
    assert keys_of("7", ["drop box:/m:n"]) == [MUTATION, "root:drop box:/m%3An"]
    assert keys_of(None, ["a:b"]) == ["root:a:b"] and keys_of(None, []) == []


def test_a_busy_job_is_deferred(job, jobs, store):
    add(jobs, "a", "true")
    add(jobs, "b", "false", keys=["root:x:y"], attempts=1)
    add(jobs, "c", "sh", "-c", 'echo "$TOKENS"', keys=["root:x:z", MUTATION])
    with store.acquire(MUTATION, purpose="backup"):
        held = f'deferred: "{MUTATION}" is held by ben (backup)'
        failed = "queued after attempt 2: exit status 1"
        assert sorted(work(job, jobs)) == [f"a: {held}", f"b: {failed}", f"c: {held}"]
        assert store.status("root:x:z").state == "free"
    found = jobs.find_one({"_id": "a"})
    assert (found["state"], found["attempts"], found["deferred"]) == ("queued", 0, 1)
    assert found["due"] > PAST and found["last"] == held
    done = work(job, jobs, env={"LEASEHOLD_AUDIT": "on"})
    assert sorted(done)[:3] == [
        "a: done in attempt 1",
        "b: failed after attempt 3: exit status 1",
        "c: done in attempt 1",
    ]
    granted = [each for each in store.audit(MUTATION) if each.event == "granted"]
    assert json.loads(sorted(done)[3])[MUTATION] in [each.token for each in granted]
    assert [each.purpose for each in granted if each.owner == "worker"] == ["job a", "job c"]


def test_two_workers_take_turns(job, jobs, tmp_path):
    alone = f"mkdir {tmp_path}/held && sleep 0.1 && rmdir {tmp_path}/held"
    for n in range(6):
        add(jobs, n, "sh", "-c", alone)
    workers = [job.start("worker.py", "work") for _ in range(2)]
    for worker in workers:
        assert worker.communicate(timeout=60)[1] == "" and worker.returncode == 0
    assert jobs.count_documents({"state": "done", "attempts": 1}) >= 1
    assert jobs.count_documents({"state": {"$ne": "done"}, "attempts": {"$ne": 0}}) == 0


def test_destructive_jobs_need_their_environment(job, jobs):
    add(jobs, "a", "true", destroys="dev")
    add(jobs, "b", "true", destroys="prod")
    assert sorted(work(job, jobs, "--environment", "dev")) == [
        "a: done in attempt 1",
        "b: refused: it destroys only in prod",
    ]
    assert jobs.find_one({"_id": "b"})["attempts"] == 0


def test_a_job_whose_lease_is_broken_is_queued_again(job, jobs, store):
    add(jobs, "a", "sleep", "60", attempts=2)
    worker = job.start("worker.py", "work", env={"LEASEHOLD_TTL": "1s"})
    wait_until(lambda: jobs.find_one()["attempts"] == 3)
    store.break_(MUTATION, reason="test")
    out, err = worker.communicate(timeout=60)
    assert (out, err) == ("a: failed after attempt 3: a lease was lost\n", "")
