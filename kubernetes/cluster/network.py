"""Where everything of a cluster is, and the wires between it: in network namespaces, on a bridge that ends in this one."""

import subprocess
from pathlib import Path

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
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge", "type", "bridge")
    run("ip", "addr", "add", f"{CONTROL}/24", "dev", "bridge")
    run("ip", "link", "set", "bridge", "up")
    # Where a Service is, nobody is: whoever sends there has to be let, for its proxy to send it elsewhere.
    run("ip", "route", "add", SERVICES, "dev", "bridge")
    # What nodes send each other is theirs to judge, not the bridge's. A setting of this namespace.
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if filtered.exists():
        filtered.write_text("0")


def wire(name, namespace, own):
    """Make a namespace, and a wire from it to the bridge, which has this name here."""
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", name, "master", "bridge", "up")
    for device in ("lo", "eth0"):
        run(*inside(namespace), "ip", "link", "set", device, "up")
    run(*inside(namespace), "ip", "addr", "add", f"{own}/24", "dev", "eth0")


def route(pods, via, namespace=None):
    run(*inside(namespace), "ip", "route", "replace", pods, "via", via)


def inside(namespace):
    return ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []


def proxy(binaries, settings, name):
    """What turns the addresses of Services into those of pods. Nothing of the kernel's table of connections is set: it is the machine's."""
    return [binaries / "kube-proxy", f"--kubeconfig={settings}", f"--hostname-override={name}", "--proxy-mode=iptables", f"--cluster-cidr={PODS}",
            "--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"]


def run(*command, **options):
    subprocess.run([*map(str, command)], check=True, stdin=subprocess.DEVNULL, **options)
