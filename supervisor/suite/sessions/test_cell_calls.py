"""docs/sessions.md: cells call tools as scripts do; and sessions over a WebSocket."""

import pytest

from talk import conversation

SUM = "from cloister import tools\nprint('begins', flush=True)\nx = tools.a(1) + tools.b(2)\nx"
TOOLS = [{"name": "a"}, {"name": "b"}]


def returns(session, id, *came):
    return session.http.post(f"/execute/{id}/returns", json={"returns": [*came]})


def test_a_cell_stops_at_a_call_and_is_taken_up(session):
    first = session.post(SUM, tools=TOOLS)
    assert first.status_code == 202, first.text
    id = first.json()["id"]
    assert first.json()["calls"] == [{"call": 1, "tool": "a", "args": [1], "kwargs": {}}]
    second = returns(session, id, {"call": 1, "value": 10})
    assert second.status_code == 202 and second.json()["calls"][0]["call"] == 2
    last = returns(session, id, {"call": 2, "value": 5})
    assert last.status_code == 200, last.text
    body = last.json()
    assert (body["id"], body["session"], body["result"], body["text"], body["stdout"]) == (id, session.id, 15, "15", "begins\n")
    assert body["usage"]["calls"]["returned"] == 2 and session.value("x") == 15


def test_a_cell_with_tools_that_calls_none_is_answered_as_any(session):
    answer = session.post("7", tools=TOOLS)
    assert answer.status_code == 200 and answer.json()["result"] == 7 and answer.json()["cell"] == 1
    failed = session.post("1 / 0", tools=TOOLS)
    assert failed.status_code == 422 and failed.json()["error"]["exception"] == "ZeroDivisionError"


def test_calls_and_what_is_shown_are_events(session):
    """What was printed before one of these comes before it."""
    with session.stream(SUM.replace("\nx =", "\ndisplay(1)\nx ="), tools=TOOLS) as events:
        told = []
        for name, data in events:
            told.append(name)
            if name == "call":
                assert returns(session, events.id, {"call": data["call"], "value": 10}).json()["taken"] == [data["call"]]
            if name == "display":
                assert data == {"data": {"text/plain": "1"}}
        assert told == ["stdout", "display", "call", "call", "result"] and data["result"] == 20 and data["display"] == [{"text/plain": "1"}]


def test_tools_are_a_cells_and_not_the_sessions(session):
    """What an earlier cell has imported calls those of the cell that runs, whose numbers go on."""
    first = session.post("from cloister import tools\nx = tools.a()", tools=TOOLS[:1])
    assert returns(session, first.json()["id"], {"call": 1, "value": 3}).json()["result"] is None
    assert session.run("tools.a()").error["exception"] == "AttributeError"
    again = session.post("[x, tools.b()]", tools=TOOLS[1:])
    [call] = again.json()["calls"]
    assert (call["call"], call["tool"]) == (2, "b")
    assert returns(session, again.json()["id"], {"call": 2, "value": 4}).json()["result"] == [3, 4]
    assert session.run("tools.a()", tools=TOOLS[1:]).error["exception"] == "AttributeError"


def test_a_restored_session_calls_as_before(session):
    assert session.run("import os; kept = 1; os._exit(1)").restored is True
    first = session.post(SUM, tools=TOOLS)
    second = returns(session, first.json()["id"], {"call": 1, "value": 1})
    assert returns(session, second.json()["id"], {"call": 2, "value": 2}).json()["result"] == 3


def test_a_cell_that_dies_with_a_call_open_is_restored(session):
    session.run("import os, threading, time\nkept = 1")
    with session.stream("from cloister import tools\nthreading.Thread(target=tools.a, daemon=True).start()\ntools.b()\nos._exit(3)", tools=TOOLS) as events:
        calls = {}
        while set(calls) != {"a", "b"}:
            call = events.until("call")
            calls[call["tool"]] = call["call"]
        returns(session, events.id, {"call": calls["b"], "value": None})
        last = events.until("result")
    assert (last["error"]["code"], last["restored"], last["usage"]["calls"]["unanswered"]) == ("exit", True, 1)
    assert session.value("kept") == 1


def test_a_cell_over_a_websocket_is_told_as_by_post(service, session):
    code = "import sys\nprint('a'); print('b', file=sys.stderr)\ndisplay(1)\n[2]"
    with conversation(service) as talk:
        talk.send("execute", session=session.id, code=code)
        started = talk.next()
        assert started == {"type": "started", "id": started["id"], "session": session.id}
        told = []
        while (message := talk.next())["type"] != "result":
            told.append((message["type"], message.get("text") or message.get("data")))
    assert sorted(told) == [("display", {"text/plain": "1"}), ("stderr", "b\n"), ("stdout", "a\n")]
    plain = session.run(code).body
    for body in (message, plain):
        del body["id"], body["usage"], body["cell"]
    assert message == {"type": "result", **plain}


def test_several_connections_use_a_session_in_turn(service, session):
    with conversation(service) as one, conversation(service) as other:
        for number in range(3):
            for talk in (one, other):
                talk.send("execute", session=session.id, code="n = globals().get('n', 0) + 1\nn")
                assert talk.until("result")["result"] in (2 * number + 1, 2 * number + 2)
        assert session.value("n") == 6


def test_jobs_and_cells_are_in_one_conversation(service, session):
    with conversation(service) as talk:
        talk.send("execute", session=session.id, code="x = 1")
        assert talk.until("result")["result"] is None
        talk.execute("def main(): return 2")
        assert "session" not in (last := talk.until("result")) and last["result"] == 2
        talk.send("execute", session=session.id, code="from cloister import tools\ntools.a(x)", tools=TOOLS)
        call = talk.until("call")
        assert call["args"] == [1]
        talk.send("return", call=call["call"], error={"message": "no"})
        assert "ToolError: no" in talk.until("result")["error"]["message"]


def test_an_interrupt_over_a_websocket(service, session):
    with conversation(service) as talk:
        talk.send("interrupt")
        assert "no job runs" in talk.until("refused")["error"]["message"]
        for wait in ("while True: pass", "from cloister import tools\ntools.a()"):
            talk.send("execute", session=session.id, code=f"print('begun', flush=True)\n{wait}", tools=TOOLS)
            talk.until("stdout", "call")
            talk.send("interrupt")
            last = talk.until("result")
            assert last["error"]["code"] == "interrupted" and "restored" not in last, last
        talk.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
        call = talk.until("call")
        talk.send("interrupt")
        assert "no cell of a session" in talk.until("refused")["error"]["message"]
        talk.send("return", call=call["call"], value=3)
        assert talk.until("result")["result"] == 3


@pytest.mark.parametrize(("fields", "kind", "expected"), [
    ({"session": 1, "code": "1"}, "refused", "session is the number 1, expected the id of a session"),
    ({"session": "x", "code": "1"}, "refused", "expected the id of a session"),
    ({"session": "0" * 32, "code": "1"}, "error", "no session"),
    ({"session": None, "script": "x"}, "error", "unknown field `script`"),
    ({"session": None, "code": ""}, "error", "code is empty"),
    ({"code": "1"}, "error", "unknown field `code`"),
])
def test_what_is_no_cell_is_refused_and_ends_nothing(service, session, fields, kind, expected):
    if fields.get("session", 0) is None:
        fields = {**fields, "session": session.id}
    with conversation(service) as talk:
        talk.send("execute", **fields)
        told = talk.until(kind)
        assert expected in told["error"]["message"], told
        talk.send("execute", session=session.id, code="1")
        assert talk.until("result")["result"] == 1


def test_leaving_a_conversation_interrupts_its_cell_and_leaves_the_session(service, session):
    session.run("kept = 1")
    with conversation(service) as talk:
        talk.send("execute", session=session.id, code="print('begun', flush=True)\nwhile True: pass")
        talk.until("stdout")
    assert session.value("kept") == 1
