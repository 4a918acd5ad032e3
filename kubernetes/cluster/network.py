"""Where everything of a cluster is, and the wires between it: in network namespaces, on a bridge that ends in this one."""

import sys
from pathlib import Path

# After this directory, for both have a `run`.
sys.path.append(str(Path(__file__).resolve().parents[2] / "supervisor/balancer"))

import wires  # noqa: E402
from wires import inside, run, wire  # noqa: E402, F401, for the others here

CONTROL = "10.214.0.1"
API = f"https://{CONTROL}:6443"
SERVICES, PODS = "10.216.0.0/16", "10.215.0.0/16"
# The image of the container that holds a pod's namespaces.
PAUSE = "localhost/cloister-pause:1"
# `least` needs what no API server has without a gate before 1.33.
GATES = {"ProcMountType": True}


def address(number):
    return f"10.214.0.{10 + number}"


def pods(number):
    return f"10.215.{number}.0/24"


def bridge():
    """Make the bridge, in this namespace."""
    wires.bridge(CONTROL)
    # Where a Service is, nobody is: whoever sends there has to be let, for its proxy to send it elsewhere.
    run("ip", "route", "add", SERVICES, "dev", "bridge")
    # What nodes send each other is theirs to judge, not the bridge's. A setting of this namespace.
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if filtered.exists():
        filtered.write_text("0")


def route(pods, via, namespace=None):
    run(*inside(namespace), "ip", "route", "replace", pods, "via", via)


def proxy(binaries, settings, name):
    """What turns the addresses of Services into those of pods. Nothing of the kernel's table of connections is set: it is the machine's."""
    return [binaries / "kube-proxy", f"--kubeconfig={settings}", f"--hostname-override={name}", "--proxy-mode=iptables", f"--cluster-cidr={PODS}",
            "--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"]
