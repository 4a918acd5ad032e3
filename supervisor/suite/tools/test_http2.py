"""docs/conversations.md: `GET /connect` opens a WebSocket, over HTTP/2 by RFC 8441."""

import socket
from contextlib import contextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from client import eventually
from service import PROFILES
from talk import Talk
from tongue import HOLD


@pytest.fixture(scope="module")
def secure(start_for_module):
    return start_for_module(policy=PROFILES, secure=True)


class Stream:
    """One WebSocket in a stream of an HTTP/2 connection, opened by an extended CONNECT."""

    def __init__(self, service, raw, headers):
        self.raw, self.http = raw, H2Connection(H2Configuration(header_encoding="utf-8"))
        self.settings, self.status, self.ended, self.texts = {}, None, None, []
        self.frames = ClientProtocol(parse_uri(f"wss://{service.address}/connect"), state=State.OPEN, max_size=None)
        self.http.initiate_connection()
        self.until(lambda: self.settings)
        self.id = self.http.get_next_available_stream_id()
        pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/connect", ":authority": service.address}
        self.http.send_headers(self.id, [*{**pseudo, "sec-websocket-version": "13", **headers}.items()])
        self.until(lambda: self.status)

    def until(self, there):
        """Take what comes, until this is there."""
        while True:
            self.raw.sendall(self.http.data_to_send())
            if there():
                return
            data = self.raw.recv(1 << 16)
            assert data, "the node has closed the connection"
            for event in self.http.receive_data(data):
                self.take(event)

    def take(self, event):
        if isinstance(event, RemoteSettingsChanged):
            self.settings = {code: changed.new_value for code, changed in event.changed_settings.items()}
        elif isinstance(event, ResponseReceived):
            self.status = dict(event.headers)[":status"]
        elif isinstance(event, DataReceived):
            self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.frames.receive_data(event.data)
            self.texts += self.frames.events_received()
        elif isinstance(event, (StreamEnded, StreamReset)):
            self.ended = event

    def send(self, text):
        self.frames.send_text(text.encode())
        for data in self.frames.data_to_send():
            while data:
                self.until(lambda: self.http.local_flow_control_window(self.id))
                most = min(self.http.local_flow_control_window(self.id), self.http.max_outbound_frame_size)
                self.http.send_data(self.id, data[:most])
                data = data[most:]
        self.until(lambda: True)

    def recv(self, timeout):
        self.raw.settimeout(timeout)
        while True:
            self.until(lambda: self.texts and any(frame.fin for frame in self.texts))
            last = next(number for number, frame in enumerate(self.texts) if frame.fin)
            message, self.texts = self.texts[: last + 1], self.texts[last + 1 :]
            return b"".join(frame.data for frame in message).decode()


@contextmanager
def stream(service, **headers):
    service.trust.set_alpn_protocols(["h2"])
    host, port = service.address.split(":")
    with service.trust.wrap_socket(socket.create_connection((host, int(port)), timeout=60), server_hostname=host) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert raw.selected_alpn_protocol() == "h2"
        yield Stream(service, raw, headers)


def test_the_node_says_that_it_takes_an_extended_connect(secure):
    with stream(secure) as wire:
        assert wire.settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1 and wire.status == "200"


def test_jobs_run_and_call(secure):
    def main(n):
        from cloister import tools

        return [tools.add(number, b=1) for number in range(n)]

    with stream(secure) as wire:
        talk = Talk(wire)
        assert talk.result(main, {"add": lambda a, b: a + b}, args=[20]) == [*range(1, 21)]
        assert talk.result("def main(): return 2", {}) == 2


def test_what_is_longer_than_a_window_comes_whole(secure):
    with stream(secure) as wire:
        script = "def main(text):\n    from cloister import tools\n    return tools.a(text) * 2"
        assert Talk(wire).result(script, {"a": lambda text: text}, args=["\u00e9" * 150_000]) == "\u00e9" * 300_000


def test_the_end_of_the_stream_ends_the_job_and_not_the_connection(secure):
    with stream(secure) as wire:
        Talk(wire).execute(HOLD, args=[60], profile="patient")
        eventually(secure.holding)
        wire.http.reset_stream(wire.id)
        wire.until(lambda: True)
        eventually(lambda: not secure.holding())
        wire.http.ping(b"12345678")
        wire.until(lambda: True)
        assert wire.raw.recv(1 << 16)


def test_close_is_answered_and_the_stream_ended(secure):
    with stream(secure) as wire:
        Talk(wire).send("close")
        wire.until(lambda: wire.texts)
        assert wire.frames.close_rcvd.code == 1000
        for data in wire.frames.data_to_send():
            wire.http.send_data(wire.id, data)
        wire.http.end_stream(wire.id)
        wire.until(lambda: wire.ended)
        assert isinstance(wire.ended, StreamEnded)


@pytest.mark.parametrize(("headers", "status"), [
    ({":protocol": "another"}, "400"), ({"sec-websocket-version": "12"}, "400"), ({":authority": "another.example"}, "403"),
    ({"origin": "https://another.example"}, "403"),
])
def test_what_is_no_websocket_or_a_strangers_is_refused(secure, headers, status):
    with stream(secure, **headers) as wire:
        assert wire.status == status
