"""A node of the cluster: containerd, kubelet and kube-proxy with directories, addresses and control groups of its own."""

import json
from pathlib import Path

from machine import Machine
from network import GATES, PAUSE, address, pods, proxy, run, wire

CGROUPS = Path("/sys/fs/cgroup")
SECCOMP = Path(__file__).resolve().parents[2] / "image/seccomp.json"
CONTAINERD = """version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Whoever may not raise the odds of its own survival can give containers none either.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/var/lib/cni/net.d"
"""


class Node:
    """One that has been started, and will be ready."""

    def __init__(self, cluster, number):
        self.cluster, self.name = cluster, f"node{number}"
        self.namespace = f"{cluster.name}-{self.name}"
        self.address, self.pods = address(number), pods(number)
        self.directory = cluster.directory / self.name
        # Everything that daemons keep is kept where they are used to, and is this node's.
        self.state = self.directory / "lib"
        for part in ("cni/net.d", "kubelet/seccomp", "containerd"):
            (self.state / part).mkdir(parents=True)
        (self.directory / "var-log").mkdir()
        (self.state / "kubelet/seccomp/cloister.json").write_text(SECCOMP.read_text())
        (self.state / "cni/net.d/10-cluster.conflist").write_text(json.dumps(self.network()))
        (self.state / "containerd/config.toml").write_text(CONTAINERD.format(pause=PAUSE, plugins=cluster.binaries / "cni"))
        (self.state / "kubelet/config.json").write_text(json.dumps(self.kubelet()))
        for root in controllers():
            (root / cluster.name / self.name).mkdir(parents=True)
        wire(self.name, self.namespace, self.address)
        at = cluster.binaries
        self.machine = Machine(self.directory, cluster.group(), at, {
            "containerd": [at / "containerd", "--config=/var/lib/containerd/config.toml"],
            "kubelet": [at / "kubelet", "--config=/var/lib/kubelet/config.json", f"--kubeconfig={cluster.settings}", f"--hostname-override={self.name}",
                        f"--node-ip={self.address}", "--container-runtime=remote",
                        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"],
            "proxy": proxy(at, cluster.settings, self.name),
        }, {self.state: "/var/lib", self.directory / "var-log": "/var/log"}, self.namespace)

    def network(self):
        """A pod has an address of its node's, and a wire to the node."""
        addresses = {"type": "host-local", "ranges": [[{"subnet": self.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
        return {"cniVersion": "0.4.0", "name": "cluster", "plugins": [{"type": "ptp", "mtu": 1500, "ipam": addresses}]}

    def kubelet(self):
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}}, "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self.cluster.name}/{self.name}", "failSwapOn": False,
            "featureGates": GATES,
            # The disk is not this node's alone, and how full it is no reason to end pods.
            "evictionHard": {"memory.available": "100Mi"}, "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
            "nodeStatusUpdateFrequency": "4s",
            # At that age it sees only when it looks at a pod the next time that a container without a readiness probe has started.
            "syncFrequency": "2s",
        }

    def cut(self, off):
        """Take its wire away, or give it back."""
        run("ip", "link", "set", self.name, "down" if off else "up")

    def is_ready(self):
        node = self.cluster.get(f"/api/v1/nodes/{self.name}")
        return node is not None and any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", []))

    def load(self, archive):
        """Have an image, as if it had been pulled."""
        self.machine.inside(self.cluster.binaries / "ctr", "--namespace=k8s.io", "images", "import", "--no-unpack", archive)

    def stop(self):
        self.machine.stop()


def controllers():
    """The roots of control groups: one, or one for each controller."""
    return [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
