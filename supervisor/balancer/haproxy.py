"""HAProxy in front of the nodes, at layer 7 or 4, configured as docs/deploy.md shows it."""

import contextlib
import socket
import subprocess
import time

PORT = 9000

CONFIGURATION = """
global
    maxconn 4096
    stats socket {admin} mode 600 level admin

defaults
    mode {mode}
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    option redispatch
    retries 3
{retry}
    # A node that says that it is going is out after three checks.
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 1s fall 3 rise 2

listen cloister
    bind 127.0.0.1:{port}
    balance roundrobin
{kept}{servers}
"""

# What belongs to a job or a session goes to its node, also to one that is on its way out.
KEPT = """    option persist
"""
FOLLOWED = "    use-server {name} if {{ path_beg /execute/{digits} /sessions/{digits} /jupyter/api/kernels/{digits} }} or {{ urlp(session) -m beg {digits} }}\n"

# What has 503 ran nowhere and may be asked again elsewhere; what broke off may have run, and is not.
RETRY = """    option http-buffer-request
    retry-on conn-failure 503"""


class Balancer:
    """One that runs."""

    def __init__(self, process, admin):
        self.process, self.admin = process, admin

    def states(self):
        """Of each node whether it is in: `UP`, `DOWN` or on its way to either."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(self.admin))
            asked.sendall(b"show stat\n")
            shown = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
        rows = [line.split(",") for line in shown.splitlines() if line.startswith("cloister,n")]
        return {row[1]: row[17] for row in rows}

    def wait_until_in(self, name, within=60):
        deadline = time.monotonic() + within
        while self.states().get(name) != "UP":
            assert time.monotonic() < deadline, f"{name} is not in: {self.states()}"
            time.sleep(0.1)


@contextlib.contextmanager
def balancer(layer, nodes, directory, port=PORT, numbers=()):
    """A balancer at layer 7 or 4 in front of these; with numbers of theirs one that goes by ids."""
    file, admin = directory / f"haproxy-{layer}.cfg", directory / "haproxy.sock"
    servers = "\n".join(f"    server {node.name} {node.address}" for node in nodes)
    mode, retry = ("http", RETRY) if layer == 7 else ("tcp", "")
    kept = "".join(FOLLOWED.format(name=node.name, digits=f"{number:02x}") for node, number in zip(nodes, numbers))
    configuration = CONFIGURATION.format(mode=mode, retry=retry, admin=admin, port=port, servers=servers, kept=KEPT + kept if kept else "")
    file.write_text(configuration)
    log = (directory / f"haproxy-{layer}.log").open("w")
    process = subprocess.Popen(["haproxy", "-db", "-f", file], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    running = Balancer(process, admin)
    try:
        deadline = time.monotonic() + 10
        while not admin.exists():
            assert process.poll() is None and time.monotonic() < deadline, (directory / f"haproxy-{layer}.log").read_text()
            time.sleep(0.05)
        for node in nodes:
            running.wait_until_in(node.name)
        yield running
    finally:
        process.terminate()
        process.wait()
        log.close()
        admin.unlink(missing_ok=True)
