"""A network on this machine that is reached from nowhere else: a bridge, and network namespaces with a wire to it each."""

import subprocess


def bridge(own):
    """Make the bridge, in this namespace, with an address of its own."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge", "type", "bridge")
    run("ip", "addr", "add", f"{own}/24", "dev", "bridge")
    run("ip", "link", "set", "bridge", "up")


def wire(name, namespace, own):
    """Make a namespace, and a wire from it to the bridge, which has this name here."""
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", name, "master", "bridge", "up")
    for device in ("lo", "eth0"):
        run(*inside(namespace), "ip", "link", "set", device, "up")
    run(*inside(namespace), "ip", "addr", "add", f"{own}/24", "dev", "eth0")


def inside(namespace):
    return ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []


def run(*command, **options):
    subprocess.run([*map(str, command)], check=True, stdin=subprocess.DEVNULL, **options)
