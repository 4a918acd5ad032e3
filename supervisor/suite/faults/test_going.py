"""What is accepted is answered, whichever daemon is told to go, and in which order: docs/deploy.md, Going without loss."""

import json
import re
import signal
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from client import eventually
from service import HOLD
from tongue import RUN

# How interpreters are started is no matter here, and cold ones let a supervisor start sooner.
COLD = {"warm": False}
# Longer than a test takes: what ends it is a signal.
LONG = ["--drain-notice", "10m"]


def readiness(service):
    """`/readyz` on a connection of its own; the status, and what is said."""
    answer = httpx.get(f"http://{service.address}/readyz", timeout=60, trust_env=False)
    return answer.status_code, answer.json().get("error", {}).get("message", "")


def of_supervisor(service):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket)), timeout=60) as client:
        return client.get("http://supervisor/readyz").json()


def is_open(service):
    host, port = service.address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


class Flow:
    """Requests that follow each other on connections of their own until it is stopped; every one is answered 200."""

    def __init__(self, service, clients=4):
        self.service = service
        self.stopped = False
        self.pool = ThreadPoolExecutor(clients)
        self.flows = [self.pool.submit(self.follow) for _ in range(clients)]

    def follow(self):
        served = 0
        while not self.stopped:
            try:
                answer = httpx.post(f"http://{self.service.address}/execute", timeout=60, trust_env=False, json={"script": RUN})
            except httpx.ConnectError:
                # Not accepted: only a node that has closed its listener does so.
                assert self.service.gateway.poll() is not None or not is_open(self.service)
                return served
            assert (answer.status_code, answer.json().get("result")) == (200, "served"), answer.text
            served += 1
        return served

    def end(self):
        self.stopped = True
        return sum(flow.result() for flow in self.flows)


@pytest.fixture
def told(monkeypatch):
    """What daemons tell their service manager, as it comes."""
    with tempfile.TemporaryDirectory(prefix="cloister-suite-") as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = Path(directory)
        path.chmod(0o711)
        manager.bind(str(path / "notify"))
        (path / "notify").chmod(0o666)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path / "notify"))
        said = []

        def listen():
            while (message := manager.recv(4096)) != b"over":
                said.append(message.decode())

        listener = threading.Thread(target=listen)
        listener.start()
        yield said
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"over", str(path / "notify"))
        listener.join()


def test_the_gateway_tells_first_and_goes_then(start_service, told):
    service = start_service(**COLD, gateway_options=LONG)
    assert readiness(service) == (200, "")
    kept = service.client
    assert "connection" not in kept.execute(RUN).headers
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.new_client().execute, HOLD, args=[3])
        eventually(service.holding)
        service.gateway.send_signal(signal.SIGTERM)
        eventually(lambda: readiness(service)[0] == 503)
        assert "going away" in readiness(service)[1]
        # All is served meanwhile, kept connections for the last time.
        for client in (kept, service.new_client()):
            answer = client.execute(RUN)
            assert (answer.result, answer.headers["connection"]) == ("served", "close")
        assert is_open(service)
        # The service manager knows how long this may take: notice, drain and some more.
        assert any("STOPPING=1" in message for message in told)
        assert 600 + 30 < max(int(time) for time in re.findall(r"EXTEND_TIMEOUT_USEC=(\d+)", "\n".join(told))) / 1e6 < 660
        # A second signal cuts it short; what runs may still finish.
        service.gateway.send_signal(signal.SIGTERM)
        eventually(lambda: not is_open(service))
        assert running.result().result == "held"
    assert service.gateway.wait(30) == 0


def test_the_supervisor_tells_first_and_goes_then(start_service):
    service = start_service(**COLD, supervisor_options=LONG, gateway_options=["--hold", "0s"])
    service.supervisor.send_signal(signal.SIGTERM)
    eventually(lambda: readiness(service)[0] == 503)
    assert "going away" in of_supervisor(service)["error"]["message"]
    assert service.client.execute(RUN).result == "served"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.client.execute, HOLD, args=[1.5])
        eventually(service.holding)
        service.supervisor.send_signal(signal.SIGTERM)
        assert running.result().result == "held"
    assert service.supervisor.wait(30) == 0
    assert service.client.execute(RUN).code == "unavailable"


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_requests_wait_for_a_supervisor_that_restarts(start_service, way):
    service = start_service(**COLD, gateway_options=["--hold", "10m"])
    with ThreadPoolExecutor(8) as pool:
        begun = pool.submit(service.client.execute, HOLD, args=[1])
        eventually(service.holding)
        service.supervisor.send_signal(signal.SIGTERM if way == "stopped" else signal.SIGKILL)
        eventually(lambda: readiness(service)[0] == 503)
        held = [pool.submit(service.client.execute, RUN) for _ in range(6)]
        service.supervisor.wait(60)
        answer = begun.result()
        assert answer.result == "held" if way == "stopped" else (answer.status, answer.code) == (502, "lost"), answer
        assert readiness(service)[0] == 503 and not any(request.done() for request in held)
        # One that leaves is dropped, and not run later.
        host, port = service.address.split(":")
        body = json.dumps({"script": RUN}).encode()
        with socket.create_connection((host, int(port)), timeout=30) as leaver:
            leaver.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            leaver.shutdown(socket.SHUT_WR)
            assert leaver.recv(1) == b""
        before = jobs(service)
        service.start_supervisor()
        for request in held:
            assert request.result().result == "served"
    assert jobs(service) - before == 6


def jobs(service):
    """How many jobs the supervisor has logged the end of."""
    return (service.directory / "supervisor.log").read_text().count(" outcome=")


@pytest.mark.parametrize("order", ["both", "gateway first", "supervisor first"])
def test_what_was_accepted_is_answered_in_either_order(start_service, order):
    service = start_service(**COLD, supervisor_options=["--drain-notice", "10s"], gateway_options=["--drain-notice", "3s"])
    first, second = (service.supervisor, service.gateway) if order == "supervisor first" else (service.gateway, service.supervisor)
    flow = Flow(service)
    first.send_signal(signal.SIGTERM)
    if order != "both":
        eventually(lambda: readiness(service)[0] == 503)
    second.send_signal(signal.SIGTERM)
    assert service.gateway.wait(60) == 0
    assert flow.end() > 0
    assert service.supervisor.wait(60) == 0
