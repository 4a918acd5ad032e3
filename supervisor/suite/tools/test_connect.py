"""The WebSocket: what is said in it, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from client import eventually
from service import free_port
from talk import conversation
from tongue import HOLD

ONE = "def main(): return 1"


def closed(talk):
    """The code and the reason with which the node closes it."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            talk.next()
    return ended.value.rcvd.code, ended.value.rcvd.reason


def test_jobs_run_one_after_another_and_each_has_its_id(talk):
    ids = []
    for number in range(3):
        talk.execute(f"def main(): print('p'); return {number}")
        ids.append(talk.until("started")["id"])
        last = talk.until("result")
        assert (last["id"], last["result"], last["stdout"]) == (ids[-1], number, "p\n")
    assert len(set(ids)) == 3


def test_a_job_says_the_same_as_by_post(talk, client):
    script = "import sys\ndef main(n):\n    print('a'); print('b', file=sys.stderr); return [n] * 3"
    talk.execute(script, args=[4])
    last = talk.until("result")
    plain = client.execute(script, args=[4]).body
    for body in (last, plain):
        del body["id"], body["usage"]
    assert last == {"type": "result", **plain}


def test_what_is_printed_before_a_call_comes_before_it(talk):
    def main():
        from cloister import tools

        print("first", flush=True)
        tools.a()
        print("second", flush=True)
        tools.a()

    talk.execute(main, ["a"])
    told = []
    while (message := talk.next())["type"] != "result":
        told.append(message.get("text") or message["type"])
        if message["type"] == "call":
            talk.send("return", call=message["call"], value=None)
    assert "".join(told[1:]) in ("first\ncallsecond\ncall",), told


def test_a_long_result_comes_whole(talk):
    text = talk.result("def main(n): return ['\\n\\u00e9' * n, '{']", {}, args=[1_500_000])
    assert text == ["\n\u00e9" * 1_500_000, "{"]


@pytest.mark.parametrize(("message", "expected"), [
    ("x", "the message is no object"),
    ("[]", "the message is no object"),
    ("{", "the message is not JSON"),
    ("{}", "type is missing"),
    ('{"type": 1}', "type is the number 1, expected a string"),
    ('{"type": "run"}', 'type is "run", expected execute, return, interrupt or close'),
    ('{"type": "return", "call": 1, "value": 1}', "no job runs in this conversation"),
    ('{"type": "return", "call": 1}', "the message has neither value nor error"),
    ('{"type": "return", "call": 1, "value": {"a": 1, "a": 2}}', "the message.value: duplicate key"),
    ('{"type": "return", "call": 1, "value": {"$serde_json::private::RawValue": "1"}}', "the message.value: the key"),
    (json.dumps({"type": "return", "call": 1, "value": 0}).replace("0", "[" * 200 + "]" * 200), "nested too deeply"),
])
def test_what_is_no_message_is_refused_and_ends_nothing(talk, message, expected):
    talk.wire.send(message)
    refused = talk.until("refused")
    assert refused["error"]["code"] == "invalid_request" and expected in refused["error"]["message"], refused
    assert talk.result(ONE, {}) == 1


@pytest.mark.parametrize(("fields", "code", "expected"), [
    ({"script": ""}, "invalid_request", "script is empty"),
    ({"script": "x", "scirpt": 1}, "invalid_request", "unknown field `scirpt`"),
    ({"script": ONE, "profile": "nowhere"}, "invalid_request", "there is no profile"),
    ({"script": ONE, "tools": [{"name": "a b"}]}, "invalid_request", "tools[0].name is not one"),
    ({"script": "x" * (2 << 20)}, "too_large", "script is 2097152 bytes"),
])
def test_a_request_that_is_refused_ends_nothing_either(talk, fields, code, expected):
    talk.send("execute", **fields)
    error = talk.until("error")
    assert error["error"]["code"] == code and expected in error["error"]["message"] and error["error"]["ran"] is False
    assert talk.result(ONE, {}) == 1


def test_what_a_script_lacks_is_its_own_failure(talk):
    talk.execute("# /// script\n# dependencies = ['no-such-package>3']\n# ///\ndef main(): pass")
    assert talk.until("result")["error"]["code"] == "missing_packages"


def test_while_a_job_runs_another_is_refused(talk):
    talk.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
    call = talk.until("call")
    talk.execute(ONE)
    assert "a job runs in this conversation" in talk.until("refused")["error"]["message"]
    talk.wire.send("nonsense")
    assert talk.until("refused")["id"]
    talk.send("return", call=call["call"], value=2)
    assert talk.until("result")["result"] == 2


def test_closing_ends_the_job(service, talk):
    talk.execute(HOLD, args=[60], profile="patient")
    eventually(service.holding)
    talk.send("close")
    assert closed(talk) == (1000, "")
    eventually(lambda: not service.holding())


@pytest.mark.parametrize("how", ["close", "cut"])
def test_leaving_ends_the_job(service, how):
    with conversation(service) as talk:
        talk.execute(HOLD, args=[60], profile="patient")
        eventually(service.holding)
        if how == "cut":
            talk.wire.socket.close()
    eventually(lambda: not service.holding())


def test_who_leaves_while_the_job_waits_ends_it(service):
    with conversation(service) as talk:
        talk.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
        talk.until("call")
        busy = service.stats()["busy"]
        assert busy >= 1
    eventually(lambda: service.stats()["busy"] < busy)


def test_messages_are_text_and_of_a_bounded_size(service):
    with conversation(service) as talk:
        talk.wire.send(b"{}")
        assert closed(talk) == (1003, "messages are text: JSON")
    with conversation(service) as talk:
        try:
            talk.wire.send("x" * (64 << 20))
        except ConnectionClosed:
            pass
        assert closed(talk) == (1009, "the message is larger than this node reads")


def test_a_client_that_closes_is_answered(service):
    with conversation(service) as talk:
        talk.execute(ONE)
        talk.until("result")
        talk.wire.close()
        assert talk.wire.protocol.close_rcvd is not None


def test_nothing_but_messages_that_are_none(service):
    with conversation(service) as talk:
        for _ in range(100):
            talk.wire.send("nonsense")
            talk.until("refused")
        talk.wire.send("nonsense")
        assert closed(talk) == (1008, "too many messages that are none")


def test_what_is_taken_forgives_what_was_not(talk):
    """Late returns between good ones end no conversation."""
    talk.execute("from cloister import tools\ndef main():\n    for number in range(120):\n        tools.a()", ["a"])
    for number in range(120):
        call = talk.until("call")["call"]
        talk.send("return", call=call + 1000, value=None)
        assert talk.until("refused")["call"] == call + 1000
        talk.send("return", call=call, value=None)
    assert talk.until("result")["result"] is None


def test_a_body_counts_while_its_job_waits_whatever_else_is_said(start_service):
    """With all slots taken, a request waits with its body; what is wrong meanwhile does not make that uncounted."""
    service = start_service(supervisor={"slots": 1}, gateway_options=["--max-body-memory", str(32 << 20)])
    with conversation(service) as busy, conversation(service) as talk, conversation(service) as other:
        busy.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
        call = busy.until("call")
        script = "def main(): return 1\n#" + "x" * 900_000
        # Twice what comes is counted, and of one tenant half of all: this is more than half of that.
        talk.execute(script, files=[{"path": "a", "content": "y" * 5_500_000}])
        talk.wire.send("nonsense")
        talk.until("refused")
        other.execute(script, files=[{"path": "a", "content": "y" * 5_500_000}])
        assert closed(other) == (1013, "too many large messages at once")
        busy.send("return", call=call["call"], value=1)
        busy.until("result")
        assert talk.until("result")["result"] == 1


def test_a_wrong_return_says_to_which_call(talk):
    talk.wire.send('{"type": "return", "call": 7, "value": 1, "more": 2}')
    assert talk.until("refused")["call"] == 7


def test_half_a_message_counts_until_it_is_whole(start_service):
    """What has come of a message while a job ran is not forgotten: connections that keep it back take no more than their share."""
    service = start_service(gateway_options=["--max-body-memory", str(32 << 20)])
    host, port = service.address.split(":")
    kept, told = [], 0
    for _ in range(6):
        raw = socket.create_connection((host, int(port)))
        raw.sendall(f"GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
        body = json.dumps({"type": "execute", "script": ""}).encode()
        half = b"x" * (4 << 20)
        try:
            raw.sendall(b"\x81" + bytes([0x80 | len(body)]) + bytes(4) + body + b"\x81\xff" + (8 << 20).to_bytes(8, "big") + bytes(4) + half)
        except OSError:
            pass
        kept.append(raw)
    # The share of one tenant is half of it: at eight bytes for each four that have come, two connections fill it.
    def ended():
        gone = 0
        for raw in kept:
            raw.setblocking(False)
            try:
                while part := raw.recv(1 << 16):
                    pass
                gone += 1
            except BlockingIOError:
                pass
            except OSError:
                gone += 1
        return gone

    eventually(lambda: ended() >= 4)
    for raw in kept:
        raw.close()


def test_a_request_for_no_websocket_is_told_so(client):
    answer = client.http.get("/connect")
    assert answer.status_code == 400 and answer.headers["upgrade"] == "websocket"
    assert "Upgrade: websocket" in answer.json()["error"]["message"]
    assert client.http.post("/connect").status_code == 405


def test_a_page_of_others_and_other_names_are_refused(service):
    with pytest.raises(InvalidStatus) as refused, conversation(service, additional_headers={"Origin": "https://example.org"}):
        pass
    assert refused.value.response.status_code == 403
    host, port = service.address.split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"GET /connect HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 403 ")
    with conversation(service, origin=service.client.url) as talk:
        assert talk.result(ONE, {}) == 1


def test_a_job_has_its_line_and_its_count(start_service):
    service = start_service()
    with conversation(service) as talk:
        talk.execute(ONE)
        id = talk.until("result")["id"]
        talk.execute("def main(): return 1 / 0")
        failed = talk.until("result")["id"]
    eventually(lambda: f"id={failed}" in service.log("gateway"))
    log = service.log("gateway")
    assert [line.split(" status=")[1][:3] for line in log.splitlines() if f"id={id}" in line] == ["200"]
    assert f'id={failed}' in log and 'code=Exception' in log and 'path="/connect" status=101' in log


def test_a_gateway_that_goes_lets_a_job_end_and_closes_then(start_service):
    service = start_service(gateway_options=["--drain-notice", "0s"])
    with conversation(service) as busy, conversation(service) as idle:
        busy.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
        call = busy.until("call")
        idle.execute(ONE)
        idle.until("result")
        service.gateway.send_signal(signal.SIGTERM)
        assert closed(idle) == (1001, "this node is going away: connect again")
        busy.send("return", call=call["call"], value=5)
        assert busy.until("result")["result"] == 5
        assert closed(busy)[0] == 1001
    assert service.gateway.wait(60) == 0


def test_a_supervisor_that_dies_is_told_of(start_service):
    service = start_service()
    with conversation(service) as talk:
        talk.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
        talk.until("call")
        os.kill(service.supervisor.pid, signal.SIGKILL)
        service.supervisor.wait()
        last = talk.until("error")
        assert (last["error"]["code"], last["error"]["ran"]) == ("lost", None)
        service.start_supervisor()
        service.wait_until_ready()
        assert talk.result(ONE, {}) == 1


@pytest.fixture(scope="module")
def npm(tmp_path_factory):
    """A directory with the client of npm's, as the lock file pins it."""
    directory = tmp_path_factory.mktemp("npm")
    for file in (Path(__file__).parent / "client").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    command = [Path(sys.executable).parent / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if ended.returncode != 0:
        pytest.skip(f"the client of npm's cannot be installed here: {ended.stderr.strip()[-200:]}")
    return directory


def test_a_client_in_javascript(service, npm):
    url = service.client.url.replace("http", "ws", 1) + "/connect"
    ended = subprocess.run([Path(sys.executable).parent / "node", "client.mjs", url], cwd=npm, capture_output=True, text=True)
    assert ended.returncode == 0, ended
    assert json.loads(ended.stdout) == {"sum": 5, "failed": "ToolError: no such tool here", "calls": 2}



def test_calls_are_counted_by_what_they_came_to_and_waiting_is_a_stage(start_service):
    port = free_port()
    service = start_service(gateway_options=["--metrics", f"127.0.0.1:{port}"], policy='[profile.hasty]\nextends = "default"\ntools = { wait = "100ms" }\n')

    def metrics():
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text.splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    before = metrics()
    assert before['cloister_tool_calls_total{verdict="returned"}'] == "0"
    script = "from cloister import tools\ndef main():\n    for name in 'aab':\n        try:\n            tools[name]()\n        except Exception:\n            pass"
    with conversation(service) as talk:
        talk.execute(script, "ab", profile="hasty")
        talk.send("return", call=talk.until("call")["call"], value=1)
        talk.send("return", call=talk.until("call")["call"], error={"message": "no"})
        talk.until("call")
        talk.until("result")
    eventually(lambda: metrics()['cloister_tool_calls_total{verdict="unanswered"}'] == "1")
    told = metrics()
    assert {verdict: told[f'cloister_tool_calls_total{{verdict="{verdict}"}}'] for verdict in ("returned", "failed")} == {"returned": "1", "failed": "1"}
    assert told['cloister_stage_duration_seconds_count{stage="wait"}'] == "1" and float(told['cloister_stage_duration_seconds_sum{stage="wait"}']) >= 0.1
    assert told['cloister_stage_duration_seconds_count{stage="run"}'] == "1" and told['cloister_requests_total{outcome="returned"}'] == "1"
