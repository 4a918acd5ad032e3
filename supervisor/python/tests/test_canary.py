"""The canary's attempts: what it takes for the sandbox's own."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

CANARY = Path(__file__).parents[1] / "canary.py"


@pytest.fixture
def canary():
    namespace = {"__name__": "canary"}
    exec(compile(CANARY.read_text(), "canary.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


@pytest.mark.parametrize(
    ("devices", "path", "made"),
    [
        ({}, "/mnt", True),
        ({}, "/mnt/data", True),
        ({}, "/mnt/other", False),
        ({}, "/home", False),
        ({}, "/mnt/data/in", False),
        # What is mounted there is the host's.
        ({"/mnt": 9}, "/mnt", False),
        ({"/mnt/data": 9}, "/mnt/data", False),
        ({"/mnt/data": 1}, "/mnt/data", False),
    ],
)
def test_a_directory_that_was_made_is_on_the_file_systems_of_the_job(canary, monkeypatch, devices, path, made):
    devices = {"/": 1, "/mnt": 1, "/tmp": 2, "/mnt/data": 2} | devices
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_dev=devices[path]))
    assert canary.is_made(path, "/mnt/data") == made
    assert not canary.is_made(path, None)


def test_a_path_and_what_it_lies_in(canary):
    assert list(canary.parts("/mnt/data")) == ["/mnt/data", "/mnt"] and list(canary.parts(None)) == []
