# SPDX-License-Identifier: Apache-2.0
"""What can be told without a server: help, wrong usage, durations, environment."""
import json
import re

import pytest

COMMANDS = [
    "acquire",
    "renew",
    "release",
    "transfer",
    "run",
    "status",
    "list",
    "watch",
    "migrate",
    "cleanup",
    "break",
    "doctor",
    "bench",
    "torture",
    "serve",
    "completion",
]
ID = "0123456789abcdef0123456789abcdef"
# Nothing listens there: what is refused before it would be asked never needs it.
NOWHERE = "mongodb://127.0.0.1:1/"


def test_alone_it_shows_short_help_and_fails(offline):
    result = offline()
    assert result.exit == 64 and result.out == "" and "Usage: leasehold" in result.err


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_and_global_option(offline, args):
    result = offline(*args)
    assert result.exit == 0 and result.err == ""
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", result.out, re.M)
    for option in [
        "uri",
        "uri-file",
        "db",
        "collection",
        "json",
        "quiet",
        "verbose",
        "no-color",
        "help",
        "version",
    ]:
        assert f"--{option}" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_teaches_with_an_example(offline, command):
    result = offline(command, "--help")
    assert result.exit == 0 and result.err == ""
    assert f"Usage: leasehold {command}" in result.out and f"$ leasehold {command}" in result.out
    assert offline("--help", command).out == result.out == offline("help", command).out


@pytest.mark.parametrize("args", [["--version"], ["status", "--version"]])
def test_version(offline, args):
    result = offline(*args)
    assert result.exit == 0 and re.fullmatch(r"leasehold \d+\.\d+\.\d+\n", result.out)


@pytest.mark.parametrize(
    "args, hint",
    [
        (["aquire", "k"], "did you mean acquire?"),
        (["stat", "k"], "did you mean status?"),
        (["frobnicate"], "leasehold --help"),
        (["acquire", "k", "--tll", "5s"], "did you mean --ttl?"),
        (["acquire", "k", "--nothing-like-it"], "there is no option --nothing-like-it"),
        (["acquire", "k", "--purp", "x"], "did you mean --purpose?"),  # no abbreviations
        (["acquire", "k", "-x"], "there is no option -x"),
        (["acquire", "k", "--ttl"], "--ttl needs a value"),
        (["acquire", "k", "--shared=yes"], "--shared takes no value"),
        (["status", "k", "--ttl", "5s"], "there is no option --ttl here"),
        (["acquire"], "which key?"),
        (["acquire", "k", "l"], '"l" is one word too many'),
        (["list", "k"], '"k" is one word too many'),
        (["run", "k"], "which command"),
        (["run", "k", "true"], "which command is to run? It comes after --"),
        (["renew", "k"], "which lease?"),
        (["release", "k"], "which lease?"),
        (["break", "k", "--yes"], "--reason"),
        (["break", "k", "--reason", "r"], "--yes"),
        (["cleanup"], "--yes"),
        (["migrate", "--archive", "a", "--no-archive"], "either"),
        (["migrate", "--quarantine"], "--yes"),
        (["list", "--limit", "many"], "is not a number"),
        (["list", "--limit", "0"], "is not a number from 1"),
        (["run", "k", "-E", "256", "--", "true"], "from 0 to 255"),
        (["status", "k", "--uri-file", "f", "--uri", NOWHERE], "either"),
        (
            ["cleanup", "--yes", "--db", ""],
            "database name",
        ),  # of a variable that is not set: not the default's
        (["cleanup", "--yes", "--collection", ""], "collection name"),
    ],
)
def test_wrong_usage_is_one_sentence_and_64(offline, args, hint):
    result = offline(*args, env={"LEASEHOLD_URI": NOWHERE})
    assert result.exit == 64, result
    assert (
        hint in result.err and result.err.startswith("leasehold") and result.err.count("\n") == 1
    ), result
    assert result.out == ""


def test_usage_errors_are_objects_too_when_json_is_anywhere_on_the_line(offline):
    for args in (
        ["--json", "nonsense"],
        ["acquire", "--nonsense", "--json"],
        ["acquire", "k", "--ttl", "x", "--json"],
        ["--json"],
    ):
        result = offline(*args)
        error = json.loads(result.out)
        assert result.exit == 64
        assert list(error) == ["v", "outcome", "code", "exit", "message"], args
        assert (error["v"], error["outcome"], error["code"], error["exit"]) == (
            1,
            "error",
            "invalid",
            64,
        )
        assert error["message"] in result.err


def test_json_after_the_double_dash_is_not_ours(offline):
    result = offline("run", "k", "--nonsense", "--", "jq", "--json")
    assert result.exit == 64 and result.out == ""


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "0s",
        "-1s",
        "-5",
        "5x",
        "s",
        "1.5s",
        "1h30m",
        "5 s",
        "999ms",
        "8d",
        "1y",
        "99999999999999999999",
        "9223372036854775807d",
        "forever",
        "5S",
        "0x10",
        "+5s",
        "٣s",
    ],
)
def test_a_bad_ttl_is_refused(offline, value):
    result = offline("acquire", "k", "--ttl", value, "--uri", NOWHERE)
    assert result.exit == 64 and "--ttl" in result.err and result.err.count("\n") == 1, result


@pytest.mark.parametrize(
    "option, value",
    [
        ("--wait", "-1"),
        ("--wait", "x"),
        ("--wait", "9999999d"),
        ("--timeout", "0"),
        ("--timeout", "1h"),
    ],
)
def test_other_bad_durations_are_refused(offline, option, value):
    result = offline("acquire", "k", option, value, "--uri", NOWHERE)
    assert result.exit == 64 and option in result.err, result


def test_a_bad_duration_in_the_environment_is_named(offline):
    result = offline("acquire", "k", env={"LEASEHOLD_TTL": "soon", "LEASEHOLD_URI": NOWHERE})
    assert result.exit == 64 and "LEASEHOLD_TTL" in result.err and '"soon"' in result.err
    result = offline("status", "k", env={"LEASEHOLD_TIMEOUT": "1ms", "LEASEHOLD_URI": NOWHERE})
    assert result.exit == 64 and "LEASEHOLD_TIMEOUT" in result.err


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x" * 1025,
        "é" * 513,
        b"\xff\xfe",
        b"ab\xc3",
        "tab\there",
        "line\nbreak",
        "\x7f",
        "\u0085",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["acquire"],
        ["status"],
        ["renew", "--lease", ID],
        ["release", "--lease", ID],
        ["break", "--reason", "r", "--yes"],
        ["run"],
    ],
)
def test_a_bad_key_is_refused_before_a_server_is_asked(offline, command, key):
    rest = ["--", "true"] if command == ["run"] else []
    result = offline(*command, key, *rest, env={"LEASEHOLD_URI": NOWHERE})
    assert result.exit == 64 and "key" in result.err and result.err.count("\n") == 1, result
    assert result.err.isprintable() or result.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "option, value",
    [
        ("--owner", ""),
        ("--owner", "x" * 257),
        ("--owner", b"\xff"),
        ("--purpose", "x" * 1025),
        ("--purpose", b"\xff"),
    ],
)
def test_bad_texts_are_refused_before_a_server_is_asked(offline, option, value):
    result = offline("acquire", "k", option, value, env={"LEASEHOLD_URI": NOWHERE})
    assert result.exit == 64 and option[2:] in result.err, result


@pytest.mark.parametrize("lease", ["", "x", ID[:-1], ID + "0", "g" * 32])
def test_a_bad_lease_id_is_refused_before_a_server_is_asked(offline, lease):
    for command in ("renew", "release"):
        result = offline(command, "k", "--lease", lease, env={"LEASEHOLD_URI": NOWHERE})
        assert result.exit == 64, result


def test_without_a_uri_it_says_how_to_give_one(offline):
    result = offline("status", "k")
    assert result.exit == 64 and "LEASEHOLD_URI" in result.err


@pytest.mark.parametrize("mode", ["nonsense", "OFF", "obs erve"])
@pytest.mark.parametrize("command", [["acquire", "k"], ["run", "k", "--", "true"], ["status", "k"]])
def test_a_mode_that_is_none_is_never_ignored(offline, mode, command):
    result = offline(*command, env={"LEASEHOLD_MODE": mode, "LEASEHOLD_URI": NOWHERE})
    assert result.exit == 78 and "LEASEHOLD_MODE" in result.err


def test_protected_commands_are_refused(offline):
    env = {"LEASEHOLD_PROTECT": "break, cleanup,migrate reap", "LEASEHOLD_URI": NOWHERE}
    for command in (
        ["break", "k", "--reason", "r", "--yes"],
        ["cleanup", "--yes"],
        ["migrate", "--yes"],
        ["reap"],
    ):
        result = offline("--json", *command, env=env)
        assert result.exit == 77 and "LEASEHOLD_PROTECT" in result.err
        assert result.json["code"] == "denied"


def test_a_slip_in_protect_protects(offline):
    result = offline(
        "cleanup", "--yes", env={"LEASEHOLD_PROTECT": "clean-up", "LEASEHOLD_URI": NOWHERE}
    )
    assert result.exit == 78 and '"clean-up"' in result.err


@pytest.mark.parametrize("command", ["acquire", "list", "serve"])
def test_what_can_not_be_protected_is_told(offline, command):
    result = offline(
        "cleanup", "--yes", env={"LEASEHOLD_PROTECT": command, "LEASEHOLD_URI": NOWHERE}
    )
    assert (
        result.exit == 78
        and f'"{command}"' in result.err
        and "break, cleanup, migrate, reap, torture" in result.err
    )
