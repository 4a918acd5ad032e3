#!/usr/bin/env python3
"""Install what the tests or the benchmark need: the lints of the Rust toolchain, Debian's packages, and a
virtual environment with what a file of requirements pins.

Usage: test_tools.py VENV [REQUIREMENTS [PROGRAM[=PACKAGE][?]...]], where REQUIREMENTS is a file in this folder, or one by its
whole path, a program has the name of its package unless another is given, and one with a question mark is not missed where no
package can be had: the tests that need it say that they are skipped. What is there already is left alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from build import run

HERE = Path(__file__).resolve().parent


def main():
    for component in ("rustfmt", "clippy"):
        install_component(component)
    venv, name, programs = Path(sys.argv[1]), (sys.argv[2:3] or ["requirements-test.txt"])[0], sys.argv[3:]
    install_programs(programs)
    requirements = HERE / name
    stamp = hashlib.sha256(requirements.read_bytes() + f"{sys.version} {sys.base_prefix}".encode()).hexdigest()
    if (venv / "stamp").is_file() and (venv / "stamp").read_text() == stamp:
        return
    make(venv)
    install = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes",
               "--only-binary", ":all:", "-r", str(requirements)]
    if run(install, capture=False).returncode != 0:
        sys.exit(f"cloister: pip could not install {name}, its message is above: "
                 "check the network and pip's configuration, then try again")
    (venv / "stamp").write_text(stamp)


def install_component(name):
    program = {"rustfmt": "fmt"}.get(name, name)
    if run(["cargo", program, "--version"]).returncode == 0:
        return
    if not shutil.which("rustup") or run(["rustup", "component", "add", name], capture=False).returncode != 0:
        sys.exit(f"cloister: the Rust toolchain has no {name}: rustup component add {name}")


def install_programs(wanted):
    """Programs, and the packages of Debian that bring them."""
    split = [given.rstrip("?").partition("=") for given in wanted]
    package_of = {program: package or program for program, _, package in split}
    # Again if need be: for what it installs, apt takes out what was there of another release.
    for _ in range(2):
        apt_install(*(package for program, package in package_of.items() if not shutil.which(program)))
    missing = {program: package for program, package in package_of.items() if not shutil.which(program)}
    needed = [missing.pop(program) for program in list(missing) if f"{program}?" not in wanted]
    if needed:
        sys.exit(f"cloister: {' '.join(needed)} is needed: apt-get install {' '.join(needed)}")
    for package in missing.values():
        print(f"cloister: there is no {package}, and the tests that need it are skipped: apt-get install {package}", file=sys.stderr)


def apt_install(*packages):
    if packages and shutil.which("apt-get") and os.geteuid() == 0:
        print(f"installing {' '.join(packages)}", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], env=environment, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, check=False)


def make(venv):
    print(f"making {venv}", flush=True)
    create = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if run(create).returncode == 0:
        return
    # Debian packs the module's other half apart.
    apt_install("python3-venv")
    if run(create).returncode != 0:
        sys.exit("cloister: python3 cannot make virtual environments: apt-get install python3-venv")


if __name__ == "__main__":
    main()
