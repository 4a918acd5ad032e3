"""Clients that hold on to connections and do nothing useful with them."""

import resource
import socket

import pytest

from tongue import RUN

HEAD = b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def connect(service):
    """Open connections of the test's own; closed after it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, port = service.client.http.base_url.host, service.client.http.base_url.port
    connections = []

    def connect(*parts):
        connection = socket.create_connection((host, port), timeout=30)
        connections.append(connection)
        for part in parts:
            connection.sendall(part)
        return connection

    yield connect
    for connection in connections:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_and_slow_connections_leave_service_for_others(connect, execute):
    # As many as the limit on open files allows both ends, a thousand at the most.
    many = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 4)
    for number in range(many * 4 // 5):
        connect()
    for number in range(many // 5):
        # Half a header; a body that was announced and does not come.
        connect(HEAD) if number % 2 else connect(HEAD + b"Content-Length: 1000\r\n\r\n", b'{"script": "')
    for number in range(20):
        assert execute("def main(n): return n", args=[number]).result == number


@pytest.mark.neutral
@pytest.mark.parametrize("nonsense", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /healthz HTTP/9.9\r\n\r\n",
    b"GET  /healthz\x00 HTTP/1.1\r\n\r\n",
    b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n",
    HEAD + b"Transfer-Encoding: xchunked\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    HEAD + b"Host : y\r\n\r\n",
    HEAD + b" folded: z\r\n\r\n",
])
def test_what_is_not_http_is_refused_and_its_connection_closed(connect, execute, nonsense):
    connection = connect(nonsense)
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 505")), answer
    assert answer.count(b"HTTP/1.") <= 1, "one message was taken for two"
    assert execute(RUN).result == "served"
