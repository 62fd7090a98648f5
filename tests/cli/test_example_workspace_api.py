# SPDX-License-Identifier: Apache-2.0
"""tools/examples/workspace-api: workspaces that one user edits at a time, by FastAPI."""
import signal

import pytest
import requests
from browser import BROWSER, DRIVER, page  # noqa: F401  (a fixture)
from conftest import URI, wait_until
from jobs import Job, expect_readme, leasehold
from serving import ready  # noqa: F401  (a fixture)

TTL = 5


class App:
    def __init__(self, job, env={}):
        self.process = job.start("app.py", "0", env=env)
        self.url = self.process.stdout.readline().strip()
        self.log = []

    def line(self):
        self.log.append(self.process.stderr.readline())
        return self.log[-1]

    def user(self, name):
        return User(self, name)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)[1]


class User(requests.Session):
    """A browser in which somebody has logged in."""

    def __init__(self, app, name):
        super().__init__()
        self.app = app
        self.cookies.set("user", name)

    def request(self, method, path, **options):
        return super().request(method, self.app.url + path, timeout=20, **options)

    def lock(self, workspace, status=200):
        reply = self.post(f"/workspaces/{workspace}/lock")
        assert reply.status_code == status, reply.text
        return reply.json()

    def keep(self, workspace):
        """Its lease, as long as this stream is open."""
        self.lock(workspace)
        return self.get(f"/workspaces/{workspace}/session", stream=True)

    def save(self, workspace, text, status=200):
        reply = self.put(f"/workspaces/{workspace}", json={"text": text})
        assert reply.status_code == status, reply.text


@pytest.fixture(scope="module")
def job(ready):
    job = Job("workspace-api", ready.env["LEASEHOLD_DB"], "app")
    job.env |= {"LEASEHOLD_TTL": f"{TTL}s", "ADMINS": "carol dora", "MIGRATE_AGAIN": "0.1"}
    return job


@pytest.fixture(scope="module")
def app(job):
    app = App(job)
    yield app
    app.end()


@pytest.fixture(scope="module")
def store(ready):
    with leasehold.Store(URI, ready.env["LEASEHOLD_DB"], owner="test") as store:
        yield store


def test_readme(job, app, tmp_path):
    job.env["URL"] = app.url
    expect_readme(job, tmp_path)


def test_one_user_edits_and_others_see_who(app):
    alice, bob = app.user("alice"), app.user("bob")
    assert alice.lock("plan")["text"] == ""
    alice.save("plan", "one")
    reply = bob.post("/workspaces/plan/lock")
    busy = reply.json()
    assert reply.status_code == 423 and int(reply.headers["Retry-After"]) == busy["retry_after"]
    assert busy["holder"] == "alice" and 0 < busy["remaining"] <= TTL
    bob.save("plan", "two", 410)
    assert bob.get("/workspaces", params={"name": ["plan", "free"]}).json() == {
        "plan": {"state": "held", "holders": ["alice"], "mine": False},
        "free": {"state": "free"},
    }
    assert alice.delete("/workspaces/plan/lock").ok
    assert bob.lock("plan")["text"] == "one"


def test_a_session_renews_and_its_end_ends_the_lease(app, store):
    alice, bob = app.user("alice"), app.user("bob")
    session = alice.keep("session")
    lines = session.iter_lines()
    assert [next(lines) for _ in range(12)][::3] == 4 * [b"event: renewed"]  # longer than the ttl
    bob.lock("session", 423)
    session.close()
    wait_until(lambda: bob.post("/workspaces/session/lock").ok, 30)
    session = bob.keep("session")
    store.break_("workspace:session", reason="test")
    assert b"event: lost" in list(session.iter_lines())
    alice.save("session", "late", 410)


def test_an_admin_breaks_and_is_recorded(app, store):
    alice, bob = app.user("alice"), app.user("bob")
    alice.lock("broken")
    reason = {"json": {"reason": "she has left"}}
    assert bob.post("/workspaces/broken/break", **reason).status_code == 403
    broken = app.user("carol").post("/workspaces/broken/break", **reason)
    assert broken.json() == {"holders": ["alice"]}
    status = store.status("workspace:broken")
    assert (status.released_by, status.released_reason) == ("carol", "she has left")
    bob.lock("broken")
    alice.save("broken", "late", 410)


def test_the_fence_refuses_an_older_lease(app, ready, client):
    """As if the lease were taken over between its renewal and the write."""
    alice, texts = app.user("alice"), client[ready.env["LEASEHOLD_DB"]].texts
    alice.lock("fence")
    texts.update_one({"_id": "fence"}, {"$inc": {"fence": 1}})
    alice.save("fence", "late", 410)
    assert "text" not in texts.find_one({"_id": "fence"})


def test_the_same_user_goes_on_after_a_restart(app, job, store):
    killed = App(job)
    alice = killed.user("alice")
    alice.lock("restart")
    token = store.status("workspace:restart").token
    killed.end(signal.SIGKILL)
    alice.app = app  # another process, which has never seen her
    alice.lock("restart")
    alice.save("restart", "one")
    assert store.status("workspace:restart").token == token  # the same lease
    app.user("bob").lock("restart", 423)
    elsewhere = app.user("alice")  # another browser, without the lease id
    assert elsewhere.lock("restart")["text"] == "one"
    alice.save("restart", "two", 410)
    alice.cookies.set("user", "bob")  # another user in a browser that alice has used
    alice.lock("restart", 423)


def test_observe_then_enforce(app, job, store):
    session = app.user("alice").keep("rollout")
    observing = App(job, {"LEASEHOLD_MODE": "observe"})
    bob = observing.user("bob")
    assert "is held by alice" in bob.lock("rollout")["warning"]
    bob.save("rollout", "two")
    observing.user("carol").lock("kept")
    observing.end()
    assert store.status("workspace:kept").released_how == ""  # its end releases nothing
    bob.app = app
    bob.lock("rollout", 423)
    session.close()


def test_the_boot_goes_on_without_the_database(job):
    app = App(job, {"LEASEHOLD_URI": "mongodb://127.0.0.1:1/", "LEASEHOLD_TIMEOUT": "500ms"})
    wait_until(lambda: "leases are not ready: " in app.line())
    app.user("alice").lock("boot", 503)
    wait_until(lambda: "leases are not ready: " in app.line())
    app.end()


def test_the_migration_at_the_start(app):
    wait_until(lambda: "leases are ready: " in app.line())


@pytest.mark.skipif(not BROWSER or not DRIVER, reason="NOT TESTED: there is no chromium")
def test_page(app, page):
    alice = app.user("alice")
    session = alice.keep("page")
    alice.save("page", "one")
    page.driver.get(f"{app.url}/login?user=bob&workspace=page")
    wait_until(lambda: "alice is editing. Free in " in page.text("#state"))
    session.close()
    alice.delete("/workspaces/page/lock")
    wait_until(lambda: page.text("#state") == "You are editing.")
    assert page.js("const text = document.querySelector('textarea'); return text.value") == "one"
    page.at("textarea").send_keys(" two")
    page.at("#save").click()
    wait_until(lambda: page.text("#state") == "Saved. You are editing.")
    assert alice.lock("page", 423)["holder"] == "bob"
    page.at("#done").click()
    wait_until(lambda: page.text("#state") == "Closed.")
    assert "one two" in alice.lock("page")["text"]
