#!/usr/bin/env python3
"""Run the tests of pods on a real Kubernetes, which is built, started and ended here: docs/kubernetes.md, "On a real cluster".

Usage: run.py IMAGES [OPTION OF PYTEST]... The tests run in a network namespace, and whatever becomes of them, nothing stays
but what was built.
"""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from cluster import sweep
from programs import programs

HERE = Path(__file__).resolve().parent


def main():
    images, options = Path(sys.argv[1]).resolve(), sys.argv[2:]
    binaries = programs()
    name = f"cloister-{uuid.uuid4().hex[:6]}"
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    environment = {**os.environ, "CLOISTER_CLUSTER": name, "CLOISTER_CLUSTER_DIRECTORY": str(directory),
                   "CLOISTER_CLUSTER_PROGRAMS": str(binaries), "CLOISTER_IMAGES": str(images)}
    command = [sys.executable, "-B", "-m", "pytest", "-q", *options]
    code = 1
    try:
        subprocess.run(["ip", "netns", "add", name], check=True)
        # If this is killed, they are interrupted.
        interrupted = ["setpriv", "--pdeathsig", "INT", "nsenter", f"--net=/run/netns/{name}"]
        tests = subprocess.Popen([*interrupted, *command], env=environment, cwd=HERE)
        # Whoever is told to stop tells them; Ctrl-C they hear themselves.
        signal.signal(signal.SIGTERM, lambda *_: tests.send_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = tests.wait()
    finally:
        sweep(name, directory)
    sys.exit(code)


if __name__ == "__main__":
    main()
