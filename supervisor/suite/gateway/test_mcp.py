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


def test_an_assistant_finds_the_tool_and_runs_python(speak):
    async def conversation(session):
        [tool] = (await session.list_tools()).tools
        assert tool.name == "execute_python"
        script = "def main(a, b):\n    print('adding')\n    return a + b"
        return await session.call_tool(tool.name, {"script": script, "args": [2, 3]})

    answer = speak(conversation)
    assert not answer.is_error
    assert (answer.structured_content["result"], answer.structured_content["stdout"]) == (5, "adding\n")


def test_a_failure_is_something_to_read(speak):
    async def conversation(session):
        broken = await session.call_tool("execute_python", {"script": "def main():\n    return 1 / 0"})
        wrong = await session.call_tool("execute_python", {"source": "def main(): return 1"})
        return broken, wrong

    broken, wrong = speak(conversation)
    assert broken.is_error and wrong.is_error
    assert broken.structured_content["error"]["exception"] == "ZeroDivisionError"
    assert "ZeroDivisionError" in broken.content[0].text
    assert wrong.structured_content["error"]["code"] == "invalid_request"


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
    assert json.loads(told.text) == answer.structured_content
    assert [file["name"] for file in answer.structured_content["files"]] == ["a.csv", "plot.png"]


def test_calls_keep_nothing_between_them(speak):
    async def conversation(session):
        await session.call_tool("execute_python", {"script": "def main(): open('/tmp/kept', 'w').write('x')"})
        return await session.call_tool("execute_python", {"script": "import os\ndef main(): return os.listdir()"})

    assert speak(conversation).structured_content["result"] == ["out"]


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
    assert (seen["added"]["structuredContent"]["result"], seen["added"]["structuredContent"]["stdout"]) == (5, "adding\n")
    assert seen["failed"]["isError"] and "ZeroDivisionError" in seen["failed"]["content"][0]["text"]
