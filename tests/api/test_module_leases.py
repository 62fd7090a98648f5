# SPDX-License-Identifier: Apache-2.0
"""Leases of the Python module from their grant to their end: what keeps them, and how a loss is
reported."""
import gc
import os
import pickle
import select
import subprocess
import sys
import threading
import warnings

import pytest
from conftest import URI
from module import leasehold, shared


store = shared


@pytest.fixture
def lose(module_database):
    """Ends leases as an operator, or an accident, would."""
    return lambda lease: module_database.workspace_locks.delete_one({"_id": lease.key})


def test_a_lease_keeps_its_store(store, module_database):
    lease = leasehold.Store(URI, module_database.name).acquire("kept")
    gc.collect()
    assert lease.valid and store.status("kept").token == lease.token
    lease.release()
    with pytest.warns(ResourceWarning, match="the store was forgotten"):
        del lease
        gc.collect()


def test_what_is_forgotten_is_warned_of(store):
    lease = store.acquire("forgotten")
    with pytest.warns(ResourceWarning, match="the lease on 'forgotten' was forgotten"):
        del lease
        gc.collect()
    stream = store.watch()
    with pytest.warns(ResourceWarning, match="the watch was forgotten"):
        del stream
        gc.collect()


def test_what_is_done_with_is_not_warned_of(store, lose):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.acquire("done").release()
        fresh = store.acquire("done").transfer("bob")
        store.attach("done", fresh)
        store.attach("done", fresh).renew()
        lost = store.acquire("gone", by_hand=True)
        lose(lost)
        with pytest.raises(leasehold.Lost):
            lost.renew()
        store.watch().close()
        del lost
        gc.collect()


def test_a_program_may_end_without_closing(module_database):
    """And it releases what it holds."""
    code = (
        "import leasehold, logging; logging.basicConfig(level=logging.DEBUG,"
        f" filename='/dev/null'); store = leasehold.Store({URI!r}, {module_database.name!r}); lease"
        " = store.acquire('ends'); stream = store.watch()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    with leasehold.Store(URI, module_database.name) as store:
        assert store.status("ends").released_how == "release"


def test_a_forked_child_ends_while_its_parent_waits(module_database, shared):
    """The store is the parent's: calls fail, and the child does not wait for the parent's
    threads."""
    code = f"""if True:
        import leasehold, os, signal, sys, threading, time
        store = leasehold.Store({URI!r}, {module_database.name!r})
        wait = threading.Thread(
            target=lambda: store.acquire("forked", wait=60, path=True).release()
        )
        wait.start()
        while not store.status("forked").waiters:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                store.status("forked")
            except leasehold.Error as why:
                sys.exit(7 if why.code == "forked" else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        sys.stdin.read()
        """
    with pytest.raises(leasehold.Lost), shared.acquire("forked"):
        with subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            printed = program.stdout.readline()
            if printed != "7\n":
                program.kill()
            shared.break_("forked", "so that the program ends")
            program.communicate(timeout=30)
    assert (printed, program.returncode) == ("7\n", 0)


def test_on_lost_cannot_close_its_store(store, module_database, lose, caplog):
    done, other = threading.Event(), leasehold.Store(URI, module_database.name)
    lease = other.acquire("k", ttl=1, on_lost=lambda lease: (done.set(), other.close()))
    lose(lease)
    assert done.wait(10)
    other.close()
    assert "cannot be closed by its own on_lost" in caplog.text


def test_a_loss_ends_the_block_with_an_exception(store, lose):
    with pytest.raises(leasehold.Lost, match='"k" ended before') as lost:
        with store.acquire("k", by_hand=True) as lease:
            lose(lease)
            with pytest.raises(leasehold.Lost):
                lease.renew()
    assert (lost.value.code, lost.value.reason) == ("lost", "ended")
    with pytest.raises(leasehold.Lost):
        with store.acquire_many(["k", "l"], by_hand=True) as leases:
            lose(leases[1])
            with pytest.raises(leasehold.Lost):
                leases[1].renew()
    assert store.status("k").state == "free"
    with pytest.raises(ZeroDivisionError):  # the block's own exception stays
        with store.acquire("k", by_hand=True) as lease:
            store.break_("k", "a test")
            1 / 0


def test_what_was_released_inside_its_block_is_not_lost(store):
    with store.acquire("k") as lease:
        lease.release()
    with store.acquire("k") as lease:
        lease.transfer("bob")
    store.break_("k", "a test")


def test_on_lost_is_called_once_from_another_thread(store, module_database, lose):
    calls, all_calls, lost = [], [], threading.Event()

    def on_lost(lease):
        calls.append((lease, threading.get_ident()))
        lost.set()

    with leasehold.Store(
        URI, module_database.name, on_lost=lambda *what: all_calls.append(what)
    ) as other:
        lease, kept = other.acquire("k", ttl=1, on_lost=on_lost), other.acquire(
            "kept", on_lost=on_lost
        )
        lose(lease)
        assert lost.wait(10) and select.select([lease.fileno()], [], [], 10)[0]
        kept.release()
        assert [each for each, _ in calls] == [lease] and calls[0][1] != threading.get_ident()
        assert all_calls == [("k", lease.id)]
        lease.on_lost(lambda lease: calls.append(lease))  # late: at once
        assert calls[-1] is lease


def test_an_on_lost_that_raises_harms_nothing(store, lose, caplog):
    lost = threading.Event()
    lease = store.acquire("k", ttl=1, on_lost=lambda lease: lost.set() or 1 / 0)
    lose(lease)
    assert lost.wait(10)
    with pytest.raises(leasehold.Lost):
        lease.renew()
    assert "ZeroDivisionError" in caplog.text


def test_an_attached_lease_is_kept_when_it_is_asked_for(store):
    fresh = store.acquire("k").transfer("bob")
    with store.attach("k", fresh) as lease:
        assert lease.token == 0
        lease.renew()
        lease.keep()
        assert (lease.shared, lease.ttl, lease.valid) == (False, 30, True)
        assert lease.expires_at == pytest.approx(store.status("k").holders[0].expires_at, abs=1)


def test_a_restarted_program_resumes(store):
    old = store.acquire("k", owner="service-1")
    with pytest.raises(leasehold.Busy):
        store.acquire("k", owner="service-1")
    with store.acquire("k", owner="service-1", resume=True) as lease:
        assert lease.token > old.token
        with pytest.raises(leasehold.Lost):
            old.renew()


def test_paths_exclude_what_is_below(store):
    with store.acquire("org", path=True):
        with pytest.raises(leasehold.Busy) as busy:
            store.acquire_many(["other/file", "org/project/file"], path=True)
        assert (busy.value.why, busy.value.key) == ("path", "org")


def test_errors_have_their_kind(store):
    with pytest.raises(leasehold.Unreachable) as unreachable:
        leasehold.Store("mongodb://127.0.0.1:1/", timeout=0.1)
    assert (
        isinstance(unreachable.value, leasehold.Error) and unreachable.value.code == "unreachable"
    )
    with pytest.raises(leasehold.ConfigError) as config:
        leasehold.Store(URI + "&w=1")
    assert config.value.reason == "write_concern"
    with pytest.raises(leasehold.Invalid) as invalid:
        store.acquire("k", ttl=0.001)
    assert isinstance(invalid.value, ValueError)
    with store.acquire("k"):
        with pytest.raises(leasehold.Busy) as busy:
            store.acquire("k")
    again = pickle.loads(pickle.dumps(busy.value))  # as a worker sends it to its parent
    assert (type(again), again.args, vars(again)) == (
        leasehold.Busy,
        busy.value.args,
        vars(busy.value),
    )


@pytest.mark.parametrize(
    "number, kind", [(3, "Unknown"), (6, "Denied"), (15, "Closed"), (9, "Error")]
)
def test_each_outcome_has_its_kind(number, kind):
    from leasehold import _c, _errors

    details = _c.Error(code=number, message=b"why", lease_id=b"a" * 32, server_code=13)
    error = _errors.error_from(number, details)
    assert type(error).__name__ == kind and (str(error), error.lease_id, error.server_code) == (
        "why",
        "a" * 32,
        13,
    )
