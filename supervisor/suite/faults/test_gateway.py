"""The gateway stops, dies, is short of connections, or meets a client that is."""

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import eventually
from service import GATEWAY_ID, HOLD
from tongue import RUN


def connect(service):
    host, port = service.address.split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def request(script, *args):
    body = json.dumps({"script": script, "args": args}).encode()
    return f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.neutral
def test_sigterm_lets_a_running_request_finish(start_service):
    service = start_service()
    idle = connect(service)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.client.execute, HOLD, args=[1.5])
        eventually(lambda: service.holding())
        service.gateway.send_signal(signal.SIGTERM)
        assert running.result().result == "held"
    assert service.gateway.wait(30) == 0
    # An idle connection does not keep it.
    assert idle.recv(1) == b""
    idle.close()


@pytest.mark.neutral
def test_killed_its_jobs_end_and_the_supervisor_stays(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 0})
    with connect(service) as raw:
        raw.sendall(request(HOLD, 9))
        eventually(lambda: service.holding())
        service.gateway.kill()
        service.gateway.wait()
        eventually(lambda: not service.job_processes())
    service.gateway = service.spawn("gateway", "serve", "--listen", service.address, "--socket", service.socket, "--user", GATEWAY_ID)
    service.wait_until_ready()
    assert service.client.execute(HOLD, args=[0]).result == "held"
    assert service.supervisor.poll() is None


@pytest.mark.neutral
def test_a_body_above_its_limit(start_service):
    service = start_service(gateway_options=["--max-body", "1000"])
    answer = service.client.execute(RUN, stdin="x" * 1000)
    assert (answer.status, answer.code) == (413, "too_large") and "1000" in answer.error["message"]
    assert service.client.execute(RUN).result == "served"


def test_slow_readers_hold_no_slot(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 8, "queue_wait": '"30s"'})
    slow = [connect(service) for _ in range(4)]
    for raw in slow:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.sendall(request("def main(): return 'x' * 8_000_000"))
    # None of them reads, and yet the one slot comes free each time.
    assert service.client.execute("def main(): return 'served'").result == "served"
    eventually(lambda: not service.job_processes())
    for raw in slow:
        raw.close()
    # With all places filled, which hold descriptors too.
    service.settle()
    before = len(os.listdir(f"/proc/{service.supervisor.pid}/fd"))
    assert service.client.execute("def main(): return 1").result == 1
    eventually(lambda: len(os.listdir(f"/proc/{service.supervisor.pid}/fd")) <= before)


@pytest.mark.neutral
def test_connections_that_come_and_go_leave_no_descriptor(start_service):
    service = start_service()
    assert service.client.execute(RUN).result == "served"
    count = lambda: len(os.listdir(f"/proc/{service.gateway.pid}/fd"))
    before = count()
    for number in range(100):
        with connect(service) as raw:
            raw.sendall(request(RUN)[: number * 3])
    eventually(lambda: count() <= before)
    assert service.client.execute(RUN).result == "served"


@pytest.mark.neutral
def test_a_tight_memory_for_many_large_bodies_is_not_needed(start_service):
    service = start_service()

    def announce():
        # Announces eight megabytes, sends one byte: nothing may be set aside for the rest.
        raw = connect(service)
        raw.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n{")
        return raw

    def resident():
        with open(f"/proc/{service.gateway.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    before = resident()
    open_ones = [announce() for _ in range(100)]
    assert service.client.execute(RUN).result == "served"
    assert resident() - before < 64 << 10, "kilobytes"
    for raw in open_ones:
        raw.close()
