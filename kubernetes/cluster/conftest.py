"""Fixtures: a cluster of three nodes, Cloister installed in it, and clients that ask all the time. run.py starts this."""

import contextlib
import os
import signal
import sys
import threading
import time
from asyncio import run as run_loop
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "supervisor/balancer")]

from cluster import Cluster  # noqa: E402
from installation import OVERLAYS, Installation  # noqa: E402
from load import Load  # noqa: E402

DIRECTORY = Path(os.environ["CLOISTER_CLUSTER_DIRECTORY"])
CLIENTS, JOB_SECONDS = 8, 0.02
# Enough of them that whatever a change does to requests is seen before it and after it.
ENOUGH = 300
rows = []
# To be told to stop is an interruption, after which fixtures end what they started.
signal.signal(signal.SIGTERM, signal.default_int_handler)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster():
    """Three nodes, all ready."""
    cluster = Cluster(os.environ["CLOISTER_CLUSTER"], Path(os.environ["CLOISTER_CLUSTER_PROGRAMS"]), DIRECTORY)
    try:
        cluster.wait_until_up()
        cluster.add(3)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def bare(cluster):
    """Images and keys where pods look for them, and no pods."""
    images = sorted(Path(os.environ["CLOISTER_IMAGES"]).glob("cloister-*.tar"))
    bare = Installation(cluster, DIRECTORY, Path(os.environ["CLOISTER_BIN"]), images)
    bare.load(cluster.nodes.values())
    bare.make_keys()
    return bare


@pytest.fixture(scope="session")
def cloister(bare):
    """The overlay `privileged`, three pods, all ready."""
    bare.apply(bare.manifests(OVERLAYS / "privileged"))
    bare.wait_until_rolled()
    return bare


@pytest.fixture(params=["new", "kept"])
def load(request, cloister):
    """Clients that ask through the Service while a test does something to it, on new connections or on kept ones."""
    return under_load(cloister, request)


def under_load(cloister, request):
    @contextlib.contextmanager
    def asking(**options):
        load = Load(cloister.address(), CLIENTS, request.param == "kept", JOB_SECONDS, key=cloister.key, **options)
        over = threading.Event()
        thread = threading.Thread(target=lambda: run_loop(load.run(over)))
        began = time.monotonic()
        thread.start()
        try:
            more(cloister.cluster, load)
            yield load
            more(cloister.cluster, load)
        finally:
            over.set()
            thread.join()
            kinds = ", ".join(f"{count} × {how}" for how, count in load.kinds().most_common()) or "0"
            rows.append(f"| {request.node.name} | {load.served + len(load.lost):,} in {time.monotonic() - began:.0f} s | {kinds} | {load.longest:.1f} s |")
    return asking


def more(cluster, load):
    """Until so many requests more have been served."""
    enough = load.served + ENOUGH
    cluster.wait(lambda: load.served >= enough, "requests that are served")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure comes with what the cluster has to say."""
    report = yield
    cluster = next((each for each in (item.funcargs.get(name) for name in ("cluster", "bare", "cloister")) if each), None)
    if report.failed and cluster is not None:
        for what in (["get", "pods,nodes", "-A", "-o", "wide"], ["get", "events"]):
            report.sections.append((what[1], cluster.kubectl(*what, check=False).stdout[-6000:]))
    return report


def pytest_terminal_summary(terminalreporter):
    if rows:
        terminalreporter.write_line("\n".join(["| test | requests | lost | longest |", "|---|---|---|---|", *rows]))
