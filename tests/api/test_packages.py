# SPDX-License-Identifier: Apache-2.0
"""The components that packages are made of: each file is in one of them, and each is of use without
the others that it does not need."""
import json
import os
import shutil
import subprocess

import pytest
from conftest import URI, cached, install

COMPONENTS = ["library", "development", "cli", "serve", "torture"]
SERVES = cached("LEASEHOLD_SERVE") in ("ON", "1")


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def only_names(paths, folder):
    return {path.rpartition("/")[2] for path in paths if path.startswith(folder)}


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    place = tmp_path_factory.mktemp("components")
    return {name: install(place / name, "--component", name) for name in COMPONENTS}


@pytest.fixture
def merged(components, tmp_path):
    """merged("cli", "serve"): both in one prefix, as packages put them there."""

    def merge(*names):
        for name in names:
            if components[name].exists():
                shutil.copytree(
                    components[name], tmp_path / "prefix", dirs_exist_ok=True, symlinks=True
                )
        return tmp_path / "prefix" / "bin"

    return merge


def run(program, *args, **env):
    """Without any leasehold elsewhere in PATH."""
    path = os.pathsep.join(
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not shutil.which("leasehold", path=folder)
    )
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LEASEHOLD_", "MONGODB_URI"))
    }
    return subprocess.run(
        [program, *args],
        env=clean | {"PATH": path} | env,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_each_file_is_in_one_component(components, staged):
    found = [file for folder in components.values() if folder.exists() for file in files(folder)]
    assert sorted(found) == sorted(files(staged.prefix))


def test_each_component_has_its_programs_pages_and_units(components):
    got = {name: files(folder) if folder.exists() else set() for name, folder in components.items()}
    programs = {name: only_names(got[name], "bin/") for name in COMPONENTS}
    assert programs == {
        "library": set(),
        "development": set(),
        "cli": {"leasehold"},
        "torture": {"leasehold-torture"},
        "serve": {"leasehold-serve"} if SERVES else set(),
    }
    units = {name: only_names(got[name], cached("LEASEHOLD_UNIT_DIR")) for name in COMPONENTS}
    assert units["cli"] == {"leasehold-cleanup.service", "leasehold-cleanup.timer"}
    assert units["serve"] == ({"leasehold.service"} if SERVES else set())
    pages = {name: only_names(got[name], "share/man/") for name in COMPONENTS}
    if pages["cli"]:
        assert pages["torture"] == {"leasehold-torture.1"} and pages["serve"] == (
            {"leasehold-serve.1"} if SERVES else set()
        )
        assert {"leasehold.1", "leasehold-run.1", "leasehold-upgrade.7"} <= pages["cli"]
        assert pages["development"] == {"libleasehold.3", "leasehold-schema.5"}
    assert all("libleasehold.so." in file for file in got["library"]) and got["library"]
    assert any(file.endswith("leasehold.h") for file in got["development"])


@pytest.mark.parametrize("program", ["serve", "torture"])
def test_a_command_whose_package_is_missing_says_which(merged, program):
    leasehold = merged("cli") / "leasehold"
    done = run(leasehold, "--json", program, LEASEHOLD_URI="mongodb://127.0.0.1:1/")
    assert (
        done.returncode == 64
        and f"leasehold-{program}" in done.stderr
        and done.stderr.count("\n") == 1
    ), done
    assert json.loads(done.stdout)["code"] == "invalid"


@pytest.mark.parametrize("program", ["serve", "torture"])
def test_help_and_completion_do_not_need_the_package(merged, program):
    leasehold = merged("cli") / "leasehold"
    assert f"  {program} " in run(leasehold, "--help").stdout
    for args in ([program, "--help"], ["help", program]):
        assert f"Usage: leasehold {program}" in run(leasehold, *args).stdout
    assert program in run(leasehold, "completion", "bash").stdout
    wrong = run(leasehold, program, "--nonsense")
    assert wrong.returncode == 64 and "there is no option --nonsense here" in wrong.stderr


@pytest.mark.parametrize("program", ["serve", "torture"])
def test_the_program_beside_it_is_run_with_the_same_options(merged, components, program):
    if not components[program].exists():
        pytest.skip("built without serve")
    leasehold = merged("cli", program) / "leasehold"
    protected = run(
        leasehold,
        "--db",
        "d",
        "--",
        program,
        *(["--yes"] if program == "torture" else []),
        LEASEHOLD_URI=URI,
        LEASEHOLD_PROTECT="nonsense",
    )
    assert protected.returncode == 78 and protected.stderr.startswith(
        f"leasehold {program}: LEASEHOLD_PROTECT names"
    ), protected
    alone = run(leasehold.with_name(f"leasehold-{program}"), "--version")
    assert alone.returncode == 0 and alone.stdout == run(leasehold, "--version").stdout


def test_a_program_that_is_elsewhere_in_path_is_found(merged, tmp_path):
    leasehold = merged("cli") / "leasehold"
    elsewhere = tmp_path / "elsewhere" / "leasehold-torture"
    elsewhere.parent.mkdir()
    elsewhere.write_text('#!/bin/sh\necho "$0" "$@"\n')
    elsewhere.chmod(0o755)
    done = run(
        leasehold,
        "--db",
        "d",
        "torture",
        "--uri",
        "mongodb://u:secret@h/",
        "--keys",
        "3",
        PATH=f"{elsewhere.parent}:/usr/bin:/bin",
    )
    assert done.stdout == f"{elsewhere} --db d --uri mongodb://u:secret@h/ --keys 3\n", done


def test_what_cannot_be_executed_is_not_missing(merged):
    folder = merged("cli")
    (folder / "leasehold-torture").write_text("no program\n")
    (folder / "leasehold-torture").chmod(0o644)
    done = run(folder / "leasehold", "torture")
    assert done.returncode == 78 and "cannot be run: Permission denied" in done.stderr, done


def test_the_command_line_needs_no_http_library(components):
    needed = subprocess.run(
        ["readelf", "-d", components["cli"] / "bin/leasehold"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "libmongoc" in needed and "microhttpd" not in needed
