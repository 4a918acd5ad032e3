"""What docs/kubernetes.md and docs/security.md say of a pod, in each overlay: what schemas know, and what they do not."""

import json
import os
import re
import subprocess
import tomllib

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions, major_minor
from manifests import CONFINED, KUBERNETES, OVERLAYS, REPOSITORY, UNPROVEN, container, kustomized, one, option, pod, seconds

SIX = {"CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETPCAP", "SETUID"}
# From the first with native sidecars to the newest that the schemas know.
VERSIONS = [version for version in dict.fromkeys(map(major_minor, all_versions())) if int(version.partition(".")[2]) >= 29]
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_knows_every_field(version):
    # AppArmor is a field from 1.30 on, which those have that are not taken before anyway.
    overlays = [name for name in OVERLAYS if version != "1.29" or name not in UNPROVEN]
    # Most objects are in all overlays.
    for each in {json.dumps(each, sort_keys=True): each for name in overlays for each in kustomized(name)}.values():
        kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_are_strict_and_reach_far():
    assert VERSIONS[0] == "1.29" and len(VERSIONS) >= 9
    deployment = one(kustomized("privileged"), "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 60
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@every_overlay
def test_the_gateway_has_no_power(overlay):
    """security.md: the gateway is "an id without an account, no capability"."""
    context = container(kustomized(overlay), "gateway")["securityContext"]
    assert context == {
        "runAsNonRoot": True, "runAsUser": 64510, "runAsGroup": 64510, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("overlay", CONFINED)
def test_the_supervisor_has_six_capabilities_and_no_more(overlay):
    context = container(kustomized(overlay), "supervisor")["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"] and sorted(context["capabilities"]["add"]) == sorted(SIX)
    assert "privileged" not in context and context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True and context["runAsUser"] == 0
    # Without it the kernel lets nobody mount a new /proc.
    assert context["procMount"] == "Unmasked"


def test_the_six_are_those_of_the_unit():
    """MKNOD apart, which the unit has until the start is over."""
    unit = (REPOSITORY / "systemd/cloister-supervisor.service").read_text()
    [bounding] = re.findall(r"(?m)^CapabilityBoundingSet=(.*)$", unit)
    assert {each.removeprefix("CAP_") for each in bounding.split()} - {"MKNOD"} == SIX


def test_profiles_are_the_nodes_own_where_nodes_can_have_them():
    for overlay in ("least", "host-users-false", "gke"):
        context = container(kustomized(overlay), "supervisor")["securityContext"]
        assert context["seccompProfile"] == {"type": "Localhost", "localhostProfile": "cloister.json"}
    context = container(kustomized("gke-autopilot"), "supervisor")["securityContext"]
    assert context["seccompProfile"] == context["appArmorProfile"] == {"type": "Unconfined"}


def test_the_apparmor_profile_is_the_one_that_is_shipped():
    profile = re.search(r"(?m)^profile (\S+)", (REPOSITORY / "systemd/apparmor/cloister-supervisor").read_text())[1]
    annotation = "container.apparmor.security.beta.kubernetes.io/supervisor"
    template = one(kustomized("least"), "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert template[annotation] == f"localhost/{profile}"
    for overlay in ("host-users-false", "gke"):
        objects = kustomized(overlay)
        assert annotation not in one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]
        assert container(objects, "supervisor")["securityContext"]["appArmorProfile"] == {"type": "Localhost", "localhostProfile": profile}


def test_the_privileged_context_says_no_more_than_that():
    context = container(kustomized("privileged"), "supervisor")["securityContext"]
    assert context == {"runAsUser": 0, "runAsGroup": 0, "privileged": True, "readOnlyRootFilesystem": True}


@every_overlay
def test_a_pod_shares_nothing_of_its_node(overlay):
    spec = pod(kustomized(overlay))
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "securityContext"} & spec.keys()
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} == {"emptyDir", "configMap", "secret"}
    assert spec.get("hostUsers", True) == (overlay not in UNPROVEN)


def test_only_least_asks_for_what_api_servers_refuse_from_1_30_on():
    """An unmasked /proc in the node's user namespace: docs/kubernetes.md, "Three contexts"."""
    def refused(overlay):
        objects = kustomized(overlay)
        return container(objects, "supervisor")["securityContext"].get("procMount") == "Unmasked" and pod(objects).get("hostUsers", True)

    assert [overlay for overlay in OVERLAYS if refused(overlay)] == ["least"]


@every_overlay
def test_who_breaks_into_a_pod_finds_no_token(overlay):
    objects = kustomized(overlay)
    assert pod(objects)["automountServiceAccountToken"] is False is one(objects, "ServiceAccount")["automountServiceAccountToken"]
    assert pod(objects)["serviceAccountName"] == one(objects, "ServiceAccount")["metadata"]["name"]
    assert pod(objects)["enableServiceLinks"] is False
    assert not [each["kind"] for each in objects if "Role" in each["kind"]]


@every_overlay
def test_probes_are_the_programs_own(overlay):
    """docs/gateway.md, "Probes": `probe`, or `probe --alive` for who restarts what hangs; 3 seconds at most."""
    for name, ready in (("supervisor", "startupProbe"), ("gateway", "readinessProbe")):
        found = container(kustomized(overlay), name)
        assert {key for key in found if key.endswith("Probe")} == {ready, "livenessProbe"}
        assert found[ready]["exec"]["command"] == [f"/usr/bin/cloister-{name}", "probe"]
        assert found["livenessProbe"]["exec"]["command"] == [f"/usr/bin/cloister-{name}", "probe", "--alive"]
        assert all(found[probe]["timeoutSeconds"] > 3 for probe in (ready, "livenessProbe"))
        assert "lifecycle" not in found, "the images have no shell and no sleep, and need no hook"


def test_the_times_of_the_units_hold_in_pods():
    supervisor = container(kustomized("privileged"), "supervisor")
    unit = dict(re.findall(r"(?m)^(\w+)=(\d+)$", (REPOSITORY / "systemd/cloister-supervisor.service").read_text()))
    for probe, setting in (("startupProbe", "TimeoutStartSec"), ("livenessProbe", "WatchdogSec")):
        assert supervisor[probe]["periodSeconds"] * supervisor[probe]["failureThreshold"] == int(unit[setting])


@every_overlay
def test_requests_are_held_until_a_pod_without_supervisor_is_out_of_the_service(overlay):
    gateway = container(kustomized(overlay), "gateway")
    probe = gateway["readinessProbe"]
    assert seconds(option(gateway["args"], "--hold")) > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]


@every_overlay
def test_a_pod_is_given_the_time_to_end_without_loss(overlay):
    """deploy.md: the notice, the drain and 10 s; the sidecar's own notice comes after the gateway's end, and is none."""
    objects = kustomized(overlay)
    gateway, supervisor = container(objects, "gateway"), container(objects, "supervisor")
    takes = seconds(option(gateway["args"], "--drain-notice")) + seconds(option(gateway["args"], "--drain")) + 10
    assert takes <= pod(objects)["terminationGracePeriodSeconds"]
    assert option(supervisor["args"], "--drain-notice") == "0s" and supervisor["restartPolicy"] == "Always"
    assert [each["name"] for each in pod(objects)["initContainers"]] == ["supervisor"]
    # A rolling update takes one away before it makes one, for there may be no node without one.
    assert one(objects, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@every_overlay
def test_what_is_mounted_is_there_and_what_is_there_is_mounted(overlay):
    objects = kustomized(overlay)
    mounted = {name: {each["name"]: each for each in container(objects, name)["volumeMounts"]} for name in ("supervisor", "gateway")}
    assert {each["name"] for each in pod(objects)["volumes"]} == mounted["supervisor"].keys() | mounted["gateway"].keys()
    # The policy is the supervisor's alone, the keys are the gateway's, and who is taken over can put no other socket there.
    assert mounted["supervisor"].keys() == {"socket", "policy"} and mounted["gateway"].keys() == {"socket", "keys"}
    assert mounted["gateway"]["socket"]["readOnly"] is True
    # Such a volume may be written to by all, and the supervisor takes a policy from there only where the mount may not.
    assert mounted["supervisor"]["policy"]["readOnly"] is True
    assert mounted["supervisor"]["socket"]["mountPath"] == mounted["gateway"]["socket"]["mountPath"] == "/run/cloister"
    assert option(container(objects, "gateway")["args"], "--keys").startswith(mounted["gateway"]["keys"]["mountPath"] + "/")


@every_overlay
def test_ports_are_named_once_and_lead_somewhere(overlay):
    objects = kustomized(overlay)
    gateway = container(objects, "gateway")
    ports = {each["name"]: each["containerPort"] for each in gateway["ports"]}
    assert "ports" not in container(objects, "supervisor")
    environment = {each["name"]: each["value"] for each in gateway["env"]}
    listeners = {"http": environment["CLOISTER_LISTEN"], "metrics": option(gateway["args"], "--metrics")}
    assert ports == {name: int(address.rpartition(":")[2]) for name, address in listeners.items()}
    assert [each["targetPort"] for each in one(objects, "Service")["spec"]["ports"]] == ["http"]


@every_overlay
def test_nothing_leaves_a_pod_and_two_ports_lead_in(overlay):
    policy = one(kustomized(overlay), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"] and policy["egress"] == []
    rules = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    assert rules.keys() == {"http", "metrics"} and rules["metrics"]


@every_overlay
def test_what_selects_pods_selects_these(overlay):
    objects = kustomized(overlay)
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [one(objects, kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    selectors += [one(objects, "Service")["spec"]["selector"], one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    selectors += [each["labelSelector"]["matchLabels"] for each in pod(objects)["topologySpreadConstraints"]]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    assert one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == one(objects, "Deployment")["metadata"]["name"]


@every_overlay
def test_no_two_are_on_a_node_in_whatever_namespace_unless_ids_are_the_pods_own(overlay):
    """deploy.md: supervisors that share a user namespace have to have other ids."""
    rules = pod(kustomized(overlay))["affinity"]["podAntiAffinity"]
    term = {"topologyKey": "kubernetes.io/hostname", "namespaceSelector": {},
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "cloister"}}}
    if overlay in UNPROVEN:
        assert rules == {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
    else:
        assert rules == {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


@every_overlay
def test_the_namespace_lets_these_pods_in(overlay):
    labels = one(kustomized(overlay), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


@every_overlay
def test_a_change_of_the_policy_is_seen_by_the_pods_that_run(overlay):
    """kubernetes.md: the supervisor watches the directory, which has to be the volume itself, and its name stays."""
    objects = kustomized(overlay)
    [(volume, mounted)] = [(each["name"], each["configMap"]["name"]) for each in pod(objects)["volumes"] if "configMap" in each]
    assert mounted == one(objects, "ConfigMap")["metadata"]["name"] == "cloister-policy"
    assert one(objects, "ConfigMap")["data"].keys() == {"policy.toml"}
    supervisor = container(objects, "supervisor")
    assert "--reload-on-change" in supervisor["args"]
    assert [mount for mount in supervisor["volumeMounts"] if mount["name"] == volume] == [
        {"name": volume, "mountPath": "/etc/cloister", "readOnly": True}]


@every_overlay
def test_the_policy_fits_the_container(overlay, tmp_path):
    objects = kustomized(overlay)
    text = one(objects, "ConfigMap")["data"]["policy.toml"]
    policy = tomllib.loads(text)
    memory = container(objects, "supervisor")["resources"]["limits"]["memory"]
    jobs = policy["supervisor"]["slots"] * int(policy["profile"]["default"]["memory"].removesuffix("MiB"))
    assert jobs <= int(memory.removesuffix("Gi")) * 1024 * 3 / 4
    # A pod with a user namespace of its own has ids 0 to 65535, of which the gateway's is one.
    assert policy["supervisor"].get("uid_base", 1879048192) + 8192 < 64510 if overlay in UNPROVEN else "uid_base" not in policy["supervisor"]
    (tmp_path / "policy.toml").write_text(text)
    check = [f"{os.environ['CLOISTER_BIN']}/cloister", "policy", "check", tmp_path / "policy.toml"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every_overlay
def test_the_programs_know_every_option(overlay):
    """Options are read before what they ask for, so that help is an answer to those before it."""
    for name in ("supervisor", "gateway"):
        arguments = container(kustomized(overlay), name)["args"]
        program = f"{os.environ['CLOISTER_BIN']}/cloister-{name}"
        for command in ([*arguments, "--help"], [*container(kustomized(overlay), name)["livenessProbe"]["exec"]["command"][1:], "--help"]):
            done = subprocess.run([program, *command], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overlay", ["gke", "gke-autopilot"])
def test_gke_is_asked_as_its_documents_say(overlay):
    objects = kustomized(overlay)
    template = one(objects, "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"]["node.gke.io/enable-writable-cgroups.supervisor"] == "true"
    assert template["spec"]["nodeSelector"] == {"node.gke.io/enable-writable-cgroups": "true"}
    assert "runtimeClassName" not in template["spec"] and not [each for each in objects if each["kind"] == "RuntimeClass"]
    # The class Guaranteed.
    for name in ("supervisor", "gateway"):
        resources = container(objects, name)["resources"]
        assert resources["requests"] == resources["limits"] and resources["limits"].keys() == {"cpu", "memory"}


@every_overlay
def test_images_name_no_registry_and_this_version(overlay):
    version = re.search(r'(?m)^version = "(.*)"', (REPOSITORY / "Cargo.toml").read_text())[1]
    for name in ("supervisor", "gateway"):
        assert container(kustomized(overlay), name)["image"] == f"cloister-{name}:{version}"


@pytest.mark.parametrize("overlay", UNPROVEN)
def test_what_is_not_proven_says_so_in_its_first_line(overlay):
    first = (KUBERNETES / f"overlays/{overlay}/kustomization.yaml").read_text().splitlines()[0]
    assert "NOT PROVEN" in first
