"""The overlays as kubectl makes them, the chart as Helm does, and ways into them."""

import functools
import subprocess
import sys
from pathlib import Path

import yaml
from helm_python.chart import Chart

KUBERNETES = Path(__file__).resolve().parents[1]
REPOSITORY = KUBERNETES.parent
CHART = KUBERNETES / "chart"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
CONFINED = [name for name in OVERLAYS if name != "privileged"]
# Those with a user namespace of their own, which no pod has been seen with.
UNPROVEN = ["gke", "gke-autopilot", "host-users-false"]


@functools.cache
def _kustomized(overlay):
    command = [Path(sys.executable).with_name("kubectl"), "kustomize", KUBERNETES / "overlays" / overlay]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def kustomized(overlay):
    """The objects of an overlay."""
    return [each for each in yaml.safe_load_all(_kustomized(overlay)) if each]


def rendered(release="cloister", **values):
    """The objects of the chart."""
    with Chart.load(CHART) as chart:
        texts = chart.render(values=values, name=release, namespace="cloister").values()
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def one(objects, kind):
    [found] = [each for each in objects if each["kind"] == kind]
    return found


def pod(objects):
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def container(objects, name):
    """A container of the pods, a sidecar or not."""
    spec = pod(objects)
    [found] = [each for each in [*spec["initContainers"], *spec["containers"]] if each["name"] == name]
    return found


def option(arguments, name):
    """What an option is on a command line, written in one word or in two."""
    for at, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name:
            return arguments[at + 1]
    raise AssertionError(f"{name} is not given in {arguments}")


def seconds(text):
    assert text.endswith("s"), text
    return int(text[:-1])
