"""What a job may not do with the way to its caller, and what a caller may not do with a job's."""

import pytest

from client import eventually

FRAME = """
import json, os
from cloister import tools

def frame(payload, tag=b"C"):
    return tag + len(payload).to_bytes(8, "big") + payload

def call(number, tool="a", args="[]", kwargs="{}"):
    return frame(f'{{"call":{number},"tool":"{tool}","args":{args},"kwargs":{kwargs}}}'.encode())

def main():
"""


@pytest.mark.parametrize("forged", [
    'frame(b"{}")', 'frame(b"")', 'frame(b"x" * 5000)', 'call(0)', 'call(1, tool="b")', 'call(1, args="{}")', 'call(1, kwargs="[]")',
    '''call(1, kwargs='{"a": 1, "a": 2}')''', '''call(1, args='["\\\\ud800"]')''', 'call(1, args="[" * 200 + "]" * 200)',
    '''call(1, kwargs='{"$serde_json::private::RawValue": "1"}')''', 'b"C" + (1 << 40).to_bytes(8, "big")', 'b"Q" + bytes(8)', 'call(1)[:12] + call(1)',
])
def test_a_forged_call_ends_the_job_with_the_truth(talk, forged):
    talk.execute(f"{FRAME}    os.write(3, {forged})\n    import time; time.sleep(60)", ["a"])
    last = talk.until("result")
    assert last["error"]["code"] == "exit" and "descriptor 3" in last["error"]["message"], last
    assert last["usage"]["calls"]["number"] == 0
    assert talk.result("def main(): return 1", {}) == 1


def test_a_number_that_has_been_is_no_calls(talk):
    talk.execute(f"{FRAME}    os.write(3, call(2) + call(2))\n    import time; time.sleep(60)", ["a"])
    while (last := talk.next())["type"] != "result":
        assert last["type"] != "call" or last["call"] == 2
    assert last["error"]["code"] == "exit" and last["usage"]["calls"]["number"] == 1


def test_half_a_call_waits_for_its_end_and_no_longer_than_the_job(short_talk):
    short_talk.execute(f"{FRAME}    os.write(3, call(1)[:20])\n    import time; time.sleep(60)", ["a"], profile="short")
    assert short_talk.until("result")["error"]["code"] == "timeout"


def test_a_job_without_tools_cannot_call(execute):
    answer = execute(FRAME.replace("from cloister import tools\n", "") + "    os.write(3, call(1))\n    import time; time.sleep(60)")
    assert answer.code == "exit" and "descriptor 3" in answer.error["message"]


def test_a_well_formed_forgery_is_a_call_like_any_other(talk):
    talk.execute(f"{FRAME}    os.write(3, call(1) + call(2))\n    return os.read(4, 1000).decode()[8:]", ["a"])
    first, second = talk.until("call"), talk.until("call")
    talk.send("return", call=first["call"], value=1)
    assert talk.until("result")["result"] == '{"call":1,"value":1}' and second["call"] == 2


def test_calls_beyond_those_that_it_may_make_end_a_job(short_talk):
    """The runner makes none: whoever does has forged it."""
    flood = "    for number in range(1, 2_000_000):\n        os.write(3, call(number))"
    short_talk.execute(FRAME + flood, ["a"], profile="few")
    while (last := short_talk.next())["type"] != "result":
        assert last["type"] != "call" or last["call"] <= 3
    assert last["error"]["code"] == "exit" and "descriptor 3" in last["error"]["message"]
    assert last["usage"]["calls"]["number"] == 3


def test_a_job_that_reads_no_values_is_given_few_and_harms_nobody(service, talk, client):
    deaf = "    for number in range(1, 101):\n        os.write(3, call(number))\n    import time; time.sleep(60)"
    talk.execute(FRAME + deaf, ["a"], timeout_ms=8000)
    calls = [talk.until("call")["call"] for _ in range(100)]
    for call in calls[:8]:
        talk.send("return", call=call, value="x" * 900_000)
    refused = talk.until("refused")
    assert "has not read" in refused["error"]["message"] and refused["again"]
    assert client.execute("def main(): return 1").result == 1
    talk.send("close")


def test_the_way_back_cannot_be_opened_again_or_written_to(talk):
    def main():
        import os

        said = []
        for attempt in (lambda: os.open("/proc/self/fd/4", os.O_WRONLY), lambda: os.open("/dev/fd/4", os.O_RDWR), lambda: os.write(4, b"x")):
            try:
                attempt()
                said.append("allowed")
            except OSError as error:
                said.append(type(error).__name__)
        return said

    assert "allowed" not in talk.result(main, {"a": None})


def test_who_closes_the_way_back_hears_of_nothing_and_the_answer_comes(talk):
    def main():
        import os

        from cloister import tools

        os.close(4)
        try:
            tools.a()
        except OSError as error:
            return type(error).__name__

    talk.execute(main, ["a"])
    while (message := talk.next())["type"] != "result":
        if message["type"] == "call":
            talk.send("return", call=1, value="x" * 200_000)
    assert message["result"] == "OSError"


def test_a_job_that_stops_itself_in_a_call_is_ended_with_its_calls_time(short_talk):
    short_talk.execute(f"{FRAME}    os.write(3, call(1))\n    os.kill(os.getpid(), 19)", ["a"], profile="total")
    error = short_talk.until("result")["error"]
    assert (error["code"], error["reason"]) == ("timeout", "tools_timeout")


def test_callers_that_leave_in_the_middle_leave_nothing(service):
    from talk import conversation

    busy = service.stats()["busy"]
    for _ in range(20):
        with conversation(service) as talk:
            talk.execute("from cloister import tools\ndef main():\n    while True: tools.a('x' * 100_000)", ["a"])
            for _ in range(3):
                call = talk.until("call")
                talk.send("return", call=call["call"], value="y" * 100_000)
            talk.wire.socket.close()
    eventually(lambda: service.stats()["busy"] == busy)
    assert service.stats()["unread"] == 0
