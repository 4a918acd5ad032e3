#!/usr/bin/env python3
"""Install what some tests let scripts import: the numeric libraries of requirements.txt, beside what the runtime has.

Usage: install.py DIRECTORY, where any user may look: `scientific.py` shows it to profiles in the place of the runtime's packages.
They are for the Python that runs this, whose wheels' word is then in `tag`. What is there and up to date is left alone.
"""

import compileall
import hashlib
import os
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "runtime"))

import build  # noqa: E402
import place  # noqa: E402
import slim  # noqa: E402

REQUIREMENTS = HERE / "requirements.txt"


def main():
    os.umask(0o022)
    directory = Path(sys.argv[1]).resolve()
    if place.made(directory, is_current, install, say):
        say(f"{directory} is ready")


def is_current(directory):
    return (directory / "stamp").is_file() and (directory / "stamp").read_text() == stamp()


def install(new):
    say("installing suite/packages/requirements.txt")
    build.install_packages(REQUIREMENTS, new)
    slim.packages(new)
    # Where scripts see them nothing can be written, so that each job would compile what it imports.
    compileall.compile_dir(new, quiet=2, force=True, workers=0, stripdir=str(new), prependdir=f"/{build.site_directory()}",
                           invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    for path in [new, *new.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (new / "tag").write_text("cp{}{}".format(*sys.version_info))
    (new / "stamp").write_text(stamp())


def stamp():
    parts = (REQUIREMENTS.read_bytes(), Path(__file__).read_bytes(), Path(slim.__file__).read_bytes(), f"{sys.version} {build.base_executable()}".encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def say(message):
    print(f"packages of tests: {message}", flush=True)


if __name__ == "__main__":
    place.run(main, "packages of tests")
