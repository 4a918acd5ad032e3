#!/usr/bin/env python3
"""LibreChat's programmatic tool calling, served by a node of Cloister.

    CLOISTER_URL=http://127.0.0.1:8080 python3 librechat.py 127.0.0.1:9080
    LIBRECHAT_CODE_BASEURL=http://127.0.0.1:9080        # for LibreChat

LibreChat sends code and tools, is answered with the calls that the code makes, and sends what came of them with the token that it
was given. That is POST /execute, which is answered with 202, and POST /execute/ID/returns: the token is the job's id, the code runs
once, and this server remembers nothing. Code without tools comes to /exec. Of files it knows nothing, and it asks nobody for a
key: have it listen where LibreChat alone can reach it.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from keyword import kwlist

# The code is the body of a coroutine, and tools are coroutine functions with names that Python takes.
RUNNER = '''
import ast, asyncio, linecache, traceback
from cloister import tools

def main(code, names):
    linecache.cache["main.py"] = len(code), None, code.splitlines(keepends=True), "main.py"
    space = {"__name__": "__main__", **{python: by_name(tools[name].call) for python, name in names.items()}}
    try:
        tree = ast.parse("async def user_main(): pass", "main.py")
        tree.body[0].body = ast.parse(code, "main.py").body or tree.body[0].body
        exec(compile(tree, "main.py", "exec"), space)
        asyncio.run(space["user_main"]())
    except Exception as error:
        while error.__traceback__ and error.__traceback__.tb_frame.f_code.co_filename != "main.py":
            error.__traceback__ = error.__traceback__.tb_next  # without the frames of this script
        traceback.print_exception(error)

def by_name(call):
    async def tool(**arguments):
        return await call(**arguments)
    return tool
'''

ENDED = {"memory_limit": "Out of memory", "timeout": "Time limit exceeded", "cpu_limit": "Time limit exceeded"}
# A node is asked directly.
NODE = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def execute(asked):
    """What /exec/programmatic is answered with: a status and a body."""
    if "continuation_token" in asked:
        returns = [returned(result) for result in asked["tool_results"]]
        return told(*ask(f"/execute/{asked['continuation_token']}/returns", {"returns": returns}))
    tools = [{field: tool[field] for field in ("name", "description", "parameters") if tool.get(field)} for tool in asked["tools"]]
    names = {python_name(tool["name"]): tool["name"] for tool in tools}
    job = {"script": RUNNER, "args": [asked["code"], names], "tools": tools, **timeout_of(asked)}
    return told(*ask("/execute", job))


def execute_plain(asked):
    """What /exec is answered with: a status and a body."""
    if asked["lang"] != "py":
        return 400, {"error": f"there is no {asked['lang']} here, but py"}
    job = {"script": asked["code"], "entry": "program", "argv": asked.get("args", []), **timeout_of(asked)}
    return told(*ask("/execute", job))


def told(status, answer):
    """An answer of the node, in LibreChat's words."""
    if status == 202:
        calls = [{"id": f"call_{call['call']:03}", "name": call["tool"], "input": call["kwargs"]} for call in answer["calls"]]
        return 200, {"status": "tool_call_required", "session_id": answer["id"], "continuation_token": answer["id"], "tool_calls": calls}
    if status == 429:
        return 429, {"error": "rate_limited", "retry_after_seconds": 1}
    if "stdout" not in answer:
        return status, {"error": answer["error"]["message"]}
    printed = {"session_id": answer["id"], "stdout": answer["stdout"], "stderr": answer["stderr"], "files": []}
    if status == 200:
        return 200, {"status": "completed", **printed}
    # A limit has ended it. Of `error` LibreChat knows some texts, and shows no other; stderr it does show.
    error = ENDED.get(answer["error"]["code"], "Execution failed or timed out")
    return 200, {"status": "error", "error": error, **printed, "stderr": answer["stderr"] + answer["error"]["message"]}


def returned(result):
    call = int(result["call_id"].removeprefix("call_"))
    if result["is_error"]:
        return {"call": call, "error": {"message": result.get("error_message") or "the tool has failed"}}
    return {"call": call, "value": result["result"]}


def timeout_of(asked):
    return {"timeout_ms": asked["timeout"]} if asked.get("timeout") else {}


def python_name(name):
    """The name by which the code calls a tool; LibreChat makes the same of it."""
    name = re.sub(r"[^a-zA-Z0-9_]", "", re.sub(r"[-\s]", "_", name))
    name = f"_{name}" if name[:1].isdigit() else name
    return f"{name}_tool" if name in kwlist else name


def ask(path, body):
    request = urllib.request.Request(os.environ.get("CLOISTER_URL", "http://127.0.0.1:8080") + path, json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if "CLOISTER_KEY" in os.environ:
        request.add_header("Authorization", f"Bearer {os.environ['CLOISTER_KEY']}")
    try:
        with NODE.open(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.status, json.load(answer)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served = {"/exec": execute_plain, "/exec/programmatic": execute}

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        serve = self.served.get(self.path)
        try:
            status, body = serve(json.loads(asked)) if serve else (404, {"error": "not found"})
        except (KeyError, TypeError, ValueError) as error:
            status, body = 400, {"error": f"not a request of LibreChat's: {error!r}"}
        except OSError as error:
            status, body = 503, {"error": f"the node cannot be reached: {error}"}
        answer = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def serving(address):
    host, port = address.rsplit(":", 1)
    return ThreadingHTTPServer((host, int(port)), Handler)


if __name__ == "__main__":
    serving(sys.argv[1]).serve_forever()
