"""The runner's code, compiled once and run by others: `compile.py` and `load.py`."""

import os
import subprocess
import sys
from pathlib import Path

COMPILE, LOAD = [(Path(__file__).parent.parent / name).read_text() for name in ("compile.py", "load.py")]
TEXT = """import os
import sys
try:
    os.fstat(6)
except OSError:
    print(__name__, sys.argv[1:], sorted({"runner", "text"} & {*globals()}), os.path.basename(sys._getframe().f_code.co_filename))
"""
SAID = "__main__ ['ahead', '7'] [] <string>\n"


def compiled():
    return subprocess.run([sys.executable, "-S", "-I", "-c", COMPILE, TEXT], stdout=subprocess.PIPE, check=True).stdout


def said(program):
    """What it prints where it is open at descriptor 6, at whose end another has left it."""
    code = os.memfd_create("code")
    os.write(code, program)
    start = "import os, sys\nos.dup2(int(sys.argv[1]), 6)\nos.closerange(7, 64)\nos.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    command = [sys.executable, "-c", start, str(code), "-I", "-c", LOAD, "ahead", "7"]
    try:
        return subprocess.run(command, pass_fds=[code], stdout=subprocess.PIPE, check=True, text=True).stdout
    finally:
        os.close(code)


def test_it_runs_as_the_text_would():
    assert said(compiled()) == SAID == subprocess.run(
        [sys.executable, "-I", "-c", TEXT, "ahead", "7"], stdout=subprocess.PIPE, check=True, text=True).stdout


def test_the_text_behind_it_is_not_run():
    assert said(compiled().removesuffix(TEXT.encode()) + b"nothing that compiles") == SAID


def test_an_interpreter_of_another_version_runs_the_text():
    program = compiled()
    assert said(b"\0\0\r\n" + program[4:12] + b"\xff" * (len(program) - 12 - len(TEXT)) + TEXT.encode()) == SAID
