"""The policy is read by a process without privileges (docs/security.md, "The policy's reader"): whatever a file makes of it, the supervisor
keeps what it has, or does not start, and says so."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from client import eventually
from service import POLICY, binary, children

READER = 0x6FFFFFFF


def readers(service):
    """Processes that read a policy for this service's supervisor."""
    return [child for child in children(service.monitor()) if of(child, "Uid").split()[0] == str(READER)]


def of(pid, field):
    try:
        return re.search(rf"(?m)^{field}:[ \t]*(.*)", Path(f"/proc/{pid}/status").read_text())[1]
    except (OSError, TypeError):
        return "-"


def ready(service):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket)), base_url="http://supervisor") as http:
        return http.get("/readyz").json()


def hang(service):
    """Have a reload's reader wait for its file, which is a pipe with an end that says nothing; that end, and the reader."""
    kept = service.policy.with_suffix(".kept")
    service.policy.rename(kept)
    os.mkfifo(service.policy, 0o600)
    service.supervisor.send_signal(signal.SIGHUP)
    silent = os.open(service.policy, os.O_WRONLY)
    os.unlink(service.policy)
    kept.rename(service.policy)
    # Confined, and in the middle of reading.
    eventually(lambda: [pid for pid in readers(service) if of(pid, "Seccomp") == "2" and of(pid, "State").startswith("S")])
    [reader] = readers(service)
    return silent, reader


def test_the_reader_can_do_nothing_but_look(start_service):
    service = start_service()
    silent, reader = hang(service)
    try:
        assert of(reader, "Uid").split() == of(reader, "Gid").split() == [str(READER)] * 4
        assert of(reader, "Groups") == "" and of(reader, "NoNewPrivs") == "1"
        for held in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(of(reader, held), 16) == 0, held
        # Its file, and two pipes to who started it; Landlock and its limits cannot be seen here but by what it was started with.
        assert sorted(os.listdir(f"/proc/{reader}/fd")) == ["0", "1", "2"]
        limits = Path(f"/proc/{reader}/limits").read_text()
        for limit in ("Max file size", "Max processes", "Max core file size"):
            assert re.search(rf"{limit}\s+0\s+0", limits), limits
        # Nobody of its id could look into it.
        assert os.stat(f"/proc/{reader}/fd").st_uid == 0
    finally:
        os.close(silent)
    # An empty file is no policy.
    eventually(lambda: "mistakes" in ready(service).get("reload", {}).get("refused", ""))
    assert service.client.execute("def main(): return 7").result == 7


def test_a_reader_that_is_stopped_holds_up_nobody_and_one_that_is_killed_changes_nothing(start_service):
    service = start_service()
    before = ready(service)
    silent, reader = hang(service)
    os.kill(reader, signal.SIGSTOP)
    for number in range(20):
        assert service.client.execute("def main(n): return n", args=[number]).result == number
    assert ready(service) == before
    os.kill(reader, signal.SIGKILL)
    os.close(silent)
    eventually(lambda: "could not be read" in ready(service).get("reload", {}).get("refused", ""))
    assert ready(service)["policy"] == before["policy"]
    assert "ended without an answer" in service.log("supervisor")
    service.supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: ready(service) == before)


def test_who_stops_the_supervisor_waits_for_no_reader(start_service):
    service = start_service()
    silent, reader = hang(service)
    os.kill(reader, signal.SIGSTOP)
    service.supervisor.send_signal(signal.SIGTERM)
    assert service.supervisor.wait(30) == 0
    assert of(reader, "Uid") == "-"
    os.close(silent)


def test_a_reader_goes_with_a_supervisor_that_is_killed(start_service):
    service = start_service()
    silent, reader = hang(service)
    service.supervisor.kill()
    service.supervisor.wait()
    eventually(lambda: of(reader, "Uid") == "-")
    os.close(silent)
    # For its control groups and device nodes.
    service.start_supervisor()
    service.wait_until_ready()


BOMBS = {
    "long": lambda: ("# " + "x" * 61 + "\n") * (100 << 14),
    "arrays": lambda: "version = " + "[" * 500_000,
    "tables": lambda: "version = " + "{a=" * 200_000,
    "dotted": lambda: "a" + ".a" * 400_000 + " = 1\n",
    "headers": lambda: "".join(f"[profile.p{number}]\n" for number in range(40_000)),
    "mistakes": lambda: "x\n" * 400_000,
    "no text": lambda: "\x00\x01" * 100_000,
}


def test_policies_made_to_hurt_are_refused(start_service):
    service = start_service()
    good, before = service.policy.read_text(), ready(service)
    for name, bomb in BOMBS.items():
        service.policy.write_text(bomb())
        service.supervisor.send_signal(signal.SIGHUP)
        eventually(lambda: "refused" in ready(service).get("reload", {}), within=90)
        assert ready(service)["policy"] == before["policy"], name
        assert service.client.execute("def main(): return 7").result == 7
        service.policy.write_text(good)
        service.supervisor.send_signal(signal.SIGHUP)
        eventually(lambda: ready(service) == before)


def start_with(reader, tmp_path):
    """Start a supervisor beside which the operator's program is this one."""
    for program in ("cloister-supervisor", "cloister-engine"):
        shutil.copy(binary(program), tmp_path)
    if reader:
        shutil.copy(reader, tmp_path / "cloister")
    policy = tmp_path / "policy.toml"
    shutil.copy(POLICY, policy)
    policy.chmod(0o600)
    tmp_path.chmod(0o700)
    command = [tmp_path / "cloister-supervisor", "serve", "--policy", policy, "--socket", tmp_path / "s", "--cgroup", f"cloister-{tmp_path.name[-8:]}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and not (tmp_path / "s").exists(), ended
    return ended.stderr


@pytest.mark.parametrize("reader, said", [
    (None, "has to lie beside this program"),
    ("/bin/true", "answered is none"),
    ("/bin/echo", "answered is none"),
    ("/bin/false", "ended without an answer"),
])
def test_a_start_with_another_reader_than_cloisters_stops_and_says_so(reader, said, tmp_path):
    assert said in start_with(reader, tmp_path)
