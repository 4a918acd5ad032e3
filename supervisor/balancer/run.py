#!/usr/bin/env python3
"""Count the requests that are lost while nodes behind HAProxy are restarted and killed under load.

Three nodes in network namespaces of their own, each a gateway and a supervisor with their defaults, as a pod has them: no
socket is held for them, nothing runs before they are told to stop, and both are told at once. The balancer takes three
seconds to notice anything. Exit status 1 if a restart lost a request, or a kill lost others than those that had begun.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from haproxy import PORT, balancer
from load import Load
from nodes import nodes

# After a kill it may take a balancer and its clients so long to have done with what was on that node.
AFTERMATH = 15
KINDS_OF_BEGUN = ("502", "cut, kept connection", "cut, new connection")


def main():
    arguments = parse()
    if os.geteuid() != 0:
        sys.exit("this makes network namespaces and runs sandboxes: run it as root")
    if arguments.inside is None:
        inside(f"cloister-{uuid.uuid4().hex[:6]}")
    asked = itertools.product(arguments.layer, arguments.clients, arguments.job)
    with tempfile.TemporaryDirectory(prefix="cloister-balancer-") as directory, \
            nodes(arguments.inside, 3, arguments.slots, arguments.gateway_options) as all_nodes:
        print("| layer | connections | job | events | requests | lost at restarts | lost at kills | longest |\n|---|---|---|---|---|---|---|---|", flush=True)
        rows = [asyncio.run(row(arguments, all_nodes, Path(directory), *one)) for one in asked]
    sys.exit(0 if all(rows) else 1)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", type=int, nargs="+", choices=(7, 4), default=[7, 4])
    parser.add_argument("--clients", nargs="+", choices=("kept", "new"), default=["kept", "new"], help="connections kept, or a new one each")
    parser.add_argument("--job", type=float, nargs="+", default=[0.02, 2.0], help="how long jobs take, in seconds")
    parser.add_argument("--seconds", type=float, default=60, help="how long each row takes at least")
    parser.add_argument("--no-restarts", action="store_true", help="let nodes be, but for kills")
    parser.add_argument("--kill-every", type=float, default=0, help="kill -9 a node each so many seconds; 0: never")
    parser.add_argument("--order", nargs=2, choices=("gateway", "supervisor"), default=["gateway", "supervisor"], help="which is told first")
    parser.add_argument("--apart", type=float, default=0, help="so many seconds before the other")
    parser.add_argument("--alone", action="store_true", help="only the first of them, and the other stays")
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("gateway_options", nargs="*", help="options for the gateways")
    return parser.parse_args()


def inside(name):
    """This program once more, in a network namespace of its own, which is gone with it."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        again = subprocess.run(["nsenter", f"--net=/run/netns/{name}", sys.executable, "-B", *sys.argv[:1], "--inside", name, *sys.argv[1:]])
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
    sys.exit(again.returncode)


async def row(arguments, all_nodes, directory, layer, clients, job):
    """One kind of load for a while; whether nothing was lost that need not be."""
    events = Events()
    with balancer(layer, all_nodes, directory) as running:
        load = Load(("127.0.0.1", PORT), 12 if job < 1 else 24, clients == "kept", job)
        over = asyncio.Event()
        asking = asyncio.create_task(load.run(over))
        try:
            await asyncio.to_thread(happen, arguments, all_nodes, running, events)
        finally:
            over.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
    killed, restarted = load.kinds(events.is_after_kill), load.kinds(lambda *times: not events.is_after_kill(*times))
    requests = load.served + len(load.lost)
    print(f"| {layer} | {clients} | {job:g} s | {events} | {requests:,} | {told(restarted)} | {told(killed)}{events.spread(load.lost)} | {load.longest:.1f} s |", flush=True)
    return not restarted and not set(killed) - set(KINDS_OF_BEGUN)


def told(kinds):
    return ", ".join(f"{count} × {how}" for how, count in kinds.most_common()) or "0"


class Events:
    """What was done to nodes, and when."""

    def __init__(self):
        self.restarts, self.kills = 0, []

    def is_after_kill(self, began, ended):
        return any(began <= kill + AFTERMATH and ended >= kill for kill in self.kills)

    def spread(self, lost):
        """How long after its kill the last was lost."""
        after = [ended - kill for began, ended, _ in lost for kill in self.kills if 0 <= ended - kill <= AFTERMATH]
        return f" (within {max(after):.1f} s)" if after else ""

    def __str__(self):
        told = [f"{self.restarts} restarts"] * bool(self.restarts) + [f"{len(self.kills)} kills"] * bool(self.kills)
        return ", ".join(told) or "none"


def happen(arguments, all_nodes, running, events):
    """Restart one node after the other until the time is up, and kill one now and then."""
    time.sleep(2)
    began = time.monotonic()
    next_kill = began + arguments.kill_every / 2 if arguments.kill_every else float("inf")
    for node in itertools.cycle(all_nodes):
        now = time.monotonic()
        if now >= began + arguments.seconds and (arguments.no_restarts or events.restarts >= len(all_nodes)):
            break
        if now >= next_kill:
            next_kill += arguments.kill_every
            events.kills.append(now)
            renew(node, arguments, running, signal.SIGKILL)
            # Whatever it cost is not to be counted as a restart's.
            time.sleep(max(0, now + AFTERMATH - time.monotonic()))
        elif arguments.no_restarts:
            time.sleep(0.2)
        else:
            events.restarts += 1
            renew(node, arguments, running, signal.SIGTERM)
    time.sleep(1)


def renew(node, arguments, running, how):
    """End a node, or its supervisor alone, and start it again a second later, as an engine does; until the balancer has it in."""
    names = arguments.order[:1] if arguments.alone else arguments.order
    node.end(how, names, arguments.apart)
    time.sleep(1)
    node.start_supervisor() if arguments.alone else node.start()
    node.wait_until_ready()
    running.wait_until_in(node.name)


if __name__ == "__main__":
    main()
