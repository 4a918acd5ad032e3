#!/usr/bin/env python3
"""Install what the tests need: the lints of the Rust toolchain, and a virtual environment with what
requirements-test.txt pins.

Usage: test_tools.py VENV. What is there already is left alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from build import run

REQUIREMENTS = Path(__file__).resolve().parent / "requirements-test.txt"


def main():
    for component in ("rustfmt", "clippy"):
        install_component(component)
    venv = Path(sys.argv[1])
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + f"{sys.version} {sys.base_prefix}".encode()).hexdigest()
    if (venv / "stamp").is_file() and (venv / "stamp").read_text() == stamp:
        return
    make(venv)
    install = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes",
               "--only-binary", ":all:", "-r", str(REQUIREMENTS)]
    if run(install, capture=False).returncode != 0:
        sys.exit("cloister: pip could not install requirements-test.txt, its message is above: "
                 "check the network and pip's configuration, then try again")
    (venv / "stamp").write_text(stamp)


def install_component(name):
    program = {"rustfmt": "fmt"}.get(name, name)
    if run(["cargo", program, "--version"]).returncode == 0:
        return
    if not shutil.which("rustup") or run(["rustup", "component", "add", name], capture=False).returncode != 0:
        sys.exit(f"cloister: the Rust toolchain has no {name}: rustup component add {name}")


def make(venv):
    print(f"making {venv}", flush=True)
    create = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if run(create).returncode == 0:
        return
    # Debian packs the module's other half apart.
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("installing python3-venv", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "python3-venv"]):
            subprocess.run(["apt-get", *command], env=environment, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, check=False)
    if run(create).returncode != 0:
        sys.exit("cloister: python3 cannot make virtual environments: apt-get install python3-venv")


if __name__ == "__main__":
    main()
