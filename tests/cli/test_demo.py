# SPDX-License-Identifier: Apache-2.0
"""scripts/demo, on the tests' server: the story ends well, the README quotes it truly, and nothing
is left behind."""
import os
import re
import signal
import subprocess
import time

import pytest
from conftest import BINARY, URI, alive, wait_until
from shown import blocks, masked
from test_readme import README, ROOT

DEMO = ROOT / "scripts" / "demo"


def environment(scratch, **more):
    """As conftest's: what the developer has set steers nothing."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("LEASEHOLD_PYTHON") or not name.startswith(("LEASEHOLD_", "MONGODB_URI"))
    }
    return (
        env
        | {"LEASEHOLD_URI": URI, "LEASEHOLD_BUILD": str(BINARY.parents[1]), "TMPDIR": str(scratch)}
        | more
    )


def databases(client):
    return {name for name in client.list_database_names() if name.startswith("leasehold_demo_")}


def in_session(leader):
    """The living processes that were started from a process with a session of its own."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.getsid(int(name)) == leader and alive(name):
                found.append(name)
        except ProcessLookupError:
            pass
    return found


def nothing_left(process, scratch, client):
    wait_until(lambda: not in_session(process.pid))
    assert os.listdir(scratch) == []
    assert not databases(client)


def start(scratch, *args, **env):
    return subprocess.Popen(
        [DEMO, *args],
        env=environment(scratch, **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def story(client, tmp_path_factory):
    """What the demo printed."""
    scratch = tmp_path_factory.mktemp("demo")
    process = start(scratch)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 and err == "", out + err
    nothing_left(process, scratch, client)
    return out


def test_it_tells_the_whole_story(story):
    chapters = re.findall(r"^(\d)\. ", story, re.MULTILINE)
    assert chapters == [str(n) for n in range(1, len(chapters) + 1)]
    lines = "\n".join(masked(story))
    for expected in (
        "ok the unique index is converted; a trial of leases succeeded",
        "ok the unique index is present",
        "granted project:42",
        "busy project:42: somebody else holds it",
        "renewed project:42",
        "released project:42",
        "lost project:42",
        "busy nightly",
        "at work with token TOKEN",
        "broken; it was:",
    ):
        assert expected in lines, expected
    assert re.findall(r"\(exit code (\d+)\)", story) == ["78", "78", "75", "76", "75", "3"]
    assert "this is never printed\n" not in story
    assert re.search(
        r"The end\. The demo's database, leasehold_demo_\w+, is dropped again\.\n$", story
    )


def test_it_fits_on_a_terminal_and_has_no_colour_off_one(story):
    assert [line for line in story.splitlines() if len(line) > 100] == []
    assert "\033" not in story and URI not in story


def test_the_readme_quotes_it(story):
    """Each part of the README's excerpt, as it stands; the parts in their order. Anybody may have
    won the race."""

    def comparable(text):
        return re.sub(r"\b(anna|ben|carol|dora|emil) \(", "SOMEBODY (", "\n".join(masked(text)))

    (excerpt,) = blocks(README, "text")
    rest = comparable(story)
    for part in comparable(excerpt).split("…\n"):
        _, found, after = rest.partition(part)
        assert found, f"the demo does not print:\n{part}\nbut:\n{rest}"
        rest = after


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(client, tmp_path, number):
    process = start(tmp_path)
    for line in process.stdout:
        if line.startswith("6. "):
            break
    time.sleep(1)
    os.killpg(process.pid, number)  # as a terminal does
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    nothing_left(process, tmp_path, client)


def test_nobody_reads_it(client, tmp_path):
    process = start(tmp_path)
    process.stdout.readline()
    process.stdout.close()
    process.stderr.read()
    assert process.wait(timeout=60) != 0
    nothing_left(process, tmp_path, client)


def test_a_step_that_goes_wrong_ends_it(client, tmp_path):
    """With a program that fails to renew."""
    tools = tmp_path / "build" / "tools"
    tools.mkdir(parents=True)
    fake = tools / "leasehold"
    fake.write_text(
        f'#!/bin/sh\ncase $* in *renew*) echo nonsense; exit 70 ;; esac\nexec {BINARY} "$@"\n'
    )
    fake.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = start(scratch, LEASEHOLD_BUILD=str(tmp_path / "build"))
    out, err = process.communicate(timeout=240)
    assert (
        process.returncode == 1
        and "nonsense" in out
        and "exit code 0, not 70: leasehold renew" in err
    ), (out + err)
    nothing_left(process, scratch, client)


@pytest.mark.parametrize(
    "env, words",
    [
        (
            {"LEASEHOLD_URI": "mongodb://u:canary-1@127.0.0.1:1/?serverSelectionTimeoutMS=500"},
            "no server can be reached",
        ),
        ({"LEASEHOLD_URI": "mongodb//canary-1"}, "LEASEHOLD_URI cannot be used"),
        ({"LEASEHOLD_PROTECT": "break"}, "LEASEHOLD_PROTECT is set"),
    ],
)
def test_where_it_can_not_run_it_says_so(client, tmp_path, env, words):
    process = start(tmp_path, **env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and words in err and out == "" and "canary-1" not in err, err
    nothing_left(process, tmp_path, client)


def test_usage(tmp_path):
    help_text, _ = start(tmp_path, "--help").communicate(timeout=10)
    assert help_text.startswith("Shows what Leasehold does") and "Usage: scripts/demo" in help_text
    process = start(tmp_path, "--fast")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 64 and "--fast" in err
