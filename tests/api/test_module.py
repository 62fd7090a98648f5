# SPDX-License-Identifier: Apache-2.0
"""The Python module, with the library of this build: its structs are the header's, and what it
promises is so."""
import ctypes
import gc
import math
import json
import os
import re
import subprocess
import threading

import pytest
from conftest import ROOT, URI, cached
from module import leasehold
from leasehold import _c

STRUCTS = {
    "lh_" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): struct
    for name, struct in vars(_c).items()
    if isinstance(struct, type)
    and issubclass(struct, ctypes.Structure)
    and hasattr(struct, "_fields_")
}


@pytest.fixture(scope="module")
def closing():
    """Threads that close stores: the driver takes half a second for each."""
    threads = []
    yield threads
    for thread in threads:
        thread.join()


@pytest.fixture
def store(database, closing):
    store = leasehold.Store(URI, database.name, owner="ann", at_open="migrate")
    yield store
    closing.append(threading.Thread(target=store.close))
    closing[-1].start()


def test_its_structs_are_the_headers(tmp_path):
    lines = [
        f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}),'
        f" sizeof(({name} *)0)->{field});"
        for name, struct in STRUCTS.items()
        for field, _ in struct._fields_
    ]
    lines += [f'printf("{name} 0 %zu\\n", sizeof({name}));' for name in STRUCTS]
    source = (
        "#include <leasehold/leasehold.h>\n#include <stdio.h>\nint main(void) {"
        + "\n".join(lines)
        + "}\n"
    )
    program = tmp_path / "layout"
    subprocess.run(
        [cached("CMAKE_C_COMPILER"), f"-I{ROOT}/include", "-x", "c", "-", "-o", program],
        input=source,
        text=True,
        check=True,
    )
    told = dict(
        line.split(" ", 1)
        for line in subprocess.run(
            [program], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    )
    for name, struct in STRUCTS.items():
        assert told[name] == f"0 {ctypes.sizeof(struct)}"
        for field, _ in struct._fields_:
            member = getattr(struct, field)
            assert told[f"{name}.{field}"] == f"{member.offset} {member.size}", (name, field)


def test_its_version_is_the_librarys():
    project = (ROOT / "tools/bindings/python/pyproject.toml").read_text()
    assert (
        re.search(r'^version = "(.*)"$', project, re.M)[1]
        == leasehold.version()
        == cached("CMAKE_PROJECT_VERSION")
        == json.loads((ROOT / "tools/bindings/node/package.json").read_text())["version"]
    )
    major, minor, patch = map(int, leasehold.version().split("."))
    assert _c.lib.lh_version_number() == major * 1000000 + minor * 1000 + patch


def test_a_key_is_kept_after_its_release(store):
    store.acquire("k").release(keep=20)
    with pytest.raises(leasehold.Busy) as busy:
        store.acquire("k")
    assert busy.value.holder.kept and 0 < busy.value.holder.remaining <= 20


def test_a_note_is_left_for_the_next(store):
    lease = store.acquire("k")
    assert lease.note() is None
    lease.release(note="v7 ☃")
    assert store.status("k").note.text == "v7 ☃"
    following = store.acquire("k")
    assert (following.note().text, following.note().token) == (
        "v7 ☃",
        lease.token,
    ) and following.note().at > 1e9
    with pytest.raises(leasehold.Error, match="note"):
        following.release(note="x" * 1025)
    following.release()
    assert store.acquire("k").note() is None and store.status("k").note is None


def test_a_lease_ends_with_its_block(store):
    with store.acquire("k", purpose="build") as lease:
        assert lease.valid and 0 < lease.remaining <= 30 and len(lease.id) == 32
        status = store.status("k")
        assert status.state == "held" and status.token == lease.token
        assert (status.holders[0].owner, status.holders[0].purpose, status.holders[0].pid) == (
            "ann",
            "build",
            os.getpid(),
        )
        with pytest.raises(leasehold.Busy) as busy:
            store.acquire("k")
        assert (
            busy.value.why == "held"
            and busy.value.holder.owner == "ann"
            and busy.value.code == "busy"
        )
    assert (
        not lease.valid
        and store.status("k").state == "free"
        and store.status("k").released_how == "release"
    )
    with pytest.raises(RuntimeError, match="mine"):
        with store.acquire("k") as second:
            raise RuntimeError("mine")
    assert second.token > lease.token and store.status("k").state == "free"


def test_it_waits_and_lets_others_run_meanwhile(store):
    lease, granted = store.acquire("k"), []
    waiting = threading.Thread(target=lambda: granted.append(store.acquire("k", wait=math.inf)))
    waiting.start()
    while store.status("k").waiters == 0:
        pass
    lease.release()
    waiting.join(20)
    assert granted and granted[0].valid and granted[0].token > lease.token


def test_what_is_lost_is_told(store, database):
    lease = store.acquire("k", by_hand=True)
    database.workspace_locks.delete_one({"_id": "k"})
    with pytest.raises(leasehold.Lost):
        lease.renew()
    assert not lease.valid


def test_a_lease_is_handed_on(store):
    fresh = store.acquire("k").transfer("bob")
    with store.attach("k", fresh) as attached:
        assert not attached.valid
        attached.renew(60)
        assert (
            attached.valid
            and attached.remaining > 50
            and store.status("k").holders[0].owner == "bob"
        )


def test_readers_share(store):
    with store.acquire("k", shared=True), store.acquire("k", shared=True, owner="bob"):
        assert {(holder.owner, holder.shared) for holder in store.status("k").holders} == {
            ("ann", True),
            ("bob", True),
        }


def test_a_handle_that_is_dropped_is_freed_and_the_lease_goes_on(store):
    store.acquire("k")
    gc.collect()
    assert store.status("k").state == "held"


def test_errors_have_their_word(store, database):
    with pytest.raises(leasehold.Error) as invalid:
        store.acquire("")
    assert invalid.value.code == "invalid" and "key" in str(invalid.value)
    with pytest.raises(leasehold.Error) as config:
        leasehold.Store(URI + "&w=1", database.name)
    assert config.value.code == "config"
    with pytest.raises(ValueError):
        store.acquire("a\0b")
    store.close()
    with pytest.raises(ValueError):
        store.status("k")


def test_keys_are_joined():
    assert leasehold.key_join("root", "a:b", "é") == "root:a%3Ab:é"
    with pytest.raises(leasehold.Error):
        leasehold.key_join()


def test_many_keys_are_taken_together_or_not_at_all(store):
    with store.acquire_many(["b", "a", "c"], purpose="build") as leases:
        assert [lease.key for lease in leases] == ["b", "a", "c"] and len(leases[:2]) == 2
        assert leases.valid and 0 < leases.remaining <= 30
        with pytest.raises(leasehold.Busy) as busy:
            store.acquire_many(["d", "c"], owner="bob")
        assert busy.value.holder.owner == "ann" and store.status("d").state == "free"
    assert not leases.valid and {store.status(key).state for key in "abc"} == {"free"}
    with pytest.raises(leasehold.Error, match="key"):
        store.acquire_many([])
    leases = store.acquire_many(["a", "b"])
    store.break_("a", "a test")
    with pytest.raises(leasehold.Lost):
        leases.release()  # and the other one nevertheless
    assert store.status("b").state == "free"


def test_what_is_held_is_listed(store, database):
    with store.acquire("p:1"), store.acquire("p:2", owner="bob"), store.acquire("q"):
        assert [(status.key, status.holders[0].owner) for status in store.list(prefix="p:")] == [
            ("p:1", "ann"),
            ("p:2", "bob"),
        ]
        assert [status.key for status in store.list(owner="bob")] == ["p:2"]
        assert [status.key for status in store.list(limit=1)] == ["p:1"]
        assert [status.key for status in store.list(keys=["p:2", "p:9"])] == ["p:2"]
    assert store.list() == [] and [status.key for status in store.list(free=True)] == [
        "p:1",
        "p:2",
        "q",
    ]
    database.workspace_locks.update_one({"_id": "q"}, {"$set": {"token": "many"}})
    (unreadable,) = store.list(malformed=True)
    assert (unreadable.key, unreadable.state) == (
        "q",
        "malformed",
    ) and "token" in unreadable.problem


def test_what_happens_is_told_as_it_happens(store):
    with store.watch(keys=["k"], prefix="p:") as events:
        assert next(events).kind == "opened"
        with store.acquire("k", purpose="build") as lease, store.acquire("q"):
            granted = next(events)
            assert (granted.kind, granted.key, granted.how, granted.owner, granted.purpose) == (
                "granted",
                "k",
                "acquire",
                "ann",
                "build",
            )
            assert (
                granted.token == lease.token
                and granted.expires_at > granted.at > 1.7e9
                and lease.id not in repr(granted)
            )
        assert next(events).kind == "released"
        with pytest.raises(TimeoutError):
            events.next(timeout=0.1)
        with store.acquire("p:1"):
            first = next(events)
    assert [event.kind for event in events] in (
        [],
        ["released"],
    )  # closed: what was told before, and then the end
    with store.watch(keys=["k"], prefix="p:", after=granted.id) as events:
        assert [next(events).kind for _ in range(3)] == ["opened", "released", "granted"]


def test_a_watch_that_cannot_be_says_why(store):
    with store.watch(after="nonsense") as events:
        with pytest.raises(leasehold.Error) as why:
            events.next(timeout=10)
        assert why.value.code == "invalid"
        with pytest.raises(leasehold.Error):
            next(events)


def test_a_break_says_what_it_was(store):
    lease = store.acquire("k")
    with pytest.raises(leasehold.Lost):
        store.break_("k", "a test", token=lease.token + 1)
    was = store.break_("k", "its host is gone", by="ops", token=lease.token)
    assert was.holders[0].owner == "ann" and was.token == lease.token
    now = store.status("k")
    assert (now.state, now.released_how, now.released_by, now.released_reason) == (
        "free",
        "break",
        "ops",
        "its host is gone",
    )
    with pytest.raises(leasehold.Lost):
        store.break_("k", "once more")


class Lying(str):
    """A str that hides what it is."""

    def __contains__(self, part):
        return False

    def encode(self, *_):
        return b"k"


BAD_TEXTS = [
    ("\0", ValueError),
    ("k\0", ValueError),
    ("\0k", ValueError),
    ("k\0l", ValueError),
    ("k\0\0", ValueError),
    ("k\ud800", ValueError),
    ("\udcff", ValueError),
    (b"k", TypeError),
    (b"k\0l", TypeError),
    (bytearray(b"k"), TypeError),
    (7, TypeError),
    (["k"], TypeError),
    (Lying("k\0l"), ValueError),
]


@pytest.mark.parametrize("bad, kind", BAD_TEXTS, ids=lambda bad: ascii(bad))
def test_no_text_is_cut_short(store, database, bad, kind):
    """C ends a text at its first NUL: whatever is no text for it raises, in each place, and nothing
    was asked for."""
    lease, count = store.acquire("held"), database.workspace_locks.count_documents
    calls = {
        "uri": lambda: leasehold.Store(bad),
        "db": lambda: leasehold.Store(URI, db=bad),
        "collection": lambda: leasehold.Store(URI, database.name, collection=bad),
        "owner": lambda: leasehold.Store(URI, database.name, owner=bad),
        "key": lambda: store.acquire(bad),
        "its owner": lambda: store.acquire("k", owner=bad),
        "purpose": lambda: store.acquire("k", purpose=bad),
        "lease_id": lambda: store.acquire("k", lease_id=bad),
        "keys": lambda: store.acquire_many(["a", bad, "b"]),
        "their owner": lambda: store.acquire_many(["k"], owner=bad),
        "their purpose": lambda: store.acquire_many(["k"], purpose=bad),
        "attached key": lambda: store.attach(bad, "a" * 32),
        "attached id": lambda: store.attach("k", bad),
        "status": lambda: store.status(bad),
        "prefix": lambda: store.list(prefix=bad),
        "listed owner": lambda: store.list(owner=bad),
        "watched keys": lambda: store.watch(["a", bad]),
        "watched prefix": lambda: store.watch(prefix=bad),
        "after": lambda: store.watch(after=bad),
        "broken key": lambda: store.break_(bad, "why"),
        "reason": lambda: store.break_("held", bad),
        "by": lambda: store.break_("held", "why", by=bad),
        "note": lambda: lease.release(note=bad),
        "new owner": lambda: lease.transfer(bad),
        "part": lambda: leasehold.key_join("a", bad),
    }
    threads = set(threading.enumerate())
    for name, call in calls.items():
        with pytest.raises(kind):
            print(name, call())
    assert lease.valid and count({}) == 1 and set(threading.enumerate()) <= threads
    lease.release()


@pytest.mark.parametrize(
    "call", [lambda store, keys: store.acquire_many(keys), lambda store, keys: store.watch(keys)]
)
@pytest.mark.parametrize("keys", ["abc", b"abc", ""])
def test_one_text_is_not_taken_for_several(store, call, keys):
    with pytest.raises(TypeError, match="several"):
        call(store, keys)


def test_structs_begin_with_their_size_and_the_defaults():
    for name, struct in STRUCTS.items():
        if struct is _c.LogEvent:  # which only the library makes
            assert struct._fields_[0][0] == "size"
        elif issubclass(struct, _c.Sized):
            assert struct._init_ == f"{name}_init" and struct().size == ctypes.sizeof(struct)
        else:
            assert struct._fields_[0][0] != "size"
    options = _c.AcquireOptions(mode=1)
    assert (options.size, options.ttl_ms, options.mode, options.claim_ms) == (
        ctypes.sizeof(_c.AcquireOptions),
        30000,
        1,
        5000,
    )
