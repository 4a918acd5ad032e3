"""What is short: processes of the host, connections and memory of the supervisor. Told as such, and over when it is over."""

import socket
from contextlib import ExitStack, suppress

import pytest

from client import eventually
from service import HOLD, WARM
from tongue import RUN

MEBIBYTE = 1 << 20


def connect(service):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(str(service.socket))
    return client


def answer(client):
    """The whole of what comes before the connection is closed."""
    received = b""
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            received += part
    return received


def ask(client):
    with suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return answer(client)


def begin(service, size):
    """Sends all of a body but its last byte."""
    client = connect(service)
    client.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (size + 1))
    for _ in range(size // MEBIBYTE):
        client.sendall(bytes(MEBIBYTE))
    return client


def resident(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


@pytest.mark.skipif(not WARM, reason="it is the fork of a warm interpreter that is refused")
def test_a_host_without_a_process_to_spare_is_unavailable_and_no_bug(start_service):
    service = start_service()
    service.settle()
    # The launcher's and the zygote's own group: from now on neither may fork.
    [limit] = [group / "pids.max" for group in service.cgroup_directories() if group.name == "launchers" and (group / "pids.max").exists()]
    limit.write_text("1")
    try:
        # Those that are parked serve still; then there are no more.
        refused = eventually(lambda: (answer := service.client.execute(HOLD, args=[0])).status != 200 and answer)
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "unavailable", "1"), refused
        assert "short of something" in refused.error["message"]
    finally:
        limit.write_text("max")
    eventually(lambda: service.client.execute(HOLD, args=[0]).status == 200)
    service.settle()


@pytest.mark.neutral
def test_connections_have_an_end_and_come_back(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 0})
    with ExitStack() as clients:
        for _ in range(256 + 1):
            clients.enter_context(connect(service))
        # The gateway's own come and go, so that it may take one more or less.
        refused = eventually(lambda: (told := ask(clients.enter_context(connect(service)))).startswith(b"HTTP/1.1 503") and told)
        assert b"Connection: close" in refused
    eventually(lambda: ask(connect(service)).startswith(b"HTTP/1.1 200"))
    eventually(lambda: service.client.execute(RUN).status == 200)


@pytest.mark.neutral
def test_bodies_have_a_bound_together(start_service):
    service = start_service()
    assert service.client.execute(RUN).result == "served"
    before = resident(service.supervisor)
    with ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(begin(service, 120 * MEBIBYTE))
        third = clients.enter_context(connect(service))
        third.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (100 * MEBIBYTE))
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                third.sendall(bytes(MEBIBYTE))
        told = answer(third)
        assert told.startswith(b"HTTP/1.1 503") and b"too many large bodies" in told, told
        # Twice, for what a growing buffer takes meanwhile.
        assert resident(service.supervisor) - before < 2 * 256 * MEBIBYTE
        # There is room for the small ones of others.
        assert service.client.execute(RUN).result == "served"
    eventually(lambda: service.client.execute(RUN, stdin="x" * MEBIBYTE).status == 200)
