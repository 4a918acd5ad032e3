"""A Kubernetes on this machine: a control plane, and nodes that may be added, each a machine of its own on one bridge.

All of it lies in network namespaces, this process too: nothing is reached from elsewhere, and nothing leaves. Who asks from here
stands where a client inside of the cluster stands: Services are served here as on a node.
"""

import contextlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from machine import Machine
from network import API, CONTROL, GATES, SERVICES, bridge, proxy, route, run
from node import Node, controllers

# Until a node that says nothing is said to be not ready; by default twice as long.
GRACE_SECONDS = 20
PATIENCE = 120


class Cluster:
    """One without nodes yet."""

    def __init__(self, name, binaries, directory):
        self.name, self.binaries, self.directory = name, binaries, directory
        self.token = secrets.token_hex(16)
        self.settings = directory / "kubeconfig"
        self.nodes = {}
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
        bridge()
        make_groups(name)
        self.prepare()
        # These tests ask as much of the processors as whom they ask.
        (self.group() / "cgroup.procs").write_text("0")
        self.control = Machine(directory / "control", self.group(), binaries, self.programs())

    def group(self):
        """Where daemons are, and whoever tests them; pods have groups of their own beside it."""
        return next(root for root in controllers() if root.name in ("cpu", "cgroup")) / self.name / "daemons"

    def prepare(self):
        """Who may ask what, for all alike: no test here is about Kubernetes' own rights."""
        self.directory.joinpath("tokens.csv").write_text(f'{self.token},cluster,cluster,"system:masters"\n')
        run("openssl", "genrsa", "-out", self.directory / "accounts.key", "2048", stderr=subprocess.DEVNULL)
        self.settings.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "cluster",
            "clusters": [{"name": "cluster", "cluster": {"server": API, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "cluster", "user": {"token": self.token}}],
            "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "cluster", "namespace": "cloister"}}],
        }))

    def programs(self):
        at, store = self.binaries, "/run/etcd"
        accounts = self.directory / "accounts.key"
        known = f"--kubeconfig={self.settings}"
        return {
            "etcd": [at / "etcd", f"--data-dir={store}"],
            "apiserver": [
                at / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={CONTROL}", "--cert-dir=/run/api",
                f"--token-auth-file={self.directory / 'tokens.csv'}", "--authorization-mode=AlwaysAllow",
                f"--service-cluster-ip-range={SERVICES}", f"--service-account-issuer={API}", f"--service-account-key-file={accounts}",
                f"--service-account-signing-key-file={accounts}", "--allow-privileged=true", f"--feature-gates={','.join(f'{name}=true' for name in GATES)}",
                "--kubelet-preferred-address-types=InternalIP",
            ],
            "controllers": [
                at / "kube-controller-manager", known, f"--service-account-private-key-file={accounts}", "--leader-elect=false",
                f"--node-monitor-grace-period={GRACE_SECONDS}s", "--node-monitor-period=2s", "--horizontal-pod-autoscaler-sync-period=5s",
            ],
            "scheduler": [at / "kube-scheduler", known, "--leader-elect=false"],
            "proxy": proxy(at, self.settings, "control"),
        }

    def wait_until_up(self):
        self.wait(lambda: self.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", "the API server")
        self.wait(lambda: self.get("/api/v1/namespaces/default/serviceaccounts/default"), "controllers")

    def add(self, count):
        """So many nodes more, ready; returns them."""
        new = [Node(self, number) for number in range(len(self.nodes) + 1, len(self.nodes) + count + 1)]
        self.nodes |= {node.name: node for node in new}
        for node in new:
            # Each knows the way to the others' pods, as a cluster's network has it.
            route(node.pods, node.address)
            for other in self.nodes.values():
                if other is not node:
                    route(other.pods, other.address, node.namespace)
                    route(node.pods, node.address, other.namespace)
        for node in new:
            self.wait(node.is_ready, f"{node.name}")
        return new

    def kubectl(self, *arguments, check=True, given=None):
        command = [self.binaries / "kubectl", f"--kubeconfig={self.settings}", *map(str, arguments)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, env={**os.environ, "HOME": str(self.directory)})
        assert not check or done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
        return done

    def get(self, path):
        """What the API server has there; None if nothing. kubectl would take longer than what is watched."""
        request = urllib.request.Request(f"{API}{path}", headers={"Authorization": f"Bearer {self.token}"})
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def wait(self, holds, what, within=PATIENCE):
        """Until this holds; all machines have to run meanwhile."""
        deadline = time.monotonic() + within
        while not holds():
            for machine in (self.control, *(node.machine for node in self.nodes.values())):
                machine.check()
            assert time.monotonic() < deadline, f"{what}: not within {within} s"
            time.sleep(0.25)

    def stop(self):
        for node in self.nodes.values():
            node.stop()
        self.control.stop()


def make_groups(name):
    """Control groups for all of it. To the scheduler a group is as one process: this one has the weight of some machines."""
    for root in controllers():
        (root / name / "daemons").mkdir(parents=True)
        for weight, value in (("cpu.shares", 10240), ("cpu.weight", 1000)):
            if (root / name / weight).exists():
                (root / name / weight).write_text(str(value))


def sweep(name, directory, within=30):
    """What is left of a cluster whose processes are gone: names, groups and files."""
    for namespace in Path("/run/netns").glob(f"{name}*"):
        subprocess.run(["ip", "netns", "del", namespace.name], check=False)
    deadline = time.monotonic() + within
    for root in controllers():
        # The last to be killed may be leaving its group.
        while (root / name).exists() and time.monotonic() < deadline:
            for path, _, _ in os.walk(root / name, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
    shutil.rmtree(directory, ignore_errors=True)
