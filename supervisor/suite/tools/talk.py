"""A client of conversations, as docs/conversations.md has it."""

import json
from contextlib import contextmanager

from websockets.sync.client import connect

from client import script_of

ENDS = ("result", "error")


class Talk:
    """One WebSocket."""

    def __init__(self, wire):
        self.wire = wire

    def send(self, kind, **fields):
        self.wire.send(json.dumps({"type": kind, **fields}))

    def next(self):
        return json.loads(self.wire.recv(timeout=60))

    def until(self, *kinds):
        """The next message of one of these kinds; all others before it are passed over."""
        while (message := self.next())["type"] not in kinds:
            assert message["type"] not in ENDS, message
        return message

    def execute(self, script, tools=(), **fields):
        self.send("execute", script=script_of(script), tools=[tool if isinstance(tool, dict) else {"name": tool} for tool in tools], **fields)

    def run(self, script, tools, **fields):
        """Run a script whose calls of tools are of these functions; its last message, in which `calls` are all that it made."""
        self.execute(script, tools, **fields)
        calls = []
        while (message := self.next())["type"] not in ENDS:
            assert message["type"] != "refused", message
            if message["type"] == "call":
                calls.append(message)
                self.send("return", call=message["call"], **came_to(tools[message["tool"]], message))
        return {**message, "calls": calls}

    def result(self, script, tools, **fields):
        last = self.run(script, tools, **fields)
        assert last["type"] == "result" and "error" not in last, last
        return last["result"]

    def failure(self, script, tools, **fields):
        last = self.run(script, tools, **fields)
        assert last["type"] == "result" and "result" not in last, last
        return last["error"]


def came_to(function, call):
    try:
        return {"value": function(*call["args"], **call["kwargs"])}
    except Exception as error:
        return {"error": {"message": str(error)}}


@contextmanager
def conversation(service, **options):
    url = service.client.url.replace("http", "ws", 1)
    with connect(f"{url}/connect", max_size=None, compression=None, **options) as wire:
        yield Talk(wire)
