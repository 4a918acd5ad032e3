"""docs/jupyter.md: what open-webui sends, as its `backend/open_webui/utils/code_interpreter.py` (0915a1f) does: a kernel, one cell, its end."""

import json
import uuid

import pytest
from websockets.sync.client import connect


def execute(service, code, token="t"):
    """Run code as open-webui does; what it makes of what it hears."""
    http, base, query = service.client.http, "/jupyter", f"?token={token}"
    opened = http.post(f"{base}/api/kernels{query}", headers={"Content-Type": "application/octet-stream"})
    assert opened.status_code == 201
    kernel = opened.json()["id"]
    stdout, stderr, result = "", "", []
    message_id = uuid.uuid4().hex
    address = f"{service.client.url.replace('http', 'ws', 1)}{base}/api/kernels/{kernel}/channels{query}"
    with connect(address, additional_headers={}) as wire:
        wire.send(json.dumps({
            "header": {"msg_id": message_id, "msg_type": "execute_request", "username": "user", "session": uuid.uuid4().hex, "date": "", "version": "5.3"},
            "parent_header": {}, "metadata": {},
            "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True},
            "channel": "shell",
        }))
        while True:
            message = json.loads(wire.recv(timeout=60))
            if message.get("parent_header", {}).get("msg_id") != message_id:
                continue
            content = message.get("content", {})
            match message.get("msg_type"):
                case "stream":
                    stdout, stderr = stdout + content["text"] * (content["name"] == "stdout"), stderr + content["text"] * (content["name"] == "stderr")
                case "execute_result" | "display_data":
                    data = content["data"]
                    result.append(f"data:image/png;base64,{data['image/png']}" if "image/png" in data else data.get("text/plain"))
                case "error":
                    stderr += "\n".join(content["traceback"])
                case "status" if content["execution_state"] == "idle":
                    break
    assert http.delete(f"{base}/api/kernels/{kernel}{query}").status_code == 204
    return stdout.strip(), stderr.strip(), "\n".join(result)


def test_code_runs_to_its_result(service):
    assert execute(service, "print('a')\n20 + 1") == ("a", "", "21")


def test_an_error_is_its_traceback(service):
    stdout, stderr, result = execute(service, "print('a')\n1 / 0")
    assert stdout == "a" and stderr.endswith("ZeroDivisionError: division by zero") and result == ""


def test_a_picture_is_shown(service):
    shown = execute(service, "class P:\n    def _repr_png_(self): return b'\\x89PNG'\nP()")[2]
    assert shown == "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize("code", ["while True: pass", "import os\nos._exit(0)"])
def test_it_is_told_what_became_of_code_that_is_ended(service, code):
    assert "goes on as it was before" in execute(service, code)[1]
