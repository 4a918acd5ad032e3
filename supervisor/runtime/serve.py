#!/usr/bin/env python3
"""Start both daemons as a checkout has them, wait until they are ready, stop both on Ctrl-C.

Exit status 0 only after a stop that was asked for and went well. What follows `--` on the command line
is handed to the gateway.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import policies
import science

# An id that has no account: the gateway needs none, and a checkout should not make one.
GATEWAY_ID = "64510"
START_SECONDS = 60
# Longer than the jobs that still run may take.
STOP_SECONDS = 45

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
SIGNALS = STOP_SIGNALS | {signal.SIGCHLD}


def main():
    arguments = parse()
    if os.geteuid() != 0:
        sys.exit("cloister: sandboxes need root to begin with: sudo env \"PATH=$PATH\" make run")
    if port_is_taken(arguments.listen):
        sys.exit(f"cloister: {arguments.listen} is taken: stop what listens there, "
                 "or choose another: CLOISTER_LISTEN=127.0.0.1:8081 make run")
    # Blocked, and taken from the queue where this script waits: none can come between two statements.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    daemons = {}
    with tempfile.TemporaryDirectory(prefix="cloister-", dir="/run" if os.path.isdir("/run") else None) as directory:
        os.chmod(directory, 0o711)
        try:
            arguments.policy = to_serve(arguments.bin, arguments.policy, Path(directory) / "policy.toml")
            for name, command in commands(arguments, Path(directory) / "supervisor.sock").items():
                daemons[name] = start(command, before)
            complaint = watch(daemons, arguments.listen)
        except OSError as error:
            complaint = f"{error}: make build"
        finally:
            failed = stop(daemons)
    if complaint or failed:
        sys.exit(f"cloister: {complaint or failed}")
    say("stopped")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="where the programs are")
    parser.add_argument("--policy", required=True, help="the policy file")
    parser.add_argument("--listen", required=True, help="address and port to serve")
    parser.add_argument("gateway_options", nargs="*", help="options for the gateway")
    return parser.parse_args()


def to_serve(programs, policy, place):
    """The policy to serve. The shipped one has the profile `science` too, once its packages are built."""
    shown = policies.of_own_tree(policy, place)
    return science.served(programs, shown, place) if Path(policy).resolve() == science.POLICY / "policy.toml" else shown


def commands(arguments, supervisor_socket):
    _, port = split(arguments.listen)
    # In a terminal's control group others are, beside whom none can be made for jobs.
    scope = ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"] if os.path.isdir("/run/systemd/system") else []
    return {
        # Its control group is named after its port and its ids are those that are free, so that it lives beside others.
        "supervisor": [*scope, f"{arguments.bin}/cloister-supervisor", "serve", "--policy", arguments.policy,
                       "--socket", str(supervisor_socket), "--gateway-uid", GATEWAY_ID,
                       "--cgroup", f"cloister-{port}", "--beside",
                       # Whom it serves is stopped before it.
                       "--drain-notice", "0s"],
        "gateway": [f"{arguments.bin}/cloister-gateway", "serve", "--listen", arguments.listen,
                    "--socket", str(supervisor_socket), "--user", GATEWAY_ID, *arguments.gateway_options],
    }


def start(command, mask):
    """A session of its own each, so that Ctrl-C reaches this script alone, which knows the order of stopping."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask))


def watch(daemons, listen):
    """Returns when it is time to stop: None if that was asked for, or else what went wrong."""
    ready, deadline = False, time.monotonic() + START_SECONDS
    while True:
        for name, daemon in daemons.items():
            if daemon.poll() is not None:
                return f"the {name} ended by itself ({describe(daemon.returncode)}); its message is above"
        if not ready:
            state = readiness(listen)
            ready = state == "ready"
            if ready:
                invite(listen)
            elif time.monotonic() > deadline:
                return f"not ready after {START_SECONDS} seconds: {state}"
        got = signal.sigtimedwait(SIGNALS, 3600 if ready else 0.2)
        if got and got.si_signo in STOP_SIGNALS:
            say("stopping; jobs that run may finish")
            return None


def stop(daemons):
    """The gateway first, so that nobody is promised what the supervisor no longer does."""
    failed = None
    for name in ("gateway", "supervisor"):
        daemon = daemons.get(name)
        if daemon is None or daemon.poll() is not None:
            continue
        daemon.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while daemon.poll() is None:
            got = signal.sigtimedwait(SIGNALS, max(0, deadline - time.monotonic()))
            if got is None or got.si_signo == signal.SIGINT:
                # Late, or Ctrl-C once more. The sandboxes die with the supervisor.
                daemon.kill()
                daemon.wait()
        if daemon.returncode != 0:
            failed = f"the {name} did not stop cleanly ({describe(daemon.returncode)})"
    return failed


def describe(status):
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def port_is_taken(listen):
    """Asked first, for otherwise the readiness of whoever has the port would be taken for ours."""
    host, port = split(listen)
    with contextlib.suppress(OSError), socket.create_connection((reachable(host), port), timeout=1):
        return True
    return False


def readiness(listen):
    """`ready`, or why not."""
    host, port = split(listen)
    host = reachable(host)
    url = f"http://[{host}]:{port}/readyz" if ":" in host else f"http://{host}:{port}/readyz"
    try:
        # Not through the proxy that the environment may name.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return "ready"
    except urllib.error.HTTPError as error:
        return f"{error}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return str(error)


def split(listen):
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        sys.exit(f"cloister: {listen!r} is not an address and a port: CLOISTER_LISTEN=127.0.0.1:8080")
    return host.strip("[]"), int(port)


def reachable(host):
    """Where to knock at a service that listens on all addresses."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def invite(listen):
    say(f"""serving http://{listen}. Try:

  curl -s http://{listen}/execute -H 'Content-Type: application/json' \\
    -d '{{"script": "def main():\\n    return {{\\"sum\\": 2 + 2}}"}}'

Ctrl-C stops it.
""")


def say(message):
    print(f"cloister: {message}", flush=True)


if __name__ == "__main__":
    main()
