"""A busy neighbour costs its share and nothing more: nobody else's request fails, and nothing is called hung that waits."""

import sys
import threading
from pathlib import Path

import httpx
import pytest

from client import eventually
from service import HOLD, WARM

sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))

from neighbours import KINDS

# Of each sort of harm the worst; `make bench` measures all kinds.
WORST = ["60 threads", "60 processes", "fork bomb", "fork and exit", "output", "ends at once", "memory limit", "large results"]
RUN = "def main(): return 2 + 2"
# Full with the neighbour's jobs but for the places that are kept for others.
SLOTS = 8


def crowd(service, script, stop):
    """Keeps asking for a script until it is told to stop, as one of many requests of one client."""
    with httpx.Client(base_url=f"http://{service.address}", timeout=120, trust_env=False) as client:
        while not stop.is_set():
            client.post("/execute", json={"script": script, "timeout_ms": 1500})


@pytest.mark.layer("cgroup", "time")
@pytest.mark.skipif(not WARM, reason="a cold job shares no more with others than a warm one")
@pytest.mark.parametrize("kind", WORST)
def test_beside_the_worst_of_each_kind_no_request_fails_and_nothing_is_called_hung(crowded, kind):
    service, other = crowded
    stop = threading.Event()
    threads = [threading.Thread(target=crowd, args=(service, KINDS[kind], stop)) for _ in range(SLOTS)]
    for thread in threads:
        thread.start()
    try:
        answers = [other.post("/execute", json={"script": RUN}) for _ in range(15)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in answers] == [200] * 15, [answer.text for answer in answers]
    assert {answer.json()["result"] for answer in answers} == {4}
    restarts = stats(service)["profiles"]["default"]
    assert restarts["launcher"]["hung"] == restarts["zygote"]["hung"] == 0, restarts
    assert restarts["launcher"]["died"] == restarts["zygote"]["died"] == 0, restarts
    assert "hangs" not in (service.directory / "supervisor.log").read_text()


@pytest.fixture(scope="module")
def crowded(start_for_module):
    """A service of a few slots, and a client of another address than the neighbour's."""
    service = start_for_module(supervisor={"slots": SLOTS})
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=f"http://{service.address}", timeout=120, trust_env=False, transport=transport) as other:
        yield service, other


def stats(service):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket))) as client:
        return client.get("http://supervisor/stats").json()


def weights(service, group):
    """The shares of a control group, on version 1 or 2, as version 2 counts them."""
    for path in service.cgroup_directories():
        if path.name == group:
            if (path / "cpu.shares").exists():
                yield round(int((path / "cpu.shares").read_text()) * 100 / 1024)
            elif (path / "cpu.weight").exists():
                yield int((path / "cpu.weight").read_text())


def test_launchers_have_ten_times_a_jobs_share_and_a_job_that_has_run_for_long_a_tenth(start_service):
    """What all jobs wait for comes first, then jobs that have just begun; the next job in a slot has its share again."""
    service = start_service(supervisor={"slots": 1})
    slots = {path.name for path in service.cgroup_directories() if path.name.startswith("slot-")}
    shares = lambda: sorted({weight for slot in slots for weight in weights(service, slot)})
    assert set(weights(service, "launchers")) == {1000}
    thread = threading.Thread(target=service.client.execute, args=[HOLD], kwargs={"args": [2]})
    thread.start()
    eventually(lambda: 10 in shares())
    thread.join()
    for _ in range(2 * len(slots)):
        assert service.client.execute(HOLD, args=[0]).result == "held"
    eventually(lambda: shares() in ([100], [0, 100]))
