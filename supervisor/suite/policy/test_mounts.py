"""Paths that a profile shows at places where a host has its own."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def data():
    with tempfile.TemporaryDirectory(prefix="suite-data-") as directory:
        Path(directory).chmod(0o755)
        for name in ("certificates", "models"):
            (Path(directory) / name).mkdir()
            (Path(directory) / name / "file").write_text(name)
        yield directory


def test_what_a_profile_shows_below_etc_and_var_is_no_breach(start_service, data):
    service = start_service(policy=f"""
[profile.shows]
extends = "default"
warm = false
filesystem.read_only = ["{data}/certificates:/etc/ssl/own", "{data}/models:/var/lib/models"]
""")

    def main():
        import os

        shown = [open(path).read() for path in ("/etc/ssl/own/file", "/var/lib/models/file")]
        return shown + [path for path in ("/etc/shadow", "/etc/hostname", "/var/log", "/run", "/home") if os.path.exists(path)]

    assert service.client.execute(main, profile="shows").result == ["certificates", "models"]
    assert service.client.execute(main).error["exception"] == "FileNotFoundError"
