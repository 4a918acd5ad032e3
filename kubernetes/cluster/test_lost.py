"""kubernetes.md: what ends without being told to loses what had begun on it, and nothing else."""

import time

from conftest import CLIENTS, more


def test_a_node_that_is_cut_off(cloister, load):
    """Nobody can know what became of what had been sent there. Who had no connection to it asks again."""
    cluster = cloister.cluster
    [node] = [cluster.nodes[pod["spec"]["nodeName"]] for pod in cloister.pods()][-1:]
    # Who waits for longer than it is away has an answer when it is back: connections outlive a wire.
    with load(connects=100, patience=10) as asked:
        cut = time.monotonic()
        node.cut(True)
        try:
            cluster.wait(lambda: not node.is_ready(), "a node that is known to be away")
            cluster.wait(lambda: len(cloister.endpoints()) == 2, "a Service without its pod")
            more(cluster, asked)
            unasked = asked.reconnected
        finally:
            node.cut(False)
        cluster.wait(lambda: node.is_ready() and len(cloister.endpoints()) == 3, "the node and its pod are back")
    assert all(opened <= cut for opened in asked.lost_on), asked.lost
    assert len(asked.lost) <= CLIENTS and set(asked.kinds()) <= {"no answer", "cut, kept connection", "cut, new connection"}, asked.kinds()
    print(f"{unasked} connections to the node were given up before the Service was without it")


def test_a_supervisor_that_is_killed(cloister, load):
    """Its gateway holds what has not begun until the next one is there."""
    # One that has not been before, for the kubelet lets who dies again wait.
    [pod, *_] = [pod for pod in cloister.pods() if cloister.restarts(pod, "supervisor") == 0]
    with load() as asked:
        cloister.kill(pod, "supervisor")
        cloister.cluster.wait(lambda: cloister.restarts(pod, "supervisor") == 1, "a supervisor that is started again")
        cloister.wait_until_rolled()
    assert set(asked.kinds()) <= {"502"} and len(asked.lost) <= CLIENTS, asked.kinds()
