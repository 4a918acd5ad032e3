"""Nodes in network namespaces of their own, and the network between them and whoever asks them.

What is made here lies on this machine and is reached from nowhere else: a bridge and its nodes, all in namespaces.
"""

import contextlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "suite"))

from service import Service, binary  # noqa: E402

from wires import bridge, inside, wire  # noqa: E402

NETWORK, PORT = "10.213.0", 8080
READY_SECONDS, END_SECONDS = 120, 90


class Node(Service):
    """A gateway and a supervisor as a pod has them: nothing holds their sockets, both are told to stop at once."""

    def __init__(self, name, number, slots, options):
        super().__init__(supervisor={"slots": slots}, gateway_options=["--no-auth", *options], supervisor_options=[])
        # Imports that take their time at each start prove nothing here.
        text, count = re.subn(r"(?m)^(warm = \{ imports = )\[[^\]]*\]", r"\1[]", self.policy.read_text(), count=1)
        assert count == 1, "warm"
        self.policy.write_text(text)
        self.name, self.namespace = f"n{number}", f"{name}-n{number}"
        self.host = f"{NETWORK}.{10 + number}"
        self.address = f"{self.host}:{PORT}"
        self.client.http.close()
        self.connect()

    def connect(self):
        """A namespace on the bridge of this one."""
        wire(self.name, self.namespace, self.host)

    def spawn(self, name, *arguments):
        # Of nsenter nothing is left: it becomes the daemon. The network is all that it changes, for control groups lie in /sys.
        command = [*inside(self.namespace), binary(f"cloister-{name}"), *map(str, arguments)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.logs[name], stdout=self.logs[name], umask=0o077)

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            for name in ("supervisor", "gateway"):
                assert getattr(self, name).poll() is None, f"the {name} ended: {self.log(name)}"
            assert time.monotonic() < deadline, f"{self.name} is not ready"
            time.sleep(0.1)

    def is_ready(self):
        try:
            return httpx.get(f"http://{self.address}/readyz", timeout=10, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def end(self, how=signal.SIGTERM, order=("gateway", "supervisor"), apart=0.0):
        """Tell these daemons to go, or kill them, one so long after the other; returns when they have gone."""
        for name in order:
            getattr(self, name).send_signal(how)
            time.sleep(apart if name != order[-1] else 0)
        for name in order:
            code = getattr(self, name).wait(END_SECONDS)
            assert how != signal.SIGTERM or code == 0, f"the {name} of {self.name} ended with {code}: {self.log(name)}"

    def disconnect(self):
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)


@contextlib.contextmanager
def nodes(name, count, slots, options):
    """So many nodes that serve, on a bridge in this namespace."""
    bridge(f"{NETWORK}.1")
    made = []
    with contextlib.ExitStack() as stack:
        for number in range(1, count + 1):
            node = Node(name, number, slots, options)
            stack.callback(node.disconnect)
            stack.callback(node.stop)
            made.append(node.start())
        yield made
