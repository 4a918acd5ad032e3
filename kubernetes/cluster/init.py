#!/usr/bin/env python3
"""The first process of a machine of the cluster, in namespaces of mounts and processes of its own: when it ends, however that
comes, the kernel ends all others in them, containers too. Of the machine around it nothing is changed.

Usage: init.py DESCRIPTION, a file of JSON: `mounts` to make, `shielded` files of /proc/sys and what they seem to have, `programs`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main():
    about = json.loads(Path(sys.argv[1]).read_text())
    # As all that it starts.
    Path(about["group"], "cgroup.procs").write_text("0")
    # What is mounted here goes nowhere else: this namespace is no peer of the one that it was made of.
    mount("--make-rshared", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "tmpfs", "-o", "mode=755", "cluster", "/run")
    for source, place in about["mounts"].items():
        mount("--bind", source, place)
    for number, (path, content) in enumerate(about["shielded"].items()):
        shield(Path(f"/run/shielded-{number}"), path, content)
    processes = {start(name, about): name for name in about["programs"]}
    while True:
        # Orphans of containers are its children, too.
        pid, status = os.wait()
        if pid in processes:
            sys.exit(f"{processes[pid]} ended with {os.waitstatus_to_exitcode(status)}")


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def shield(file, path, content):
    """A setting of the whole machine: it seems to be as a program wants it, and is not touched by what that writes."""
    file.write_text(f"{content}\n")
    mount("--bind", str(file), path)


def start(name, about):
    with open(Path(about["logs"]) / f"{name}.log", "ab") as log:
        return subprocess.Popen(about["programs"][name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PATH": about["path"]}).pid


if __name__ == "__main__":
    main()
