"""Daemons that die, stop and come back: nobody is left hanging and no sandbox is left running."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually
from service import GATEWAY_ID, HOLD
from tongue import RUN


@pytest.mark.neutral
def test_supervisor_killed_and_back(start_service):
    service = start_service(gateway_options=["--hold", "0s"])
    gateway = service.gateway.pid
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(service.client.execute, HOLD, args=[9]) for _ in range(3)]
        eventually(lambda: len(service.holding()) == 3)
        service.supervisor.send_signal(signal.SIGKILL)
        service.supervisor.wait()
        # The kernel ends every sandbox with it; nothing else is there to do it.
        eventually(lambda: not service.processes())
        for answer in (future.result() for future in running):
            assert (answer.status, answer.code, answer.error["ran"]) == (502, "lost", None), answer
            assert "retry-after" not in answer.headers
    away = service.client.execute(RUN)
    assert (away.status, away.code, away.error["ran"], away.headers["retry-after"]) == (503, "unavailable", False, "1"), away
    assert service.client.http.get("/readyz").status_code == 503
    assert service.client.http.get("/healthz").status_code == 200
    left = service.cgroup_directories()
    assert left, "the killed supervisor had no time to remove its control groups"

    service.start_supervisor()
    service.wait_until_ready()
    assert service.client.execute(RUN).result == "served"
    assert service.gateway.pid == gateway and service.gateway.poll() is None


@pytest.mark.neutral
def test_sigterm_lets_running_jobs_finish(start_service):
    service = start_service(gateway_options=["--hold", "0s"])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.client.execute, HOLD, args=[1.5])
        eventually(lambda: service.holding())
        service.supervisor.send_signal(signal.SIGTERM)
        assert running.result().result == "held"
    assert service.supervisor.wait(30) == 0
    assert not service.processes() and not service.cgroup_directories()
    assert not service.socket.exists()
    assert service.client.execute(RUN).code == "unavailable"


@pytest.mark.neutral
def test_what_an_earlier_life_left_is_removed(start_service):
    service = start_service(supervisor={"slots": 10})
    service.supervisor.kill()
    service.supervisor.wait()
    left = {path for path in service.cgroup_directories() if path.name == "slot-9"}
    assert left, "the killed supervisor had no time to remove its control groups"
    service.write_policy("", {"slots": 2})
    service.start_supervisor()
    service.wait_until_ready()
    assert not [path for path in left if path.exists()]
    assert service.client.execute(RUN).result == "served"


@pytest.mark.neutral
def test_requests_during_a_stop_are_told_that_it_is_away(start_service):
    service = start_service(gateway_options=["--hold", "0s"])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.client.execute, HOLD, args=[8])
        eventually(lambda: service.holding())
        service.supervisor.send_signal(signal.SIGTERM)
        answer = eventually(lambda: (late := service.client.execute(RUN)).status != 200 and late)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert not running.done() and running.result().result == "held"
    assert service.supervisor.wait(30) == 0


@pytest.mark.neutral
def test_a_killed_launcher_gets_a_truthful_answer_and_is_replaced(start_service):
    service = start_service()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.client.execute, HOLD, args=[9])
        eventually(lambda: service.holding())
        os.kill(service.launcher(), signal.SIGKILL)
        answer = running.result()
    assert (answer.status, answer.code, answer.error["ran"]) == (502, "lost", None), answer
    assert "launcher" in answer.error["message"]
    assert service.client.execute(RUN).result == "served"


@pytest.mark.neutral
def test_two_supervisors_never_share_a_socket(start_service):
    service = start_service()
    second = service.spawn("supervisor", "serve", "--policy", service.policy, "--socket", service.socket, "--cgroup", "cloister-second")
    assert second.wait(30) == 1
    assert "another supervisor" in service.log("supervisor")
    assert service.client.execute(RUN).result == "served"


def test_only_the_gateway_and_root_may_use_the_socket(service):
    ask = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); print(s.recv(100))"

    def as_user(uid, gid):
        return subprocess.run([sys.executable, "-c", ask, str(service.socket)], user=uid, group=gid, extra_groups=[], capture_output=True,
                              text=True, executable="/usr/bin/python3")

    assert "200 OK" in as_user(GATEWAY_ID, GATEWAY_ID).stdout
    assert "PermissionError" in as_user(64511, 64511).stderr
    # In the socket's group, so that it can connect, but not the gateway's user.
    stranger = as_user(64511, GATEWAY_ID)
    assert "200 OK" not in stranger.stdout


def test_a_policy_with_mistakes_stops_the_start(tmp_path):
    from service import binary

    policy = tmp_path / "policy.toml"
    policy.write_text('version = 1\n[runtime.python]\ninterpreter = "/usr/bin/python3"\nmounts = ["/etc"]\n[profile.default]\nmemroy = "1MiB"\n')
    policy.chmod(0o644)
    ended = subprocess.run([binary("cloister-supervisor"), "serve", "--policy", policy, "--socket", tmp_path / "s"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "policy.toml:4:" in ended.stderr and "policy.toml:6:1" in ended.stderr and "did you mean `memory`?" in ended.stderr


def test_the_gateway_holds_no_privilege(service):
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{service.gateway.pid}/status").read_text().splitlines() if ":\t" in line)
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(GATEWAY_ID)}
    assert status["Groups"].strip() == "" and status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


def test_the_gateway_serves_no_stranger_unless_told(service):
    from service import binary

    command = [binary("cloister-gateway"), "serve", "--listen", "0.0.0.0:0", "--user", str(GATEWAY_ID)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1 and "--no-auth" in ended.stderr
    taken = subprocess.run([*command[:3], service.address, *command[4:]], capture_output=True, text=True)
    assert taken.returncode == 1 and "the port is taken" in taken.stderr


def test_a_slow_sender_holds_no_slot_and_is_cut_off(start_service):
    service = start_service(supervisor={"slots": 1, "queue": 0}, gateway_options=["--header-timeout", "1s", "--body-timeout", "1s"])
    host, port = service.address.split(":")
    head = b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    slow = [socket.create_connection((host, int(port)), timeout=30) for _ in range(8)]
    for number, raw in enumerate(slow):
        raw.sendall(head[:40] if number % 2 else head + b'{"script"')
    assert service.client.execute("def main(): return 'served'").result == "served"
    for number, raw in enumerate(slow):
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
        assert (b" 408 " in reply) if number % 2 == 0 else (reply == b"" or b" 408 " in reply)
        raw.close()


def test_connections_are_bounded(start_service):
    service = start_service(gateway_options=["--max-connections", "4", "--header-timeout", "500ms"])
    service.client.http.close()
    host, port = service.address.split(":")
    idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(20)]
    fds = len(os.listdir(f"/proc/{service.gateway.pid}/fd"))
    assert fds < 20
    # Idle ones are closed in time, so that others get their turn.
    import httpx

    assert httpx.get(f"http://{service.address}/healthz", timeout=60, trust_env=False).status_code == 200
    for raw in idle:
        raw.close()


def test_a_header_that_is_too_large_is_refused(client):
    reply = client.http.get("/healthz", headers={"X-Long": "x" * 100_000})
    assert reply.status_code == 431


def test_the_supervisor_holds_what_it_needs_and_no_more(service):
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{service.supervisor.pid}/status").read_text().splitlines() if ":\t" in line)
    # chown, dac_override, kill, setgid, setuid, setpcap: capabilities(7)
    kept = sum(1 << number for number in (0, 1, 5, 6, 7, 8))
    assert all(int(status[name], 16) & ~kept == 0 for name in ("CapPrm", "CapEff", "CapBnd")), status
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_what_the_supervisor_was_started_to_ignore_is_not_ignored_in_jobs(start_service):
    """A shell starts background commands with SIGINT and SIGQUIT ignored, nohup with SIGHUP."""
    def main():
        import signal

        def ended():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                return "interrupted"

        return ended(), [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD)]

    ignored = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    usual = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    try:
        service = start_service()
    finally:
        for number, handler in zip(ignored, usual):
            signal.signal(number, handler)
    assert service.client.execute(main).result == ["interrupted", [True] * 4]


def test_strangers_at_the_socket_do_not_fill_the_log(service):
    # Of the gateway's group, so that the file lets it through, and of another id.
    ask = ("import socket, sys\nfor _ in range(500):\n    s = socket.socket(socket.AF_UNIX)\n    s.settimeout(60)\n    s.connect(sys.argv[1])\n"
           "    try: assert s.recv(1) == b''\n    except ConnectionResetError: pass")
    before = len((service.directory / "supervisor.log").read_text())
    subprocess.run([sys.executable, "-c", ask, str(service.socket)], user=GATEWAY_ID + 1, group=GATEWAY_ID, extra_groups=[], check=True,
                   executable="/usr/bin/python3")
    told = (service.directory / "supervisor.log").read_text()[before:]
    assert 1 <= told.count("strangers connected") < 100, told[:2000]
    assert service.client.execute("def main(): return 1").result == 1
