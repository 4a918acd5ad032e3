"""How tests that are about no language say what a script is to do: here in Python's words.

With CLOISTER_TONGUE, a folder, they are said in those of another runtime: its `tongue.py` has the same names, and
`policy(text)`, which makes a policy one of that runtime's. See `echo`.
"""

import importlib.util
import os
from pathlib import Path

# A script says by its process's name that it runs: another process with a job's id may be one that is still being started.
SAY = "import ctypes, time\nctypes.CDLL(None).prctl(15, b'holding', 0, 0, 0)\n"
# Says so, and has the result "held" after the seconds that are its first argument.
HOLD = SAY + "def main(seconds):\n    time.sleep(seconds)\n    return 'held'"
# Prints "begun", says so, and is then seen to run for longer than any test.
LINGER = SAY + "def main():\n    print('begun', end='')\n    time.sleep(100)"
# Uses a processor for ever.
SPIN = "def main():\n    while True: pass"
# The same, with a child that would go on.
SPIN_WITH_CHILD = "import os\ndef main():\n    os.fork()\n    while True: pass"
# Crashes: a signal ends it.
ABORT = "import os\ndef main():\n    os.abort()"
# Prints what comes through its standard input.
COPY = "import sys\ndef main():\n    sys.stdout.write(sys.stdin.read())"


def served(result="served"):
    """Has this text as its result."""
    return f"def main():\n    return {result!r}"


RUN = served()


def printing(text, complaint=""):
    """Prints this, and that to standard error."""
    return f"import sys\ndef main():\n    sys.stdout.write({text!r})\n    sys.stderr.write({complaint!r})"


def ending(code):
    """Ends its process without a result."""
    return f"import os\ndef main():\n    os._exit({code})"


def filling(size):
    """Uses so many bytes of memory."""
    return f"def main():\n    len(b'x' * {size})"


def flooding(size):
    """Prints so many bytes."""
    return f"def main():\n    print('x' * {size}, end='')"


def showing(path):
    """Prints what is in a file."""
    return f"def main():\n    print(open({path!r}).read(), end='')"


def leaving(name):
    """Leaves a file of this name that holds it."""
    return f"import os\ndef main():\n    os.makedirs('out', exist_ok=True)\n    open('out/{name}', 'w').write({name!r})"


def policy(text):
    """The policy as it is."""
    return text


if folder := os.environ.get("CLOISTER_TONGUE"):
    spec = importlib.util.spec_from_file_location("foreign_tongue", Path(folder).resolve() / "tongue.py")
    foreign = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(foreign)
    globals().update({name: value for name, value in vars(foreign).items() if not name.startswith("_")})
