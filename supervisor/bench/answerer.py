"""A client that answers a job's calls of tools, and is next to nothing beside what it waits for: a socket, and no parsing.

It knows the form in which the node writes, reads the number of a call where it stands, and returns a constant. Its frames are masked
by zeros (RFC 6455, 5.3), which is the same to whoever takes the mask off.
"""

import json
import os
import socket

CALL, NUMBER, ENDS = b'"type":"call"', b'"call":', (b'"type":"result"', b'"type":"error"')
UPGRADE = ("GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()


def dial(address):
    host, port = address.rsplit(":", 1)
    wire = socket.create_connection((host, int(port)))
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire


def text_frame(payload):
    """A message as a client sends it."""
    length = len(payload)
    head = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xff" + length.to_bytes(8, "big")
    return b"\x81" + head + bytes(4) + payload


def take(data):
    """Whether a whole frame stands at the beginning of this, its bits, what it says, and the rest."""
    if len(data) < 2:
        return None
    length, begin = data[1] & 0x7F, 2
    if length > 125:
        begin = 4 if length == 126 else 10
        length = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + length or begin > len(data):
        return None
    return data[0], data[begin : begin + length], data[begin + length :]


def number_of(call):
    begin = call.index(NUMBER) + len(NUMBER)
    return call[begin : call.index(b",", begin)]


class ByWebSocket:
    """A conversation."""

    def __init__(self, address):
        self.wire, self.rest = dial(address), b""
        self.wire.sendall(UPGRADE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.wire.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 101 "), answer

    def run(self, **request):
        """Run a script to its end, and return to each of its calls; its last message."""
        self.wire.sendall(text_frame(json.dumps({"type": "execute", **request}).encode()))
        return json.loads(self.answer())

    def answer(self):
        """Return to calls until something else is said, which is given back."""
        data, said = self.rest, b""
        while True:
            if (taken := take(data)) is None:
                more = self.wire.recv(1 << 16)
                assert more, "the node has left"
                data += more
                continue
            bits, payload, data = taken
            if CALL in payload[:20]:
                self.wire.sendall(text_frame(b'{"type":"return","call":%b,"value":null}' % number_of(payload)))
            elif bits & 0x0F in (0, 1):
                said += payload
                if bits & 0x80:
                    if said.startswith(b'{"type":"result"') or said.startswith(b'{"type":"error"'):
                        self.rest = data
                        return said
                    said = b""

    def close(self):
        self.wire.close()


class ByEvents:
    """A stream of events, and returns by a connection beside it."""

    def __init__(self, address):
        self.wire, self.returns = dial(address), dial(address)

    def run(self, **request):
        body = json.dumps(request).encode()
        self.wire.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"
                          b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.wire.recv(1 << 16)
        head, _, data = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head + data
        job = next(line.split()[1] for line in head.splitlines() if line.lower().startswith(b"x-cloister-id:"))
        while b"\r\n0\r\n" not in data:
            if b"event: call\n" in data and data.endswith(b"\n\n\r\n"):
                self.give_back(job, number_of(data[data.index(b"event: call\n") :]))
                data = b""
            data += self.wire.recv(1 << 16)
        # The size of each chunk stands in a line of its own: RFC 9112, 7.1.
        text = data[data.index(b"event: result\ndata: ") + 20 :]
        return json.loads(b"".join(text.split(b"\n\n\r\n")[0].split(b"\r\n")[::2]))

    def give_back(self, job, number):
        body = b'{"returns":[{"call":%b,"value":null}]}' % number
        self.returns.sendall(b"POST /execute/%b/returns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                             % (job, len(body), body))
        assert self.returns.recv(1 << 16).startswith(b"HTTP/1.1 200 ")

    def close(self):
        self.wire.close()
        self.returns.close()
