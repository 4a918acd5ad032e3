"""What the suite's neutral tests say, in the words of the program that echoes: see `tongue.py` beside this folder."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

SAY = "!name holding\n"
HOLD = SAY + "!sleep\nheld"
LINGER = SAY + "!print begun\n!sleep 100"
SPIN = "!spin"
SPIN_WITH_CHILD = "!child\n!spin"
ABORT = "!abort"
COPY = "!copy"


def served(result="served"):
    return result


RUN = served()


def printing(text, complaint=""):
    return f"!print {text}\n!complain {complaint}"


def ending(code):
    return f"!exit {code}"


def filling(size):
    return f"!fill {size}"


def flooding(size):
    return f"!flood {size}"


def showing(path):
    return f"!show {path}"


def leaving(name):
    return f"!leave {name}"


def policy(text):
    """The policy with the default profile, and all that inherit from it, on this runtime."""
    text, count = re.subn(r'(?m)^runtime = "python"', 'runtime = "echo"', text)
    assert count == 1, "runtime"
    text = re.sub(r"(?m)^warm = \{.*\}", "warm = false", text)
    return text + f'\n[runtime.echo]\ninterpreter = "/usr/bin/echo"\nrunner = "own"\nmounts = ["{_tree()}:/usr"]\n'


@functools.cache
def _tree():
    """A directory with the program and nothing else, where any user may read it."""
    target = FOLDER.parents[2] / "target/echo"
    build = ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", target]
    subprocess.run(build, cwd=FOLDER, env={**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"}, check=True)
    tree = Path(tempfile.mkdtemp(prefix="cloister-echo-"))
    atexit.register(shutil.rmtree, tree)
    tree.chmod(0o755)
    (tree / "bin").mkdir()
    shutil.copy(target / "release/echo", tree / "bin/echo")
    # Of a program that it may not read the kernel makes a process that others may not look into: would_dump() in fs/exec.c.
    (tree / "bin/echo").chmod(0o711)
    return tree
