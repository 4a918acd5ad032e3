"""kubernetes.md: more pods and fewer lose no request; the autoscaler's bounds say how many there are, while no metric does."""

import json


def test_from_three_to_six_on_new_nodes_to_two(cloister, load):
    cluster = cloister.cluster
    if len(cluster.nodes) < 6:
        cloister.load(cluster.add(6 - len(cluster.nodes)))
    with load() as asked:
        bounds(cloister, 6, 10)
        bounds(cloister, 2, 2)
        bounds(cloister, 3, 10)
    assert not asked.lost, asked.kinds()


def bounds(cloister, least, most):
    cloister.kubectl("patch", "hpa", "cloister", "--patch", json.dumps({"spec": {"minReplicas": least, "maxReplicas": most}}))
    cloister.wait_until_rolled(least)
    nodes = [pod["spec"]["nodeName"] for pod in cloister.pods() if "deletionTimestamp" not in pod["metadata"]]
    # One on a node, however many there are.
    assert len(nodes) == len({*nodes}) == least
