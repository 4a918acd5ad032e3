#!/usr/bin/env python3
"""Lock and build the packages of the profile `science`, and add that profile to a policy once they are there.

Usage: science.py PROGRAMS POLICY. The shipped policy does not have the profile by itself, for a policy that names packages
which are not built is not served; `policy/science.toml` is the piece that makes it.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

POLICY = Path(__file__).resolve().parents[2] / "policy"
# Where whoever reads a policy without privileges may look, wherever the checkout lies.
PLACE = Path(os.environ.get("CLOISTER_SCIENCE") or "/var/lib/cloister/science.txt")
STORE = Path("/var/lib/cloister/runtimes")


def main():
    programs, policy = Path(sys.argv[1]), Path(sys.argv[2])
    os.umask(0o022)
    text = (POLICY / "science.txt").read_text()
    changed = not PLACE.exists() or PLACE.read_text() != text
    PLACE.write_text(text)
    with tempfile.TemporaryDirectory(prefix="cloister-science-") as directory:
        os.chmod(directory, 0o711)
        whole = Path(directory) / "policy.toml"
        whole.write_text(policy.read_text() + piece())
        for word in ["lock", "build"] if changed or not lock_of(PLACE).exists() else ["build"]:
            done = subprocess.run([programs / "cloister", "runtime", word, "science", "--policy", whole])
            if done.returncode != 0:
                sys.exit(done.returncode)


def piece():
    """The piece of a policy, with the place of the packages' list for its name."""
    return "\n" + re.sub(r'(?m)^packages = "science.txt"', f'packages = "{PLACE}"', (POLICY / "science.toml").read_text())


def where_built(tree):
    """The piece of a policy, where its packages are built for this tree; else nothing."""
    try:
        made_of = f"{lock_of(PLACE).read_text()}\n{(Path(tree) / 'base.json').read_text()}"
    except OSError:
        return ""
    build = STORE / hashlib.sha256(made_of.encode()).hexdigest()[:32]
    return piece() if build.is_dir() else ""


def lock_of(path):
    return path.with_name(path.name + ".lock")


if __name__ == "__main__":
    main()
