#!/usr/bin/env python3
"""Start both daemons as a checkout has them, wait until they are ready, stop both on Ctrl-C."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

# An id that has no account: the gateway needs none, and a checkout should not make one.
GATEWAY_ID = "64510"
START_SECONDS = 60
STOP_SECONDS = 45


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: interrupt())
    with tempfile.TemporaryDirectory(prefix="cloister-") as directory:
        os.chmod(directory, 0o711)
        socket = Path(directory) / "supervisor.sock"
        commands = {
            "supervisor": ["serve", "--policy", arguments.policy, "--socket", socket, "--gateway-uid", GATEWAY_ID],
            "gateway": ["serve", "--listen", arguments.listen, "--socket", socket, "--user", GATEWAY_ID],
        }
        daemons = {}
        try:
            for name, options in commands.items():
                # In a session of their own, so that Ctrl-C reaches this script alone and the order of
                # stopping is its to choose.
                daemons[name] = subprocess.Popen([f"{arguments.bin}/cloister-{name}", *options], start_new_session=True)
            died = wait_until_ready(arguments.listen, daemons)
            if not died:
                invite(arguments.listen)
                died = wait_for_end(daemons)
        except KeyboardInterrupt:
            died = None
        stop(daemons)
    if died:
        sys.exit(f"cloister: the {died} ended by itself; its message is above")
    print("cloister: stopped")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="where the programs are")
    parser.add_argument("--policy", required=True, help="the policy file")
    parser.add_argument("--listen", required=True, help="address and port to serve")
    return parser.parse_args()


def interrupt():
    raise KeyboardInterrupt


def wait_until_ready(address, daemons):
    """None once jobs can run, or the name of a daemon that died."""
    pause = threading.Event()
    for _ in range(START_SECONDS * 20):
        for name, daemon in daemons.items():
            if daemon.poll() is not None:
                return name
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                return None
        except (urllib.error.URLError, OSError):
            pause.wait(0.05)
    sys.stderr.write(f"cloister: not ready after {START_SECONDS} seconds\n")
    return "supervisor"


def wait_for_end(daemons):
    """The name of the first daemon to end."""
    pids = {daemon.pid: name for name, daemon in daemons.items()}
    while True:
        pid, status = os.wait()
        if pid in pids:
            name = pids[pid]
            daemons[name].returncode = os.waitstatus_to_exitcode(status)
            return name


def stop(daemons):
    """The gateway first, so that nobody is promised what the supervisor no longer does."""
    for name in ("gateway", "supervisor"):
        daemon = daemons.get(name)
        if daemon is None or daemon.poll() is not None:
            continue
        daemon.terminate()
        try:
            daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def invite(address):
    print(f"""
Cloister serves http://{address}. Try:

  curl -s http://{address}/execute -H 'Content-Type: application/json' \\
    -d '{{"script": "def main():\\n    return {{\\"sum\\": 2 + 2}}"}}'

Ctrl-C stops it.
""", flush=True)


if __name__ == "__main__":
    main()
