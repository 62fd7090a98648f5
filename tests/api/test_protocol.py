# SPDX-License-Identifier: Apache-2.0
"""The protocol's compiler: what it refuses, that its checks find what is wrong, and that the
model's patches still apply."""
import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT

SCRIPT, SOURCE = ROOT / "scripts/protocol", ROOT / "src/protocol"


def compiled(folder):
    return subprocess.run(
        [sys.executable, SCRIPT, "--source", folder], capture_output=True, text=True
    )


@pytest.fixture
def source(tmp_path):
    for path in SOURCE.glob("*.lp"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_the_source_alone_makes_the_commands(source):
    assert compiled(source).returncode == 0
    assert (source / "texts.c").read_text() == (SOURCE / "texts.c").read_text()


@pytest.mark.parametrize(
    "added, why",
    [
        ("define short_x = nobody", "there is no nobody here"),
        ("define short_x = y define y = short_x", "short_x is defined by itself"),
        ("define short_x = later(now)", "later takes 2 arguments, not 1"),
        ("define cut = now", "cut is defined in another file too"),
        ("define x = 1 define x = 2", "x is defined twice"),
        ("define x = .a is number", "number is no type"),
        ("define x = (1", "expected ')'"),
        ("define x = 1 ?", "cannot read '?'"),
    ],
)
def test_mistakes_are_named(source, added, why):
    (source / "more.lp").write_text(added)
    done = compiled(source)
    assert done.returncode == 1
    assert why in done.stderr


def test_every_patch_of_the_model_applies_and_compiles(source):
    sys.path.insert(0, str(ROOT / "scripts"))
    from patches import apply

    for name, row in tomllib.loads((ROOT / "tests/model/patches.toml").read_text()).items():
        before = {path: path.read_text() for path in source.glob("*.lp")}
        for change in row["change"]:
            path = source / change["file"].removeprefix("src/protocol/")
            path.write_text(apply(change, path.read_text()))
        done = compiled(source)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert (source / "texts.c").read_text() != (SOURCE / "texts.c").read_text(), name
        for path, text in before.items():
            path.write_text(text)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    loader = importlib.machinery.SourceFileLoader("protocol", str(SCRIPT))
    protocol = importlib.util.module_from_spec(importlib.util.spec_from_loader("protocol", loader))
    loader.exec_module(protocol)
    (tmp_path / "a.lp").write_text("define there = 1\n")
    page = tmp_path / "README.md"
    page.write_text("[`there`](a.lp) [`the`](a.lp) [a file](b.lp) [`there`](a.lp#L1)")
    assert list(protocol.broken_links(page)) == ["a.lp has no the", "b.lp is not there"]
