"""docs/jupyter.md: kernels over REST."""

import json
import re

import pytest

from channels import channels

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def http(service):
    return service.client.http


def test_it_says_what_it_is(http):
    assert http.get("/jupyter/api").json() == {"version": "2.0.0"}
    specs = http.get("/jupyter/api/kernelspecs").json()
    assert specs["default"] == "python3" and specs["kernelspecs"]["python3"]["spec"]["language"] == "python"


@pytest.mark.parametrize("body, kind", [
    (b"", None), (b"", "application/octet-stream"), (b'{"name": "python3"}', "application/json"),
    (b'{"name": "python3", "path": "a/b"}', "text/plain"), (b"{}", "application/json"), (b'{"name": null}', None),
])
def test_a_kernel_is_opened_however_it_is_asked_for(http, body, kind):
    opened = http.post("/jupyter/api/kernels", content=body, headers={"content-type": kind} if kind else {})
    kernel = opened.json()
    assert opened.status_code == 201 and re.fullmatch(UUID, kernel["id"])
    assert kernel == {"id": kernel["id"], "name": "python3", "last_activity": kernel["last_activity"], "execution_state": "idle", "connections": 0}
    assert http.get(f"/jupyter/api/kernels/{kernel['id']}").json()["execution_state"] == "idle"
    assert http.delete(f"/jupyter/api/kernels/{kernel['id']}").status_code == 204
    gone = http.get(f"/jupyter/api/kernels/{kernel['id']}")
    assert gone.status_code == 410 and gone.json()["reason"] == "session_ended" and set(gone.json()) == {"message", "reason"}


@pytest.mark.parametrize("body", [b"[]", b"{", b'["python3"]', b'{"name": 1}', b'{"name": ""}', b"x"])
def test_what_is_no_request_for_a_kernel_is_refused(http, body):
    refused = http.post("/jupyter/api/kernels", content=body)
    assert refused.status_code == 400 and set(refused.json()) == {"message", "reason"}


def test_other_names_are_profiles(http):
    opened = http.post("/jupyter/api/kernels", json={"name": "tiny"})
    assert opened.status_code in (201, 400), opened.text
    refused = http.post("/jupyter/api/kernels", json={"name": "no-such-profile"})
    assert refused.status_code == 400 and "no-such-profile" in refused.json()["message"]
    if opened.status_code == 201:
        assert opened.json()["name"] == "tiny"
        http.delete(f"/jupyter/api/kernels/{opened.json()['id']}")


def test_a_kernel_is_a_session(http, kernel):
    session = kernel.replace("-", "")
    assert http.get(f"/sessions/{session}").json()["state"] == "idle"
    assert http.post(f"/sessions/{session}/execute", json={"code": "x = 20"}).status_code == 200
    assert kernel in [one["id"] for one in http.get("/jupyter/api/kernels").json()]


def test_a_kernel_is_restarted_under_its_id(http, jupyter, kernel):
    with channels(jupyter, kernel) as talk:
        for _ in range(3):
            assert talk.run("'x' in globals()").text == "False"
            talk.run("x = 1")
            restarted = http.post(f"/jupyter/api/kernels/{kernel}/restart")
            assert restarted.status_code == 200 and restarted.json()["id"] == kernel
        assert talk.run("'x' in globals()").text == "False"
    kernels = [one["id"] for one in http.get("/jupyter/api/kernels").json()]
    assert kernels.count(kernel) == 1
    assert http.get(f"/jupyter/api/kernels/{kernel}").json()["id"] == kernel


def test_a_kernel_that_is_over_can_be_restarted(http, jupyter, kernel):
    assert http.delete(f"/sessions/{kernel.replace('-', '')}").status_code == 204
    assert http.post(f"/jupyter/api/kernels/{kernel}/restart").status_code == 200
    with channels(jupyter, kernel) as talk:
        assert talk.run("21").text == "21"


def test_a_cell_is_interrupted(http, jupyter, kernel):
    with channels(jupyter, kernel) as talk:
        running = talk.execute("import time\nprint('now', flush=True)\nwhile True: time.sleep(0.05)")
        while talk.next()["msg_type"] != "stream":
            pass
        assert http.get(f"/jupyter/api/kernels/{kernel}").json()["execution_state"] == "busy"
        assert http.post(f"/jupyter/api/kernels/{kernel}/interrupt").status_code == 204
        assert "KeyboardInterrupt" in json.dumps(talk.all_of(running))
    assert http.post(f"/jupyter/api/kernels/{kernel}/interrupt").status_code == 204


@pytest.mark.parametrize("method, path", [
    ("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt"),
])
@pytest.mark.parametrize("kernel", ["0" * 32, "00000000-0000-4000-8000-000000000000", "x", "%FF", "é"])
def test_there_is_nothing_of_no_kernel(http, method, path, kernel):
    refused = http.request(method, f"/jupyter/api/kernels/{kernel}{path}")
    assert refused.status_code == 404 and set(refused.json()) == {"message", "reason"}


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/jupyter", 404), ("GET", "/jupyter/api/contents", 404), ("PUT", "/jupyter/api/kernels", 405),
    ("POST", "/jupyter/api/kernelspecs", 405), ("POST", "/jupyter/execute", 404),
])
def test_what_is_not_there_is_told_in_jupyters_words(http, method, path, status):
    refused = http.request(method, path)
    assert refused.status_code == status and set(refused.json()) == {"message", "reason"}


def test_channels_are_a_websocket(http, kernel):
    refused = http.get(f"/jupyter/api/kernels/{kernel}/channels")
    assert refused.status_code == 400 and refused.headers["upgrade"] == "websocket"
    assert "WebSocket" in refused.json()["message"]
