"""Streamed answers: what is printed comes as it is printed, and last what the plain answer would have been."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
from contextlib import contextmanager

import httpx
import pytest

from client import JOB_FIELDS, Client, eventually, script_of
from service import PROFILES, SAY, Service, free_port
from tongue import LINGER, RUN

ACCEPT = {"Accept": "text/event-stream"}
TINY = {"slots": 1, "queue": 8, "queue_wait": '"60s"'}


class Streamed:
    """A streamed answer, read event by event; a comment is an event without a name."""

    def __init__(self, headers, parts):
        self.headers, self.told = headers, {"stdout": "", "stderr": ""}
        self.lines = lines_of(parts)

    def __iter__(self):
        event = []
        for line in self.lines:
            if line:
                event.append(line)
                continue
            name, data = (event[0].removeprefix("event: "), json.loads(event[1].removeprefix("data: "))) if event[1:] else (None, event)
            assert event in ([":"], [f"event: {name}", event[-1]]), event
            if name in self.told:
                assert set(data) == {"text"} and data["text"]
                self.told[name] += data["text"]
            yield name, data
            event = []
        assert not event, event

    def until(self, wanted):
        """Read until an event of this name has come; its data."""
        return next(data for name, data in self if name == wanted)

    def last(self):
        """Read to the end; the last event. What a stream is by contract is seen to be so."""
        *before, (name, body) = self
        assert {name for name, _ in before} <= {"stdout", "stderr", None} and name in ("result", "error")
        assert body["id"] == self.headers["x-cloister-id"]
        if name == "result":
            assert set(body) in (JOB_FIELDS | {"result"}, JOB_FIELDS | {"error"})
            assert self.told == {"stdout": body["stdout"], "stderr": body["stderr"]}
        return name, body

    def result(self):
        name, body = self.last()
        assert name == "result", body
        return body


def lines_of(parts):
    """The lines of bytes that come in parts. Of all that Python takes for the end of a line, here one is."""
    begun = []
    for part in parts:
        *ends, begins = part.split(b"\n")
        for end in ends:
            yield b"".join([*begun, end]).decode()
            begun = []
        begun.append(begins)
    assert not b"".join(begun), begun


@contextmanager
def streamed(client, script, headers=ACCEPT, **fields):
    body = {"script": script_of(script), **fields}
    with client.http.stream("POST", "/execute", json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        stream = Streamed(response.headers, response.iter_bytes())
        stream.version = response.http_version
        yield stream


@contextmanager
def visitor(service):
    """A client whose connections end with it."""
    client = service.new_client() if isinstance(service, Service) else Client(service.client.url)
    with client.http:
        yield client


def raw_stream(service, script, **fields):
    """A request for a stream on a connection that takes little before it is read."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(60)
    host, port = service.address.split(":")
    raw.connect((host, int(port)))
    body = json.dumps({"script": script, **fields}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    raw.sendall(head.encode() + body)
    return raw


def read_from(raw):
    """The streamed answer on such a connection."""
    response = http.client.HTTPResponse(raw)
    response.begin()
    return Streamed(response.headers, iter(lambda: response.read1(1 << 20), b""))


@pytest.fixture(scope="module")
def secure_service(start_for_module):
    return start_for_module(policy=PROFILES, secure=True)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def spoken(request):
    """A service, spoken to by either version of the protocol."""
    service = request.getfixturevalue("service" if request.param == "HTTP/1.1" else "secure_service")
    return service, request.param


def test_a_stream_has_what_was_printed_and_then_the_plain_answer(spoken):
    service, version = spoken

    def main(n):
        import sys

        print("one")
        print("two", file=sys.stderr)
        sys.stdout.write("\r\nthree: \u00e9\u20ac\U0001f600\0\u2028\n\n")
        print("four", end="")
        return [n] * 3

    with streamed(service.client, main, args=[4]) as stream:
        assert stream.version == version
        body = stream.result()
    plain = service.client.execute(main, args=[4])
    del body["id"], body["usage"]
    assert body == {key: value for key, value in plain.body.items() if key not in ("id", "usage")}
    assert body["stdout"] == "one\n\r\nthree: \u00e9\u20ac\U0001f600\0\u2028\n\nfour" and body["stderr"] == "two\n"


@pytest.mark.parametrize(("script", "code"), [
    ("print('x')\ndef main(: pass", "syntax_error"),
    ("def main():\n    print('x')\n    1 / 0", "exception"),
    ("import sys\nprint('x')\ndef main(): sys.exit(3)", "exit"),
    ("import os, signal\ndef main():\n    print('x')\n    os.kill(os.getpid(), signal.SIGKILL)", "killed"),
    ("def main():\n    print('x')\n    return {1}", "result_not_json"),
])
def test_a_failure_is_a_result_too(client, script, code):
    with streamed(client, script) as stream:
        body = stream.result()
    assert body["error"]["code"] == code
    assert body["stdout"] == ("" if code == "syntax_error" else "x\n")


@pytest.mark.neutral
def test_events_come_while_the_job_runs_and_a_client_that_leaves_ends_it(spoken):
    service, version = spoken
    with visitor(service) as client, streamed(client, LINGER, profile="patient") as stream:
        assert stream.version == version
        assert stream.until("stdout") == {"text": "begun"}
        eventually(lambda: service.holding())
    # Nobody waits any more, long before the script would have come to its end.
    eventually(lambda: not service.job_processes())


@pytest.mark.neutral
def test_a_client_that_leaves_while_it_waits_is_never_run(start_service):
    port = free_port()
    service = start_service(policy=PROFILES, supervisor=TINY, secure=True, gateway_options=["--metrics", f"127.0.0.1:{port}"])

    def waiting():
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        return next(int(line.split()[1]) for line in metrics.splitlines() if line.startswith("cloister_queue_length "))

    async def leave(http2):
        async with httpx.AsyncClient(verify=service.trust, http2=http2, timeout=120, trust_env=False) as client:
            request = {"script": LINGER, "profile": "patient"}
            waits = asyncio.create_task(client.post(f"{service.client.url}/execute", json=request, headers=ACCEPT))
            while not waiting():
                assert not waits.done(), waits
                await asyncio.sleep(0.01)
            waits.cancel()

    with visitor(service) as client, streamed(client, LINGER, profile="patient") as first:
        first.until("stdout")
        eventually(lambda: service.holding())
        for http2 in (False, True):
            asyncio.run(leave(http2))
            eventually(lambda: waiting() == 0)
    # With one slot, whoever is served now shows that none of the others has it.
    with streamed(service.client, RUN) as stream:
        assert stream.result()["result"] == "served"
    # The first is dead, and its process may take a moment to go.
    eventually(lambda: not service.holding())


@pytest.mark.parametrize("end", ["\n", "\n\n", "\r", "\r\n\r\n"])
def test_a_script_that_writes_its_result_itself_ends_no_event_with_it(client, end):
    result = f'{{"a":{end}[1,{end}"event: error\\n"]}}'
    script = f"""import os
def main():
    result = {result!r}.encode()
    os.write(3, b"R" + len(result).to_bytes(8, "big") + result)
    os._exit(0)"""
    text = client.http.post("/execute", json={"script": script}, headers=ACCEPT).text
    # Each of these ends a line of the stream.
    name, data, *rest = re.split("\r\n|\r|\n", text)
    assert (name, rest) == ("event: result", ["", ""])
    assert json.loads(data.removeprefix("data: "))["result"] == {"a": [1, "event: error\n"]}


def test_a_character_in_two_writes_is_one(client):
    def main():
        import os
        import time

        for part in (b"\xe2", b"\x82", b"\xac \xf0\x9f", b"\x98\x80 \xff\xc3", b"(\xe2\x82"):
            os.write(1, part)
            os.write(2, part[::-1])
            time.sleep(0.05)

    with streamed(client, main) as stream:
        body = stream.result()
    assert body["stdout"] == "\u20ac \U0001f600 \ufffd\ufffd(\ufffd"
    assert body["stderr"] == client.execute(main).stderr


def test_output_past_the_limit_is_dropped_and_named(client):
    with streamed(client, "def main():\n    for _ in range(300): print('\u00e9' * 4999)") as stream:
        body = stream.result()
    assert body["truncated"] == ["stdout"] and len(body["stdout"].encode()) in (1 << 20, (1 << 20) + 2)


def test_output_of_processes_that_the_script_starts_is_streamed(client):
    script = "import subprocess, sys\ndef main(): subprocess.run([sys.executable, '-uc', 'print(6 * 7)'], check=True)"
    with streamed(client, script) as stream:
        assert stream.result()["stdout"] == "42\n"


@pytest.mark.neutral
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/event-stream", "text/event-stream;q=0.2, */*", "nonsense"])
def test_without_a_wish_for_events_the_answer_is_json(client, accept):
    headers = {"Accept": accept} if accept else {}
    assert client.execute(RUN, headers=headers).result == "served"


@pytest.mark.neutral
def test_with_a_preference_for_events_they_come(client):
    for accept in ("text/event-stream, application/json;q=0.5", "Text/Event-Stream;q=0.9,*/*;q=0.1"):
        with streamed(client, RUN, headers={"Accept": accept}) as stream:
            assert stream.result()["result"] == "served"


@pytest.mark.neutral
def test_what_is_refused_before_the_job_begins_is_no_stream(client, service):
    for status, code, fields in [
        (400, "invalid_request", {"script": ""}),
        (400, "invalid_request", {"script": "x = 1", "profile": "unknown"}),
        (413, "too_large", {"script": "#" * 5000, "profile": "tiny"}),
    ]:
        answer = client.post(json.dumps(fields).encode(), headers=ACCEPT)
        assert (answer.status, answer.code) == (status, code)
    answer = client.post(b"{}", headers={**ACCEPT, "Content-Type": "text/plain"})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.neutral
def test_a_full_house_refuses_streams_as_it_does_others(start_service):
    service = start_service(policy=PROFILES, supervisor={"slots": 1, "queue": 0})
    with streamed(service.client, LINGER, profile="patient") as stream:
        stream.until("stdout")
        answer = service.client.execute(RUN, headers=ACCEPT)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "overloaded", "1")


@pytest.mark.neutral
def test_layers_are_explained_in_the_head(client):
    with streamed(client, RUN, headers={**ACCEPT, "X-Cloister-Explain": "1"}) as stream:
        assert stream.headers["x-cloister-explain"].startswith("policy=")
        assert stream.result()["result"] == "served"


def test_readers_who_take_nothing_hold_neither_a_slot_nor_a_job(start_service):
    service = start_service(policy=PROFILES, supervisor={**TINY, "queue_wait": '"2min"'}, gateway_options=["--body-timeout", "10min"])
    endless = "def main():\n    while True: print('x' * 999)"
    large = "def main():\n    print('y' * 999_999)\n    return 'z' * 8_000_000"
    slow = [raw_stream(service, script, timeout_ms=limit) for script, limit in ((endless, 1500), (large, 60_000)) for _ in range(2)]
    # Each comes to its end, and its place is free, though none of them reads.
    assert service.client.execute("def main(): return 'served'").result == "served"
    eventually(lambda: not service.job_processes())
    bodies = [read_from(raw).result() for raw in slow]
    assert [body.get("error", {}).get("code") for body in bodies] == ["timeout", "timeout", None, None]
    assert [(len(body["stdout"]), body["truncated"]) for body in bodies] == [(1 << 20, ["stdout"])] * 2 + [(1_000_000, [])] * 2
    for raw in slow:
        raw.close()
    before = len(os.listdir(f"/proc/{service.supervisor.pid}/fd"))
    with streamed(service.client, "def main(): return 1") as stream:
        assert stream.result()["result"] == 1
    eventually(lambda: len(os.listdir(f"/proc/{service.supervisor.pid}/fd")) <= before)


def test_a_silent_job_is_told_to_run_whatever_the_gateways_patience(start_service):
    patience = ["--header-timeout", "5s", "--body-timeout", "1s", "--idle-timeout", "1s"]
    service = start_service(policy=PROFILES, secure=True, gateway_options=patience)
    with visitor(service) as client, streamed(client, LINGER, profile="patient") as stream:
        # The comment, which comes after ten seconds.
        assert stream.until(None) == [":"]
        assert service.holding()


@pytest.mark.neutral
@pytest.mark.parametrize("victim", ["supervisor", "launcher"])
def test_a_job_that_is_lost_is_told_in_a_last_event(start_service, victim):
    # One profile, and so one launcher.
    service = start_service(supervisor={"wall_time": '"2min"'})
    with streamed(service.client, LINGER) as stream:
        stream.until("stdout")
        os.kill(service.supervisor.pid if victim == "supervisor" else service.launcher(), signal.SIGKILL)
        name, body = stream.last()
    assert (name, set(body), body["error"]["code"], body["error"]["ran"]) == ("error", {"id", "error"}, "lost", None)
    if victim == "supervisor":
        service.supervisor.wait()
        service.start_supervisor()
        service.wait_until_ready()


def test_the_supervisor_stops_only_after_its_streams(start_service):
    service = start_service()
    script = SAY + "def main():\n    print('begun')\n    time.sleep(1.5)\n    return 'ended'"
    with streamed(service.client, script) as stream:
        stream.until("stdout")
        service.supervisor.send_signal(signal.SIGTERM)
        service.gateway.send_signal(signal.SIGTERM)
        assert stream.result()["result"] == "ended"
    assert service.supervisor.wait(60) == 0 and service.gateway.wait(60) == 0
