"""The floor of a call: a process that asks the same client over a socket of its own, with nothing between the two.

It takes one connection, answers the handshake and the request without a look at them, sends so many calls, each when the one before
was returned to, and says what each took, in the form of a job's answer. Argument: how many calls. It prints its port.
"""

import json
import socket
import sys
import time


def frame(payload):
    length = len(payload)
    return b"\x81" + (bytes([length]) if length < 126 else b"\x7f" + length.to_bytes(8, "big")) + payload


def main(calls):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    wire, _ = listener.accept()
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.recv(1 << 16)
    wire.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    wire.recv(1 << 16)
    times, first = [], time.perf_counter()
    for number in range(1, calls + 1):
        begun = time.perf_counter()
        wire.sendall(frame(b'{"type":"call","call":%d,"tool":"echo","args":[%d],"kwargs":{}}' % (number, number)))
        wire.recv(1 << 16)
        times.append(time.perf_counter() - begun)
    all_of_it = time.perf_counter() - first
    wire.sendall(frame(json.dumps({"type": "result", "result": {"all": all_of_it, "times": times}}, separators=(",", ":")).encode()))
    wire.recv(1 << 16)


main(int(sys.argv[1]))
