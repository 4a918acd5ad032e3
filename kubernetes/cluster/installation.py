"""Cloister in the cluster, as docs/kubernetes.md installs it; with what Kubernetes 1.20 lacks taken back by the component `older`."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
OVERLAYS = HERE.parent / "overlays"
# The newest kubectl: that of the cluster's age knows half of what a kustomization says.
KUSTOMIZE = Path(sys.executable).with_name("kubectl")
NAMESPACE = "/namespaces/cloister"
NAMES = ("gateway", "supervisor")
ROLL_SECONDS = 300


# What `least` has no use for here: the class and the annotation speak of what neither this containerd nor this machine has.
LEAST = [
    {"op": "remove", "path": "/spec/template/spec/runtimeClassName"},
    {"op": "remove", "path": "/spec/template/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1supervisor"},
    {"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "cgroup", "hostPath": {"path": "/sys/fs/cgroup"}}},
    {"op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/-", "value": {"name": "cgroup", "mountPath": "/sys/fs/cgroup"}},
]


class Installation:
    """One release of it in the namespace `cloister`."""

    def __init__(self, cluster, directory, programs, images):
        self.cluster, self.directory, self.programs, self.images = cluster, directory, programs, images
        self.kubectl = cluster.kubectl
        self.key = None

    def load(self, nodes):
        """Each node has the images."""
        for node in nodes:
            for archive in [self.cluster.binaries / "pause.tar", *self.images]:
                node.load(archive)

    def make_keys(self):
        """The namespace, and a key in the Secret that the manifests mount."""
        file = self.directory / "keys.toml"
        made = subprocess.run([self.programs / "cloister", "keys", "--keys", file, "new", "load"], check=True, capture_output=True, text=True)
        self.key = made.stdout.strip()
        self.kubectl("create", "namespace", "cloister")
        self.kubectl("create", "secret", "generic", "cloister-keys", f"--from-file=keys.toml={file}")

    def manifests(self, resource, policy=None, patch=()):
        """The objects of an overlay or a file for this cluster: its age, its images, its processors, which all nodes share; with
        another policy, or with a patch of the Deployment.
        """
        place = self.directory / "kustomization"
        place.mkdir(exist_ok=True)
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
            "resources": [os.path.relpath(resource, place)],
            "components": [os.path.relpath(HERE / "older", place)],
            "images": [{"name": f"cloister-{name}", "newName": f"localhost/cloister-{name}"} for name in NAMES],
            "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps([
                {"op": "replace", "path": f"/spec/template/spec/containers/{at}/resources/requests", "value": {"cpu": "50m", "memory": "256Mi"}}
                for at in range(2)] + [*patch])}],
        }
        if policy is not None:
            (place / "policy.toml").write_text(policy)
            kustomization["generatorOptions"] = {"disableNameSuffixHash": True}
            kustomization["configMapGenerator"] = [
                {"name": "cloister-policy", "namespace": "cloister", "behavior": "replace", "files": ["policy.toml"]}]
        (place / "kustomization.yaml").write_text(json.dumps(kustomization))
        return subprocess.run([KUSTOMIZE, "kustomize", place], check=True, capture_output=True, text=True).stdout

    def apply(self, manifests):
        self.kubectl("apply", "--filename=-", given=manifests)

    def wait_until_rolled(self, pods=3):
        """All pods are those of the newest template, and ready."""
        self.cluster.wait(lambda: self.is_rolled(pods), f"{pods} ready pods", within=ROLL_SECONDS)

    def is_rolled(self, pods):
        deployment = self.deployment()
        wanted, seen = deployment["spec"].get("replicas"), deployment["status"]
        return (wanted == pods and seen.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
                and seen.get("updatedReplicas") == seen.get("replicas") == seen.get("readyReplicas") == pods)

    def deployment(self):
        return self.cluster.get(f"/apis/apps/v1{NAMESPACE}/deployments/cloister")

    def pods(self):
        return self.cluster.get(f"/api/v1{NAMESPACE}/pods?labelSelector=app.kubernetes.io/name%3Dcloister")["items"]

    def pod(self, name):
        return self.cluster.get(f"/api/v1{NAMESPACE}/pods/{name}")

    def endpoints(self):
        """The addresses behind the Service."""
        subsets = self.cluster.get(f"/api/v1{NAMESPACE}/endpoints/cloister").get("subsets", [])
        return [each["ip"] for subset in subsets for each in subset.get("addresses", [])]

    def restarts(self, pod, name):
        [status] = [each for each in self.pod(pod["metadata"]["name"])["status"]["containerStatuses"] if each["name"] == name]
        return status["restartCount"]

    def kill(self, pod, name):
        """End a container's first process with SIGKILL, which nobody is told of before."""
        [status] = [each for each in pod["status"]["containerStatuses"] if each["name"] == name]
        machine = self.cluster.nodes[pod["spec"]["nodeName"]].machine
        machine.inside(self.cluster.binaries / "ctr", "--namespace=k8s.io", "task", "kill", "--signal=SIGKILL", status["containerID"].removeprefix("containerd://"))

    def address(self):
        """Where the Service is."""
        return self.cluster.get(f"/api/v1{NAMESPACE}/services/cloister")["spec"]["clusterIP"], 80

    def execute(self, script, at=None, **fields):
        """One job through the Service, or in a certain pod: the status and what was answered."""
        return self.ask("/execute", at or self.address(), json.dumps({"script": script, **fields}).encode())

    def ready(self, at):
        """What /readyz says in a pod."""
        return self.ask("/readyz", at)[1]

    def ask(self, path, at, body=None):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}", "Connection": "close"}
        request = urllib.request.Request(f"http://{at[0]}:{at[1]}{path}", body, headers)
        try:
            with self.cluster.opener.open(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)


def container(spec, name):
    [found] = [each for each in spec["containers"] if each["name"] == name]
    return found
