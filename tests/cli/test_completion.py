# SPDX-License-Identifier: Apache-2.0
"""Completion, in the shells themselves: what they offer is what the help names."""
import json
import re
import shutil
import subprocess
import warnings

import pytest
from conftest import commands_of


def options_of(offline, *command):
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", offline(*command, "--help").out, re.M))


def bash(script, words):
    harness = (
        'eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _leasehold leasehold'
        ' "${COMP_WORDS[COMP_CWORD]}" ""; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-uc", harness, "bash", script, *words],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split()


def fish(script, words):
    done = subprocess.run(
        [
            "fish",
            "--no-config",
            "-c",
            "source (echo $argv[1] | psub); complete -C $argv[2]",
            script,
            " ".join(words),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and done.stderr == "", done
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


# zsh's own pieces are replaced by ones that say what they were given.
ZSH = r"""
compdef() { : }
eval "$1"; shift
_describe() { print -rl -- ${(P)4%%:*} }
_files() { : }
_arguments() {
  local spec
  if [[ $1 == -C ]]; then
    if (( $#words <= 2 )); then state=command; else state=rest; shift words; (( CURRENT-- )); fi
    return 1
  fi
  for spec in "$@"; do
    [[ $spec == -* ]] && print -r -- ${spec%%\[*}
    [[ $spec == 1:*\(*\) ]] && print -rl -- ${=${spec##*\(}%\)}
  done
}
words=("$@") CURRENT=$#; curcontext=; _leasehold; true
"""


def zsh(script, words):
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", script, *words], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0 and done.stderr == "", done
    return [word for word in done.stdout.split() if word.startswith(words[-1])]


@pytest.fixture(params=[bash, zsh, fish], ids=lambda shell: shell.__name__)
def offered(request, offline):
    name = request.param.__name__
    script = offline("completion", name)
    assert script.exit == 0 and script.err == ""
    if not shutil.which(name):
        warnings.warn(f"NOT TESTED: completion in {name}, which is not installed")
        pytest.skip(f"there is no {name}")
    return lambda *words: request.param(script.out, ["leasehold", *words])


def test_commands_are_offered(offered, offline):
    assert set(offered("")) >= set(commands_of(offline)) | {"help"}
    assert offered("acq") == ["acquire"]
    assert set(offered("help", "re")) == {"renew", "release", "reap"}
    assert set(offered("completion", "")) >= {"bash", "zsh", "fish"}


def test_options_are_offered_where_they_are_taken(offered, offline):
    everywhere = {option for option in options_of(offline)}
    for command in commands_of(offline):
        assert (
            set(word for word in offered(command, "--") if word != "--")
            == options_of(offline, command) | everywhere
        ), command
    assert "--ttl" not in offered("status", "--") and "--ttl" in offered("acquire", "key", "--t")


def test_bash_knows_what_is_a_value(offline, tmp_path):
    script = offline("completion", "bash").out
    (tmp_path / "secret.uri").touch()
    assert bash(script, ["leasehold", "--uri-file", str(tmp_path / "sec")]) == [
        str(tmp_path / "secret.uri")
    ]
    assert bash(script, ["leasehold", "--db", "acq"]) == []
    assert bash(script, ["leasehold", "--db", "x", "acq"]) == ["acquire"]
    assert bash(script, ["leasehold", "acquire", "key", "--ttl", ""]) == []
    assert bash(script, ["leasehold", "run", "key", "--", "--"]) == []


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_no_other_shell(offline, words):
    result = offline("--json", "completion", *words)
    assert result.exit == 64 and "bash, zsh or fish" in json.loads(result.out)["message"]
