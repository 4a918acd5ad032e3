"""The Model Context Protocol, spoken by its official clients for Python and TypeScript."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


@pytest.fixture
def speak(service):
    """Run what is done with a session."""

    def speak(conversation):
        async def main():
            async with streamable_http_client(f"{service.client.url}/mcp") as streams, ClientSession(*streams[:2]) as session:
                await session.initialize()
                return await conversation(session)

        return anyio.run(main)

    return speak


def text(answer):
    """What a model reads: there is no second form of it."""
    assert answer.structured_content is None
    return answer.content[0].text


def test_an_assistant_finds_the_tool_and_runs_python(speak):
    async def conversation(session):
        [tool] = (await session.list_tools()).tools
        assert (tool.name, tool.title, tool.output_schema) == ("execute_python", "Run Python", None)
        script = "def main(a, b):\n    print('adding')\n    return a + b"
        return await session.call_tool(tool.name, {"script": script, "args": [2, 3]})

    answer = speak(conversation)
    assert not answer.is_error
    assert text(answer) == "result: 5\nstdout:\nadding"
    assert set(answer.meta) == {"cloister/id", "cloister/usage"}


def test_a_model_is_told_what_there_is_to_write_code_for(speak, execute):
    async def conversation(session):
        return (await session.list_tools()).tools

    [tool] = speak(conversation)
    there = "import sys, numpy\ndef main(): return ['.'.join(map(str, sys.version_info[:3])), numpy.__version__]"
    python, numpy = execute(there).result
    for said in [f"Python {python} ", f"numpy {numpy}", "Limits: 10 s, 512 MiB of memory", "No network", "out/", "Nothing else can be installed"]:
        assert said in tool.description, tool.description
    assert "default" in tool.input_schema["properties"]["profile"]["enum"]
    assert tool.input_schema["required"] == ["script"]


def test_a_failure_is_something_to_read(speak):
    async def conversation(session):
        broken = await session.call_tool("execute_python", {"script": "def main():\n    return 1 / 0"})
        wrong = await session.call_tool("execute_python", {"source": "def main(): return 1"})
        return broken, wrong

    broken, wrong = speak(conversation)
    assert broken.is_error and wrong.is_error
    assert broken.meta["cloister/code"] == "exception" and wrong.meta["cloister/code"] == "invalid_request"
    assert text(broken).startswith("error: exception\n") and text(broken).count("division by zero") == 1 and "line 2, in main" in text(broken), text(broken)
    assert "ZeroDivisionError: division by zero" in text(broken)
    assert "unknown field `source`" in text(wrong)


@pytest.mark.parametrize(("call", "expected"), [
    ({"code": "1 + 1"}, "result: 2"),
    ({"script": "import math\nprint('hi')\nmath.comb(4, 2)"}, "result: 6\nstdout:\nhi"),
    ({"code": "x = 3\nprint(x)"}, "result: null\nstdout:\n3"),
    ({"code": "def main(): return 5\n7"}, "result: 5"),
    ({"code": "import sys\nprint(sys.argv[1:])\nsys.exit(3)", "entry": "program", "argv": ["-n", "é"]}, "exit_code: 3\nstdout:\n['-n', 'é']"),
    ({"code": "[1, float('nan')]", "nan": "null"}, "result: [1,null]"),
])
def test_plain_code_is_enough(speak, call, expected):
    answer = speak(lambda session: session.call_tool("execute_python", call))
    assert not answer.is_error and text(answer).replace(", null", ",null") == expected, answer


@pytest.mark.parametrize(("call", "code", "expected"), [
    ({"code": "1 / 0"}, "exception", "line 1, in <module>"),
    ({"code": "1 +"}, "syntax_error", "line 1"),
    ({"code": "x = 1", "entry": "main"}, "no_main", "main()"),
    ({"code": "x = 1", "script": "x = 1"}, "invalid_request", "two names of one field"),
])
def test_what_is_wrong_with_plain_code_is_told(speak, call, code, expected):
    answer = speak(lambda session: session.call_tool("execute_python", call))
    assert answer.is_error and answer.meta["cloister/code"] == code and expected in text(answer), answer


def test_files_go_in_and_come_back(speak):
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))

    async def conversation(session):
        [tool] = (await session.list_tools()).tools
        assert "files" in tool.input_schema["properties"] and "$ref" not in json.dumps(tool.input_schema)
        script = "import shutil\ndef main():\n    shutil.copy('in.png', 'out/plot.png')\n    open('out/a.csv', 'w').write('1,2')\n    return 'done'"
        files = [{"path": "in.png", "content_base64": base64.b64encode(picture).decode()}]
        return await session.call_tool(tool.name, {"script": script, "files": files})

    answer = speak(conversation)
    assert not answer.is_error, answer
    told, table, image = answer.content
    assert (image.type, image.mime_type, base64.b64decode(image.data)) == ("image", "image/png", picture)
    assert (table.type, table.resource.text, str(table.resource.uri)) == ("resource", "1,2", "file:///out/a.csv")
    assert told.text == 'result: "done"\nfiles, in the order in which they follow:\nout/a.csv\nout/plot.png'


def test_files_come_back_from_where_they_were_left_and_others_are_named(speak):
    async def conversation(session):
        [tool] = (await session.list_tools()).tools
        assert "files_out" in tool.input_schema["properties"]
        code = "import os\nos.mkdir('d')\nfor name in ('d/a.csv', 'b.txt'):\n    print(len(name), file=open(name, 'w'))\n1"
        return await session.call_tool(tool.name, {"code": code, "files_out": ["d/*.csv", "none.png"]})

    answer = speak(conversation)
    assert not answer.is_error and answer.content[1].resource.text == "7\n"
    told = text(answer)
    assert "files, in the order in which they follow:\nd/a.csv" in told and "files_out that matched no file: none.png" in told
    assert told.endswith("returns them):\nb.txt (2 bytes)")


def test_calls_keep_nothing_between_them(speak):
    async def conversation(session):
        await session.call_tool("execute_python", {"script": "def main(): open('/tmp/kept', 'w').write('x')"})
        return await session.call_tool("execute_python", {"code": "import os\nos.path.exists('/tmp/kept')"})

    assert text(speak(conversation)) == "result: false"


@pytest.fixture
def closing(client):
    """Close what sessions are left behind a test."""
    yield
    for session in client.http.get("/sessions").json()["sessions"]:
        client.http.delete(f"/sessions/{session['session']}")


def in_session(spoken, code, **arguments):
    return spoken.call_tool("execute_python", {"session": "new", "code": code} | arguments)


def session_of(answer):
    return text(answer).splitlines()[-1].removeprefix("session: ")


@pytest.mark.usefixtures("closing")
def test_a_session_keeps_its_state_between_calls_and_connections(speak):
    """`execute_python` may keep a session, and its description says so."""
    async def begin(session):
        [tool] = (await session.list_tools()).tools
        assert "`session`" in tool.description and "new" in tool.input_schema["properties"]["session"]["description"]
        files = [{"path": "in.txt", "content": "from the client"}]
        return await in_session(session, "import asyncio\nx = 20\nprint('begun')\nx + 1", files=files)

    answer = speak(begin)
    assert not answer.is_error
    session = session_of(answer)
    assert text(answer) == f"result: 21\nstdout:\nbegun\nsession: {session}" and len(session) == 32
    later = speak(lambda spoken: in_session(spoken, "await asyncio.sleep(0)\n(x, open('in.txt').read())", session=session))
    assert text(later) == f"result: (20, 'from the client')\nsession: {session}"
    other = speak(lambda spoken: in_session(spoken, "x"))
    assert other.is_error and "NameError" in text(other) and session_of(other) != session


@pytest.mark.usefixtures("closing")
def test_what_a_cell_shows_is_seen(speak):
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    code = f"""
class Shown:
    def __init__(self, name): self.name = name
    def __repr__(self): return f'<{{self.name}}>'
    def _repr_png_(self): return {picture!r}
    def _repr_html_(self): return '<b>not for a model</b>'
display(Shown('first'))
Shown('last')"""
    answer = speak(lambda spoken: in_session(spoken, code))
    assert not answer.is_error, answer
    told, *images = answer.content
    assert told.text.startswith("result: <last>\nshown: <first>\nsession: ")
    assert [(image.type, image.mime_type, base64.b64decode(image.data)) for image in images] == [("image", "image/png", picture)] * 2


@pytest.mark.usefixtures("closing")
def test_a_cell_that_cost_the_session_its_process_is_undone_and_that_is_told(speak):
    async def conversation(spoken):
        session = session_of(await in_session(spoken, "x = 'kept'"))
        lost = await in_session(spoken, "x = 'changed'\nimport os\nos._exit(3)", session=session)
        return session, lost, await in_session(spoken, "x", session=session)

    session, lost, later = speak(conversation)
    assert lost.is_error and text(lost).endswith(f"restored: the session goes on as it was before this call\nsession: {session}")
    assert text(later) == f"result: 'kept'\nsession: {session}"


@pytest.mark.parametrize(("arguments", "code", "expected"), [
    ({"session": "0" * 32}, "not_found", "there is no session 0000"),
    ({"session": "old"}, "invalid_request", 'session is "old", expected the id of a session that an answer told, or "new"'),
    ({"entry": "main"}, "invalid_request", "unknown field `entry`"),
    ({"profile": "no-such"}, "invalid_request", "no-such"),
    ({"code": " "}, "invalid_request", "code is empty"),
])
def test_a_session_that_is_not_to_be_had_is_told_in_words(speak, client, arguments, code, expected):
    before = len(client.http.get("/sessions").json()["sessions"])
    answer = speak(lambda spoken: in_session(spoken, **({"code": "1"} | arguments)))
    assert answer.is_error and answer.meta["cloister/code"] == code and expected in text(answer), answer
    assert len(client.http.get("/sessions").json()["sessions"]) == before


def test_a_session_that_is_over_is_told_with_why(speak, client):
    session = session_of(speak(lambda spoken: in_session(spoken, "1")))
    assert client.http.delete(f"/sessions/{session}").status_code == 204
    answer = speak(lambda spoken: in_session(spoken, "1", session=session))
    assert answer.is_error and answer.meta["cloister/code"] == "session_ended"
    assert text(answer).startswith("error: session_ended: ") and "reason: closed" in text(answer), answer


@pytest.fixture(scope="module")
def typescript(tmp_path_factory):
    """A directory with the client for TypeScript, as the lock file pins it."""
    directory = tmp_path_factory.mktemp("typescript")
    for file in (Path(__file__).parent / "typescript").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    command = [Path(sys.executable).parent / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if ended.returncode != 0:
        pytest.skip(f"the client for TypeScript cannot be installed here: {ended.stderr.strip()[-200:]}")
    return directory


def test_the_client_for_typescript_runs_python(service, typescript):
    command = [Path(sys.executable).parent / "node", "client.mjs", f"{service.client.url}/mcp"]
    ended = subprocess.run(command, cwd=typescript, capture_output=True, text=True)
    assert ended.returncode == 0, ended
    seen = json.loads(ended.stdout)
    assert seen["tools"] == ["execute_python"]
    assert seen["added"]["content"] == [{"type": "text", "text": "result: 5\nstdout:\nadding"}]
    assert seen["failed"]["isError"] and "ZeroDivisionError" in seen["failed"]["content"][0]["text"]
