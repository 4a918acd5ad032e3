"""Answers that nobody reads: their bytes are counted until they have left, on whoever asked for them, and others go on."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from client import eventually

MEBIBYTE = 1 << 20
LARGE = """
import os
def main():
    os.write(1, b"\\x01" * (1 << 20))
    os.write(2, b"\\x01" * (1 << 20))
    with open("out/file", "wb") as file:
        file.write(os.urandom(8_000_000))
    return "x" * 8_000_000
"""
# By docs/security.md, "Memory of the daemons", for four slots and this budget: a GiB, the budget, and for each slot an
# answer of the default profile that is unread and one that is being made.
ANSWERS = 32 * MEBIBYTE
BOUND = 1024 * MEBIBYTE + ANSWERS + 4 * (26 + 50) * MEBIBYTE
GATEWAY_BOUND = 512 * MEBIBYTE


def resident(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


def ask(service, script, headers="", source="127.0.0.1"):
    """A request on a connection of its own, of whose answer nothing is read unless somebody does."""
    host, port = service.address.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(120)
    raw.bind((source, 0))
    raw.connect((host, int(port)))
    body = json.dumps({"script": script}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    raw.sendall(head.encode() + body)
    return raw


def stats(service):
    """What the supervisor says of itself, asked as root."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(str(service.socket))
        raw.sendall(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while part := raw.recv(65536):
            received += part
    return json.loads(received.partition(b"\r\n\r\n")[2])


def served(service, source):
    """The status of a small job of somebody else."""
    with ask(service, "def main(): return 4", "Connection: close\r\n", source) as raw:
        return raw.makefile("rb").read().split(b" ", 2)[1]


@pytest.mark.parametrize("headers", ["", "Accept: text/event-stream\r\n"], ids=["whole", "streamed"])
def test_unread_answers_of_one_hold_up_nobody_else_and_their_memory_is_bounded(start_service, headers):
    service = start_service(supervisor={"slots": 4, "answers": f'"{ANSWERS // MEBIBYTE}MiB"', "queue_wait": '"5min"'})
    with ExitStack() as readers:
        for _ in range(60):
            readers.enter_context(ask(service, LARGE, headers))
        # An eighth of the budget is less than one of these: those that ran at once are all that is held.
        eventually(lambda: stats(service)["unread"] >= 1 and stats(service)["busy"] == 0, within=60)
        assert stats(service)["unread"] <= 4 and stats(service)["waiting"] >= 1
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: served(service, "127.0.0.2"), range(100))) == {b"200"}
        told = stats(service)
        assert told["unread"] <= 4 and told["unread_bytes"] <= 4 * 27 * MEBIBYTE, told
        assert resident(service.supervisor) < BOUND and resident(service.gateway) < GATEWAY_BOUND
    eventually(lambda: (told := stats(service)) and (told["unread"], told["busy"], told["waiting"]) == (0, 0, 0), within=60)
    assert served(service, "127.0.0.1") == b"200"
    service.settle()


def test_who_reads_goes_on(start_service):
    """The same answers, read: none is lost, and no byte is different."""
    service = start_service(supervisor={"slots": 4, "answers": '"32MiB"', "queue_wait": '"5min"'})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.client.execute(LARGE), range(16)))
    for answer in answers:
        assert (len(answer.result), answer.stdout, answer.stderr) == (8_000_000, "\x01" * MEBIBYTE, "\x01" * MEBIBYTE), answer.status
        assert answer.files[0]["size"] == 8_000_000
    eventually(lambda: stats(service)["unread"] == 0)
