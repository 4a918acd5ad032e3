"""Proves docs/security.md: "No byte of a stranger's becomes a tree in a daemon", with documents inside the strings of documents.

A common parser reads the text beside a mark of its own as a document, with a limit of depth of its own. Nested in one
another, half a megabyte of it is a document tens of thousands of levels deep: enough to overflow any stack.
"""

import inspect
import json

import pytest

MARK = "$serde_json::private::RawValue"


def bomb(limit):
    """JSON of nearly as many bytes and of 121 levels: quotes of strings in strings cost six bytes a level."""
    quote = lambda k: '"' if k == 0 else "\\" + "u005c" * (k - 1) + "u0022"
    heads, tails, size, k = [], [], 1, 0
    while True:
        head, tail = "[" * 120 + "{" + quote(k) + "$serde_json::private::RawValue" + quote(k) + ":" + quote(k), quote(k) + "}" + "]" * 120
        size += len(head) + len(tail)
        if size > limit:
            return "".join(heads) + "1" + "".join(reversed(tails))
        heads.append(head)
        tails.append(tail)
        k += 1


SIZE = 500_000
MAKE = inspect.getsource(bomb)
WRITE = MAKE + """
import os
def send(tag, payload):
    payload = tag + len(payload).to_bytes(8, "big") + payload
    while payload:
        payload = payload[os.write(3, payload):]
    os._exit(0)
"""


@pytest.fixture(scope="module")
def victim(start_for_module):
    """A service of these tests' own: where they fail, it is dead."""
    return start_for_module()


@pytest.fixture(autouse=True)
def unharmed(victim):
    """Whatever a test sends, both daemons live on and serve others."""
    before = victim.supervisor.pid, victim.gateway.pid
    yield
    assert victim.supervisor.poll() is None, "the supervisor is dead"
    assert victim.gateway.poll() is None, "the gateway is dead"
    assert (victim.supervisor.pid, victim.gateway.pid) == before
    assert victim.new_client().http.get("/healthz").status_code == 200
    assert victim.client.execute("def main(): return 4").result == 4


def call(victim, arguments):
    """Call the tool of /mcp with arguments that are JSON text."""
    body = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "execute_python", "arguments": %s}}' % arguments
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return victim.client.http.post("/mcp", content=body, headers=headers)


def told(response):
    """What a call that failed tells: the error's code, and its text for a model."""
    result = response.json()["result"]
    assert result["isError"], result
    return result["_meta"]["cloister/code"], result["content"][0]["text"]


def test_a_bomb_is_json_of_common_depth():
    value, levels = json.loads(bomb(20_000)), 0
    while value != 1:
        while isinstance(value, list):
            [value] = value
        value, levels = json.loads(value[MARK]), levels + 1
    assert levels > 30 and len(bomb(SIZE)) > SIZE - 5000


def test_in_an_error_report(victim):
    script = WRITE + f"""send(b"E", b'{{"code":"exception","message":"m","x":' + bomb({SIZE}).encode() + b'}}')\ndef main(): pass"""
    answer = victim.client.execute(script)
    assert (answer.status, answer.code) == (422, "exit"), answer


LATE = WRITE.replace("os._exit(0)", "") + """
def send_late(*frames):
    send(b"r", b"1")
    for tag, payload in frames:
        send(tag, payload)
    os._exit(0)
"""


@pytest.mark.parametrize("frames", [
    '(b"D", b"[" + bomb(50_000).encode() + b"]")', '(b"D", bomb(50_000).encode())', '(b"D", b"[" * 60_000)', '(b"D", b"x" * 10_000_000)', '(b"W", b"x" * 10_000_000)',
    '(b"r", b"2")', '(b"R", b"2")', '(b"e", b"{}")', '(b"X", b"3")', '(b"D", b"[]"), (b"R", b"2")', '*[(b"W", b"\\xff" * 60_000)] * 1000', '(b"?", b"")',
    '(b"D", b\'["a", 1, {"b": ["c"]}]\')', '',
])
def test_in_what_comes_after_a_verdict_ahead_of_the_end(victim, frames):
    answer = victim.client.execute(LATE + f"send_late({frames})\ndef main(): pass")
    assert (answer.status, answer.result) == (200, 1), answer
    assert len(str(answer.body.get("notes", ""))) < 40_000 and len(answer.body.get("unfinished", "")) < 10_000


@pytest.mark.parametrize("frame", ['b"D", b"[]"', 'b"W", b"x"', 'b"x", b"0"', 'b"X", b"0"', 'b"X", b"999"', 'b"e", b"["'])
def test_in_what_is_no_verdict(victim, frame):
    answer = victim.client.execute(WRITE + f"send({frame})\ndef main(): pass")
    assert (answer.status, answer.code) == (422, "exit"), answer


def test_a_flood_of_waits_ends_with_the_verdict(victim):
    script = LATE + "send(b'r', b'1')\nwhile True: send(b'W', b'x' * 1000)\ndef main(): pass"
    assert victim.client.execute(script).result == 1


def test_in_a_result_that_a_script_writes_itself(victim):
    answer = victim.client.execute(WRITE + f'send(b"R", bomb({SIZE}).encode())\ndef main(): pass')
    assert (answer.status, answer.code) == (422, "result_not_json"), answer


def test_in_a_result_that_main_returns(victim):
    script = MAKE + f"import json\ndef main(): return json.loads(bomb({SIZE}))"
    answer = victim.client.execute(script)
    assert (answer.status, answer.code) == (422, "result_not_json"), answer
    assert "$serde_json::private::" in answer.error["message"]


@pytest.mark.parametrize("field", ["args", "kwargs"])
def test_in_a_request(victim, field):
    value = {"args": f"[{bomb(SIZE)}]", "kwargs": f'{{"a": {bomb(SIZE)}}}'}[field]
    answer = victim.client.post('{"script": "def main(*a, **k): return 1", "%s": %s}' % (field, value))
    assert (answer.status, answer.code) == (400, "invalid_request"), answer
    assert answer.error["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["entry", "argv", "nan", "timeout_ms"])
def test_in_a_field_that_is_no_json_of_the_clients(victim, field):
    deep = "[" * 100_000 + "]" * 100_000
    many = "[" + '"a",' * 100_000 + '"a"]'
    for value in (bomb(SIZE), f"[{bomb(SIZE)}]", deep, many, r'"\ud800"', r'["a\u0000b"]', r'["\udfff"]', '{"main": "main"}'):
        arguments = '{"script": "def main(): return 1", "entry": "program", "%s": %s}' % (field, value)
        if field == "entry":
            arguments = arguments.replace('"entry": "program", ', "")
        answer = victim.client.post(arguments)
        assert (answer.status, answer.code) == (400, "invalid_request"), answer
        assert answer.error["message"].startswith(field) and len(answer.error["message"]) < 300, answer
        assert told(call(victim, arguments))[0] == "invalid_request"


@pytest.mark.parametrize("key", [MARK, r"\u0024serde_json::private::RawValue", "$serde_json::private::Number"])
def test_a_mark_is_refused_and_not_followed(victim, key):
    arguments = '{"script": "def main(x): return x", "args": [{"%s": "[1,2]"}]}' % key
    answer = victim.client.post(arguments)
    assert (answer.status, answer.code) == (400, "invalid_request"), answer
    assert told(call(victim, arguments))[0] == "invalid_request"


def test_in_the_arguments_of_a_call(victim):
    response = call(victim, '{"script": "def main(x): return 1", "args": [%s]}' % bomb(SIZE))
    assert told(response)[0] == "invalid_request"


def test_in_the_result_of_a_call(victim):
    script = WRITE + f'send(b"R", bomb({SIZE}).encode())\ndef main(): pass'
    assert told(call(victim, json.dumps({"script": script})))[0] == "result_not_json"


@pytest.mark.parametrize("place", ['"x": {0}', '"id": {0}', '"params": {{"name": "execute_python", "_meta": {0}}}', '"params": {0}'])
def test_elsewhere_in_a_message(victim, place):
    body = '{"jsonrpc": "2.0", "method": "tools/list", %s}' % place.format(bomb(10_000))
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    response = victim.client.http.post("/mcp", content=body, headers=headers)
    assert response.status_code == 400 and response.json()["error"]["code"] == -32600, response.text


def test_a_call_is_as_strict_as_a_request(victim):
    twice = '{"script": "def main(**k): return k", "kwargs": {"a": 1, "a": 2}}'
    deep = '{"script": "def main(*a): return 1", "args": %s}' % ("[" * 10_000 + "]" * 10_000)
    for arguments, why in [(twice, 'kwargs: duplicate key "a"'), (deep, "args: nested too deeply")]:
        refused = victim.client.post(arguments)
        assert refused.status == 400 and why in refused.error["message"]
        assert told(call(victim, arguments))[1] == f"error: invalid_request: {refused.error['message']}"


def memory(pid, field):
    """A line of a process's memory, in bytes."""
    [line] = [line for line in open(f"/proc/{pid}/status") if line.startswith(field + ":")]
    return int(line.split()[1]) << 10


def test_a_large_call_costs_little_more_than_its_bytes(victim):
    """docs/gateway.md: "a call of 8 MiB, which takes less than 64 MiB in any case"."""
    head = '{"script": "def main(*args): return len(args)", "args": [1'
    ones = (8 * 1024 * 1024 - 1024 - len(head)) // 2
    before = memory(victim.gateway.pid, "VmRSS")
    response = call(victim, head + ",1" * ones + "]}")
    grown = memory(victim.gateway.pid, "VmHWM") - before
    assert response.json()["result"]["content"][0]["text"] == f"result: {ones + 1}"
    assert grown < 64 << 20, f"{grown >> 20} MiB"


def test_a_large_answer_costs_little_more_than_its_bytes(victim):
    """docs/gateway.md: an answer is there as it came and as it goes."""
    script = """
def main():
    print("\\x01" * (1 << 20))
    for number in range(8):
        open(f"out/{number}.txt", "wb").write(b"\\x01" * (1 << 20))
    return "x" * (7 << 20)
"""
    call(victim, json.dumps({"script": "def main(): return 1"}))
    before = memory(victim.gateway.pid, "VmRSS")
    # The most that there was so far is forgotten: proc(5).
    with open(f"/proc/{victim.gateway.pid}/clear_refs", "w") as refs:
        refs.write("5")
    response = call(victim, json.dumps({"script": script}))
    grown = memory(victim.gateway.pid, "VmHWM") - before
    result = response.json()["result"]
    assert result["content"][0]["text"].count("x" * (7 << 20)) == 1 and not result["isError"]
    assert [block["type"] for block in result["content"]] == ["text"] + ["resource"] * 8
    assert len(response.content) < 32 << 20, "more than the answer itself"
    assert grown < 3 * len(response.content) + (16 << 20), f"{grown >> 20} MiB for {len(response.content) >> 20}"
