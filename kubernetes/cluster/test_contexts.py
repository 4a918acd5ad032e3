"""kubernetes.md: what doctor says in a pod of each context that this Kubernetes can run; and of what takes something away."""

import json

import pytest
import yaml

from installation import LEAST, OVERLAYS, container

UNMASKED = {"op": "replace", "path": "/spec/template/spec/containers/0/securityContext/procMount", "value": "Default"}
FILTER = {"op": "replace", "path": "/spec/template/spec/containers/0/securityContext/seccompProfile", "value": {"type": "RuntimeDefault"}}


@pytest.fixture
def doctor(bare, request):
    """What doctor says in the supervisor's container of an overlay, patched, and its exit status."""
    made = []

    def ask(overlay, patch=()):
        objects = yaml.safe_load_all(bare.manifests(OVERLAYS / overlay, patch=patch))
        [template] = [each["spec"]["template"] for each in objects if each["kind"] == "Deployment"]
        found = container(template["spec"], "supervisor")
        found |= {"command": ["/usr/bin/cloister", "doctor"], "args": []}
        for probe in ("startupProbe", "livenessProbe"):
            del found[probe]
        mounted = {each["name"] for each in found["volumeMounts"]} - {"policy"}
        found["volumeMounts"] = [each for each in found["volumeMounts"] if each["name"] in mounted]
        name = f"doctor-{len(made)}-{overlay}"
        made.append(name)
        spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [found],
                "volumes": [each for each in template["spec"]["volumes"] if each["name"] in mounted]}
        bare.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "cloister"}, "spec": spec}))
        bare.cluster.wait(lambda: bare.pod(name)["status"]["phase"] in ("Succeeded", "Failed"), "doctor's end")
        status = bare.pod(name)["status"]["containerStatuses"][0]["state"]["terminated"]
        return bare.kubectl("logs", name).stdout, status["exitCode"]

    yield ask
    bare.kubectl("delete", "pod", "--wait=true", *made)


def test_privileged(doctor):
    told, code = doctor("privileged")
    assert code == 0 and "FAIL" not in told, told


def test_least_with_control_groups_by_a_path_of_the_node(doctor):
    """Its own of the RuntimeClass take containerd 2.1."""
    told, code = doctor("least", LEAST)
    assert code == 0 and "FAIL" not in told, told


@pytest.mark.parametrize("patch, cause, line", [
    ([UNMASKED], "/proc is masked", "procMount: Unmasked"),
    ([FILTER], "filter of system calls refuses", "securityContext.seccompProfile"),
    ([{"op": "remove", "path": "/spec/template/spec/containers/0/volumeMounts/2"}], "is mounted read-only", "hostPath: {path: /sys/fs/cgroup}"),
    ([{"op": "remove", "path": "/spec/template/spec/containers/0/securityContext/capabilities/add/0"}], "CAP_CHOWN missing", "add: [CHOWN"),
], ids=["masked", "filter", "read-only", "capability"])
def test_least_without_one_thing_is_told_by_its_name(doctor, patch, cause, line):
    told, code = doctor("least", [*LEAST, *patch])
    failed = "".join(row for row in told.splitlines(True) if row.startswith("FAIL"))
    assert code == 1 and cause in failed and line in failed, told
