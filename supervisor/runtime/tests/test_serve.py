"""`make run`'s part after the build: what it says when it serves, when it cannot, and how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
TREE = Path(os.environ.get("CLOISTER_RUNTIME") or "/var/lib/cloister/python")
PROGRAMS = os.environ.get("CLOISTER_BIN", str(REPOSITORY / "target/release"))


@pytest.fixture
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def serve(tmp_path):
    """Starts serve.py in a session of its own, and ends whatever is left of it."""
    started = []

    def start(listen, *options, policy=REPOSITORY / "policy/policy.toml", **environment):
        command = [sys.executable, "-B", REPOSITORY / "supervisor/runtime/serve.py", "--bin", PROGRAMS,
                   "--policy", policy, "--listen", listen, "--", *options]
        output = open(tmp_path / f"output-{len(started)}", "w+")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True, env={**os.environ, **environment})
        process.output = lambda: Path(output.name).read_text()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def wait_until_serving(process):
    deadline = time.monotonic() + 60
    while "serving http://" not in process.output():
        assert process.poll() is None and time.monotonic() < deadline, process.output()
        time.sleep(0.05)


def daemons(process):
    """The processes that it started, by name."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in children}


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stops_both_daemons_when_asked(serve, address, asked):
    process = serve(address)
    wait_until_serving(process)
    pids = daemons(process).values()
    assert len(pids) == 2
    process.send_signal(asked)
    assert process.wait(60) == 0, process.output()
    assert process.output().endswith("cloister: stopped\n")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_line_that_it_prints_works(serve, address):
    process = serve(address)
    wait_until_serving(process)
    text = process.output()
    line = text[text.index("curl -s"):text.index("Ctrl-C")]
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert '"result":{"sum":4}' in answer.stdout


def test_a_proxy_in_the_environment_is_not_asked(serve, address):
    wait_until_serving(serve(address, http_proxy="http://127.0.0.1:1", no_proxy=""))


def test_a_port_that_is_taken(serve, address):
    first = serve(address)
    wait_until_serving(first)
    second = serve(address)
    assert second.wait(60) == 1
    assert f"cloister: {address} is taken" in second.output()
    assert first.poll() is None
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{address}/readyz").close()


def test_another_address_is_served_beside_the_first(serve, address):
    """Neither has the other's control groups or ids, and none of the first's goes with the second."""
    first = serve(address)
    wait_until_serving(first)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = f"127.0.0.1:{probe.getsockname()[1]}"
    second = serve(other)
    wait_until_serving(second)
    assert execute(address, "def main(): return 4") == execute(other, "def main(): return 4") == 4
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0, second.output()
    # More than were parked, so that sandboxes are made anew.
    assert [execute(address, "def main(): return 4") for _ in range(8)] == [4] * 8
    assert first.poll() is None


def execute(address, script):
    body = json.dumps({"script": script}).encode()
    request = urllib.request.Request(f"http://{address}/execute", body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)["result"]


@pytest.mark.parametrize(("name", "other"), [("supervisor", "gateway"), ("gateway", "supervisor")])
def test_a_daemon_that_dies_ends_the_other(serve, address, name, other):
    process = serve(address)
    wait_until_serving(process)
    # What was started as the supervisor has become what serves; the kernel keeps 15 characters of a process's name.
    names, pids = {"supervisor": "cloister-engine", "gateway": "cloister-gateway"[:15]}, daemons(process)
    os.kill(pids[names[name]], signal.SIGKILL)
    assert process.wait(60) == 1
    assert f"cloister: the {name} ended by itself (SIGKILL)" in process.output()
    assert not Path(f"/proc/{pids[names[other]]}").exists()
    # The next one at this address removes what a killed one left.
    wait_until_serving(serve(address))


def test_a_daemon_that_cannot_start_says_why(serve, address, tmp_path):
    process = serve(address, policy=tmp_path / "missing.toml")
    assert process.wait(60) == 1
    assert "missing.toml" in process.output()
    assert "cloister: the supervisor ended by itself" in process.output()


@pytest.fixture
def other_tree():
    """Another tree, which has the same in it, where launchers may pass."""
    with tempfile.TemporaryDirectory(prefix="cloister-tree-", dir="/var/tmp") as directory:
        os.chmod(directory, 0o711)
        tree = Path(directory) / "python"
        subprocess.run(["cp", "-a", "--reflink=auto", TREE, tree], check=True)
        marked = next((tree / "usr/lib").glob("python3*")) / "which_tree.py"
        marked.write_text("name = 'the other'\n")
        marked.chmod(0o644)
        yield tree


def test_the_tree_that_was_built_is_the_one_that_is_served(serve, address, other_tree):
    process = serve(address, CLOISTER_RUNTIME=str(other_tree))
    wait_until_serving(process)
    assert f"serving the Python in {other_tree}" in process.output()
    body = json.dumps({"script": "import which_tree\ndef main(): return which_tree.name"}).encode()
    request = urllib.request.Request(f"http://{address}/execute", body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert json.load(answer)["result"] == "the other"


def test_a_policy_that_shows_another_tree_than_was_built_is_not_served_in_silence(serve, address, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text((REPOSITORY / "policy/policy.toml").read_text().replace("/var/lib/cloister/python/", "/srv/own/"))
    process = serve(address, policy=policy, CLOISTER_RUNTIME="/var/tmp/elsewhere")
    assert process.wait(60) == 1
    assert f"CLOISTER_RUNTIME is /var/tmp/elsewhere, and {policy} shows neither that nor" in process.output()


def test_an_address_that_is_none(serve):
    process = serve("localhost")
    assert process.wait(60) == 1
    assert "'localhost' is not an address and a port" in process.output()
