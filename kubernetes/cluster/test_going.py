"""kubernetes.md: what is done to pods on purpose loses no request, on kept connections as on new ones, without any preStop."""

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


def test_pods_of_the_least_privilege_in_place_of_privileged_ones_and_nothing_is_lost(cloister, load):
    with load() as asked:
        cloister.apply(cloister.manifests(OVERLAYS / "least", patch=LEAST))
        cloister.wait_until_rolled()
        contexts = [container(pod["spec"], "supervisor")["securityContext"] for pod in cloister.pods()]
        cloister.apply(cloister.manifests(OVERLAYS / "privileged"))
        cloister.wait_until_rolled()
    assert all(not each.get("privileged") and each["procMount"] == "Unmasked" and each["capabilities"]["drop"] == ["ALL"] for each in contexts)
    assert not asked.lost, asked.kinds()


def names(cloister):
    return {pod["metadata"]["name"] for pod in cloister.pods()}
