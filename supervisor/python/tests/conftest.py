"""The runner's parts as modules, and the text that they are put together to as `build.rs` does it."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

PARTS = (FOLDER / "runner/parts").read_text().split()


def put_together():
    lines = [line for part in PARTS for line in (FOLDER / f"runner/{part}.py").read_text().splitlines(keepends=True)]
    return "".join(line for line in lines if not line.startswith("from ."))


@pytest.fixture(scope="session")
def runner_text():
    """What an interpreter is given."""
    return put_together()
