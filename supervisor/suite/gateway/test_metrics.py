"""What Prometheus is told: the supervisor's own numbers by way of the gateway, as things happen to it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from client import eventually
from service import HOLD, WARM, free_port
from tongue import RUN


class Metrics:
    """The metrics of a service of the test's own."""

    def __init__(self, start_service, **options):
        self.url = f"http://127.0.0.1:{free_port()}/metrics"
        options["gateway_options"] = ["--metrics", self.url.split("/")[2], *options.get("gateway_options", [])]
        self.service = start_service(**options)
        eventually(lambda: self["cloister_supervisor_up"] == 1)

    def text(self):
        return httpx.get(self.url, trust_env=False).text

    def __getitem__(self, series):
        values = dict(line.rsplit(" ", 1) for line in self.text().splitlines() if not line.startswith("#"))
        return float(values[series]) if series in values else None

    def restarts(self, what, profile="default"):
        """By reason, those that there were."""
        found = re.findall(rf'(?m)^cloister_{what}_restarts_total{{profile="{profile}",reason="(\w+)"}} (\d+)', self.text())
        return {reason: int(count) for reason, count in found if count != "0"}


# Longer than any test waits.
PATIENT = """
[profile.patient]
extends = "default"
wall_time = "5min"
warm = false
"""


@contextmanager
def held(service, count):
    """So many requests whose jobs run, or want to, until this ends and their clients hang up."""
    host, port = service.address.split(":")
    body = json.dumps({"script": HOLD, "args": [250], "profile": "patient"}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(socket.create_connection((host, int(port))))
            client.sendall(head.encode() + body)
        yield


@pytest.fixture
def metrics(start_service):
    return Metrics(start_service)


@pytest.mark.neutral
def test_slots_and_queue_as_they_are(start_service):
    metrics = Metrics(start_service, policy=PATIENT, supervisor={"slots": 2, "queue": 8, "queue_wait": '"5min"'})
    assert (metrics["cloister_slots"], metrics["cloister_slots_busy"], metrics["cloister_queue_length"]) == (2, 0, 0)
    with held(metrics.service, 3):
        eventually(lambda: (metrics["cloister_slots_busy"], metrics["cloister_queue_length"]) == (2, 1))
    eventually(lambda: (metrics["cloister_slots_busy"], metrics["cloister_queue_length"]) == (0, 0))


@pytest.mark.skipif(not WARM, reason="nothing is parked with cold starts")
def test_parked_children_and_zygotes_that_die_hang_or_are_replaced(metrics):
    service = metrics.service
    eventually(lambda: metrics['cloister_parked{profile="default"}'] == 4)
    assert (metrics.restarts("zygote"), metrics.restarts("launcher")) == ({}, {})
    [zygote] = service.zygotes()
    os.kill(zygote, signal.SIGKILL)
    eventually(lambda: zygote not in service.zygotes())
    eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200)
    eventually(lambda: metrics.restarts("zygote") == {"died": 1})
    service.settle()
    os.kill(service.zygotes()[0], signal.SIGSTOP)
    # Parked children serve the first of them; what cannot be parked any more shows that it hangs.
    with ThreadPoolExecutor(6) as pool:
        [job.result() for job in [pool.submit(service.client.execute, HOLD, args=[0]) for _ in range(6)]]
    eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200, within=60)
    eventually(lambda: metrics.restarts("zygote") == {"died": 1, "hung": 1})
    assert metrics.restarts("launcher") == {}
    # A changed profile goes on counting; a new one begins.
    policy = service.policy.read_text() + '\n[profile.another]\nextends = "default"\nwarm = false\n'
    service.policy.write_text(policy.replace('wall_time = "10s"', 'wall_time = "9s"', 1))
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: metrics.restarts("zygote") == {"died": 1, "hung": 1, "reload": 1}, within=60)
    assert metrics.restarts("launcher") == {"reload": 1}
    assert metrics['cloister_parked{profile="another"}'] == 0
    assert metrics.restarts("launcher", "another") == {}


@pytest.mark.neutral
def test_a_launcher_that_dies_is_counted(metrics):
    service = metrics.service
    service.settle()
    os.kill(service.launcher(), signal.SIGKILL)
    eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200)
    eventually(lambda: metrics.restarts("launcher") == {"died": 1})
    assert metrics.restarts("zygote") == ({"died": 1} if WARM else {})


@pytest.mark.neutral
def test_the_names_of_clients_are_no_labels(metrics):
    for name in ("made-up", "default\"} 1\ncloister_slots 7"):
        assert metrics.service.client.execute(RUN, profile=name).code == "invalid_request"
    assert metrics.service.client.execute(RUN).result == "served"
    assert set(re.findall(r'profile="([^"]*)"', metrics.text())) == {"default"}


@pytest.mark.neutral
def test_slots_and_who_waits_for_them_are_shown_as_they_are(start_service):
    metrics = Metrics(start_service, policy=PATIENT, supervisor={"slots": 12, "queue_wait": '"5min"'})
    assert (metrics["cloister_slots"], metrics["cloister_slots_busy"], metrics["cloister_queue_length"]) == (12, 0, 0)
    service = metrics.service
    service.policy.write_text(service.policy.read_text().replace("slots = 12", "slots = 3", 1))
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: metrics["cloister_slots"] == 3, within=60)
    with held(service, 5):
        eventually(lambda: len(service.holding()) == 3)
        eventually(lambda: (metrics["cloister_slots_busy"], metrics["cloister_queue_length"]) == (3, 2))
    eventually(lambda: metrics["cloister_answers_unread"] == 0)


@pytest.mark.neutral
def test_a_supervisor_that_is_away_is_told(metrics):
    metrics.service.supervisor.send_signal(signal.SIGTERM)
    assert metrics.service.supervisor.wait(60) == 0
    eventually(lambda: metrics["cloister_supervisor_up"] == 0)
    assert metrics["cloister_slots"] is None


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_has_no_complaint(metrics):
    assert metrics.service.client.execute("def main(): return 1").result == 1
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics.text(), text=True, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
