# SPDX-License-Identifier: Apache-2.0
"""Where the server is, and what happens when it is not there. A password never shows."""
import os
import subprocess
import time
from pathlib import Path

import pytest
from conftest import BINARY, URI, wait_until

CANARY = "canary-9d1f"


@pytest.mark.parametrize("command", [["acquire", "k"], ["status", "k"], ["list"], ["migrate", "--yes"], ["cleanup", "--yes"],
                                     ["run", "k", "--", "true"], ["break", "k", "--reason", "r", "--yes"]])
def test_a_server_that_is_not_there_is_given_up_in_time(offline, command):
    start = time.monotonic()
    result = offline("--json", "--uri", "mongodb://127.0.0.1:1/", *command, env={"LEASEHOLD_TIMEOUT": "1s"})
    assert result.exit == 69, result
    assert result.lines[-1]["exit"] == 69 and result.lines[-1]["code"] == "unreachable"
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("uri", [f"mongodb://user:{CANARY}@", f"mongodb://user:{CANARY}@host:port/", f"nonsense://u:{CANARY}@h/",
                                 f"mongodb://user:{CANARY}%zz@host/", f"user:{CANARY}@host", f"mongodb://u:{CANARY}@h/?replicaSet",
                                 f"mongodb://u:{CANARY}@h/?w=1"])
@pytest.mark.parametrize("voice", [[], ["--json"], ["--verbose"]])
def test_a_bad_uri_is_78_and_its_password_is_not_shown(offline, uri, voice):
    result = offline(*voice, "status", "k", "--uri", uri)
    assert result.exit == 78, result
    assert CANARY not in result.out + result.err


def test_a_uri_in_the_wrong_place_is_not_repeated(offline):
    uri = f"mongodb://user:{CANARY}@host/"
    for args in ([uri], [uri, "status", "k"], ["list", uri], ["status", "k", f"--urk={uri}"], ["status", "k", "--uri-fil", uri],
                 ["acquire", "k", "--ttl", uri], ["list", "--limit", uri], [f"--uri{uri}", "list"]):
        result = offline("--json", *args)
        assert result.exit == 64, result
        assert CANARY not in result.out + result.err, result


def test_an_unreachable_server_s_password_is_not_shown(offline):
    result = offline("--json", "--verbose", "status", "k", "--timeout", "500ms", "--uri", f"mongodb://u:{CANARY}@127.0.0.1:1/")
    assert result.exit == 69
    assert CANARY not in result.out + result.err


def test_the_process_list_does_not_show_the_uri_or_the_lease(cli):
    lease = cli.acquire("k")["lease"]
    uri = f"mongodb://u:{CANARY}@127.0.0.1:1/"
    for args in (["renew", "k", "--uri", uri, "--lease", lease], ["renew", "k", f"--uri={uri}", f"--lease={lease}"]):
        process = cli.start(*args, "--timeout", "3s")
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        wait_until(lambda: b"xxxxxxxx" in cmdline.read_bytes())
        time.sleep(0.1)
        shown = cmdline.read_bytes()
        process.kill()
        process.communicate()
        assert CANARY.encode() not in shown and lease.encode() not in shown


def test_the_uri_comes_from_flags_then_the_environment(bare, tmp_path):
    nowhere, none = "mongodb://127.0.0.1:1/", {"LEASEHOLD_URI": None}
    file = tmp_path / "uri"
    file.write_text(f"\n  {URI}\n")
    fast = ["--timeout", "2s", "status", "k"]
    assert bare(*fast, "--uri", URI, env={"LEASEHOLD_URI": nowhere}).exit == 0
    assert bare(*fast, "--uri-file", str(file), env={"LEASEHOLD_URI": nowhere}).exit == 0
    assert bare(*fast, "--uri-file", "-", env=none, input=URI + "\n").exit == 0
    assert bare(*fast, env=none | {"LEASEHOLD_URI_FILE": str(file), "MONGODB_URI": nowhere}).exit == 0
    assert bare(*fast, env=none | {"MONGODB_URI": URI}).exit == 0
    assert bare(*fast, env={"MONGODB_URI": nowhere}).exit == 0
    assert bare(*fast, "--uri", nowhere).exit == 69


@pytest.mark.parametrize("content", [None, "", "  \n", "mongodb://a/\nmongodb://b/\n"])
def test_a_useless_uri_file_is_78(offline, tmp_path, content):
    file = tmp_path / "uri"
    if content is not None:
        file.write_text(content)
    result = offline("status", "k", "--uri-file", str(file))
    assert result.exit == 78 and str(file) in result.err


def test_database_and_collection(bare, client):
    other = bare.env["LEASEHOLD_DB"] + "_other"
    try:
        for args, env in ((["--db", other, "--collection", "named"], {}),
                          ([], {"LEASEHOLD_DB": other, "LEASEHOLD_COLLECTION": "named"})):
            key = "flag" if args else "environment"
            assert bare(*args, "migrate", "--yes", env=env).exit == 0
            assert bare("acquire", key, *args, env=env).exit == 0
            assert client[other].named.count_documents({"workspace_id": key}) == 1
    finally:
        client.drop_database(other)


def test_a_result_that_cannot_be_written_is_not_a_success(cli):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "status", "k"], env=cli.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and "could not be written" in done.stderr


@pytest.mark.parametrize("voice", [[], ["--json"], ["--quiet"]])
def test_a_grant_that_cannot_be_told_is_released(cli, voice):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, *voice, "acquire", "k"], env=cli.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74
    assert cli("--json", "status", "k").json["state"] == "free"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([BINARY, *voice, "acquire", "k"], env=cli.env, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 74
    assert cli("--json", "status", "k").json["state"] == "free"


def test_nothing_is_left_in_shared_memory(cli):
    shared = Path("/dev/shm")
    process = cli.start("acquire", "k", "--wait", "forever", "--ttl", "1s")
    assert process.wait(timeout=10) == 0
    killed = cli.start("acquire", "k", "--wait", "forever")
    time.sleep(0.5)
    killed.kill()
    killed.wait()
    for done in (process, killed):
        done.communicate()
        assert not (shared / f"mongoc-{done.pid}").exists()
