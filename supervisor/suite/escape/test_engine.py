"""docs/security.md, "The engine and the monitor": what serves is nobody on its host, and what stays root beside it does little for it."""

import array
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from client import eventually
from service import JOBS, POLICY, binary, children, host_processes

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_GETFD = 438
SIX = 0b111100011
# Of a start that comes to nothing.
GROUP = f"cloister-{os.getpid()}"


def status(pid):
    return dict(re.findall(r"(?m)^(\w+):[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text()))


def below(pid):
    """A process, and all that were started by it and by those."""
    return [pid, *(process for child in children(pid) for process in below(child))]


@pytest.fixture(scope="module")
def own_service(start_for_module):
    return start_for_module()


def test_what_serves_is_nobody_on_the_host_and_one_process_stays_root(own_service):
    service, engine = own_service, own_service.uid_base + JOBS
    told = status(service.supervisor.pid)
    assert told["Uid"].split() == told["Gid"].split() == [str(engine)] * 4 and told["Groups"] == ""
    assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == SIX and int(told["CapInh"], 16) == int(told["CapAmb"], 16) == 0
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")
    for kind in ("uid_map", "gid_map"):
        maps = [line.split() for line in Path(f"/proc/{service.supervisor.pid}/{kind}").read_text().splitlines()]
        first = str(service.uid_base)
        assert maps == [["0", str(engine), "1"], [first, first, str(JOBS)]], kind
    ids = dict(host_processes())
    assert [pid for pid in below(service.supervisor.pid) if ids.get(pid) == 0] == [service.monitor()]
    told = status(service.monitor())
    assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0b011100010 and (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")


# What a program does that has taken the engine over: with its id and all the power that there is in its user namespace.
TAKEN_OVER = """
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
engine, others, group = int(sys.argv[1]), [1, int(sys.argv[2]), int(sys.argv[3])], sys.argv[4]
namespace = os.open(f"/proc/{engine}/ns/user", os.O_RDONLY)
assert libc.setns(namespace, 0x10000000) == 0, os.strerror(ctypes.get_errno())
os.setgroups([]); os.setresgid(0, 0, 0); os.setresuid(0, 0, 0)
capabilities = [line for line in open("/proc/self/status") if line.startswith("CapEff")]
def attempt(call, *arguments):
    try:
        return repr(call(*arguments))
    except OSError as error:
        return errno.errorcode[error.errno]
def must(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "")
print(json.dumps({
    "power": int(capabilities[0].split()[1], 16) != 0,
    "read": [attempt(open, path) for path in ("/etc/shadow", "/root/.bashrc", "/proc/1/environ", f"/proc/{others[1]}/environ", "/dev/mem", "/dev/kmsg")],
    "written": [attempt(open, path, "a") for path in ("/etc/passwd", "/etc/cloister-x", "/sys/fs/cgroup/x", group, "/proc/sys/kernel/hostname", "/proc/sysrq-trigger")],
    "killed": [attempt(os.kill, pid, 0) for pid in others],
    "made": [attempt(os.mknod, "/tmp/cloister-node", 0o600 | 0o020000, os.makedev(1, 1)), attempt(os.chown, "/etc/passwd", 0, 0), attempt(os.setuid, 1)],
    "mounted": attempt(lambda: must(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))),
    "rebooted": attempt(lambda: must(libc.sethostname(b"x", 1))),
}))
"""


def test_who_takes_the_engine_over_has_nothing_of_the_host(own_service):
    service = own_service
    [first, *_] = [group for group in service.cgroup_directories() if group.name == service.cgroup]
    arguments = [service.supervisor.pid, service.monitor(), service.gateway.pid, first.parent / "cgroup.procs"]
    ran = subprocess.run([sys.executable, "-c", TAKEN_OVER, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["power"] is True
    refused = {"EACCES", "EPERM"}
    assert set(said["read"]) <= refused | {"ENOENT"} and "ENOENT" not in said["read"][:1], said
    assert set(said["written"]) <= refused | {"ENOENT"}, said
    assert said["killed"] == ["EPERM"] * 3, said
    assert set(said["made"]) <= refused | {"EINVAL"} and {said["mounted"], said["rebooted"]} == {"EPERM"}, said
    assert not Path("/tmp/cloister-node").exists()


class Engine:
    """Speaks to the monitor over the engine's own connections, as who has taken it over would."""

    def __init__(self, service):
        process = os.pidfd_open(service.supervisor.pid)
        numbers = sorted(int(number) for number in os.listdir(f"/proc/{service.supervisor.pid}/fd"))
        # Of the first that it has: what it opens and closes has others.
        copies = [LIBC.syscall(PIDFD_GETFD, process, number, 0) for number in numbers[:64]]
        os.close(process)
        others = [copy for copy in copies if not stat.S_ISSOCK(os.fstat(copy).st_mode)]
        copies = [socket.socket(fileno=copy) for copy in copies if copy not in others]
        # Locks among them, which are held for as long as there is a copy.
        for other in others:
            os.close(other)
        # Those to launchers and zygotes were made when it was root no more: unix(7), SO_PEERCRED.
        root = lambda wire: wire.type == socket.SOCK_SEQPACKET and self.owner(wire) == 0
        self.wires = [wire for wire in copies if root(wire)]
        assert len(self.wires) == 2
        # Whether they block is the engine's to say, whose they are.
        assert all(os.get_blocking(wire.fileno()) for wire in self.wires)

    def owner(self, wire):
        return int.from_bytes(wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)

    def ask(self, asked, line=0):
        wire = self.wires[line]
        wire.send(json.dumps(asked).encode())
        told, carried, *_ = wire.recvmsg(65536, 4096)
        fds = array.array("i")
        for *_, data in carried:
            fds.frombytes(data)
        for fd in fds:
            os.close(fd)
        return json.loads(told), len(fds)


def test_the_monitor_does_nothing_that_the_policy_does_not_name(own_service):
    service = own_service
    engine, groups = Engine(service), [group for group in service.cgroup_directories() if group.name == service.cgroup]

    def refused(*asked, line=0):
        for each in asked:
            told, carried = engine.ask(each, line)
            assert [*told] == ["Failed"] and carried == 0, (each, told)
        return True

    doors = ["/etc/shadow", "/proc/1/mem", "cgroup.procs", *(f"{group.parent}/cgroup.procs" for group in groups)]
    doors += [f"{group}/slot-0/{file}" for group in groups for file in ("memory.limit_in_bytes", "../../cgroup.procs", "notify_on_release", "release_agent")]
    doors += [f"{group}/../cgroup.procs" for group in groups] + [f"{group}/./../../tasks" for group in groups]
    assert refused(*({"Door": door} for door in doors))
    strangers = [1, os.getpid(), service.gateway.pid, service.monitor(), service.launcher(), 2**32 - 1]
    assert refused(*({"Adopt": pid} for pid in strangers))
    assert refused(*({"OrderOfGoing": [pid, order]} for pid in (1, os.getpid(), service.gateway.pid, service.monitor()) for order in (0, 500)))
    assert refused(*({"OrderOfGoing": [service.parked()[0], order]} for order in (-1000, -1, 1000)) if service.warm else ())
    mounts = [{"host": "/etc", "inside": "/usr"}]
    shown = [{"interpreter": "/usr/shadow", "mounts": mounts}, {"interpreter": "/etc/shadow", "mounts": []}, {"interpreter": "/usr/bin/python3", "mounts": mounts}]
    assert refused(*({"Interpreter": each} for each in shown))
    # Its ids are what they are: user_namespaces(7), a map is written once.
    assert refused("MapIds", "Policy") and refused("End", line=1)
    assert service.client.execute("def main(): return 7").result == 7


def test_an_engine_begins_with_what_a_supervisor_has_made(tmp_path):
    for environment in ({}, {"CLOISTER_BEGIN": "0"}, {"CLOISTER_BEGIN": "x"}):
        ran = subprocess.run([binary("cloister-engine"), "serve"], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
        assert ran.returncode == 1 and "cloister-supervisor" in ran.stderr and "panicked" not in ran.stderr, ran
    # Nor a supervisor without one.
    for program in ("cloister-supervisor", "cloister"):
        shutil.copy(binary(program), tmp_path)
    tmp_path.chmod(0o700)
    ran = subprocess.run([tmp_path / "cloister-supervisor", "serve", "--policy", POLICY, "--socket", tmp_path / "s"], capture_output=True, text=True)
    assert ran.returncode == 1 and "cloister-engine, which has to lie beside" in ran.stderr, ran
    (tmp_path / "cloister-engine").write_bytes(b"no program")
    ran = subprocess.run([tmp_path / "cloister-supervisor", "serve", "--policy", POLICY, "--socket", tmp_path / "s", "--cgroup", GROUP, "--beside"],
                         capture_output=True, text=True)
    assert ran.returncode == 1 and "start the engine: " in ran.stderr, ran
    assert not (tmp_path / "s").exists() and not Path("/dev/cloister", GROUP).exists()


def start_again(service):
    """As a service manager would: what was left goes with that."""
    service.start_supervisor()
    service.wait_until_ready()
    assert service.client.execute("def main(): return 7").result == 7


def test_what_cannot_be_understood_ends_the_monitor_and_then_nothing_is_served(start_service):
    service = start_service()
    for said in (b"", b"x", b"[" * 100_000, b'{"Door": "\xff"}', b'{"Adopt": -1}'):
        engine = Engine(service)
        engine.wires[0].send(said)
        assert service.supervisor.wait(60) == 1, said
        start_again(service)


def test_what_the_engine_begins_with_goes_to_nobody_that_it_starts(own_service):
    """A record lock of the host ids, and the locks of names, are held by what is open: flock(2)."""
    held = lambda pid: {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    guards = [pid for pid in children(own_service.supervisor.pid) if pid != own_service.monitor()]
    assert guards and "/run/cloister/ids" in held(own_service.supervisor.pid)
    for pid in [*guards, own_service.monitor(), own_service.launcher()]:
        assert not [open_ for open_ in held(pid) if open_.startswith(("/run/", "/sys/fs/cgroup", "/dev/cloister")) and not open_.endswith("procs")], held(pid)


def test_without_the_monitor_nothing_is_served(start_service):
    service = start_service()
    os.kill(service.monitor(), signal.SIGKILL)
    assert service.supervisor.wait(60) == 1
    assert "monitor" in service.log("supervisor")
    # The next one begins as after any other sudden end.
    start_again(service)


def test_the_monitor_goes_with_the_engine_that_is_killed(start_service):
    service = start_service()
    monitor = service.monitor()
    service.supervisor.kill()
    service.supervisor.wait()
    eventually(lambda: not Path(f"/proc/{monitor}").exists())
    start_again(service)
