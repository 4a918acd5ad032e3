"""README.md: on a Linux without apt the tree is made all the same, without one font, and that is said."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fonts


@pytest.fixture
def tree(tmp_path):
    """A new tree that has matplotlib and nothing else."""
    packages = tmp_path / "new/packages"
    data = packages / "matplotlib/mpl-data/fonts/ttf"
    data.mkdir(parents=True)
    (packages / "matplotlib-3.10.9.dist-info").mkdir()
    for name in (*fonts.DEJAVU, "LICENSE_DEJAVU"):
        (data / name).write_text(name)
    return tmp_path / "new"


def pip_install(requirements, target):
    """What it would install of these."""
    assert requirements == "requirements-fonts.txt"
    info = target / "manimgx_fonts-1.2.dist-info/licenses"
    info.mkdir(parents=True)
    (info / "LICENSE").write_text("licence")
    (target / "manimgx_fonts").mkdir()
    (target / "manimgx_fonts/NotoEmoji[wght].ttf").write_text("emoji")


def test_without_apt_one_font_is_missing_and_named(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    fonts.install(tree, tree / "packages", pip_install)
    there = {path.name for path in (tree / fonts.FONTS).iterdir()}
    assert there == {*fonts.DEJAVU, "NotoEmoji.ttf"}
    told = json.loads((tree / "fonts.json").read_text())
    assert [font["name"] for font in told] == ["DejaVu Sans", "Noto Emoji"] and {file for font in told for file in font["files"]} == there
    assert [font["package"] for font in told] == ["pkg:pypi/matplotlib@3.10.9", "pkg:pypi/manimgx-fonts@1.2"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no apt" in said and "Chinese, Japanese and Korean" in said
