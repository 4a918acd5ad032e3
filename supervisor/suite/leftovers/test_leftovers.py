"""Nothing is left behind: by a job, by many jobs, by the service itself."""

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually
from prelude import attack
from service import WARM, name_of, open_descriptors
from tongue import RUN, SPIN

MIXED = [
    "def main(): return 1",
    "def main(): raise ValueError",
    "import os\ndef main():\n    os.fork()\n    os.abort()",
    "import os, time\ndef main():\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(60)\n    return 2",
    "open('/tmp/x', 'w').write('x' * 100000)\ndef main(): return object()",
    "import multiprocessing as m\ndef main():\n    q = m.Queue()\n    p = m.Process(target=q.put, args=(3,))\n    p.start()\n    return q.get()",
]


def snapshot(service):
    """What the host shows of the service between jobs."""
    pid = service.supervisor.pid
    kinds = [re.sub(r"[0-9]+", "N", kind) for kind in open_descriptors(pid)]
    namespaces = {os.readlink(link) for process in service.processes() for link in Path(f"/proc/{process}/ns").iterdir()}
    return {
        "processes": len(service.processes()),
        "mounts": Path("/proc/self/mountinfo").read_text().count("\n"),
        "cgroups": len(service.cgroup_directories()),
        "descriptors": sorted(kinds),
        # Those beside the event loop, of which there are few, come with work and go when there was none for a while.
        "threads": [name for name in thread_names(pid) if name not in ("", "blocking")],
        "namespaces": len(namespaces),
        "files": sorted(entry.path for place in ("/tmp", "/dev/shm", "/dev/cloister", "/run") if os.path.isdir(place)
                        for entry in os.scandir(place) if belongs(service, entry)),
    }


def thread_names(pid):
    return sorted(name_of(f"{pid}/task/{task}") for task in os.listdir(f"/proc/{pid}/task"))


def belongs(service, entry):
    """Whether a file is the service's or one of its jobs': others may be at work on this host too."""
    try:
        owner = entry.stat(follow_symlinks=False).st_uid
    except FileNotFoundError:
        return False
    return service.uid_base <= owner < service.uid_base + 8192 or service.cgroup in entry.name or service.directory.name in entry.name


def at_rest(service):
    """What is seen twice in a row once no job is left: descriptors are closed a moment after the last has died."""
    service.settle()
    seen = [snapshot(service)]

    def unchanged():
        seen.append(snapshot(service))
        return seen[-1] == seen[-2]

    time.sleep(0.2)
    eventually(unchanged)
    return seen[-1]


CLAIMS = """
import fcntl, os, signal
PLACES = ["/etc/passwd", "/etc/group", "/etc", "/tmp", "/dev", "/dev/shm", "/dev/null", "/usr", "/proc"]

def attempt(do, *args):
    try:
        do(*args)
        return "done"
    except OSError as error:
        return type(error).__name__

def main():
    told = {}
    for path in PLACES:
        try:
            file = os.open(path, os.O_RDONLY)
        except PermissionError:
            continue
        told[path] = [attempt(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB), attempt(os.utime, path), attempt(os.chmod, path, 0o777),
                      attempt(os.setxattr, path, "user.left", b"by a job")]
        if os.path.isdir(path):
            told[path].append(attempt(os.mkdir, path + "/left"))
            told[path].append([name for name in os.listdir(path) if name == "left"] if attempt(os.listdir, path) == "done" else None)
    if os.fork() == 0:
        os.setsid()
        signal.pause()
    return told
"""


def test_what_a_job_claims_of_its_root_is_not_there_for_the_next(start_service):
    """Cells of a slot have copies of one root. A child is left that holds all files open."""
    service = start_service(supervisor={"slots": 1})
    told = [service.client.execute(CLAIMS).result for _ in range(5)]
    assert all(one == told[0] for one in told), told
    assert told[0]["/etc/passwd"][0] == "done" and "/tmp" in told[0]


def has_its_slot_back(service):
    """Of a service with one slot: the next job is in that, for the one that is there for a session beside it is gone."""
    service.settle()
    eventually(lambda: len(service.slot_groups("pids.max")) == 1)


OF_USERS = """
import os

FILES = ["uid_map", "gid_map", "setgroups", "projid_map"]

def attempt(name, text):
    try:
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
        return "done"
    except OSError as error:
        return type(error).__name__

def main():
    read = {name: open("/proc/self/" + name).read() for name in FILES}
    return read, [attempt(name, text) for name in FILES for text in ("0 0 1", "1000 0 1", "allow")], os.getresuid(), os.getgroups()
"""


def test_what_a_job_claims_of_its_user_namespace_is_not_there_for_the_next(start_service):
    """Jobs of a slot are in one, one after the other."""
    service = start_service(warm=False, supervisor={"slots": 1})
    told = []
    for _ in range(5):
        has_its_slot_back(service)
        told.append(service.client.execute(OF_USERS).result)
    assert all(one == told[0] for one in told), told
    files, attempts, ids, groups = told[0]
    assert files["uid_map"].split()[::2] == ["1000", "1"] and files["setgroups"] == "deny\n" and files["projid_map"] == ""
    assert set(attempts) == {"PermissionError"} and ids == [1000] * 3 and groups == []
    kept = namespace_of_a_job(service, "user")
    assert kept == namespace_of_a_job(service, "user")
    assert kept not in {os.readlink(f"/proc/{process}/ns/user") for process in ("self", service.supervisor.pid)}


UNDERWAY = """
import array, fcntl, os, socket

def main(path):
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "met"
    one, other = socket.socketpair()
    for end in one, other:
        end.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file, one.fileno(), other.fileno()]))])
    return "locked"
"""


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc", "/dev/null"])
def test_a_lock_that_is_on_its_way_between_sockets_is_not_met(start_service, path):
    """Nobody holds the sockets any more, and the kernel frees what is in them some time after their job has ended."""
    service = start_service(supervisor={"slots": 1}, policy="[profile.bare]\nextends = \"default\"\nwarm = { parked = 1, imports = [] }\n")
    # Each begins as soon as the one before has ended.
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: service.client.execute(UNDERWAY, args=[path], profile="bare").result, range(40)))
    assert told == ["locked"] * 40


def test_jobs_of_every_kind_leave_nothing(start_service):
    service = start_service(supervisor={"slots": 1})
    for script in MIXED:
        service.client.execute(script, timeout_ms=3000)
    before = at_rest(service)
    for _ in range(5):
        for script in MIXED:
            service.client.execute(script, timeout_ms=3000)
    assert at_rest(service) == before
    listed = [int(pid) for path in service.slot_groups("cgroup.procs") for pid in path.read_text().split()]
    assert {name_of(pid) for pid in listed} <= {"parked"}


@pytest.mark.skipif(not WARM, reason="what is left depends on nothing that is kept warm")
def test_sessions_of_every_end_leave_nothing(start_service):
    service = start_service(supervisor={"slots": 2})
    open_one = lambda: service.client.http.post("/sessions", json={}).json()["session"]
    run = lambda session, code: service.client.http.post(f"/sessions/{session}/execute", json={"code": code}).status_code
    service.client.http.delete(f"/sessions/{open_one()}")
    before = at_rest(service)
    for _ in range(2):
        sessions = [open_one() for _ in range(4)]
        assert [run(session, "import os, threading; x = 1") for session in sessions] == [200] * 4
        assert run(sessions[0], "os._exit(1)") == 422 and run(sessions[0], "x") == 200
        assert run(sessions[1], "os.fork() or __import__('time').sleep(60)") == 200
        # It ends its checkpoint, and then itself.
        assert run(sessions[2], "import signal\nfor n in range(2, 99):\n    try: n == os.getpid() or os.kill(n, signal.SIGKILL)\n    except OSError: pass\nos._exit(1)") == 422
        for session in sessions:
            assert service.client.http.delete(f"/sessions/{session}").status_code in (204, 410)
    assert at_rest(service) == before


def test_memory_of_the_supervisor_is_flat(start_service):
    service = start_service()
    jobs = int(os.environ.get("CLOISTER_SOAK_JOBS", "2000"))

    def resident():
        status = Path(f"/proc/{service.supervisor.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])

    def run(count):
        for number in range(count):
            assert service.client.execute("def main(n): return n", args=[number]).result == number

    run(jobs // 4)
    warm = resident()
    run(jobs - jobs // 4)
    assert resident() - warm < 2048, f"grew from {warm} kB to {resident()} kB over {jobs} jobs"


@pytest.mark.neutral
@pytest.mark.parametrize("script", [RUN, SPIN])
def test_descriptors_do_not_pile_up(start_service, script):
    service = start_service()
    count = lambda: len(os.listdir(f"/proc/{service.supervisor.pid}/fd"))
    for _ in range(3):
        service.client.execute(script, timeout_ms=200)
    # With all places filled, which hold descriptors too.
    service.settle()
    before = count()
    for _ in range(20):
        service.client.execute(script, timeout_ms=200)
    eventually(lambda: count() <= before)


def namespace_of_a_job(service, kind, meanwhile=lambda process: None):
    """That of the next job, while which runs something is done."""
    has_its_slot_back(service)  # what is seen is not the one before, which was answered ahead of its process's end
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.client.execute, "import time\ndef main(): time.sleep(2)")
        [process, *_] = eventually(service.job_processes)
        seen = os.readlink(f"/proc/{process}/ns/{kind}")
        meanwhile(process)
        assert asked.result().status == 200
    return seen


def test_an_ipc_namespace_in_which_something_is_left_is_no_other_jobs(start_service):
    service = start_service(warm=False, supervisor={"slots": 1})
    kept = namespace_of_a_job(service, "ipc")
    assert namespace_of_a_job(service, "ipc") == kept != os.readlink("/proc/self/ns/ipc")
    for made in ("-Q", "-S1", "-M4096"):
        used = namespace_of_a_job(service, "ipc", lambda process: subprocess.run(["nsenter", f"--ipc=/proc/{process}/ns/ipc", "ipcmk", made], check=True, capture_output=True))
        assert namespace_of_a_job(service, "ipc") != used, made
        assert namespace_of_a_job(service, "ipc") == namespace_of_a_job(service, "ipc"), made


def test_where_jobs_may_make_something_in_an_ipc_namespace_each_has_its_own(start_service):
    policy = '[profile.makes]\nextends = "default"\nseccomp = { allow = ["msgget"] }'
    service = start_service(policy=policy, warm=False, supervisor={"slots": 1})
    script = attack("def main(): return [syscall(68, 7, 0), syscall(68, 7, 0o1666)]")
    for _ in range(3):
        found, made = service.client.execute(script, profile="makes").result
        assert found == "ENOENT" and made >= 0
