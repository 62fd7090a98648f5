# SPDX-License-Identifier: Apache-2.0
"""tools/examples/workflow-worker: jobs on shared storage, deferred if a key is busy."""
import datetime
import json
import sys

import pytest
from conftest import URI, wait_until
from jobs import ADDON, EXAMPLES, NODE_DRIVER, Job, expect_readme, leasehold
from serving import ready  # noqa: F401  (a fixture)

sys.path.insert(0, str(EXAMPLES / "workflow-worker"))
from worker import keys_of  # noqa: E402

MUTATION = "project:7:StorageMutation"
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def job(ready, tmp_path_factory):
    job = Job("workflow-worker", ready.env["LEASEHOLD_DB"], "worker")
    return job.copied(tmp_path_factory.mktemp("copy"))


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


@pytest.fixture
def workers(job, jobs):
    """Starts a worker of a language; all jobs are due then."""

    def start(language, env={}):
        command = ["worker.py", "work", "--environment", "dev"]
        if language == "node":
            if not ADDON.exists() or not NODE_DRIVER.exists():
                pytest.skip("NOT TESTED: there is no addon of Node, or no driver for it")
            command = ["worker.mjs", "dev"]
        jobs.update_many({"state": "queued"}, {"$set": {"due": PAST}})
        return job.start(*command, env=env)

    return start


def ended(process):
    """Its lines."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == "", (out, err)
    return sorted(out.splitlines())


def test_readme(job, jobs, tmp_path):
    expect_readme(job, tmp_path)


def test_keys():
    assert keys_of("7", ["drop box:/m:n"]) == [MUTATION, "root:drop box:/m%3An"]
    assert keys_of(None, ["a:b"]) == ["root:a:b"] and keys_of(None, []) == []


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_busy_job_is_deferred(jobs, store, workers, language):
    add(jobs, "a", "true")
    add(jobs, "b", "false", keys=["root:x:y"], attempts=1)
    add(jobs, "c", "sh", "-c", 'echo "$TOKENS"', keys=["root:x:z", MUTATION])
    with store.acquire(MUTATION, purpose="backup"):
        held = f'deferred: "{MUTATION}" is held by ben (backup)'
        failed = "queued after attempt 2: exit status 1"
        assert ended(workers(language)) == [f"a: {held}", f"b: {failed}", f"c: {held}"]
        assert store.status("root:x:z").state == "free"
    found = jobs.find_one({"_id": "a"})
    assert (found["state"], found["attempts"], found["deferred"]) == ("queued", 0, 1)
    assert found["due"] > PAST and found["last"] == held
    *lines, tokens = ended(workers(language))
    assert lines == [
        "a: done in attempt 1",
        "b: failed after attempt 3: exit status 1",
        "c: done in attempt 1",
    ]
    tokens = json.loads(tokens)
    assert {key: store.status(key).token for key in ("root:x:z", MUTATION)} == tokens


def test_two_workers_take_turns(jobs, workers, tmp_path):
    alone = f"mkdir {tmp_path}/held && sleep 0.1 && rmdir {tmp_path}/held"
    for n in range(6):
        add(jobs, n, "sh", "-c", alone)
    for each in [workers("node"), workers("python")]:
        ended(each)
    assert jobs.count_documents({"state": "done", "attempts": 1}) >= 1
    assert jobs.count_documents({"state": {"$ne": "done"}, "attempts": {"$ne": 0}}) == 0


def test_audit(jobs, job, store):
    add(jobs, "a", "true")
    assert job("worker.py", "work", env={"LEASEHOLD_AUDIT": "on"})[0] == "a: done in attempt 1\n"
    kept = [(each.event, each.owner, each.purpose) for each in store.audit(MUTATION)]
    assert ("granted", "worker", "job a") in kept and kept[-1][0] == "released"


def test_destructive_jobs_need_their_environment(jobs, workers):
    add(jobs, "a", "true", destroys="dev")
    add(jobs, "b", "true", destroys="prod")
    assert ended(workers("python")) == [
        "a: done in attempt 1",
        "b: refused: it destroys only in prod",
    ]
    assert jobs.find_one({"_id": "b"})["attempts"] == 0


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_job_whose_lease_is_broken_is_queued_again(jobs, store, workers, language):
    add(jobs, "a", "sleep", "60", attempts=2)
    process = workers(language, {"LEASEHOLD_TTL": "3s", "TTL_MS": "3000"})
    wait_until(lambda: jobs.find_one()["attempts"] == 3)
    store.break_(MUTATION, reason="test")
    assert ended(process) == ["a: failed after attempt 3: a lease was lost"]
