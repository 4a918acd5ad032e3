"""The images loaded and run as a pod would, with the least privilege: docs/deploy.md, "In a container"."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from podman import VERSION_TWO, least

GATEWAY = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only")
OVERLAYS = Path(__file__).resolve().parents[2] / "kubernetes/overlays"
SIX = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8

ASK = """
import sys, urllib.error, urllib.request
url, body = sys.argv[1], sys.argv[2].encode() or None
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


class Pod:
    """A supervisor and a gateway, with one network and the socket's directory in common."""

    def __init__(self, podman, images, directory):
        self.podman = podman
        directory.chmod(0o755)
        shared = ("--volume", f"{directory}:/run/cloister")
        podman.start("supervisor", images["supervisor"].name, options=[*least(), *shared])
        podman.start("gateway", images["gateway"].name, "serve", "--no-auth", options=[*GATEWAY, *shared, "--network", "container:supervisor"])

    def ask(self, path, body=None):
        """From within the pod's network, which nothing leads into."""
        url = f"http://127.0.0.1:8080{path}"
        command = ["nsenter", f"--net=/proc/{self.podman.inside('gateway')}/ns/net", sys.executable, "-c", ASK, url, json.dumps(body) if body else ""]
        status, _, text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.partition(" ")
        return int(status), json.loads(text)

    def probe(self, name, *options):
        done = self.podman("exec", name, f"/usr/bin/cloister-{name}", "probe", *options, check=False)
        return done.returncode, done.stdout.strip()


@pytest.fixture(scope="module")
def pod(podman, images, tmp_path_factory):
    pod = Pod(podman, images, tmp_path_factory.mktemp("socket"))
    podman.wait_for("supervisor", "INFO ready")
    podman.wait_for("gateway", "INFO listening")
    return pod


def test_a_pod_with_the_least_privilege_is_ready_and_runs_scripts(pod):
    assert pod.ask("/readyz")[0] == 200
    status, answer = pod.ask("/execute", {"script": "import numpy\ndef main(): return int(numpy.arange(5).sum())"})
    assert (status, answer.get("result")) == (200, 10), answer


def test_each_program_is_its_own_probe(pod):
    for name in ("supervisor", "gateway"):
        assert pod.probe(name) == (0, "ready")
        assert pod.probe(name, "--alive") == (0, "alive")


def status(podman, name):
    return dict(re.findall(r"(?m)^(\w+):\s+(.*)$", Path(f"/proc/{podman.inside(name)}/status").read_text()))


def test_neither_has_more_than_it_needs(pod):
    gateway, supervisor = status(pod.podman, "gateway"), status(pod.podman, "supervisor")
    assert set(gateway["Uid"].split()) == {"64510"} and int(gateway["CapEff"], 16) == int(gateway["CapBnd"], 16) == 0
    # In a user namespace of its own, where it is none of the container's ids.
    assert int(supervisor["CapEff"], 16) == int(supervisor["CapBnd"], 16) == SIX and len(set(supervisor["Uid"].split())) == 1
    assert int(supervisor["Uid"].split()[0]) > 65536
    for told in (gateway, supervisor):
        assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")
    for name in ("gateway", "supervisor"):
        root = Path(f"/proc/{pod.podman.inside(name)}/mountinfo").read_text().splitlines()
        assert any(line.split()[4] == "/" and "ro" in line.split()[5].split(",") for line in root), name


def test_the_sandboxes_groups_are_below_the_containers(pod):
    groups = Path(f"/proc/{pod.podman.inside('supervisor')}/cgroup").read_text()
    assert all(pod.podman.parent in group for group in groups.splitlines() if re.search(r":(memory|pids|):/.", group)), groups


def test_doctor_is_satisfied(podman, images):
    told = podman.run(images["supervisor"].name, "doctor", options=[*least(), "--entrypoint", "/usr/bin/cloister"])
    rows = told.stdout.splitlines()[1:]
    assert len(rows) > 30 and all(row.startswith("ok") for row in rows), told.stdout


@pytest.mark.skipif(not VERSION_TWO, reason="control groups of version 1 cannot be ruled from inside of a user namespace")
def test_doctor_is_satisfied_in_a_user_namespace_with_as_many_ids_as_a_pod_has(podman, images, tmp_path):
    # Of the root of that namespace, as the files of a pod's volumes are.
    policy = Path(shutil.copy(OVERLAYS / "host-users-false/policy.toml", tmp_path))
    os.chown(policy, 200000, 200000)
    ids = [option for kind in ("uidmap", "gidmap") for option in (f"--{kind}", "0:200000:65536")]
    options = [*least(), *ids, "--volume", f"{policy}:/etc/cloister/policy.toml:ro", "--entrypoint", "/usr/bin/cloister"]
    told = podman.run(images["supervisor"].name, "doctor", options=options, check=False)
    rows = told.stdout.splitlines()[1:]
    assert len(rows) > 30 and all(row.startswith("ok") for row in rows), told


def test_a_gateway_that_nobody_said_anything_about_serves_no_strangers(podman, images):
    told = podman.run(images["gateway"].name, options=[*GATEWAY, "--network", "none"], check=False)
    assert told.returncode == 1 and "0.0.0.0:8080 can be reached from outside and no keys are configured" in told.stderr


def test_a_probe_of_nobody_fails_and_says_why(podman, images):
    told = podman.run(images["supervisor"].name, "probe", options=[*least()], check=False)
    assert told.returncode == 1 and told.stdout.startswith("not ready: no answer: No such file or directory"), told
    told = podman.run(images["gateway"].name, "probe", "--alive", options=[*GATEWAY, "--network", "none"], check=False)
    assert told.returncode == 1 and told.stdout.startswith("not alive: no answer: Connection refused"), told


def test_both_end_when_asked_to(pod):
    """The last of this file: nothing is left of the pod."""
    for name in ("gateway", "supervisor"):
        pod.podman("stop", "--time", "60", name)
        assert pod.podman("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "0"
    pod.podman.remove()
