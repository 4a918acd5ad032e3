#!/usr/bin/env python3
"""Build the Python root tree that sandboxes see at /usr: interpreter, standard library, packages.

The tree is complete in itself: the interpreter that runs this script, the shared libraries that it and
the packages need, and nothing else of the host (no shell, no configuration, no set-user-ID file). It
does not matter where that interpreter lives, /root included, for what a sandbox sees is a copy.

Usage: build.py [TREE], default $CLOISTER_RUNTIME, then /var/lib/cloister/python. A tree that is up to
date is left alone. One that is not is replaced at once, when the new one is complete and has been tried.
"""

import compileall
import hashlib
import os
import platform
import shutil
import site
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from py_compile import PycInvalidationMode

import base
import debian
import fonts
import libraries
import place
import slim

DEFAULT_TREE = "/var/lib/cloister/python"
HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
# What makes the tree what it is, beside the interpreter.
PARTS = [REQUIREMENTS, *(HERE / name for name in ("requirements-fonts.txt", "build.py", "base.py", "debian.py", "fonts.py", "letters.py", "libraries.py", "slim.py"))]

# The standard library as this interpreter has it, and where one installed under /usr looks for it.
STDLIB = Path(sysconfig.get_path("stdlib"))
TREE_STDLIB = f"usr/{sys.platlibdir}/{STDLIB.name}"

# What needs a screen, a package index or a compiler, test suites, and the host's own settings.
LEFT_OUT = ("test", "tests", "_test*.so", "_ctypes_test*.so", "xx*.so", "_xx*.so", "idlelib", "tkinter", "_tkinter*.so",
            "turtledemo", "turtle.py", "ensurepip", "lib2to3", "nis*.so", "*.a", "config-*", "site-packages",
            "dist-packages", "sitecustomize.py", "usercustomize.py", "EXTERNALLY-MANAGED", "__pycache__")


def main():
    os.umask(0o022)
    check_machine()
    tree = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CLOISTER_RUNTIME") or DEFAULT_TREE).resolve()
    say(f"{tree} is ready" if place.made(tree, is_current, build, say) else f"{tree} is up to date")


def check_machine():
    if platform.machine() != "x86_64":
        sys.exit(f"runtime: only x86-64 is supported, this is {platform.machine()}")
    if sys.implementation.name != "cpython" or sys.version_info < (3, 10):
        sys.exit(f"runtime: CPython 3.10 or newer is needed, {sys.executable} is {platform.python_implementation()} "
                 f"{platform.python_version()}: make runtime PYTHON=python3.11 names another")
    if os.geteuid() != 0:
        sys.exit("runtime: the tree must belong to root: sudo make runtime")


def build(new):
    say(f"copying Python {platform.python_version()} from {sys.base_prefix}")
    interpreter = put_interpreter(new, base_executable(), STDLIB, TREE_STDLIB)
    copied = furnish(new, interpreter, new / site_directory(), compile_all)
    write_stamp(new, [base_executable(), *copied])


def base_executable():
    """The interpreter itself, not the virtual environment's or the version manager's name for it."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def put_interpreter(new, program, library, place, root=Path("/")):
    """An interpreter, its standard library at its place in the tree, which names both, and their data from below `root`."""
    target = new / "usr/bin" / library.name
    target.parent.mkdir(parents=True)
    shutil.copy(program, target)
    for name in ("python3", "python"):
        (target.parent / name).symlink_to(target.name)
    shutil.copytree(library, new / place, ignore=shutil.ignore_patterns(*LEFT_OUT), ignore_dangling_symlinks=True)
    copy_data(new, root)
    return target


def furnish(new, interpreter, packages, compile_tree, root=Path("/"), pip_options=()):
    """What a tree has beside its interpreter: packages, fonts and libraries, compiled and tried; what libraries were copied from below `root`."""
    say("installing the packages of requirements.txt")
    install_packages(REQUIREMENTS.name, packages, *pip_options)
    slim.packages(packages)
    say("fetching the fonts")
    try:
        fonts.install(new, packages, install_packages)
    except debian.Problem as problem:
        sys.exit(f"runtime: the fonts cannot be had:\n{problem}")
    say("copying the shared libraries that they need")
    copied = libraries.copy(new, interpreter, root)
    slim.libraries(new)
    say("compiling")
    compile_tree(new)
    try_out(new)
    or_exit("matplotlib finds no fonts", fonts.list_them(new))
    or_exit("the new tree does not tell what is in it", base.write(new))
    settle_modes(new, interpreter)
    return copied


def copy_data(new, root):
    """Time zones, and the one locale that jobs are given (LANG=C.UTF-8); both may be missing."""
    for directory in ("usr/share/zoneinfo", "usr/lib/locale/C.utf8"):
        source = root / directory
        if source.is_dir():
            shutil.copytree(source, new / directory, symlinks=True,
                            ignore=shutil.ignore_patterns("localtime", "posixrules", "right"))


def site_directory():
    """Where an interpreter under /usr looks for packages; Debian's has a place of its own."""
    return next(path for path in site.getsitepackages(["/usr"]) if path.startswith("/usr/lib")).lstrip("/")


def install_packages(requirements, target, *options):
    with tempfile.TemporaryDirectory(prefix="cloister-pip-") as scratch:
        command = [*pip(Path(scratch) / "venv"), "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes",
                   "--only-binary", ":all:", "--target", str(target), *options, "-r", str(HERE / requirements)]
        if run(command, capture=False).returncode != 0:
            sys.exit(f"runtime: pip could not install {Path(requirements).name}, its message is above: "
                     "check the network and pip's configuration, then try again")


def pip(venv):
    """The command that runs pip: this interpreter's, or that of a virtual environment made for the purpose."""
    for python in (sys.executable, venv / "bin/python"):
        if python != sys.executable:
            run([sys.executable, "-m", "venv", str(venv)])
        if Path(python).exists() and run([str(python), "-m", "pip", "--version"]).returncode == 0:
            return [str(python), "-m", "pip"]
    sys.exit(f"runtime: {sys.executable} has no pip: apt-get install python3-pip")


def compile_all(new):
    """Compiled files are used without a look at the source: nothing in the tree can change."""
    for directory in (TREE_STDLIB, site_directory()):
        compileall.compile_dir(new / directory, quiet=2, force=True, workers=0, stripdir=str(new), prependdir="/",
                               invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def settle_modes(new, interpreter):
    """Everything root's and readable; nothing writable by others, nothing set-user-ID."""
    for path in [new, *new.rglob("*")]:
        os.chown(path, 0, 0, follow_symlinks=False)
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
    # A program that may be run but not read is not dumpable: its processes' memory is closed to
    # others of the same id, also right after a cold start. See prctl(2), PR_SET_DUMPABLE.
    interpreter.chmod(0o711)


TRIAL = """
import sys
import asyncio, bz2, ctypes, decimal, hashlib, lzma, multiprocessing, sqlite3, ssl, uuid, zlib, zoneinfo
import flask, httpx, jinja2, matplotlib.pyplot, numpy, numpy.testing, openpyxl, pandas, pandas.testing, requests, tabulate, tqdm, yaml
import dateutil.parser, fontTools.ttLib, kiwisolver, PIL.Image, PIL.ImageFont, pytz
assert sys.prefix == sys.base_prefix == "/usr", sys.prefix
assert all(path.startswith("/usr/") for path in sys.path), sys.path
ctypes.CDLL("libgcc_s.so.1")  # glibc loads it by name when a thread ends early
zoneinfo.ZoneInfo("Europe/Berlin")
assert pandas.DataFrame({"a": numpy.arange(3)})["a"].sum() == 3
print(f"runtime: tried: numpy {numpy.__version__}, pandas {pandas.__version__}")
"""


def try_out(new):
    trial = base.run_in(new, TRIAL)
    or_exit("the new tree does not work", trial.returncode and trial.stdout + trial.stderr)
    print(trial.stdout, end="", flush=True)


def or_exit(what, problem):
    if problem:
        sys.exit(f"runtime: {what}:\n{problem}")


def write_stamp(new, sources):
    lines = [fingerprint(), *(describe(path) for path in sorted(set(sources)))]
    (new / "stamp").write_text("\n".join(lines) + "\n")


def is_current(tree):
    """Whether nothing that the tree was made from has changed, the host's libraries (security updates) included."""
    try:
        made_from, *sources = (tree / "stamp").read_text().splitlines()
        return made_from == fingerprint() and all(describe(line.split(" ", 2)[2]) == line for line in sources)
    except (OSError, ValueError, IndexError):
        return False


def fingerprint(*more):
    digest = hashlib.sha256()
    for part in (*(part.read_bytes() for part in (*PARTS, *more)), f"{base_executable()} {sys.version}".encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def describe(path):
    status = os.stat(path)
    return f"{status.st_mtime_ns} {status.st_size} {path}"


def run(command, capture=True):
    """Run a program with the caller's settings for pip, proxies and certificates, but not for Python."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    return subprocess.run(command, env=env, text=True, capture_output=capture, stdin=subprocess.DEVNULL)


def say(message):
    print(f"runtime: {message}", flush=True)


if __name__ == "__main__":
    place.run(main, "runtime")
