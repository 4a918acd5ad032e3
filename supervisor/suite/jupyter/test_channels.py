"""docs/jupyter.md: what is said on a kernel's channels, message by message."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from channels import Channels, Heard, channels


def test_a_cell_is_told_of_from_busy_to_idle(talk):
    heard = talk.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n20 + 1")
    assert [kind for kind in heard.kinds if kind != "stream"] == [
        "status", "execute_input", "execute_result", "execute_reply", "status"]
    assert heard.kinds[:2] == ["status", "execute_input"] and heard.kinds[-1] == "status"
    assert heard.one("execute_input") == {"code": "import sys\nprint('out')\nprint('err', file=sys.stderr)\n20 + 1", "execution_count": 1}
    assert (heard.printed(), heard.printed("stderr"), heard.text) == ("out\n", "err\n", "21")
    assert heard.one("execute_reply") == {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
    by_channel = {message["msg_type"]: message["channel"] for message in heard.messages}
    assert by_channel.pop("execute_reply") == "shell" and set(by_channel.values()) == {"iopub"}


def test_state_stays_from_cell_to_cell_and_from_connection_to_connection(talk, jupyter, kernel):
    talk.run("x = 20")
    with channels(jupyter, kernel) as other:
        heard = other.run("x + 1")
    assert heard.text == "21" and heard.one("execute_result")["execution_count"] == 2


def test_what_is_printed_comes_while_the_cell_runs(talk):
    talk.execute("import time\nprint('now', flush=True)\nwhile True: time.sleep(0.05)")
    while (message := talk.next())["msg_type"] != "stream":
        pass
    assert message["content"] == {"name": "stdout", "text": "now\n"}
    assert talk.send("interrupt_request", channel="control")
    while (message := talk.next())["msg_type"] != "error":
        pass
    assert message["content"]["ename"] == "KeyboardInterrupt"


def test_what_a_cell_shows_is_told_by_media_type(talk):
    shown = talk.run("""
class Both:
    def _repr_html_(self): return "<b>1</b>"
    def _repr_json_(self): return {"a": [1]}
    def __repr__(self): return "both"
display(Both())
Both()""")
    expected = {"text/plain": "both", "text/html": "<b>1</b>", "application/json": {"a": [1]}}
    assert shown.one("display_data") == {"data": expected, "metadata": {}, "transient": {}}
    assert shown.one("execute_result")["data"] == expected


def test_an_error_is_told_with_its_name_and_traceback(talk):
    heard = talk.run("class Own(BaseException): pass\nraise Own('safe:1')")
    error = heard.one("error")
    assert (error["ename"], error["evalue"]) == ("Own", "safe:1")
    assert error["traceback"][-1] == "Own: safe:1" and "raise Own('safe:1')" in "\n".join(error["traceback"])
    assert heard.one("execute_reply") == {"status": "error", "execution_count": 1, **error}


@pytest.mark.parametrize("line", ["!pip install x", "%matplotlib inline"])
def test_lines_of_notebooks_are_errors_with_a_hint(talk, line):
    error = talk.run(line).one("error")
    assert error["ename"] == "SyntaxError" and len(error["traceback"]) > 1, error


def test_a_cell_that_costs_the_kernel_its_process_costs_itself(talk):
    talk.run("x = 1")
    error = talk.run("x = 2\nimport os\nos._exit(3)").one("error")
    assert "The kernel goes on as it was before this cell." in error["traceback"], error
    assert talk.run("x").text == "1"


def test_input_is_at_its_end(talk):
    assert talk.run("input()").one("error")["ename"] == "EOFError"


def test_nothing_is_run_of_nothing(talk):
    for code in ["", " \n"]:
        heard = talk.run(code)
        assert heard.kinds == ["status", "execute_input", "execute_reply", "status"]
        assert heard.one("execute_reply")["status"] == "ok"


def test_of_a_silent_cell_only_the_output_is_told(talk):
    heard = talk.run("print(1)\n2", silent=True)
    assert heard.kinds == ["status", "stream", "execute_reply", "status"]


def test_cells_wait_for_each_other_and_are_called_off_behind_an_error(talk):
    first, second, third, last = [talk.execute(code) for code in ("x = 1", "1 / 0", "x = 2", "x = 3")]
    talk.all_of(first)
    assert Heard(talk.all_of(second)).one("error")["ename"] == "ZeroDivisionError"
    answers = [Heard(talk.all_of(one)).one("execute_reply") for one in (third, last)]
    # One that came when the error was told already is run.
    assert answers[0] == {"status": "aborted"} or answers[0]["status"] == "ok"
    assert talk.run("x").text in "123"


def test_cells_go_on_behind_an_error_for_who_wants_that(talk):
    first, last = talk.execute("1 / 0", stop_on_error=False), talk.execute("21")
    talk.all_of(first)
    assert Heard(talk.all_of(last)).text == "21"


def test_too_many_cells_that_wait_are_refused(talk):
    running = talk.execute("import time\nprint('now', flush=True)\nwhile True: time.sleep(0.05)")
    while talk.next()["msg_type"] != "stream":
        pass
    waiting = [talk.execute("1") for _ in range(65)]
    assert Heard(talk.all_of(waiting[-1])).one("execute_reply")["ename"] == "session_busy"
    talk.send("interrupt_request", channel="control")
    talk.all_of(running)
    for one in waiting[:-1]:
        assert Heard(talk.all_of(one)).one("execute_reply") == {"status": "aborted"}


def test_what_clients_ask_beside_cells_is_answered(talk):
    kind, info = talk.ask("kernel_info_request")
    assert kind == "kernel_info_reply" and info["status"] == "ok" and info["protocol_version"] == "5.3"
    assert info["language_info"]["name"] == "python" and info["language_info"]["version"].startswith("3")
    assert talk.ask("comm_info_request") == ("comm_info_reply", {"status": "ok", "comms": {}})
    assert talk.ask("is_complete_request", {"code": "1"}) == ("is_complete_reply", {"status": "unknown"})
    assert talk.ask("complete_request", {"code": "ab", "cursor_pos": 2})[1]["cursor_end"] == 2
    assert talk.ask("inspect_request", {"code": "ab", "cursor_pos": 2})[1]["found"] is False
    assert talk.ask("history_request")[1]["history"] == []
    kind, answer = talk.ask("debug_request", channel="control")
    assert (kind, answer["status"], answer["ename"]) == ("debug_reply", "error", "NotImplementedError")


def test_a_message_without_a_channel_is_the_shells(talk):
    messages = talk.all_of(talk.send("execute_request", {"code": "1"}, channel=None))
    assert [message["channel"] for message in messages if message["msg_type"] == "execute_reply"] == ["shell"]


def test_the_kernel_begins_anew_on_its_channels(talk):
    talk.run("x = 1")
    assert talk.ask("shutdown_request", {"restart": True}, "control") == ("shutdown_reply", {"status": "ok", "restart": True})
    heard = talk.run("x")
    assert heard.one("error")["ename"] == "NameError" and heard.one("execute_reply")["execution_count"] == 1


def test_the_kernel_ends_on_its_channels(talk, service, kernel):
    assert talk.ask("shutdown_request", {"restart": False}, "control") == ("shutdown_reply", {"status": "ok", "restart": False})
    assert talk.run("1").one("error")["ename"] == "session_ended"
    assert service.client.http.get(f"/jupyter/api/kernels/{kernel}").status_code == 410


def test_large_code_and_large_values(talk):
    heard = talk.run(f"a = '{'x' * 1_000_000}'\nprint(len(a))\n'y' * 30_000")
    assert heard.printed() == "1000000\n" and heard.text == repr("y" * 30_000)


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"header": {"msg_type": "execute_request"}}', '{"header": [], "content": {}}', "[" * 50_000])
def test_what_is_no_message_is_passed_over(talk, text):
    talk.wire.send(text)
    assert talk.run("21").text == "21"


def test_who_sends_nothing_else_is_sent_away(talk):
    with pytest.raises(ConnectionClosed) as closed:
        for _ in range(200):
            talk.wire.send("x")
        talk.wire.recv(timeout=60)
    assert closed.value.rcvd.code == 1008


def test_binary_messages_are_none(talk):
    talk.wire.send(b"x")
    with pytest.raises(ConnectionClosed) as closed:
        talk.wire.recv(timeout=60)
    assert closed.value.rcvd.code == 1003


@pytest.mark.parametrize("kernel", ["0" * 32, "00000000-0000-4000-8000-000000000000", "x"])
def test_there_are_no_channels_of_no_kernel(jupyter, kernel):
    with pytest.raises(InvalidStatus) as refused, channels(jupyter, kernel):
        pass
    assert refused.value.response.status_code == 404 and json.loads(refused.value.response.body)["message"]


def test_a_connection_that_is_left_ends_its_cell_and_not_the_kernel(jupyter, kernel):
    with channels(jupyter, kernel) as first:
        first.run("x = 1")
        first.execute("import time\nprint('now', flush=True)\nwhile True: time.sleep(0.05)")
        while first.next()["msg_type"] != "stream":
            pass
    with channels(jupyter, kernel) as other:
        assert other.run("x").text == "1"


def test_it_is_the_same_wire_with_permessage_deflate_offered(service, jupyter, kernel):
    from websockets.sync.client import connect

    address = f"{jupyter.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels"
    with connect(address, max_size=None) as wire:
        assert Channels(wire).run("21").text == "21"
