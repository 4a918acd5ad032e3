"""kubernetes.md: what is done to pods on purpose loses no request, on kept connections as on new ones, without any preStop."""

import pytest
from installation import LEAST, OVERLAYS, container


def test_a_restart_of_all_loses_nothing(cloister, load):
    before = names(cloister)
    with load() as asked:
        cloister.kubectl("rollout", "restart", "deployment/cloister")
        cloister.wait_until_rolled()
    assert not asked.lost, asked.kinds()
    assert not before & names(cloister)


def test_nodes_are_emptied_one_after_the_other_and_nothing_is_lost(cloister, load):
    """The budget: a second node keeps its pod until the first one's has a place again."""
    first, second = sorted(cloister.cluster.nodes)[:2]
    with load() as asked:
        drain(cloister, first)
        refused = drain(cloister, second, "--timeout=8s", check=False)
        cloister.kubectl("uncordon", first)
        cloister.wait_until_rolled()
        drain(cloister, second)
        cloister.kubectl("uncordon", second)
        cloister.wait_until_rolled()
    assert refused.returncode != 0 and "disruption budget" in refused.stderr
    assert not asked.lost, asked.kinds()


def drain(cloister, node, *options, check=True):
    try:
        return cloister.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", *options, check=check)
    finally:
        if not check:
            cloister.kubectl("uncordon", node)


def test_a_change_of_the_policy_rolls_the_pods_and_nothing_is_lost(cloister, load, request):
    """The ConfigMap's name ends in its content's hash."""
    policy = OVERLAYS.parent.joinpath("base/policy.toml").read_text()
    profile = f"of-{request.node.callspec.id}"
    assert cloister.execute("def main():\n    return 1", profile=profile)[0] != 200
    with load() as asked:
        cloister.apply(cloister.manifests(OVERLAYS / "privileged", policy=f'{policy}\n[profile.{profile}]\nruntime = "python"\n'))
        cloister.wait_until_rolled()
        assert cloister.execute("def main():\n    return 1", profile=profile)[0] == 200
    assert not asked.lost, asked.kinds()


def test_a_policy_with_mistakes_stops_at_the_first_pod(cloister, load):
    before = names(cloister)
    with load() as asked:
        cloister.apply(cloister.manifests(OVERLAYS / "privileged", policy="version = 1\n[profile.default]\nruntime = \"none\"\n"))
        cloister.cluster.wait(lambda: any(fails(pod) for pod in cloister.pods()), "a pod that says that it does not start")
        assert len(before & names(cloister)) == 2
        cloister.apply(cloister.manifests(OVERLAYS / "privileged"))
        cloister.wait_until_rolled()
    assert not asked.lost, asked.kinds()


def test_the_chart_in_place_of_the_overlay_rolls_the_pods_and_nothing_is_lost(cloister, load):
    """They are the same objects."""
    chart = pytest.importorskip("helm_python.chart")
    file = cloister.directory / "chart.yaml"
    with chart.Chart.load(OVERLAYS.parent / "chart") as loaded:
        file.write_text("\n---\n".join(loaded.render(values={"context": "privileged"}, name="cloister", namespace="cloister").values()))
    with load() as asked:
        cloister.apply(cloister.manifests(file))
        cloister.wait_until_rolled()
        mounted = [each["configMap"]["name"] for each in cloister.pods()[0]["spec"]["volumes"] if "configMap" in each]
        cloister.apply(cloister.manifests(OVERLAYS / "privileged"))
        cloister.wait_until_rolled()
    assert mounted == ["cloister-policy"]
    assert not asked.lost, asked.kinds()


def test_pods_of_the_least_privilege_in_place_of_privileged_ones_and_nothing_is_lost(cloister, load):
    with load() as asked:
        cloister.apply(cloister.manifests(OVERLAYS / "least", patch=LEAST))
        cloister.wait_until_rolled()
        contexts = [container(pod["spec"], "supervisor")["securityContext"] for pod in cloister.pods()]
        cloister.apply(cloister.manifests(OVERLAYS / "privileged"))
        cloister.wait_until_rolled()
    assert all(not each.get("privileged") and each["procMount"] == "Unmasked" and each["capabilities"]["drop"] == ["ALL"] for each in contexts)
    assert not asked.lost, asked.kinds()


def fails(pod):
    return any(each["restartCount"] > 1 for each in pod["status"].get("containerStatuses", []) if each["name"] == "supervisor")


def names(cloister):
    return {pod["metadata"]["name"] for pod in cloister.pods()}
