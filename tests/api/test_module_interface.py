# SPDX-License-Identifier: Apache-2.0
"""The Python module has all of the C interface, what it has works, and its types are right."""
import inspect
import logging
import os
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import BUILD, ROOT, URI
from module import leasehold

PACKAGE = ROOT / "tools/bindings/python/leasehold"
TABLE = tomllib.loads((ROOT / "src/interface.toml").read_text())
FUNCTIONS = [name for group in TABLE["functions"].values() for name in group]
FIELDS = [
    (name, field)
    for name, struct in TABLE["structs"].items()
    if name.endswith("_options")
    for field in struct["fields"]
]
SOURCE = "".join(path.read_text() for path in sorted(PACKAGE.glob("*.py")) if path.name != "_c.py")

# What Python does in another way, or has no use for.
ELSEWHERE = {
    "lh_with_lease": "the `with` statement",
    "lh_lease_key": "Lease.key is the caller's own",
    "lh_version_number": "version()",
    "lh_level_word": "the levels of `logging`",
    "lh_outcome_sentence": "the docstring of each exception",
    "lh_reason_sentence": "the message of the exception",
    "lh_log_sentence": "the record of `logging`",
    "lh_lease_guard": "takes the C driver's session; with PyMongo: leasehold-schema(5)",
    "lh_with_guard": "as lh_lease_guard",
    "lh_fenced_read": "as lh_lease_guard",
    "lh_fenced_write": "as lh_lease_guard",
}
ELSEWHERE_FIELDS = {
    ("lh_store_options", "migrate"): 'at_open="nothing", and Store.migrate() with options'
}


def test_each_function_is_there_or_elsewhere():
    used = set(re.findall(r"\blib\.(lh_\w+)", SOURCE)) | {
        name for name in FUNCTIONS if name.endswith("_init")
    }
    assert {name for name in FUNCTIONS if name not in used} == set(ELSEWHERE)


def test_each_option_is_there_or_elsewhere():
    absent = {
        (name, field)
        for name, field in FIELDS
        if not re.search(rf"\b{field}=|\.{field} = ", SOURCE)
        and not field.endswith(("_arg", "_free"))
    }  # which Python needs not
    assert absent == set(ELSEWHERE_FIELDS)


def test_each_call_is_documented():
    for name in leasehold.__all__:
        public = getattr(leasehold, name)
        assert public.__doc__, name
        if inspect.isclass(public):
            for member, value in inspect.getmembers(public):
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"


def test_its_types_are_right(tmp_path):
    for path in (PACKAGE, ROOT / "tests/api/typed.py"):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--cache-dir",
                tmp_path,
                "--python-version",
                "3.10",
                path,
            ],
            cwd=PACKAGE.parent,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def store(module_database):
    with leasehold.Store(
        URI, module_database.name, owner="ann", at_open="nothing", audit=""
    ) as store:
        store.migrate()
        yield store


def test_operators_calls(store, module_database):
    steps, verdicts = [], []
    locks = module_database.odd_locks
    locks.insert_many(
        [{"workspace_id": "twice"}, {"workspace_id": "twice"}, {"workspace_id": 7, "expires_at": 0}]
    )
    with leasehold.Store(URI, module_database.name, "odd_locks", at_open="nothing") as odd:
        findings = {finding.id: finding for finding in odd.doctor()}
        assert (
            findings["duplicates"].severity == "error"
            and findings["duplicates"].outcome == "config"
        )
        would = odd.migrate(dry_run=True, verdict=verdicts.append, accept_foreign_keys=True)
        assert would.index == "missing" and locks.count_documents({}) == 3
        with pytest.raises(ZeroDivisionError):
            odd.migrate(progress=lambda *_: 1 / 0, accept_foreign_keys=True)
        report = odd.migrate(progress=lambda *step: steps.append(step), accept_foreign_keys=True)
        assert (report.index, report.duplicate_keys, report.removed, report.tried) == (
            "converted",
            1,
            1,
            True,
        )  # by the second one, which resumed
        assert (
            report.foreign == {"int": 1}
            and [verdict.key for verdict in verdicts] == ["twice"]
            and steps
        )
        (unreadable,) = odd.list(malformed=True)
        assert odd.status_by_id(unreadable.id_json).problem == unreadable.problem
        assert odd.break_(None, "a test", id_json=unreadable.id_json).state == "malformed"
        with pytest.raises(leasehold.Lost):
            odd.status_by_id('{"$oid": "65f000000000000000000000"}')
        locks.insert_one({"workspace_id": "old", "expires_at": 0})
        assert odd.cleanup(older_than=3600, dry_run=True) == leasehold.CleanupReport(1, 0, 0)
        with pytest.raises(ZeroDivisionError):
            odd.cleanup(older_than=3600, progress=lambda *_: 1 / 0)


def test_counts(store):
    with store.acquire("k"):
        stats = store.stats()
        assert (stats.exclusive, stats.oldest.key, stats.longest_wait) == (1, "k", None)
        assert store.reap().alive >= 1 and store.reap(dry_run=True).reaped == ()
        metrics = store.metrics()
        assert metrics.holding == 1 and metrics.acquires.count == metrics.acquired >= 1
        assert metrics.commands["ok"]["acquire"] >= 1 and list(metrics.acquires.buckets)[
            -1
        ] == float("inf")
    assert store.observed().rollout == "enforce"


def test_the_audit_trail(store):
    with store.follow_audit("audited") as trail:
        lease = store.acquire("audited", purpose="build")
        assert trail.next(timeout=10).token == lease.token
        lease.release()
        assert trail.next(timeout=10).event == "released"
    assert [
        (entry.event, entry.owner, entry.purpose) for entry in store.audit("audited", since=60)
    ] == [("granted", "ann", "build"), ("released", "ann", "")]
    with pytest.raises(StopIteration):
        trail.next()


def test_without_a_server():
    with leasehold.Store(None, rollout="off") as store, store.acquire("k") as lease:
        assert lease.valid and not lease.enforced and store.observed().skipped == 1
    assert [next(iter(command)) for command in leasehold.roles(db="d")] == ["createRole"] * 3
    with pytest.raises(leasehold.Invalid):
        leasehold.key_check("a\tb")
    leasehold.key_check("a:b")


def test_what_is_odd_in_the_connection_string_is_a_warning(module_database):
    with leasehold.Store(
        URI + "&retryWritse=true", module_database.name, at_open="nothing"
    ) as store:
        assert "retryWritse" in store.warnings[0]


def test_events_are_logged(module_database, caplog):
    with caplog.at_level(logging.DEBUG, "leasehold"):
        with leasehold.Store(URI, module_database.name, at_open="migrate") as store, store.acquire(
            "k"
        ) as lease:
            pass
    events = [record for record in caplog.records if record.name == "leasehold"]
    granted = next(record for record in events if record.leasehold["event"] == "acquire")
    assert (
        granted.leasehold["token"] == lease.token
        and granted.levelno == logging.INFO
        and "acquire k: ok" in granted.getMessage()
    )
    assert {"opened", "command", "release"} <= {
        record.leasehold["event"] for record in events
    } and lease.id not in caplog.text
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "leasehold"):
        with leasehold.Store(
            URI, module_database.name, log_level=logging.WARNING
        ) as store, store.acquire("k"):
            pass
    assert not [record for record in caplog.records if record.name == "leasehold"]


def test_the_drivers_lines_are_logged(caplog, capfd):
    with caplog.at_level(logging.DEBUG, "leasehold"), pytest.raises(leasehold.Unreachable):
        leasehold.Store("mongodb://127.0.0.1:1/", timeout=0.5)
    assert any(
        record.name == "leasehold.driver" for record in caplog.records
    ) and capfd.readouterr() == ("", "")


def test_a_store_by_the_environment(module_database, monkeypatch, tmp_path):
    file = tmp_path / "uri"
    file.write_text(f"  {URI}\n")
    for name, value in {
        "URI_FILE": str(file),
        "DB": module_database.name,
        "COLLECTION": "c",
        "OWNER": " Ann Lee\n",
        "TTL": "45s",
        "AUDIT": "on",
        "TIMEOUT": "5000ms",
        "MODE": "",
    }.items():
        monkeypatch.setenv("LEASEHOLD_" + name, value)
    with leasehold.Store.from_environment(at_open="migrate") as store, store.acquire("k") as lease:
        assert (lease.owner, lease.ttl) == ("Ann Lee", 45) and module_database.c.find_one(
            {"_id": "k"}
        )
        assert [entry.event for entry in store.audit("k")] == ["granted"]


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("TTL", "soon", "a duration"),
        ("MODE", "maybe", "enforce, observe or off"),
        ("URI", " ", "which MongoDB"),
        ("URI_FILE", "/nowhere", "cannot be read"),
    ],
)
def test_an_environment_that_is_wrong(monkeypatch, name, value, message):
    monkeypatch.delenv("MONGODB_URI", raising=False)
    for other in ("URI", "URI_FILE"):
        monkeypatch.delenv("LEASEHOLD_" + other, raising=False)
    monkeypatch.setenv("LEASEHOLD_" + name, value)
    with pytest.raises(leasehold.ConfigError, match=message):
        leasehold.Store.from_environment()


def test_its_readme_is_so(module_database):
    text = (PACKAGE.parent / "README.md").read_text()
    place, there = "mongodb://db0,db1,db2/?replicaSet=rs", URI.replace(
        "/?", f"/{module_database.name}?"
    )
    assert place in text
    names = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code.replace(place, there), names)
    exceptions = {
        name
        for name in leasehold.__all__
        if isinstance(getattr(leasehold, name), type)
        and issubclass(getattr(leasehold, name), Exception)
    }
    assert {name for name in exceptions if f"`{name}`" not in text} == set()


def test_it_runs_the_command_line():
    command, env = [sys.executable, "-m", "leasehold", "--version"], os.environ | {
        "PYTHONPATH": str(PACKAGE.parent)
    }
    done = subprocess.run(
        command, env=env | {"PATH": str(BUILD / "tools")}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"leasehold {leasehold.version()}\n"), done
    done = subprocess.run(command, env=env | {"PATH": "/nowhere"}, capture_output=True, text=True)
    assert done.returncode == 127 and "not installed" in done.stderr


def test_a_library_that_is_missing_is_named():
    done = subprocess.run(
        [sys.executable, "-c", "import leasehold"],
        env={"PYTHONPATH": str(PACKAGE.parent), "LEASEHOLD_LIBRARY": "/nowhere.so"},
        capture_output=True,
        text=True,
    )
    assert (
        "ImportError: leasehold needs its C library" in done.stderr
        and "LEASEHOLD_LIBRARY" in done.stderr
    )
