"""A client of a kernel's channels, as small as Jupyter's own are large."""

import json
import uuid
from contextlib import contextmanager

from websockets.sync.client import connect

REQUEST = {"username": "u", "session": "s", "version": "5.3"}


class Channels:
    """One WebSocket."""

    def __init__(self, wire):
        self.wire = wire

    def send(self, kind, content=None, channel="shell", **others):
        """Send a request; its id, which all that answers it names."""
        header = {**REQUEST, "msg_id": uuid.uuid4().hex, "msg_type": kind}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content or {}, **others}
        self.wire.send(json.dumps(message | ({"channel": channel} if channel else {})))
        return header["msg_id"]

    def execute(self, code, **others):
        return self.send("execute_request", {"code": code, "silent": False, "allow_stdin": False, **others})

    def next(self):
        message = json.loads(self.wire.recv(timeout=60))
        assert message["msg_type"] == message["header"]["msg_type"] and message["buffers"] == [], message
        assert message["header"]["version"] == "5.3" and message["header"]["date"], message
        return message

    def all_of(self, request):
        """All messages about a request, up to the last; those about others are passed over."""
        heard = []
        while not heard or heard[-1]["msg_type"] != "status" or heard[-1]["content"]["execution_state"] != "idle":
            message = self.next()
            if message["parent_header"]["msg_id"] == request:
                heard.append(message)
        return heard

    def run(self, code, **others):
        """Run a cell; what is heard of it."""
        return Heard(self.all_of(self.execute(code, **others)))

    def ask(self, kind, content=None, channel="shell"):
        """Ask something else; its answer."""
        first, answer, last = self.all_of(self.send(kind, content, channel))
        assert first["content"]["execution_state"] == "busy" and answer["channel"] == channel, answer
        return answer["msg_type"], answer["content"]


class Heard:
    """What was heard of a cell."""

    def __init__(self, messages):
        self.messages = messages
        self.kinds = [message["msg_type"] for message in messages]

    def of(self, kind):
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    def one(self, kind):
        [content] = self.of(kind)
        return content

    def printed(self, name="stdout"):
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def text(self):
        return self.one("execute_result")["data"]["text/plain"]


@contextmanager
def channels(url, kernel, query="", **options):
    address = url.replace("http", "ws", 1)
    with connect(f"{address}/api/kernels/{kernel}/channels{query}", max_size=None, compression=None, **options) as wire:
        yield Channels(wire)
