"""The chart is the kustomization once more: what it makes by its defaults is compared object by object."""

import re

import kubernetes_validate
import pytest
import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError
from manifests import CHART, KUBERNETES, REPOSITORY, container, kustomized, one, option, pod


def rendered(release="cloister", **values):
    """The objects of the chart."""
    with Chart.load(CHART) as chart:
        texts = chart.render(values=values, name=release, namespace="cloister").values()
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("context", ["least", "privileged"])
def test_it_makes_what_the_overlay_makes(context):
    assert alike(rendered(context=context)) == alike(kustomized(context))


def alike(objects):
    """Without what only one of the two has a way for: the namespace."""
    found = {}
    for each in objects:
        each["metadata"].pop("namespace", None)
        found[each["kind"]] = each
    found.pop("Namespace", None)
    template = found["Deployment"]["spec"]["template"]
    for each in [*template["spec"]["initContainers"], *template["spec"]["containers"]]:
        # What the API makes of a tag that is not `latest`.
        assert each.pop("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
    return found


def test_its_version_is_the_programs():
    version = re.search(r'(?m)^version = "(.*)"', (REPOSITORY / "Cargo.toml").read_text())[1]
    assert re.findall(r"(?m)^(?:version|appVersion): (.*)$", (CHART / "Chart.yaml").read_text()) == [version, version]


def test_it_has_the_policy_of_the_base():
    assert (CHART / "policy.toml").read_bytes() == (KUBERNETES / "base/policy.toml").read_bytes()


def test_helm_has_nothing_to_say_against_it():
    report = lint(CHART, strict=True)
    assert not report["errors"] and {each["error"] for each in report["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("values", [{"context": "root"}, {"image": "x"}, {"replicas": {"min": 0}}, {"keysSecret": ""}])
def test_values_that_mean_nothing_are_refused(values):
    with pytest.raises(HelmError):
        rendered(**values)


def test_all_that_can_be_chosen_is_in_what_is_made():
    objects = rendered(
        release="second", context="least", policy="version = 1\n# \"quoted\": {{ text }}\n", keysSecret="others", replicas={"min": 1, "max": 2},
        images={"gateway": "registry.example:5000/gateway", "supervisor": "registry.example/supervisor@sha256:0123", "pullSecrets": ["pull"]},
        metrics={"namespace": "prometheus", "target": "500m"}, runtimeClass={"name": "writable", "create": False},
        resources={"gateway": {"limits": {"cpu": "1"}}},
    )
    for each in objects:
        kubernetes_validate.validate(each, "1.37", strict=True)
        assert each["metadata"]["name"].startswith("second")
    assert one(objects, "ConfigMap")["data"]["policy.toml"] == "version = 1\n# \"quoted\": {{ text }}\n"
    assert {each["kind"] for each in objects}.isdisjoint({"RuntimeClass", "Secret"})
    assert pod(objects)["runtimeClassName"] == "writable" and pod(objects)["imagePullSecrets"] == [{"name": "pull"}]
    assert container(objects, "gateway")["image"] == "registry.example:5000/gateway:0.1.0"
    assert container(objects, "supervisor")["image"] == "registry.example/supervisor@sha256:0123"
    assert container(objects, "gateway")["resources"]["limits"]["cpu"] == "1"
    assert one(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 2
    assert "others" in str(pod(objects)["volumes"]) and "prometheus" in str(one(objects, "NetworkPolicy"))


def test_without_metrics_there_is_no_way_to_them():
    objects = rendered(metrics={"enabled": False})
    assert "metrics" not in str(one(objects, "NetworkPolicy")) and len(container(objects, "gateway")["ports"]) == 1
    with pytest.raises(AssertionError):
        option(container(objects, "gateway")["args"], "--metrics")


def test_a_change_of_the_policy_changes_no_pod():
    """kubernetes.md: the supervisors see it by themselves."""
    one_way, other = (rendered(policy=text) for text in ("version = 1\n", "version = 1\n\n"))
    assert one(one_way, "Deployment") == one(other, "Deployment") and one(one_way, "ConfigMap") != one(other, "ConfigMap")
