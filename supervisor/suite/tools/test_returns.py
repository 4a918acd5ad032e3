"""Calls of clients without a WebSocket: as events of a stream, and as answers that stop at them."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from client import JOB_FIELDS, Client, eventually, script_of
from talk import conversation

SUM = "from cloister import tools\ndef main():\n    print('begins')\n    return tools.a(1) + tools.b(2)"


def post(client, script, tools, **fields):
    body = {"script": script_of(script), "tools": [{"name": name} for name in tools], **fields}
    return client.http.post("/execute", json=body)


def returns(client, id, *came, headers=None):
    """Returns to calls: numbers to values."""
    return client.http.post(f"/execute/{id}/returns", json={"returns": [*came]}, headers=headers)


def value(call, value):
    return {"call": call, "value": value}


def waits(answer):
    """The body of an answer that stopped at calls."""
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert {"id", "calls", "returns_within_ms"} <= set(body) <= {"id", "calls", "returns_within_ms", "refused"}, body
    return body


def whole(answer, id):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == JOB_FIELDS | {"result"} and body["id"] == id
    return body


def test_an_answer_stops_at_a_call_and_is_taken_up(client):
    first = waits(post(client, SUM, "ab"))
    id = first["id"]
    assert first["calls"] == [{"call": 1, "tool": "a", "args": [1], "kwargs": {}}] and 0 < first["returns_within_ms"] <= 60_000
    second = waits(returns(client, id, value(1, 10)))
    assert second["id"] == id and second["calls"] == [{"call": 2, "tool": "b", "args": [2], "kwargs": {}}]
    body = whole(returns(client, id, value(2, 5)), id)
    assert (body["result"], body["stdout"]) == (15, "begins\n") and body["usage"]["calls"]["returned"] == 2
    assert returns(client, id, value(2, 5)).status_code == 404


def test_a_job_that_calls_nothing_is_answered_as_ever(client):
    answer = post(client, "def main(): return 7", "a")
    assert whole(answer, answer.json()["id"])["result"] == 7
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-cloister-id"] == answer.json()["id"]
    failed = post(client, "def main(): return 1 / 0", "a")
    assert failed.status_code == 422 and failed.json()["error"]["code"] == "exception"
    refused = post(client, "x", "a", profile="nowhere")
    assert refused.status_code == 400 and "no profile" in refused.json()["error"]["message"]


def test_a_failure_after_a_call_is_one_of_the_job(client):
    first = waits(post(client, "from cloister import tools\ndef main(): return tools.a()", "a"))
    failed = returns(client, first["id"], {"call": 1, "error": {"message": "no"}})
    assert failed.status_code == 422 and failed.json()["error"]["message"].endswith("ToolError: no")


def test_calls_that_come_at_once_are_in_one_answer(client):
    def main():
        import asyncio

        from cloister import tools

        async def all_of_them():
            return await asyncio.gather(*(tools.a.call(number) for number in range(5)))

        return asyncio.run(all_of_them())

    first = waits(post(client, main, "a"))
    id, calls = first["id"], first["calls"]
    # At once is within some milliseconds, which a busy machine may not keep.
    while len(calls) < 5:
        calls = waits(returns(client, id))["calls"]
    assert [call["args"] for call in calls] == [[number] for number in range(5)]
    # Those that still wait are told of again.
    left = waits(returns(client, id, value(2, "two"), value(4, "four")))
    assert [call["call"] for call in left["calls"]] == [1, 3, 5] and left["calls"][0] == calls[0]
    assert [call["call"] for call in waits(returns(client, id))["calls"]] == [1, 3, 5]
    assert whole(returns(client, id, value(5, "five"), value(1, "one"), value(3, "three")), id)["result"] == ["one", "two", "three", "four", "five"]


def test_what_is_returned_wrongly_is_told_and_ends_nothing(client):
    id = waits(post(client, SUM, "ab"))["id"]
    told = waits(returns(client, id, value(7, 0), value(1, 1), value(1, 2)))
    assert [call["call"] for call in told["calls"]] == [2]
    assert [(one["call"], one["message"]) for one in told["refused"]] == [
        (7, "there is no call 7"), (1, "call 1 has been returned to, or its time is over")]
    for body, expected in (("[]", "no object"), ("{}", "returns is missing"), ('{"returns": [{"call": 2}]}', "neither value nor error"), ("\xff", "no object")):
        answer = client.http.post(f"/execute/{id}/returns", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and expected in answer.json()["error"]["message"], answer.text
    assert client.http.post(f"/execute/{id}/returns", content="{}").status_code == 415
    assert client.http.get(f"/execute/{id}/returns").status_code == 405
    assert whole(returns(client, id, value(2, 2)), id)["result"] == 3


@pytest.mark.parametrize("id", ["0" * 32, "x", "0" * 31 + "%2f", "%00"])
def test_a_job_that_is_not_there(client, id):
    answer = returns(client, id, value(1, 1))
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


def test_a_job_to_which_nobody_returns_is_ended(impatient):
    first = waits(post(impatient.client, "from cloister import tools\ndef main(): return tools.a()", "a", profile="waits"))
    assert 0 <= first["returns_within_ms"] <= 400
    eventually(lambda: impatient.stats()["busy"] == 0)
    eventually(lambda: returns(impatient.client, first["id"], value(1, 1)).status_code == 404)


def test_two_who_return_at_once(client):
    """One takes the answer up, the other is told what became of its returns; nobody gets both, and nothing hangs."""
    for _ in range(10):
        id = waits(post(client, SUM.replace("tools.b(2)", "1"), "ab"))["id"]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda number: returns(client, id, value(1, number)), (10, 20)))
        bodies = [answer.json() for answer in answers]
        results = [body["result"] for body in bodies if "result" in body]
        assert len(results) == 1 and results[0] in (11, 21), bodies
        other = next(body for body in bodies if "result" not in body)
        assert "taken" in other or other["error"]["code"] == "not_found", bodies


def test_calls_that_wait_no_more_are_not_told_of_again(client):
    """Two open calls, and returns to both at once by two clients: neither is told to return to what has been."""

    def main():
        import asyncio

        from cloister import tools

        async def both():
            return await asyncio.gather(tools.a.call(1), tools.a.call(2))

        return asyncio.run(both())

    for _ in range(5):
        body = waits(post(client, main, "a"))
        id = body["id"]
        # On a busy machine the second comes later than what comes at once.
        while len(body["calls"]) < 2:
            body = waits(returns(client, id))
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda call: returns(client, id, value(call, call)), (1, 2)))
        bodies = [answer.json() for answer in answers]
        for answer, body in zip(answers, bodies):
            while answer.status_code == 202:
                answer = returns(client, id)
                body = answer.json()
                assert "calls" not in body or body["calls"], body
            assert body.get("result") == [1, 2] or "taken" in body or body["error"]["code"] == "not_found", bodies


def test_many_large_calls_one_after_another_take_the_memory_of_one(start_service):
    client = start_service(gateway_options=["--max-body-memory", str(16 << 20)]).client

    def main():
        from cloister import tools

        return sum(tools.a("x" * 1_000_000) for _ in range(20))

    answer = post(client, main, "a")
    for number in range(20):
        answer = returns(client, waits(answer)["id"], value(number + 1, 1))
    assert answer.json()["result"] == 20


def test_a_result_that_looks_like_a_failure_is_none(client):
    for result in ({"error": 1}, {"error": {"code": "exit"}}, "error\":"):
        answer = post(client, f"def main(): return {result!r}", "a")
        assert whole(answer, answer.json()["id"])["result"] == result


@contextmanager
def stream(client, script, tools, **fields):
    body = {"script": script_of(script), "tools": [{"name": name} for name in tools], **fields}
    with client.http.stream("POST", "/execute", json=body, headers={"Accept": "text/event-stream"}) as response:
        assert response.status_code == 200, response.read()
        yield response, events(response)


def events(response):
    name = None
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_call_is_an_event_of_the_stream(client):
    with stream(client, SUM, "ab") as (response, told):
        id, seen = response.headers["x-cloister-id"], []
        for name, data in told:
            seen.append(name)
            if name == "call":
                answer = returns(client, id, value(data["call"], 10 * data["args"][0]), value(9, 9))
                assert answer.status_code == 200 and answer.json() == {"taken": [data["call"]], "refused": [{"call": 9, "message": "there is no call 9"}], "open": []}
        assert seen == ["stdout", "call", "call", "result"] and (data["result"], data["id"]) == (30, id)
    assert returns(client, id).status_code == 404


def test_who_leaves_a_stream_ends_the_job_that_waits(service):
    busy = service.stats()["busy"]
    with stream(Client(service.client.url), SUM, "ab") as (_, told):
        assert next(data for name, data in told if name == "call")
        assert service.stats()["busy"] > busy
    eventually(lambda: service.stats()["busy"] == busy)


def test_the_supervisor_answers_a_job_with_tools_with_events_alone(service):
    with service.supervisor_client() as supervisor:
        answer = supervisor.post("/execute", json={"script": "def main(): pass", "tools": [{"name": "a"}]})
    assert answer.status_code == 400 and "text/event-stream" in answer.json()["error"]["message"]


def test_assistants_have_no_tools_of_their_own(service):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "execute_python", "arguments": {"script": "1", "tools": [{"name": "a"}]}}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    answer = service.client.http.post("/mcp", json=call, headers=headers)
    assert "tools are for programs" in answer.text


def test_a_node_with_a_number_puts_it_in_front_of_its_jobs_ids(start_service):
    service = start_service(gateway_options=["--node", "10"])
    assert service.client.execute("def main(): return 1").body["id"].startswith("0a")
    id = waits(post(service.client, "from cloister import tools\ndef main(): return tools.a()", "a"))["id"]
    assert id.startswith("0a") and whole(returns(service.client, id, value(1, 2)), id)["result"] == 2
    with conversation(service) as talk:
        talk.execute("def main(): return 1")
        assert talk.until("started")["id"].startswith("0a")
