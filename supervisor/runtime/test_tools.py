#!/usr/bin/env python3
"""Make the virtual environment that the tests run in, with what requirements-test.txt pins."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements-test.txt"


def main():
    venv = Path(sys.argv[1])
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if (venv / "stamp").is_file() and (venv / "stamp").read_text() == stamp:
        return
    print("== test tools")
    shutil.rmtree(venv, ignore_errors=True)
    if not make(venv):
        install_from_debian("python3-venv", "python3-pip")
        if not make(venv):
            sys.exit("cloister: python3 cannot make virtual environments: apt-get install python3-venv")
    subprocess.run([venv / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:",
                    "-r", REQUIREMENTS], check=True, env=clean())
    (venv / "stamp").write_text(stamp)


def make(venv):
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", venv], capture_output=True, env=clean())
    return made.returncode == 0


def install_from_debian(*packages):
    if shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], check=False)
        subprocess.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], check=False)


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


if __name__ == "__main__":
    main()
