"""docs/jupyter.md: keys come as Jupyter's tokens do, and are any other key; a listener of its own serves what is under the prefix."""

import pytest
from websockets.exceptions import InvalidStatus

from channels import channels
from keys import bearer
from service import free_port


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    from keys import KeyFile

    directory = tmp_path_factory.mktemp("keys")
    for parent in directory.parents:
        if parent.owner() == "root" and parent.stat().st_mode & 0o005 != 0o005 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    return KeyFile(directory)


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def guarded(start_for_module, key_file, port):
    """A service that asks for keys, with a listener for Jupyter's clients."""
    key_file("new", "first")
    return start_for_module(gateway_options=["--keys", key_file.path, "--jupyter-listen", f"127.0.0.1:{port}"])


@pytest.fixture(scope="module")
def key(guarded, key_file):
    from client import eventually

    key = key_file("new", "own")
    eventually(lambda: guarded.client.http.get("/sessions", headers=bearer(key)).status_code == 200)
    return key


COATS = [
    lambda key: ("", {"Authorization": f"token {key}"}),
    lambda key: ("", {"Authorization": f"Token {key}"}),
    lambda key: ("", bearer(key)),
    lambda key: (f"?token={key}", {}),
    lambda key: (f"?session_id=x&token={key}", {}),
    lambda key: (f"?token={key}", {"Authorization": "Basic eDp4"}),
]


@pytest.mark.parametrize("coat", COATS)
def test_a_key_is_known_in_each_of_its_coats(guarded, key, coat):
    query, headers = coat(key)
    http, url = guarded.client.http, f"{guarded.client.url}/jupyter"
    opened = http.post(f"/jupyter/api/kernels{query}", headers=headers)
    assert opened.status_code == 201, opened.text
    kernel = opened.json()["id"]
    with channels(url, kernel, query, additional_headers=headers) as talk:
        assert talk.run("21").text == "21"
    assert http.delete(f"/jupyter/api/kernels/{kernel}{query}", headers=headers).status_code == 204
    assert key not in guarded.log("gateway") and key not in guarded.log("supervisor")


@pytest.mark.parametrize("coat", [*COATS, lambda key: ("", {})])
def test_a_stranger_is_told_so_in_jupyters_words(guarded, key, coat):
    query, headers = coat(key[:-4] + "AAAA")
    for method, path in [("POST", "kernels"), ("GET", "kernels"), ("GET", "kernelspecs")]:
        refused = guarded.client.http.request(method, f"/jupyter/api/{path}{query}", headers=headers)
        assert refused.status_code == 401 and set(refused.json()) == {"message", "reason"}


def test_tokens_are_keys_under_the_prefix_alone(guarded, key):
    assert guarded.client.http.get(f"/sessions?token={key}").status_code == 401
    assert guarded.client.http.get("/sessions", headers={"Authorization": f"token {key}"}).status_code == 401


def test_kernels_are_their_keys_alone(guarded, key, key_file):
    from client import eventually

    other, http = key_file("new", "other"), guarded.client.http
    eventually(lambda: http.get("/sessions", headers=bearer(other)).status_code == 200)
    kernel = http.post("/jupyter/api/kernels", headers=bearer(key)).json()["id"]
    http.post(f"/jupyter/api/kernels/{kernel}/restart", headers=bearer(key))
    for method, path in [("GET", ""), ("POST", "/restart"), ("POST", "/interrupt"), ("DELETE", "")]:
        assert http.request(method, f"/jupyter/api/kernels/{kernel}{path}", headers=bearer(other)).status_code in (404, 410)
    assert http.get("/jupyter/api/kernels", headers=bearer(other)).json() == []
    with pytest.raises(InvalidStatus), channels(f"{guarded.client.url}/jupyter", kernel, additional_headers=bearer(other)):
        pass
    assert http.delete(f"/jupyter/api/kernels/{kernel}", headers=bearer(key)).status_code == 204


def test_a_cell_counts_against_the_rate_of_its_key(guarded, key_file):
    from client import eventually

    slow, http = key_file("new", "slow", "--rate", "1/h", "--burst", "5"), guarded.client.http
    eventually(lambda: http.get("/jupyter/api/kernelspecs", headers=bearer(slow)).status_code == 200)
    # Of five that is one, another opens the kernel, and a third its channels.
    kernel = http.post("/jupyter/api/kernels", headers=bearer(slow)).json()["id"]
    with channels(f"{guarded.client.url}/jupyter", kernel, additional_headers=bearer(slow)) as talk:
        errors = [talk.run("1").of("error") for _ in range(3)]
    assert errors[:2] == [[], []] and errors[2][0]["ename"] == "rate_limited"
    key_file("set", "slow", "--rate", "none", "--burst", "none")
    eventually(lambda: http.delete(f"/jupyter/api/kernels/{kernel}", headers=bearer(slow)).status_code == 204)


def test_the_listener_leaves_the_prefix_out(guarded, key, port):
    import httpx

    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, headers={"Authorization": f"token {key}"}, timeout=60) as http:
        assert "python3" in http.get("/api/kernelspecs").json()["kernelspecs"]
        kernel = http.post("/api/kernels").json()["id"]
        with channels(url, kernel, f"?token={key}") as talk:
            assert talk.run("21").text == "21"
        assert http.delete(f"/api/kernels/{kernel}").status_code == 204


@pytest.mark.parametrize("path", ["/execute", "/sessions", "/healthz", "/readyz", "/openapi.json", "/", "/../sessions", "//sessions", "/jupyter/api"])
def test_nothing_else_is_served_there(guarded, key, port, path):
    import httpx

    refused = httpx.get(f"http://127.0.0.1:{port}{path}", headers=bearer(key))
    assert refused.status_code == 404, refused.text


def test_there_is_none_unless_asked_for(service):
    assert "jupyter" not in " ".join(map(str, service.gateway_options))
    assert service.client.http.get("/api/kernelspecs").status_code == 404


def test_pages_of_others_open_no_channels(service, jupyter, kernel):
    with pytest.raises(InvalidStatus) as refused, channels(jupyter, kernel, origin="http://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    assert service.client.http.post("/jupyter/api/kernels", headers={"Host": "evil.example"}).status_code == 403
