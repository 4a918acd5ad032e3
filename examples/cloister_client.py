"""A small client: runs a script, and calls functions of this program when the script calls them.

    run("from cloister import tools\\ndef main():\\n    return tools.add(2, 3)", {"add": lambda a, b: a + b})["result"]

CLOISTER_URL is where the node is, CLOISTER_KEY the key, if it wants one.
"""

import asyncio
import contextvars
import inspect
import json
import os
from concurrent.futures import ThreadPoolExecutor

from websockets.asyncio.client import connect


class Refused(Exception):
    """The job was refused, or lost: there is no answer. `error` is the node's word on it, with a `code` and whether it `ran`."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error = error


def run(script, tools=None, **fields):
    """Run a script; the answer, as `POST /execute` has it. It has `result`, or `error` if the script failed.

    `tools` are functions by the names that the script calls them by, or coroutine functions. Functions are called in threads: a
    script may have several calls open. The other fields are those of the request: `args`, `timeout_ms`, `files`, …
    """
    return wait_for(run_async(script, tools, **fields))


def wait_for(coroutine):
    """In a thread, since this one may have an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, coroutine).result()


async def run_async(script, tools=None, **fields):
    """The same in an event loop."""
    tools = tools or {}
    request = {"type": "execute", "script": script, "tools": [described(name, tool) for name, tool in tools.items()], **fields}
    key = os.environ.get("CLOISTER_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(address(), additional_headers=headers, compression=None, max_size=None, proxy=None) as node:
        await node.send(json.dumps(request))
        open_calls = {}
        try:
            async for message in node:
                message = json.loads(message)
                if message["type"] == "call":
                    open_calls[message["call"]] = asyncio.create_task(return_to(message, tools, node))
                elif message["type"] == "refused":
                    if "call" not in message:
                        raise Refused(message["error"])
                    call = message["call"]
                    if message.get("again") and call in open_calls:
                        # The script has not read yet what its calls returned before.
                        await node.send(await open_calls[call])
                    # A value was too large, or came too late: then so does this, and nothing more is said.
                    elif open_calls.pop(call, None):
                        await node.send(failure(call, message["error"]["message"]))
                elif message["type"] == "result":
                    return {field: value for field, value in message.items() if field != "type"}
                elif message["type"] == "error":
                    raise Refused(message["error"])
            raise Refused({"code": "lost", "message": "the connection was closed before the answer", "ran": None})
        finally:
            for task in open_calls.values():
                task.cancel()  # nobody waits for it any more


async def return_to(call, tools, node):
    """Call the function, and say what it came to: a value, or what went wrong."""
    tool, args, kwargs = tools[call["tool"]], call["args"], call["kwargs"]
    try:
        value = await tool(*args, **kwargs) if inspect.iscoroutinefunction(tool) else await asyncio.to_thread(tool, *args, **kwargs)
        said = json.dumps({"type": "return", "call": call["call"], "value": value}, allow_nan=False)
    except Exception as error:
        said = failure(call["call"], f"{type(error).__name__}: {error}")
    await node.send(said)
    return said


def failure(call, message):
    return json.dumps({"type": "return", "call": call, "error": {"message": message}})


def described(name, tool):
    """What `help(tools.NAME)` shows in the sandbox."""
    return {"name": name, "description": getattr(tool, "description", None) or inspect.getdoc(tool) or ""}


def address():
    return os.environ.get("CLOISTER_URL", "http://127.0.0.1:8080").replace("http", "ws", 1) + "/connect"
