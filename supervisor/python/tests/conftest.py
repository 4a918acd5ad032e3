"""The runner's parts as modules, and the text that they are put together to as `build.rs` does it."""

import os
import re
import sys
from pathlib import Path

import pytest

from session_of import Session

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

INTERPRETERS = [sys.executable, *map(str, Path(os.environ.get("CLOISTER_RUNTIME") or "/var/lib/cloister/python").glob("usr/bin/python3"))]

# The zygote's native half, where it is built.
LIBRARY = os.environ.get("CLOISTER_BIN", "") + "/libcloister_zygote.so"

PARTS = (FOLDER / "runner/parts").read_text().split()
LATE = (FOLDER / "runner/late").read_text().split()
SESSIONS = (FOLDER / "runner/sessions").read_text().split()


def without_words(text):
    """The text without its comments, documentation and empty lines, as `build.rs` leaves them out."""
    kept, in_string, is_kept, opened = [], False, True, True
    for line in text.splitlines(keepends=True):
        code = line.strip()
        if not in_string:
            if not code or code.startswith("#"):
                continue
            is_kept = not (opened and code.startswith('"""'))
            opened = code.startswith(("def ", "class ", "async def ")) and code.endswith(":")
        if is_kept:
            kept.append(line)
        in_string ^= bool(code.count('"""') % 2)
    return "".join(kept)


def alone(part, folder="runner"):
    text = ""
    for line in without_words((FOLDER / f"{folder}/{part}.py").read_text()).splitlines(keepends=True):
        imported = re.match(r"( *)from \.(\w+) import ", line)
        if not imported:
            text += line
        elif imported[2] in LATE + SESSIONS:
            text += f'{imported[1]}load_late("{imported[2]}")\n'
    return text


def put_together():
    *before, last = PARTS
    return "".join(map(alone, before)) + f"LATE = {{\n{strings(LATE)}}}\n" + alone(last)


def strings(parts):
    return "".join(f"\"{part}\": r'''{alone(part)}''',\n" for part in parts)


@pytest.fixture(scope="session")
def runner_text():
    """What an interpreter is given."""
    return put_together()


@pytest.fixture(scope="session")
def sessions_text():
    """What it is given behind that."""
    return f"LATE.update({{\n{strings(SESSIONS)}}})\n"


@pytest.fixture(params=INTERPRETERS, ids=["at hand", "of the sandboxes"][: len(INTERPRETERS)])
def session(request, tmp_path, runner_text, sessions_text):
    """A session that has begun."""
    begun = Session((runner_text, sessions_text), tmp_path, interpreter=request.param)
    yield begun
    begun.close()
