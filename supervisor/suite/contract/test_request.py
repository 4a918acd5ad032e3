"""The request: every field, and every way to get one wrong."""

import json
import re
import socket
from pathlib import Path

import pytest

from client import script_of
from tongue import RUN

ECHO = "def main(*args, **kwargs):\n    return [list(args), kwargs]"


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "the body is empty"),
        ("[1]", "the body is an array, expected a JSON object"),
        ('{"script": "x"', "EOF"),
        ("{}", "script is missing"),
        ('{"script": ""}', "script is empty"),
        ('{"script": null}', "script is null, expected a string"),
        ('{"script": 5}', "script is the number 5, expected a string"),
        ('{"script": "x", "args": {}}', "args is an object, expected an array"),
        ('{"script": "x", "args": null}', "args is null, expected an array"),
        ('{"script": "x", "kwargs": []}', "kwargs is an array, expected an object"),
        ('{"script": "x", "stdin": 1}', "stdin is the number 1, expected a string"),
        ('{"script": "x", "profile": []}', "profile is an array, expected a string"),
        ('{"script": "x", "profile": "nope"}', 'there is no profile "nope", expected one of'),
        ('{"script": "x", "profile": "' + "p" * 3_000_000 + '"}', "profile is 3000000 bytes long, expected a name of at most 256"),
        ('{"script": "x", "timeout_ms": 0}', "timeout_ms is the number 0, expected a whole number"),
        ('{"script": "x", "timeout_ms": -1}', "timeout_ms is the number -1"),
        ('{"script": "x", "timeout_ms": 1.5}', "timeout_ms is the number 1.5"),
        ('{"script": "x", "timeout_ms": true}', "timeout_ms is a boolean"),
        ('{"script": "x", "timeout_ms": "1s"}', "timeout_ms is a string"),
        ('{"script": "x", "entry": "auto"}', 'entry is "auto", expected "main" or "program"'),
        ('{"script": "x", "entry": null}', 'entry is null, expected "main" or "program"'),
        ('{"script": "x", "argv": ["a"]}', 'argv is for entry "program": main() is given args and kwargs'),
        ('{"script": "x", "entry": "program", "args": [1]}', 'args is for main(), which nobody calls with entry "program"'),
        ('{"script": "x", "entry": "program", "kwargs": {"a": 1}}', "kwargs is for main()"),
        ('{"script": "x", "entry": "program", "argv": "a"}', "argv is a string, expected an array of strings"),
        ('{"script": "x", "entry": "program", "argv": ["a", 1]}', "argv[1] is the number 1, expected a string"),
        ('{"script": "x", "entry": "program", "argv": ["a\\u0000"]}', "argv[0] has a NUL in it"),
        ('{"script": "x", "entry": "program", "argv": ["\\ud800"]}', "argv[0] is not valid Unicode"),
        ('{"script": "x", "entry": "program", "argv": [' + '"a",' * 100_000 + '"a"]}', "argv has more than the 1024 items"),
        ('{"script": "x", "entry": "program", "argv": ["' + "a" * 131_073 + '"]}', "argv is longer than 131072 bytes"),
        ('{"script": "x", "nan": null}', 'nan is null, expected the string "null"'),
        ('{"script": "x", "nan": [["null"]]}', 'nan is an array, expected the string "null"'),
        ('{"code": "x"}', "unknown field `code`"),
        ('{"script": "x", "scirpt": "y"}', "unknown field `scirpt`"),
        ('{"script": "x", "script": "y"}', "duplicate field `script`"),
        ('{"script": "x", "kwargs": {"a": 1, "a": 2}}', 'kwargs: duplicate key "a"'),
        ('{"script": "x", "args": [{"b": {"a": 1, "a": 2}}]}', 'args: duplicate key "a"'),
        ('{"script": "\\ud800"}', "script is not valid Unicode"),
        ('{"script": "x", "args": ["\\ud800"]}', "args: "),
        ('{"script": "x", "args": [NaN]}', "not a valid request"),
        ('{"script": "x", "args": ' + "[" * 10_000 + "]" * 10_000 + "}", "nested too deeply"),
        ("[" * 100_000, "the body is an array"),
    ],
)
def test_a_mistake_is_a_400_that_names_it(client, body, expected):
    answer = client.post(body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert expected in answer.error["message"]
    assert answer.body["id"] == answer.headers["x-cloister-id"]


@pytest.mark.neutral
def test_a_body_that_is_not_utf8_is_a_400(client):
    assert client.post(b'{"script": "\xff"}').code == "invalid_request"


def test_args_and_kwargs_reach_main_unharmed(execute):
    args = [1, -2.5, "é\u0000\U0001f600", None, True, {"a": [1]}, 2**200]
    assert execute(ECHO, args=args, kwargs={"k": {"x": 10**60}}).result == [args, {"k": {"x": 10**60}}]


def test_stdin_is_text_and_empty_when_absent(execute):
    script = "import sys\ndef main():\n    return sys.stdin.read()"
    assert execute(script, stdin="one\ntwo é\n").result == "one\ntwo é\n"
    assert execute(script).result == ""
    assert execute("def main():\n    return input() + input()", stdin="a\nb\n").result == "ab"
    assert execute(script, stdin="x" * 1_000_000).result == "x" * 1_000_000


@pytest.mark.neutral
def test_a_script_need_not_read_its_stdin(execute):
    assert execute(RUN, stdin="x" * 2_000_000).result == "served"


def test_timeout_may_lower_and_never_raise(service, execute):
    def sleeper():
        import time

        def main():
            time.sleep(600)

    answer = execute(sleeper, timeout_ms=300)
    assert (answer.status, answer.code) == (422, "timeout")
    assert "0.3 s" in answer.error["message"]
    # Far above the profile's own: that one holds.
    own = re.search(r'(?m)^wall_time = "(\d+)s"', Path(service.policy).read_text())
    if own is None:
        pytest.skip("the profile's own time is minutes here")
    answer = execute(sleeper, timeout_ms=3_600_000)
    assert answer.code == "timeout" and f" {own[1]} s" in answer.error["message"]


def test_a_nul_in_a_script_is_its_own_mistake(execute):
    assert execute("x = 1\0\ndef main(): return 1").code == "syntax_error"


@pytest.mark.neutral
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types_are_415(client, content_type):
    answer = client.post('{"script": "x"}', headers={"Content-Type": content_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.neutral
def test_a_charset_parameter_is_fine(client):
    body = json.dumps({"script": RUN})
    assert client.post(body, headers={"Content-Type": "Application/JSON; charset=utf-8"}).result == "served"


@pytest.mark.neutral
def test_too_large_is_told_before_the_body_is_read(client):
    host, port = client.http.base_url.host, client.http.base_url.port
    with socket.create_connection((host, port), timeout=30) as raw:
        head = "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        raw.sendall(head.encode())
        reply = raw.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 413 ") and b'"too_large"' in reply


@pytest.mark.neutral
def test_too_large_is_told_of_a_chunked_body_while_it_comes(client):
    def chunks():
        yield b'{"script": "'
        for _ in range(64):
            yield b"x" * 1_000_000

    try:
        answer = client.post(chunks())
    except Exception as error:  # the connection may break under what is still being sent
        assert "write" in repr(error).lower() or "read" in repr(error).lower() or "pipe" in repr(error).lower()
    else:
        assert answer.status == 413


@pytest.mark.neutral
def test_a_script_above_the_profiles_size_is_413(execute):
    answer = execute("#" * 5000 + "\ndef main(): return 1", profile="tiny")
    assert (answer.status, answer.code) == (413, "too_large")
    assert "4096" in answer.error["message"]


@pytest.mark.neutral
def test_other_methods_and_paths(client):
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        reply = client.http.request(method, "/execute")
        assert reply.status_code == 405 and reply.headers["allow"] == "POST"
        assert reply.json()["error"]["code"] == "method_not_allowed"
    assert client.http.post("/healthz").status_code == 405
    reply = client.http.get("/nothing")
    assert reply.status_code == 404 and reply.json()["error"]["code"] == "not_found"
    assert reply.json()["id"] == reply.headers["x-cloister-id"]


@pytest.mark.neutral
def test_health_and_readiness(client):
    reply = client.http.get("/healthz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
    reply = client.http.get("/readyz")
    assert (reply.status_code, set(reply.json()), reply.json()["status"]) == (200, {"status", "policy"}, "ok")


@pytest.mark.neutral
def test_explain_tells_the_layers_in_force(execute):
    script = RUN
    told = execute(script, headers={"X-Cloister-Explain": "1"}).headers["x-cloister-explain"]
    layers = dict(pair.split("=") for pair in told.split("; "))
    # And the interpreter's version, of one that is Python.
    assert set(layers) - {"python"} == {"policy", "profile", "landlock", "filter", "cgroup", "warm"}
    assert layers["profile"] == "default" and int(layers["landlock"]) >= 2 and int(layers["filter"]) > 100
    assert "x-cloister-explain" not in execute(script).headers


@pytest.mark.neutral
def test_ids_are_new_for_each_request(execute):
    ids = {execute(RUN).body["id"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.neutral
def test_requests_one_after_another_on_one_connection(client):
    host, port = client.http.base_url.host, client.http.base_url.port
    body = json.dumps({"script": script_of(RUN)}).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, port), timeout=30) as raw:
        # The second is sent before the first is answered.
        raw.sendall((head.encode() + body) * 2)
        received = b""
        while received.count(b'"result":"served"') < 2:
            received += raw.recv(65536) or pytest.fail(f"closed after {received!r}")
    assert received.count(b"HTTP/1.1 200 OK") == 2
