# SPDX-License-Identifier: Apache-2.0
"""tools/examples/shared-file: windows that edit one file."""
import contextlib
import json
import signal
import sys
import threading
import time

import pytest
from conftest import URI, wait_until
from jobs import ADDON, EXAMPLES, Job, expect_readme, leasehold
from serving import ready  # noqa: F401  (a fixture)

sys.path.insert(0, str(EXAMPLES / "shared-file"))
from shared_file import Conflict, SharedFile, merge  # noqa: E402


@pytest.fixture(scope="module")
def job(ready, tmp_path_factory):
    job = Job("shared-file", ready.env["LEASEHOLD_DB"], "carol")
    return job.copied(tmp_path_factory.mktemp("copy"))


@pytest.fixture(params=["roles.py", "roles.mjs"])
def program(request):
    """The window in each language."""
    if request.param == "roles.mjs" and not ADDON.exists():
        pytest.skip("NOT TESTED: the addon of Node was not built")
    return request.param


@pytest.fixture(scope="module")
def stores(ready):
    """Of three windows; each test has a file, and so a key, of its own."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(leasehold.Store(URI, ready.env["LEASEHOLD_DB"], owner=owner))
            for owner in ("ann", "ben", "eve")
        ]


@pytest.fixture
def ann(stores):
    return stores[0]


@pytest.fixture
def ben(stores):
    return stores[1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "roles.json"


def contents(path):
    return json.loads(path.read_text())


def test_readme(job, tmp_path):
    expect_readme(job, tmp_path)


MERGES = [  # base, ours, theirs; the result, and what clashes
    ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, []),
    ({"a": 1, "b": 1}, {"a": 2}, {"a": 1, "b": 1, "c": 3}, {"a": 2, "c": 3}, []),
    ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, []),
    ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 3}, ["a"]),
    ({"a": 1}, {}, {"a": 3}, {"a": 3}, ["a"]),
    ({"a": 1}, {"a": 2}, {}, {}, ["a"]),
    ({"u": {}}, {"u": {"a": 1}}, {"u": {"b": 2}}, {"u": {"a": 1, "b": 2}}, []),
    ({}, {"u": {"a": 1}}, {"u": {"a": 2}}, {"u": {"a": 2}}, ["u.a"]),
]


def test_merge(job):
    for base, ours, theirs, *result in MERGES:
        assert list(merge(base, ours, theirs)) == result
    if not ADDON.exists():
        pytest.skip("NOT TESTED: the addon of Node was not built")
    script = (
        'import { merge } from "./shared-file.mjs";'
        "const results = JSON.parse(process.argv[1]).map((sides) => merge(...sides));"
        "console.log(JSON.stringify(results.map(({ merged, clashes }) => [merged, clashes])))"
    )
    cases = json.dumps([case[:3] for case in MERGES])
    module = ["--input-type=module", "-e", script]
    assert json.loads(job("node", *module, cases, cwd=job.folder)[0]) == [
        list(case[3:]) for case in MERGES
    ]


def test_readers_share_and_writers_take_turns(ann, ben, path):
    files = [SharedFile(store, path) for store in (ann, ben)]

    def add(file):
        for _ in range(5):
            file.update(lambda document: {"n": document.get("n", 0) + 1}, wait=30)

    threads = [threading.Thread(target=add, args=[file]) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(path) == {"n": 10}
    with ann.acquire(files[0].key, shared=True):
        assert files[1].read(wait=0).document == {"n": 10}
        with pytest.raises(leasehold.Busy):
            files[1].update(lambda document: {}, wait=0)
    with ann.acquire(files[0].key), pytest.raises(leasehold.Busy):
        files[1].read(wait=0)
    assert contents(path) == {"n": 10} and sorted(each.name for each in path.parent.iterdir()) == [
        "roles.json",
        "roles.json.fence",
    ]


def test_a_wait_reports_the_holder_and_its_timeout(ann, job, path):
    with ann.acquire(SharedFile(ann, path).key):
        script = (
            "import leasehold, roles, sys\n"
            "from functools import partialmethod\n"
            "file = roles.SharedFile\n"
            "file.read = partialmethod(file.read, wait=0.5)\n"
            "sys.argv = ['roles.py', sys.argv[1], 'show']\n"
            "sys.exit(roles.main())"
        )
        err = job(sys.executable, "-c", script, path, exit=75)[1]
    assert "waiting for ann, 0 ahead\n" in err and "timeout: " in err


def test_a_read_is_answered_from_the_cache(ann, ben, path, monkeypatch):
    mine, other = SharedFile(ann, path), SharedFile(ben, path)
    loaded = []
    monkeypatch.setattr(
        json, "loads", lambda text, loads=json.loads: loaded.append(1) or loads(text)
    )
    other.update(lambda document: {"a": 1})
    loaded.clear()
    assert [mine.read().document for _ in range(3)] == 3 * [{"a": 1}] and len(loaded) == 1
    mine.update(lambda document: {"a": 2})  # its own writes too
    loaded.clear()
    assert mine.read().document == {"a": 2} and not loaded
    other.update(lambda document: {"a": 3})
    assert mine.read().document == {"a": 3}
    with ben.acquire(mine.key):  # left without a note: anything may have changed
        pass
    loaded.clear()
    assert mine.read().document == {"a": 3} and len(loaded) == 1
    path.write_text('{"a": 4}')  # by an editor without a lease
    assert mine.read().document == {"a": 4}


def test_changes_are_seen(ann, ben, stores, path):
    """The third window closes its store at the end, which ends its watch."""
    other, window = SharedFile(ben, path), SharedFile(stores[2], path)
    seen, delays = [], []

    def look():
        for change in window.changes():
            seen.append((change, time.monotonic()))

    thread = threading.Thread(target=look)
    thread.start()
    wait_until(lambda: seen)
    for n, file in enumerate((other, window, other, window, other), 1):
        file.update(lambda document: {"n": n})
        written = time.monotonic()
        wait_until(lambda: len(seen) > n)
        change, when = seen[n]
        delays.append(when - written)
        assert change.snapshot.document == {"n": n}
        assert (change.own, change.owner) == ((True, "eve") if file is window else (False, "ben"))
    stores[2].close()
    thread.join()
    assert len(seen) == 6
    assert min(delays) < 0.5  # on a busy machine some may be late


def test_a_change_without_a_lease_is_seen(ann, job, path, program):
    window = job.start(program, path, "watch")
    assert window.stdout.readline().endswith(" by an unknown writer\n")  # the first version
    path.write_text('{"half": ')
    time.sleep(0.5)
    path.write_text('{"ann": "admin"}')
    assert window.stdout.readline().endswith(" by an unknown writer\n")
    written = SharedFile(ann, path).update(lambda document: {})
    assert window.stdout.readline() == f"{written.version} by ann\n"
    window.kill()
    assert window.communicate() == ("", "")


def test_a_conflict_keeps_both_versions(ann, job, path, program):
    file = SharedFile(ann, path)
    opened = file.update(lambda document: {"ann": "admin", "ben": "reader"})
    window = job.start(program, path, "edit")
    assert window.stdout.readline() == "{\n"
    file.save({"ann": "admin", "ben": "writer", "eve": "reader"}, opened)
    out, err = window.communicate('{"ann": "admin", "ben": "admin"}')
    assert window.returncode == 1 and err.startswith("also changed by others: ben; yours is in ")
    assert contents(path) == {"ann": "admin", "ben": "writer", "eve": "reader"}
    (backup,) = path.parent.glob("roles.json.*.conflict")
    assert contents(backup) == {"ann": "admin", "ben": "admin"} and str(backup) in err
    with pytest.raises(Conflict) as conflict:
        file.save({"ben": "owner"}, opened)
    assert conflict.value.names == ["ben"]
    resolved = {**conflict.value.theirs, "ben": "owner"}
    assert file.save(resolved, file.read()).document == resolved


# A window that stops in the middle of a write, and wakes up when its lease has ended.
STOPPED = """
import os, signal, sys
import leasehold
from shared_file import SharedFile

class Stopped(SharedFile):
    def _prepare(self, text, suffix):
        os.kill(os.getpid(), signal.SIGSTOP)
        return super()._prepare(text, suffix)

class Unfenced(Stopped):
    def _fence(self, lease):
        import contextlib
        return contextlib.nullcontext()

with leasehold.Store.from_environment(ttl=1) as store:
    try:
        globals()[sys.argv[1]](store, sys.argv[2]).update(lambda document: {"by": "stopped"})
    except leasehold.Lost as lost:
        sys.exit(str(lost))
"""


# The same in Node.
STOPPED_IN_NODE = """
import { Store } from "leasehold";
import { SharedFile } from "./shared-file.mjs";

class Stopped extends SharedFile {
  prepare(document, suffix) {
    process.kill(process.pid, "SIGSTOP");
    return super.prepare(document, suffix);
  }
}
const { LEASEHOLD_URI: uri, LEASEHOLD_DB: db } = process.env;
const store = await Store.open({ uri, db });
const hold = store.withLease.bind(store);
store.withLease = (key, options, fn) => hold(key, { ttl: 1000, ...options }, fn);
try {
  await new Stopped(store, process.argv[2]).update(() => ({ by: "stopped" }));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
await store.close();
"""


def stopped(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def test_a_stopped_holder_cannot_spoil_the_file(ann, job, tmp_path):
    """Another window writes while a holder is stopped. Without the fence the holder would then
    replace the newer file."""
    windows = {}
    for kind in ("Stopped", "Unfenced"):
        SharedFile(ann, tmp_path / kind).update(lambda document: {"by": "nobody"})
        windows[kind] = job.start(sys.executable, "-c", STOPPED, kind, tmp_path / kind)
    if ADDON.exists():
        (job.folder / "stopped.mjs").write_text(STOPPED_IN_NODE)
        SharedFile(ann, tmp_path / "Node").update(lambda document: {"by": "nobody"})
        windows["Node"] = job.start("node", "stopped.mjs", tmp_path / "Node", cwd=job.folder)
    for kind, window in windows.items():
        wait_until(lambda: stopped(window.pid))
        SharedFile(ann, tmp_path / kind).update(lambda document: {"by": "ann"}, wait=30)
        window.send_signal(signal.SIGCONT)
        errors = window.communicate(timeout=30)[1]
        assert window.returncode == 1, errors
        if kind != "Unfenced":
            assert errors == f"a newer holder has used {tmp_path / kind}\n"
            assert contents(tmp_path / kind) == {"by": "ann"}
    assert contents(tmp_path / "Unfenced") == {"by": "stopped"}
