#!/usr/bin/env python3
"""Lock and build the packages of the profile `science`, and add that profile to a policy once they are there.

Usage: science.py PROGRAMS POLICY [FILE]. The shipped policy does not have the profile by itself, for a policy that names packages
which are not built is not served; `policy/science.toml` is the piece that makes it. What is built, and where, the programs tell.
With FILE, that is written too: the policy whose profile `default` has these packages, for tests.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import policies

POLICY = Path(__file__).resolve().parents[2] / "policy"


def main():
    programs, policy = Path(sys.argv[1]), sys.argv[2]
    os.umask(0o022)
    wanted, there = (POLICY / "science.txt").read_text(), packages()
    changed = not there.exists() or there.read_text() != wanted
    there.write_text(wanted)
    with tempfile.TemporaryDirectory(prefix="cloister-science-") as directory:
        os.chmod(directory, 0o711)
        whole = Path(directory) / "policy.toml"
        policies.write(whole, with_piece(policies.of_own_tree(policy, whole)))
        for word in ["lock", "build"] if changed or not lock_of(there).exists() else ["build"]:
            done = subprocess.run([programs / "cloister", "runtime", word, "science", "--policy", whole])
            if done.returncode != 0:
                sys.exit(done.returncode)
        if sys.argv[3:]:
            policies.write(Path(sys.argv[3]), as_default(whole.read_text()))


def packages():
    """The list of packages, where whoever reads a policy without privileges may look, wherever the checkout lies.

    A lock lies beside it, and is for one Python: each tree has its own.
    """
    tree = Path(policies.own_tree())
    name = "science.txt" if str(tree) == policies.SHIPPED_TREE else f"{tree.name}-science.txt"
    return Path(os.environ.get("CLOISTER_SCIENCE") or tree.with_name(name))


def with_piece(policy):
    """A policy's text and the piece, with the place of the packages' list for its name."""
    piece = re.sub(r'(?m)^packages = "science.txt"', f'packages = "{packages()}"', (POLICY / "science.toml").read_text())
    return f"{Path(policy).read_text()}\n{piece}"


def as_default(text):
    """A policy with the piece, whose profile `default` has these packages, and that has no other: tests count what is there for one."""
    text, changed = re.subn(r'(?m)^(\[profile\.default\]\nruntime = )"python"', r'\1"science"', text)
    assert changed == 1, "the profile default does not begin with its runtime"
    text, removed = re.subn(r"(?ms)^\[profile\.science\]\n.*", "", text)
    assert removed == 1, "the piece does not end with its profile"
    return text


def served(programs, policy, place):
    """The policy to serve: a copy with the profile where its packages are built, else the same."""
    if not lock_of(packages()).exists():
        return policy
    whole = place.with_name(f"science-{place.name}")
    policies.write(whole, with_piece(policy))
    if not is_built(programs, whole):
        return policy
    print("cloister: serving the profile science too, whose packages are built", flush=True)
    return str(whole)


def is_built(programs, policy):
    done = subprocess.run([f"{programs}/cloister", "runtime", "list", "--json", "--policy", policy], capture_output=True, text=True)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = {"error": done.stderr.strip() or f"cloister runtime list ended with {done.returncode}"}
    if "error" in told:
        print(f"cloister: not serving the profile science: {told['error']}", file=sys.stderr, flush=True)
        return False
    wanted = {runtime["build"] for runtime in told["runtimes"] if runtime["name"] == "science"}
    return bool(wanted & {build["id"] for build in told["builds"]})


def lock_of(path):
    return path.with_name(path.name + ".lock")


if __name__ == "__main__":
    main()
