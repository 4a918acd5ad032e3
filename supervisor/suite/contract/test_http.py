"""The protocol around a request: methods, framing, and answers before a body was read."""

import json
import socket

import pytest

from tongue import RUN

pytestmark = pytest.mark.neutral

BODY = json.dumps({"script": RUN}).encode()


def head(*lines, path="/execute", method="POST", length=len(BODY), version="HTTP/1.1"):
    """A request's head, with any further header lines."""
    fixed = [f"{method} {path} {version}", "Host: localhost", "Content-Type: application/json"]
    if length is not None:
        fixed.append(f"Content-Length: {length}")
    return ("\r\n".join([*fixed, *lines]) + "\r\n\r\n").encode()


@pytest.fixture
def raw(client):
    """raw(bytes, ...): send each piece by itself on one connection, and read until the service closes it."""

    def exchange(*pieces):
        url = client.http.base_url
        with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                connection.sendall(piece)
            return connection.makefile("rb").read()

    return exchange


CLOSE = "Connection: close"


def test_a_request_in_many_pieces(raw):
    request = head(CLOSE) + BODY
    reply = raw(*(request[at : at + 1] for at in range(len(request))))
    assert reply.startswith(b"HTTP/1.1 200 ") and b'"result":"served"' in reply


def test_a_chunked_body(raw):
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:])]
    reply = raw(head("Transfer-Encoding: chunked", CLOSE, length=None), *chunks, b"0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200 ")


def test_http_1_0(raw):
    assert b" 200 OK" in raw(head(version="HTTP/1.0") + BODY).split(b"\r\n")[0]


def test_a_client_may_ask_before_it_sends(raw):
    reply = raw(head("Expect: 100-continue", CLOSE), BODY)
    assert b" 200 OK" in reply
    # One that announces too much is never told to go on.
    refused = raw(head("Expect: 100-continue", CLOSE, length=10**11))
    assert refused.startswith(b"HTTP/1.1 413 ") and b" 100 " not in refused


def test_head_of_each_path(client):
    for path, status in (("/execute", 405), ("/healthz", 200), ("/readyz", 200), ("/nothing", 404)):
        reply = client.http.head(path)
        assert (reply.status_code, reply.content) == (status, b""), path
        assert len(reply.headers["x-cloister-id"]) == 32


def test_a_query_does_not_change_the_path(client, raw):
    assert client.http.post("/execute?x=1", content=BODY, headers={"Content-Type": "application/json"}).status_code == 200
    for other in ("/execute/", "/EXECUTE", "//execute", "/execute/../execute", "/./execute", "/%65xecute"):
        assert raw(head(CLOSE, path=other) + BODY).startswith(b"HTTP/1.1 404 "), other


def test_no_content_type_is_415(client):
    reply = client.http.post("/execute", content=BODY)
    assert reply.status_code == 415 and "application/json" in reply.json()["error"]["message"]


@pytest.mark.parametrize("wrong", ["application/jsonx", "application/json-seq", "text/json", "multipart/form-data; application/json"])
def test_what_only_looks_like_json_is_415(client, wrong):
    assert client.post(BODY, headers={"Content-Type": wrong}).status == 415


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_other_encodings_are_400(client, encoding):
    answer = client.post(BODY.decode().encode(encoding))
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_a_compressed_body_is_not_taken_for_json(client):
    import gzip

    answer = client.post(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    assert answer.status in (400, 415)


@pytest.mark.parametrize(
    "lines",
    [
        (f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY) + 1}"),
        (f"Content-Length: {len(BODY)}, {len(BODY) + 1}",),
        ("Content-Length: -1",),
        ("Content-Length: 1e2",),
        ("Transfer-Encoding: identity, chunked, gzip",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: xchunked"),
    ],
)
def test_a_body_of_doubtful_length_is_refused(raw, lines):
    reply = raw(head(*lines, CLOSE, length=None) + BODY + b"0\r\n\r\n")
    # Two readers could see two requests in it, so it is none: RFC 9112, 6.3.
    assert reply.startswith(b"HTTP/1.1 400 ") and b'"result"' not in reply, reply


def test_bytes_that_are_no_request_hurt_nobody(raw, execute):
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\r\n\r\n\r\n\0", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                  b"POST /execute HTTP/9.9\r\n\r\n"):
        reply = raw(noise + b"\r\n\r\n")
        assert reply == b"" or b" 400 " in reply.split(b"\r\n")[0] or b" 505 " in reply.split(b"\r\n")[0], (noise, reply)
    assert execute(RUN).result == "served"


def test_a_connection_is_kept_after_a_refusal_that_was_read_whole(client):
    url = client.http.base_url
    bad = b'{"script": 1}'
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        received = b""
        connection.sendall(head(length=len(bad)) + bad)
        while b"invalid_request" not in received:
            received += connection.recv(65536) or pytest.fail(f"closed after {received!r}")
        connection.sendall(head() + BODY)
        while b'"result":"served"' not in received:
            received += connection.recv(65536) or pytest.fail(f"closed after {received!r}")


def test_a_clients_own_id_is_not_taken_over(client):
    chosen = "0" * 32
    answer = client.post(BODY, headers={"X-Cloister-Id": chosen})
    assert answer.status == 200 and answer.body["id"] != chosen


def test_an_error_in_json_says_where(client):
    answer = client.post(b'{"script": "x",\n "args": [1 2]}')
    assert "line 2" in answer.error["message"] and "column" in answer.error["message"]
