"""The runner's parts as modules, and the text that they are put together to as `build.rs` does it."""

import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

PARTS = (FOLDER / "runner/parts").read_text().split()
LATE = (FOLDER / "runner/late").read_text().split()


def put_behind(parts):
    lines = [line for part in parts for line in (FOLDER / f"runner/{part}.py").read_text().splitlines(keepends=True)]
    return "".join(re.sub(r"(?<= )from \..*", "load_late()", line) for line in lines if not line.startswith("from ."))


def put_together():
    return put_behind(PARTS[:-1]) + f"LATE = r'''{put_behind(LATE)}'''\n" + put_behind(PARTS[-1:])


@pytest.fixture(scope="session")
def runner_text():
    """What an interpreter is given."""
    return put_together()
