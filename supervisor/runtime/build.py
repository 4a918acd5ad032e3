#!/usr/bin/env python3
"""Build the Python root tree that sandboxes see at /usr: interpreter, standard library, packages.

The tree is complete in itself: the interpreter that runs this script, the shared libraries that it and
the packages need, and nothing else of the host (no shell, no configuration, no set-user-ID file). It
does not matter where that interpreter lives, /root included, for what a sandbox sees is a copy.

Usage: build.py [TREE], default /var/lib/cloister/python. A tree that is up to date is left alone.
"""

import compileall
import fcntl
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

DEFAULT_TREE = "/var/lib/cloister/python"
HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"

# Parts of the standard library that need a screen, a package index or the host, and test suites.
LEFT_OUT = ("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3", "site-packages",
            "dist-packages", "__pycache__", "*.a", "config-*")


def main():
    tree = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CLOISTER_RUNTIME", DEFAULT_TREE))
    check_machine()
    tree.parent.mkdir(parents=True, exist_ok=True)
    with open(tree.parent / f".{tree.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = fingerprint()
        if (tree / "stamp").is_file() and (tree / "stamp").read_text() == stamp:
            print(f"runtime: {tree} is up to date")
            return
        build(tree, stamp)


def check_machine():
    if os.geteuid() != 0:
        sys.exit("runtime: the tree must belong to root; run this as root (sudo make runtime)")
    if sys.version_info < (3, 10):
        sys.exit(f"runtime: Python 3.10 or newer is needed, this is {platform.python_version()}; apt-get install python3")
    if platform.machine() != "x86_64":
        sys.exit(f"runtime: only x86-64 is supported, this is {platform.machine()}")
    if run([sys.executable, "-m", "pip", "--version"], check=False).returncode != 0:
        sys.exit("runtime: this Python has no pip; apt-get install python3-pip")


def build(tree, stamp):
    new = tree.parent / f".{tree.name}.new"
    shutil.rmtree(new, ignore_errors=True)
    print(f"runtime: copying {VERSION} from {sys.base_prefix}")
    interpreter = copy_interpreter(new)
    copy_standard_library(new)
    print("runtime: installing the packages of requirements.txt")
    packages = new / site_directory()
    install_packages(packages)
    print("runtime: copying the shared libraries that they need")
    copy_libraries(new, interpreter)
    if Path("/usr/share/zoneinfo").is_dir():
        shutil.copytree("/usr/share/zoneinfo", new / "usr/share/zoneinfo", symlinks=True, ignore=shutil.ignore_patterns("localtime", "posixrules"))
    print("runtime: compiling")
    for directory in (new / "usr/lib" / VERSION, packages):
        compileall.compile_dir(directory, quiet=2, workers=os.cpu_count() or 1, stripdir=str(new), prependdir="/",
                               invalidation_mode=__import__("py_compile").PycInvalidationMode.UNCHECKED_HASH)
    settle_modes(new, interpreter)
    test(new)
    (new / "stamp").write_text(stamp)
    old = tree.parent / f".{tree.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if tree.exists():
        tree.rename(old)
    new.rename(tree)
    shutil.rmtree(old, ignore_errors=True)
    print(f"runtime: {tree} is ready")


def fingerprint():
    """What a tree is made from; a change in any of it makes the tree anew."""
    binary = Path(base_executable())
    digest = hashlib.sha256()
    for part in (REQUIREMENTS.read_bytes(), Path(__file__).read_bytes(), sys.version.encode(), str(binary).encode(),
                 str(binary.stat().st_mtime_ns).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def base_executable():
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable) or sys.executable)


def copy_interpreter(new):
    target = new / "usr/bin" / VERSION
    target.parent.mkdir(parents=True)
    shutil.copy(base_executable(), target)
    for name in ("python3", "python"):
        (target.parent / name).symlink_to(VERSION)
    return target


def copy_standard_library(new):
    source = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(source, new / "usr/lib" / VERSION, ignore=shutil.ignore_patterns(*LEFT_OUT), ignore_dangling_symlinks=True)
    platstdlib = Path(sysconfig.get_path("platstdlib")) / "lib-dynload"
    if not (new / "usr/lib" / VERSION / "lib-dynload").is_dir() and platstdlib.is_dir():
        shutil.copytree(platstdlib, new / "usr/lib" / VERSION / "lib-dynload")


def site_directory():
    """Where an interpreter under /usr looks for packages; Debian's has a place of its own."""
    is_debian = "deb_system" in sysconfig.get_scheme_names() or hasattr(__import__("site"), "_get_default_scheme") \
        or any("dist-packages" in path for path in sys.path)
    return "usr/lib/python3/dist-packages" if is_debian else f"usr/lib/{VERSION}/site-packages"


def install_packages(target):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes",
               "--only-binary", ":all:", "--no-warn-script-location", "--root-user-action", "ignore",
               "--target", str(target), "-r", str(REQUIREMENTS)]
    if run(command, check=False, quiet=False).returncode != 0:
        sys.exit("runtime: pip could not install requirements.txt (its message is above); check the network and try again")
    shutil.rmtree(target / "bin", ignore_errors=True)
    for name in ("tests", "test", "__pycache__"):
        for directory in list(target.rglob(name)):
            # numpy.testing and pandas.testing are used by scripts, their test suites are not.
            if directory.is_dir() and directory.parent != target:
                shutil.rmtree(directory, ignore_errors=True)


def copy_libraries(new, interpreter):
    libraries = new / "usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    wanted = {}
    for path in [interpreter, *new.rglob("*.so"), *new.rglob("*.so.*")]:
        if path.is_file() and not path.is_symlink():
            wanted.update(needed_by(path))
    for name, source in wanted.items():
        if str(source).startswith(str(new)):
            continue
        if name.startswith("ld-linux"):
            (new / "usr/lib64").mkdir(exist_ok=True)
            shutil.copy(source, new / "usr/lib64" / name)
        else:
            shutil.copy(source, libraries / name)
    # What glibc loads by name at run time: thread cancellation needs it.
    for name in ("libgcc_s.so.1", "libstdc++.so.6"):
        for directory in (Path("/lib/x86_64-linux-gnu"), Path("/usr/lib/x86_64-linux-gnu")):
            if (directory / name).exists() and not (libraries / name).exists():
                shutil.copy(directory / name, libraries / name)


def needed_by(path):
    """The shared libraries that a file is linked with, by the name that the loader looks for."""
    found = {}
    for line in run(["ldd", str(path)], check=False).stdout.splitlines():
        match = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if match:
            found[os.path.basename(match.group(1) or match.group(2))] = Path(os.path.realpath(match.group(2)))
    return found


def settle_modes(new, interpreter):
    """Everything root's and readable; nothing writable by others, nothing set-user-ID."""
    for path in [new, *new.rglob("*")]:
        os.chown(path, 0, 0, follow_symlinks=False)
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        executable = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
    # A program that may be run but not read is not dumpable: its processes' memory is closed to
    # others of the same id, also right after a cold start. See prctl(2), PR_SET_DUMPABLE.
    interpreter.chmod(0o711)


def test(new):
    """Run the tree as a sandbox will see it: at /usr, with nothing else."""
    script = "import numpy, pandas, flask, ssl, sqlite3, ctypes, zoneinfo, lzma, bz2, decimal, multiprocessing, asyncio, sys;" \
             "assert sys.prefix == '/usr', sys.prefix; print('runtime: Python', sys.version.split()[0], 'numpy', numpy.__version__," \
             "'pandas', pandas.__version__)"
    for name, target in (("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin")):
        (new / name).symlink_to(target)
    try:
        finished = run([shutil.which("chroot") or "/usr/sbin/chroot", str(new), "/usr/bin/python3", "-I", "-X", "utf8", "-B", "-c", script], check=False, env={})
    finally:
        for name in ("lib", "lib64", "bin"):
            (new / name).unlink()
    if finished.returncode != 0:
        sys.exit(f"runtime: the tree does not work:\n{finished.stdout}{finished.stderr}")
    print(finished.stdout, end="")


def run(command, check=True, quiet=True, env=None):
    if env is None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, check=check, env=env, text=True, capture_output=quiet)


if __name__ == "__main__":
    main()
