#!/usr/bin/env python3
"""Install what some tests let scripts import: the numeric libraries of requirements.txt, beside what the runtime has.

Usage: install.py DIRECTORY, where any user may look: `scientific.py` shows it to profiles in the place of the runtime's packages.
What is there and up to date is left alone.
"""

import compileall
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from py_compile import PycInvalidationMode

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "runtime"))

import build  # noqa: E402

REQUIREMENTS = HERE / "requirements.txt"
# Many files, and nobody imports them. What else stands beside tests is imported from elsewhere.
LEFT_OUT = ("bin", "pyarrow/include", "**/tests/**/test_*.py", "**/*.a", "**/*.pyi", "**/*.pyx", "**/*.pxd")


def main():
    os.umask(0o022)
    directory = Path(sys.argv[1]).resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.parent / f".{directory.name}.lock", "w") as lock:
        build.wait_for(lock)
        if (directory / "stamp").is_file() and (directory / "stamp").read_text() == stamp():
            return
        new = directory.parent / f".{directory.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        try:
            install(new)
            build.replace(directory, new)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        print(f"packages of tests: {directory} is ready", flush=True)


def install(new):
    print("packages of tests: installing suite/packages/requirements.txt", flush=True)
    with tempfile.TemporaryDirectory(prefix="cloister-pip-") as scratch:
        command = [*build.pip(Path(scratch) / "venv"), "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes",
                   "--only-binary", ":all:", "--target", str(new), "-r", str(REQUIREMENTS)]
        if build.run(command, capture=False).returncode != 0:
            sys.exit("packages of tests: pip could not install suite/packages/requirements.txt, its message is above: "
                     "check the network and pip's configuration, then try again")
    for pattern in LEFT_OUT:
        for path in list(new.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # Where scripts see them nothing can be written, so that each job would compile what it imports.
    place = f"/{build.site_directory()}"
    compileall.compile_dir(new, quiet=2, force=True, workers=0, stripdir=str(new), prependdir=place,
                           invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    for path in [new, *new.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (new / "place").write_text(place)
    (new / "stamp").write_text(stamp())


def stamp():
    parts = (REQUIREMENTS.read_bytes(), Path(__file__).read_bytes(), f"{sys.version} {build.base_executable()}".encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"packages of tests: {error}")
    except KeyboardInterrupt:
        sys.exit("packages of tests: interrupted")
