"""LibreChat's programmatic tool calling: the requests that its client sends, with the loop in which it sends them."""

import json
import threading

import httpx
import pytest

import librechat

# As LibreChat sends them.
HEADERS = {"Content-Type": "application/json", "User-Agent": "LibreChat/1.0"}
TOOLS = [
    {"name": "get-weather", "description": "The weather in a city.", "allowed_callers": ["code_execution"],
     "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
    {"name": "save", "allowed_callers": ["direct", "code_execution"]},
]


@pytest.fixture(scope="module")
def post():
    """Posts to the adapter; a status and a body."""
    server = librechat.serving("127.0.0.1:0")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", headers=HEADERS, trust_env=False, timeout=60) as client:

        def post(path, body):
            answer = client.post(path, content=json.dumps(body))
            return answer.status_code, answer.json()

        yield post
    server.shutdown()
    thread.join()
    server.server_close()


class Chat:
    """What LibreChat does with a model's code: it runs tools until the code is through, in at most 20 rounds."""

    def __init__(self, post):
        self.post, self.ran = post, []

    def __call__(self, code, **fields):
        status, answer = self.post("/exec/programmatic", {"code": code, "tools": TOOLS, "timeout": 15000, **fields})
        rounds = 0
        while status == 200 and answer["status"] == "tool_call_required":
            rounds += 1
            assert rounds <= 20
            results = [self.result(call) for call in answer["tool_calls"]]
            status, answer = self.post("/exec/programmatic", {"continuation_token": answer["continuation_token"], "tool_results": results})
        assert status == 200, answer
        return answer

    def result(self, call):
        self.ran.append((call["name"], call["input"]))
        if call["input"].get("city") == "Atlantis":
            return {"call_id": call["id"], "result": None, "is_error": True, "error_message": "no such city"}
        return {"call_id": call["id"], "result": {"Oslo": {"c": -3.5}, "Rome": {"c": 12}}.get(call["input"].get("city")), "is_error": False}


@pytest.fixture
def chat(post):
    return Chat(post)


def test_code_runs_once_and_each_tool_once(chat):
    answer = chat(
        "import asyncio, uuid\n"
        "before = uuid.uuid4()\n"
        "print('begun', before)\n"
        "oslo, rome = await asyncio.gather(get_weather(city='Oslo'), get_weather(city='Rome'))\n"
        "for city in (oslo, rome):\n"
        "    await save(c=city['c'])\n"
        "print('done', before, oslo['c'] < rome['c'])\n"
    )
    assert answer["status"] == "completed" and answer["stderr"] == "", answer
    begun, done = answer["stdout"].splitlines()
    # What was made before the calls is the same after them: no replay.
    assert done == f"done {begun.split()[1]} True"
    cities = [("get-weather", {"city": "Oslo"}), ("get-weather", {"city": "Rome"})]
    assert sorted(chat.ran[:2], key=str) == cities and chat.ran[2:] == [("save", {"c": -3.5}), ("save", {"c": 12})]
    assert set(answer) == {"status", "session_id", "stdout", "stderr", "files"}


def test_what_a_tool_fails_with_is_an_exception(chat):
    answer = chat("try:\n    await get_weather(city='Atlantis')\nexcept Exception as error:\n    print('failed:', error)")
    assert (answer["status"], answer["stdout"]) == ("completed", "failed: no such city\n")


@pytest.mark.parametrize("code, stdout, stderr", [
    ("print('one')\nawait save(1)\n", "one\n", "takes 0 positional arguments"),
    ("print('one')\n1 / 0\n", "one\n", 'File "main.py", line 2, in user_main\n    1 / 0'),
    ("print('one'\n", "", "SyntaxError"),
    ("print('one')\nreturn\n", "one\n", ""),
    ("# nothing", "", ""),
])
def test_code_that_fails_has_completed_and_says_so_on_stderr(chat, code, stdout, stderr):
    answer = chat(code)
    assert (answer["status"], answer["stdout"]) == ("completed", stdout)
    assert stderr in answer["stderr"] and bool(stderr) == bool(answer["stderr"])
    assert "script.py" not in answer["stderr"] and chat.ran == []


def test_a_limit_is_an_error(chat):
    answer = chat("print('begun')\nwhile True: pass", timeout=500)
    assert (answer["status"], answer["error"]) == ("error", "Time limit exceeded")
    assert answer["stdout"] == "begun\n" and answer["stderr"]


def test_a_token_is_good_for_as_long_as_its_job_waits(post):
    _, answer = post("/exec/programmatic", {"code": "print(await get_weather(city='Oslo'))", "tools": TOOLS, "timeout": 15000})
    [call], token = answer["tool_calls"], answer["continuation_token"]
    results = {"continuation_token": token, "tool_results": [{"call_id": call["id"], "result": "cold", "is_error": False}]}
    assert post("/exec/programmatic", results)[1]["stdout"] == "cold\n"
    status, answer = post("/exec/programmatic", results)
    assert status == 404 and "it has ended" in answer["error"]


def test_code_without_tools_comes_to_exec(post):
    wrapped = "async def __user_main__():\n    print(2 + 2)\n\nif __name__ == \"__main__\":\n    import asyncio\n    asyncio.run(__user_main__())\n"
    status, answer = post("/exec", {"lang": "py", "code": wrapped, "timeout": 15000})
    assert (status, answer["stdout"], answer["stderr"]) == (200, "4\n", "")
    status, answer = post("/exec", {"lang": "py", "code": "import sys\nsys.exit('no')"})
    assert (status, answer["stdout"], answer["stderr"]) == (200, "", "no\n")


def test_what_is_no_request_is_refused(post):
    assert post("/exec", {"lang": "rs", "code": "fn main() {}"})[0] == 400
    assert post("/exec/programmatic", {"code": "1"})[0] == 400
    assert post("/upload", {})[0] == 404
