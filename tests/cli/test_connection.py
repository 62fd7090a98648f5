# SPDX-License-Identifier: Apache-2.0
"""Where the server is, and what happens when it is not there. A password never shows."""
import os
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest
from conftest import BINARY, URI, Cli, wait_until

CANARY = "canary-9d1f"


@pytest.mark.parametrize(
    "command",
    [
        ["acquire", "k"],
        ["status", "k"],
        ["list"],
        ["migrate", "--yes"],
        ["cleanup", "--yes"],
        ["run", "k", "--", "true"],
        ["break", "k", "--reason", "r", "--yes"],
    ],
)
def test_a_server_that_is_not_there_is_given_up_in_time(offline, command):
    start = time.monotonic()
    result = offline(
        "--json", "--uri", "mongodb://127.0.0.1:1/", *command, env={"LEASEHOLD_TIMEOUT": "1s"}
    )
    assert result.exit == 69, result
    error = result.lines[-1]
    assert (error["exit"], error["code"], error["reason"]) == (69, "unreachable", "no_server")
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://user:{CANARY}@",
        f"mongodb://user:{CANARY}@host:port/",
        f"nonsense://u:{CANARY}@h/",
        f"mongodb://user:{CANARY}%zz@host/",
        f"user:{CANARY}@host",
        f"mongodb://u:{CANARY}@h/?replicaSet",
        f"mongodb://u:{CANARY}@h/?w=1",
    ],
)
@pytest.mark.parametrize("voice", [[], ["--json"], ["--verbose"]])
def test_a_bad_uri_is_78_and_its_password_is_not_shown(offline, uri, voice):
    result = offline(*voice, "status", "k", "--uri", uri)
    assert result.exit == 78, result
    assert CANARY not in result.out + result.err


def test_a_uri_in_the_wrong_place_is_not_repeated(offline):
    uri = f"mongodb://user:{CANARY}@host/"
    for args in (
        [uri],
        [uri, "status", "k"],
        ["list", uri],
        ["status", "k", f"--urk={uri}"],
        ["status", "k", "--uri-fil", uri],
        ["acquire", "k", "--ttl", uri],
        ["list", "--limit", uri],
        [f"--uri{uri}", "list"],
    ):
        result = offline("--json", *args)
        assert result.exit == 64, result
        assert CANARY not in result.out + result.err, result


def test_an_unreachable_server_s_password_is_not_shown(offline):
    result = offline(
        "--json",
        "--verbose",
        "status",
        "k",
        "--timeout",
        "500ms",
        "--uri",
        f"mongodb://u:{CANARY}@127.0.0.1:1/",
    )
    assert result.exit == 69
    assert CANARY not in result.out + result.err


# Connection strings with a password, by what is wrong with them.
CANARY_URIS = {
    "a server that is not there": f"mongodb://u:{CANARY}@127.0.0.1:1/",
    "several that are not there": (
        f"mongodb://u:{CANARY}@127.0.0.1:1,127.0.0.1:2,[::1]:3/?replicaSet=rs"
    ),
    "a name that is none": f"mongodb://u:{CANARY}@nobody.invalid/",
    "an SRV name that is none": f"mongodb+srv://u:{CANARY}@nobody.invalid/",
    "an SRV name without dots": f"mongodb+srv://u:{CANARY}@host/",
    "an SRV name with a port": f"mongodb+srv://u:{CANARY}@a.b.invalid:27017/",
    "another scheme": f"http://u:{CANARY}@host/",
    "no scheme": f"u:{CANARY}@host",
    "a scheme with a slip": f"mongdb://u:{CANARY}@host/",
    "one slash": f"mongodb:/u:{CANARY}@host/",
    "no host": f"mongodb://u:{CANARY}@",
    "no host, a path": f"mongodb://u:{CANARY}@/db",
    "a port that is none": f"mongodb://u:{CANARY}@host:port/",
    "a port that is too big": f"mongodb://u:{CANARY}@host:99999/",
    "the at forgotten": f"mongodb://u:{CANARY}host/",
    "the host forgotten": f"mongodb://u:{CANARY}",
    "a raw at": f"mongodb://u:{CANARY}@x@host/",
    "an at and a slash": f"mongodb://u:a@b/{CANARY}@host/",
    "a raw slash": f"mongodb://u:{CANARY}/x@host/",
    "a raw colon": f"mongodb://u:{CANARY}:x@127.0.0.1:1/",
    "a raw question mark": f"mongodb://u:{CANARY}?x@host/",
    "a raw hash": f"mongodb://u:{CANARY}#x@host/",
    "a raw bracket": f"mongodb://u:[{CANARY}@host/",
    "a raw percent": f"mongodb://u:{CANARY}%@host/",
    "a percent code that is none": f"mongodb://u:{CANARY}%zz@host/",
    "a percent code of NUL": f"mongodb://u:{CANARY}%00@host/",
    "a percent code that is no UTF-8": f"mongodb://u:{CANARY}%ff@host/",
    "a control character": f"mongodb://u:{CANARY}\x07@host/",
    "an empty user": f"mongodb://:{CANARY}@127.0.0.1:1/",
    "no slash before the options": f"mongodb://u:{CANARY}@host?w=majority",
    "an option without a value": f"mongodb://u:{CANARY}@host/?replicaSet",
    "an option that nobody knows": f"mongodb://u:{CANARY}@127.0.0.1:1/?passwort={CANARY}",
    "an option with a bad value": f"mongodb://u:{CANARY}@127.0.0.1:1/?connectTimeoutMS={CANARY}",
    "a database that is none": f"mongodb://u:{CANARY}@127.0.0.1:1/a$b",
    "the password in the database": f"mongodb://127.0.0.1:1/{CANARY}.x",
    "a weak write concern": f"mongodb://u:{CANARY}@h/?w=1",
    "a write concern that is none": f"mongodb://u:{CANARY}@h/?w=1&journal=true",
    "a mechanism that is none": f"mongodb://u:{CANARY}@127.0.0.1:1/?authMechanism={CANARY}",
    "a mechanism with properties": (
        f"mongodb://u:{CANARY}@127.0.0.1:1/?authMechanism=MONGODB-AWS"
        f"&authMechanismProperties=AWS_SESSION_TOKEN:{CANARY}"
    ),
    "a proxy's password": (
        "mongodb://127.0.0.1:1/?proxyHost=127.0.0.1&proxyPort=2&proxyUsername=u"
        f"&proxyPassword={CANARY}"
    ),
    "the key file's password": (
        "mongodb://127.0.0.1:1/?tls=true&tlsCertificateKeyFile=/nowhere"
        f"&tlsCertificateKeyFilePassword={CANARY}"
    ),
    "TLS that checks nothing": f"mongodb://u:{CANARY}@h/?tls=true&tlsInsecure=true",
    "TLS options at odds": (
        f"mongodb://u:{CANARY}@127.0.0.1:1/?tls=true&tlsInsecure=true"
        "&tlsAllowInvalidHostnames=false"
    ),
    "a very long one": f"mongodb://u:{CANARY}{'x' * 9000}@127.0.0.1:1/",
    "two of them": f"mongodb://u:{CANARY}@127.0.0.1:1/ mongodb://u:{CANARY}@127.0.0.1:1/",
}


@pytest.mark.parametrize(
    "way", ["flag", "flag=", "environment", "other environment", "file", "stdin"]
)
def test_no_way_of_giving_a_uri_shows_its_password(offline, tmp_path, way):
    """In nothing that is printed; and on the command line only for the moment until it is read (a
    flag), or not at all."""
    started = {}
    for i, (fault, uri) in enumerate(CANARY_URIS.items()):
        (tmp_path / f"uri{i}").write_text(uri + "\n")
        args, env = {
            "flag": (["--uri", uri], {}),
            "flag=": ([f"--uri={uri}"], {}),
            "environment": ([], {"LEASEHOLD_URI": uri}),
            "other environment": ([], {"MONGODB_URI": uri}),
            "file": (["--uri-file", str(tmp_path / f"uri{i}")], {}),
            "stdin": (["--uri-file", "-"], {}),
        }[way]
        with open(tmp_path / f"uri{i}") as file:
            started[fault] = offline.start(
                "--json",
                "--verbose",
                "status",
                "k",
                "--timeout",
                "400ms",
                *args,
                env=env,
                stdin=file,
            )
        if len(started) % 8 == 0:
            started[fault].wait(30)
    for fault, process in started.items():
        out, err = process.communicate(timeout=30)
        assert process.returncode in (64, 69, 77, 78), (fault, out, err)
        assert CANARY not in out + err, (fault, out, err)
        assert out.count("\n") == 1, fault


@pytest.mark.parametrize("options", [["--json"], ["--verbose"], []])
def test_a_server_s_refusal_does_not_show_the_password(options):
    """It answers, and knows no such user."""
    uri = f"mongodb://u:{CANARY}@" + URI.split("//")[1]
    for command in (["status", "k"], ["doctor"], ["migrate", "--yes"], ["run", "k", "--", "true"]):
        result = Cli(uri, "cli_none")(*options, *command)
        assert result.exit == 77, result
        assert CANARY not in result.out + result.err, result


@pytest.mark.parametrize("way", ["environment", "file", "stdin"])
def test_the_command_line_never_holds_what_came_another_way(offline, tmp_path, way):
    uri, file = CANARY_URIS["a server that is not there"], tmp_path / "uri"
    file.write_text(uri)
    args = {"environment": [], "file": ["--uri-file", str(file)], "stdin": ["--uri-file", "-"]}[way]
    with open(file) as stdin:
        process = offline.start(
            "status",
            "k",
            "--timeout",
            "1s",
            *args,
            stdin=stdin,
            env={"LEASEHOLD_URI": uri} if way == "environment" else {},
        )
        while process.poll() is None:
            assert CANARY.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
            time.sleep(0.02)
    process.communicate()


def test_the_process_list_does_not_show_the_uri_or_the_lease(cli):
    lease = cli.acquire("k")["lease"]
    uri = f"mongodb://u:{CANARY}@127.0.0.1:1/"
    for args in (
        ["renew", "k", "--uri", uri, "--lease", lease],
        ["renew", "k", f"--uri={uri}", f"--lease={lease}"],
    ):
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
    assert (
        bare(*fast, env=none | {"LEASEHOLD_URI_FILE": str(file), "MONGODB_URI": nowhere}).exit == 0
    )
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


# What files, variables and editors put around a text.
AROUND = {
    "line feed": "\n",
    "carriage return": "\r\n",
    "blanks": "  ",
    "tab": "\t",
    "no-break space": "\u00a0",
    "em space": "\u2003",
    "byte order mark": "\ufeff",
    "zero width": "\u200b",
}


@pytest.mark.parametrize("around", AROUND)
def test_white_space_around_a_name_is_taken_off_in_every_place(offline, tmp_path, around):
    """`doctor --roles` names the database and the collections, and asks no server."""
    with_it = lambda name: AROUND[around] + name + AROUND[around]
    uri, file = "mongodb://127.0.0.1:1/base", tmp_path / "uri"
    roles = lambda *args, input=None, **env: offline(
        "doctor", "--roles", *args, env=env, input=input
    )
    plain = roles("--uri", uri, "--collection", "locks", "--audit", "trail")
    assert (
        plain.exit == 0
        and '"base"' in plain.out
        and '"locks"' in plain.out
        and '"trail"' in plain.out
    )
    file.write_text(with_it(uri))
    rest = {"LEASEHOLD_URI": uri, "LEASEHOLD_COLLECTION": "locks", "LEASEHOLD_AUDIT": "trail"}
    ways = [roles(**rest | {name: with_it(rest[name])}) for name in rest]
    ways += [
        roles(**rest | {"LEASEHOLD_URI": "mongodb://127.0.0.1:1", "LEASEHOLD_DB": with_it("base")}),
        roles("--db", with_it("base"), **rest),
        roles("--collection", with_it("locks"), **rest),
        roles("--audit", with_it("trail"), **rest),
        roles("--uri", with_it(uri), **rest),
        roles(**rest | {"LEASEHOLD_URI": None, "MONGODB_URI": with_it(uri)}),
        roles("--uri-file", str(file), **rest),
        roles(**rest | {"LEASEHOLD_URI": None, "LEASEHOLD_URI_FILE": with_it(str(file))}),
        roles("--uri-file", "-", input=with_it(uri), **rest),
        roles(
            **rest
            | {
                "LEASEHOLD_DB": AROUND[around],
                "LEASEHOLD_TTL": with_it("30s"),
                "LEASEHOLD_TIMEOUT": with_it("2s"),
            }
        ),
    ]
    for result in ways:
        assert (result.exit, result.out) == (0, plain.out), result


@pytest.mark.parametrize("inside", AROUND.values())
def test_white_space_inside_a_name_is_refused_in_every_place(offline, inside):
    name = f"a{inside}b"
    for args, env in (
        (["--db", name], {}),
        ([], {"LEASEHOLD_DB": name}),
        (["--collection", name], {}),
        ([], {"LEASEHOLD_COLLECTION": name}),
        (["--audit", name], {}),
        ([], {"LEASEHOLD_AUDIT": name}),
        ([], {"LEASEHOLD_MODE": f"of{inside}f"}),
    ):
        for command in (["status", "k"], ["run", "k", "--", "true"]):
            result = offline(
                command[0],
                *args,
                *command[1:],
                env={"LEASEHOLD_URI": "mongodb://127.0.0.1:1/", "LEASEHOLD_TIMEOUT": "300ms"} | env,
            )
            assert result.exit in (64, 78), (args, env, result)
    for uri in (
        f"mongodb://127.0.0.1:1/{name}",
        f"mongodb://127.0.0.1:1/{urllib.parse.quote(name)}",
    ):
        assert offline("status", "k", env={"LEASEHOLD_URI": uri}).exit == 78


def test_a_line_feed_does_not_make_a_second_holder(bare, cli, locks):
    """A URI and an owner from files that end in one, as all files do."""
    db = bare.env["LEASEHOLD_DB"]
    uri = URI.replace("/?", f"/{db}?") if "?" in URI else URI.rstrip("/") + "/" + db
    ways = [
        {"LEASEHOLD_URI": uri + "\n"},
        {"MONGODB_URI": uri + "\r\n", "LEASEHOLD_URI": None},
        {"LEASEHOLD_URI": "\ufeff" + uri + " "},
        {"LEASEHOLD_DB": db + "\n"},
    ]
    held = bare(
        "--json",
        "acquire",
        "k",
        env={"LEASEHOLD_DB": None, "LEASEHOLD_OWNER": "ann lee\n"} | ways[0],
    ).json
    assert held["owner"] == "ann lee" == locks.find_one({"workspace_id": "k"})["owner"]
    for env in ways:
        assert bare("acquire", "k", env={"LEASEHOLD_DB": None} | env).exit == 75
    assert bare("--quiet", "list", "--owner", "ann lee\n").out
    assert bare("transfer", "k", "--lease", held["lease"] + "\n", "--to", " bob\t").exit == 0
    assert locks.find_one({"workspace_id": "k"})["owner"] == "bob"


@pytest.mark.parametrize(
    "content",
    [
        b"mongodb://127.0.0.1:1/a\0b",
        b"mongodb://127.0.0.1:1/" + b"x" * 20000,
        b"mongodb://h/\x07",
        b"mongodb://h/\xff",
        "mongodb://h/".encode("utf-16"),
    ],
)
def test_a_uri_file_that_is_no_text_is_78(offline, tmp_path, content):
    (tmp_path / "uri").write_bytes(content)
    assert (
        offline("status", "k", "--uri-file", str(tmp_path / "uri"), "--timeout", "300ms").exit == 78
    )


def test_database_and_collection(bare, client):
    other = bare.env["LEASEHOLD_DB"] + "_other"
    try:
        for args, env in (
            (["--db", other, "--collection", "named"], {}),
            ([], {"LEASEHOLD_DB": other, "LEASEHOLD_COLLECTION": "named"}),
        ):
            key = "flag" if args else "environment"
            assert bare(*args, "migrate", "--yes", env=env).exit == 0
            assert bare("acquire", key, *args, env=env).exit == 0
            assert client[other].named.count_documents({"workspace_id": key}) == 1
    finally:
        client.drop_database(other)


def test_a_result_that_cannot_be_written_is_not_a_success(cli):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BINARY, "status", "k"], env=cli.env, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 74 and "could not be written" in done.stderr


def without(cli, streams, *args):
    """Runs it with these streams closed, as `leasehold … <&- >&-` does."""
    shell = " ".join(["exec", '"$@"', *streams])
    return subprocess.run(
        ["sh", "-c", shell, "sh", BINARY, *args],
        env=cli.env,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    "args", [["list"], ["--json", "status", "k"], ["--quiet", "acquire", "k"], ["--version"]]
)
def test_a_result_without_a_stdout_goes_nowhere_else(cli, args):
    """What is opened next would get its number: the connection to the server."""
    cli.acquire("other", "--ttl", "1m")
    done = without(cli, [">&-"], *args)
    assert (
        done.returncode == 74 and "could not be written: Bad file descriptor" in done.stderr
    ), done
    assert cli("--json", "status", "k").json["state"] == "free"


def test_a_command_without_a_stdin_ends(cli):
    done = without(cli, ["<&-"], "run", "k", "--", "sh", "-c", "test -e /proc/self/fd/0 || exit 9")
    assert done.returncode == 9, done
    assert cli("--json", "status", "k").json["state"] == "free"


def test_without_any_stream_it_works(cli):
    done = without(cli, ["<&-", ">&-", "2>&-"], "run", "k", "--", "sh", "-c", "exit 5")
    assert done.returncode == 5, done


@pytest.mark.parametrize("voice", [[], ["--json"], ["--quiet"]])
def test_a_grant_that_cannot_be_told_is_released(cli, voice):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BINARY, *voice, "acquire", "k"],
            env=cli.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 74
    assert cli("--json", "status", "k").json["state"] == "free"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [BINARY, *voice, "acquire", "k"],
        env=cli.env,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert done.returncode == 74 and "could not be written: Broken pipe" in done.stderr
    assert cli("--json", "status", "k").json["state"] == "free"


def test_a_lease_that_was_handed_on_and_cannot_be_told_is_released(cli):
    lease = cli.acquire("k", "--ttl", "1h")["lease"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BINARY, "transfer", "k", "--lease", lease, "--to", "ben"],
            env=cli.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 74 and "released again" in done.stderr
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
