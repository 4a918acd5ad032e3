"""The profile `science`: `make run` serves it once its packages are built for the tree that is served, as the program tells."""

import json
import re
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(RUNTIME))

import policies
import science
import serve

POLICY = science.POLICY / "policy.toml"
# Tells what is in `told` and keeps the policy that it was asked about.
PROGRAM = """#!/bin/sh
[ "$1 $2 $3 $4" = "runtime list --json --policy" ] && cp "$5" {0}/asked.toml && cat {0}/told
"""
RUNTIMES = [{"name": "other", "build": "aa"}, {"name": "science", "build": "bb"}]


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What the program tells; the packages have a lock."""
    monkeypatch.delenv("CLOISTER_RUNTIME", raising=False)
    monkeypatch.setenv("CLOISTER_SCIENCE", str(tmp_path / "science.txt"))
    (tmp_path / "science.txt.lock").touch()
    (tmp_path / "cloister").write_text(PROGRAM.format(tmp_path))
    (tmp_path / "cloister").chmod(0o755)
    return lambda told: (tmp_path / "told").write_text(json.dumps(told))


def served(tmp_path):
    return Path(serve.to_serve(tmp_path, str(POLICY), tmp_path / "policy.toml"))


def test_it_is_served_when_its_build_is_there(told, tmp_path):
    told({"runtimes": RUNTIMES, "builds": [{"id": "bb"}]})
    text = served(tmp_path).read_text()
    assert text.startswith(POLICY.read_text()) and "[profile.science]" in text
    assert f'packages = "{tmp_path}/science.txt"' in text and text == (tmp_path / "asked.toml").read_text()


@pytest.mark.parametrize("builds", [[], [{"id": "aa"}]])
def test_it_is_not_served_without_its_build(told, tmp_path, builds):
    told({"runtimes": RUNTIMES, "builds": builds})
    assert served(tmp_path) == POLICY


def test_it_is_not_served_without_its_lock_of_which_nobody_is_asked(told, tmp_path):
    (tmp_path / "science.txt.lock").unlink()
    assert served(tmp_path) == POLICY and not (tmp_path / "asked.toml").exists()


def test_why_nothing_can_be_told_is_said(told, tmp_path, capsys):
    told({"error": "line 3: no such key"})
    assert served(tmp_path) == POLICY
    assert "not serving the profile science: line 3: no such key" in capsys.readouterr().err


def test_with_another_tree_it_is_that_trees(told, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOISTER_RUNTIME", "/srv/python313")
    told({"runtimes": RUNTIMES, "builds": [{"id": "bb"}]})
    text = served(tmp_path).read_text()
    assert '"/srv/python313/usr:/usr"' in text and f'"{policies.SHIPPED_TREE}/' not in text and "[profile.science]" in text


@pytest.mark.parametrize("tree, place", [("", "/var/lib/cloister/science.txt"), ("/var/lib/cloister/python313", "/var/lib/cloister/python313-science.txt")])
def test_each_tree_has_a_lock_of_its_own(monkeypatch, tree, place):
    monkeypatch.delenv("CLOISTER_SCIENCE", raising=False)
    monkeypatch.setenv("CLOISTER_RUNTIME", tree)
    assert science.packages() == Path(place)


def test_for_tests_the_packages_are_those_of_the_only_profile():
    text = science.as_default(science.with_piece(POLICY))
    assert re.findall(r"(?m)^\[profile\.\w+\]\nruntime = .*", text) == ['[profile.default]\nruntime = "science"']
    assert "[profile.science]" not in text and "[runtime.science]" in text
