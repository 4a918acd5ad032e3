"""Each daemon is asked by its own program whether it is ready: docs/gateway.md, "Probes"."""

import socket
import subprocess
import threading

import pytest

from client import eventually
from service import GATEWAY_ID, binary


def probe(name, *options, **how):
    done = subprocess.run([binary(f"cloister-{name}"), "probe", *map(str, options)], capture_output=True, text=True, timeout=60, **how)
    assert len(done.stdout.splitlines()) == 1 and not done.stderr, done
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_both_say_that_jobs_can_run_and_the_gateway_that_they_cannot_without_the_supervisor(start_service, secure):
    service = start_service(secure=secure, warm=False)
    gateway = ["--listen", service.address, *(["--tls"] if secure else [])]
    for asked in (("supervisor", "--socket", service.socket), ("gateway", *gateway)):
        assert probe(*asked) == (0, "ready")
        assert probe(*asked, "--alive") == (0, "alive")
    service.supervisor.terminate()
    service.supervisor.wait(60)
    code, told = probe("gateway", *gateway)
    assert code == 1 and told.startswith("not ready: it answers 503: ")
    assert probe("gateway", *gateway, "--alive") == (0, "alive")
    code, told = probe("supervisor", "--socket", service.socket, "--alive")
    assert code == 1 and told.startswith("not alive: no answer: ")


def test_the_gateways_own_account_may_ask_and_a_stranger_may_not(start_service):
    service = start_service(warm=False)
    asked = ("supervisor", "--socket", service.socket)
    assert probe(*asked, user=GATEWAY_ID, group=GATEWAY_ID, extra_groups=[]) == (0, "ready")
    code, told = probe(*asked, user=65533, group=65533, extra_groups=[])
    assert (code, told) == (1, "not ready: no answer: Permission denied (os error 13)")


def test_who_does_not_answer_is_waited_for_no_longer_than_the_deadline(tmp_path):
    """One that listens and has hung, and whose queue is full."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as hung, socket.socket(socket.AF_UNIX) as before:
        hung.bind(str(path))
        hung.listen(0)
        before.connect(str(path))
        assert probe("supervisor", "--socket", path, "--alive") == (1, "not alive: no answer within 3 seconds")


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 503 \r\n\r\n" + b"x" * 1_000_000])
def test_what_a_stranger_answers_is_bounded_and_shown_in_one_line(said):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        def answer():
            connection, _ = stranger.accept()
            with connection:
                try:
                    connection.sendall(said)
                except ConnectionError:
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        code, told = probe("gateway", "--listen", f"127.0.0.1:{stranger.getsockname()[1]}")
        thread.join()
    assert code == 1 and told.startswith("not ready: ") and len(told) < 400 and told.isprintable(), told


def test_it_answers_the_moment_that_the_supervisor_is_ready(start_service):
    """And says until then that it is not, whether the socket is not there yet or the sandbox is being checked."""
    service = start_service(warm=False)
    service.supervisor.terminate()
    service.supervisor.wait(60)
    service.start_supervisor()
    told = set()

    def ready():
        code, line = probe("supervisor", "--socket", service.socket)
        told.add(line)
        return code == 0

    eventually(ready)
    assert told <= {"ready", "not ready: it answers 503: the sandbox is being checked",
                    "not ready: no answer: No such file or directory (os error 2)",
                    "not ready: no answer: Connection refused (os error 111)"}
