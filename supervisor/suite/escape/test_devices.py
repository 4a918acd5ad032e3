"""docs/security.md, "What jobs share": the device nodes are a slot's own, work as the host's do, and go with the service."""

import fcntl
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from client import eventually
from service import JOBS, REPOSITORY

PLACE = Path("/dev/cloister")

LOCKS = """
import fcntl, time
NODES = {"null": os.O_RDWR, "zero": os.O_RDWR, "full": os.O_RDWR, "random": os.O_RDONLY, "urandom": os.O_RDONLY}

def taken():
    said = {}
    for name, mode in NODES.items():
        file = os.open("/dev/" + name, mode)
        kind = fcntl.LOCK_EX if mode == os.O_RDWR else fcntl.LOCK_SH
        said[name] = [attempt(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB), attempt(fcntl.lockf, file, kind | fcntl.LOCK_NB)]
    return said

def main(role="asking"):
    said = taken()
    if role == "holder":
        _libc.prctl(15, b"holding", 0, 0, 0)
        time.sleep(6)
    return said
"""
FREE = {name: ["None", "None"] for name in ("null", "zero", "full", "random", "urandom")}


def locked(stack):
    """Locks on the host's nodes, which are had at once or not at all."""
    for name in FREE:
        file = stack.enter_context(open(f"/dev/{name}", "r+b", buffering=0))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.layer("mount namespace")
@pytest.mark.parametrize("without", [(), ("seccomp", "landlock")])
def test_locks_of_the_host_on_devices_do_not_reach_a_job(service, attempt, attempt_without, without):
    with ExitStack() as stack:
        locked(stack)
        assert (attempt_without(LOCKS, *without)["result"] if without else attempt(LOCKS)) == FREE


@pytest.mark.layer("mount namespace")
def test_a_jobs_locks_on_devices_reach_neither_another_job_nor_the_host(service, attempt):
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(attempt, LOCKS, args=["holder"])
        eventually(lambda: service.holding() or holder.done())
        with ExitStack() as stack:
            locked(stack)
        assert attempt(LOCKS) == FREE
        assert service.holding(), "it held them all the while"
        assert holder.result() == FREE


USE = """
import multiprocessing, multiprocessing.shared_memory, stat, subprocess, sys
def write(path):
    with open(path, "wb", buffering=0) as file:
        return file.write(b"x")
def read(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(8)
def numbers(name):
    of = os.stat("/dev/" + name)
    return [stat.filemode(of.st_mode), os.major(of.st_rdev), os.minor(of.st_rdev)]
def main():
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    shared.buf[:3] = b"abc"
    kept = os.listdir("/dev/shm")
    shared.close(); shared.unlink()
    return {
        "there": [os.path.lexists("/dev/" + name) for name in ("null", "shm", "stdin", "tty", "pts", "kmsg", "mem", "cloister", "../lower")], "links": [os.readlink("/dev/" + name) for name in ("fd", "stdin", "stdout", "stderr")],
        "numbers": {name: numbers(name) for name in ("null", "zero", "full", "random", "urandom")},
        "null": [attempt(write, "/dev/null"), attempt(read, "/dev/null")], "zero": [attempt(write, "/dev/zero"), attempt(read, "/dev/zero")],
        "full": [attempt(write, "/dev/full"), attempt(read, "/dev/full")],
        "random": [len(read("/dev/random")), len(read("/dev/urandom")), read("/dev/urandom") != read("/dev/urandom")],
        "shm": len(kept), "quiet": subprocess.run([sys.executable, "-c", "print(1); raise SystemExit(len(input()))"], stdout=subprocess.DEVNULL).returncode,
        "devnull": open(os.devnull).read(), "made": [attempt(os.mkdir, "/dev/x"), attempt(os.open, "/dev/x", os.O_CREAT | os.O_WRONLY)],
        "changed": [attempt(os.chmod, "/dev/null", 0o600), attempt(os.utime, "/dev/null"), attempt(os.unlink, "/dev/null")],
        "named": sorted(os.listdir("/dev/fd"))[:3], "mounts": [line.split()[4] for line in open("/proc/self/mountinfo") if line.split()[4].startswith("/dev")],
    }
"""


@pytest.mark.layer("mount namespace")
def test_a_jobs_devices_work_and_cannot_be_changed(attempt):
    said = attempt(USE, stdin="abc\n")
    assert said["there"] == [True] * 3 + [False] * 6
    assert said["links"] == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]
    for name, numbers in said["numbers"].items():
        of = os.stat(f"/dev/{name}")
        assert numbers == [stat.filemode(of.st_mode), os.major(of.st_rdev), os.minor(of.st_rdev)], name
    zeros = repr(bytes(8))
    assert (said["null"], said["zero"], said["full"]) == (["1", "b''"], ["1", zeros], ["ENOSPC", zeros])
    assert said["random"] == [8, 8, True] and said["shm"] == 1 and said["quiet"] == 3 and said["devnull"] == ""
    assert set(said["made"] + said["changed"]) <= {"EROFS", "EACCES", "EPERM"}, said
    assert said["named"] == ["0", "1", "2"] and sorted(said["mounts"]) == ["/dev", "/dev/shm"], said


def place_of(service):
    return PLACE / service.cgroup / "slots"


def sets(service):
    place = place_of(service)
    return sorted(int(entry.name) for entry in place.iterdir()) if place.exists() else []


def inodes(service):
    return [(set_, name, (place_of(service) / str(set_) / name).stat().st_ino) for set_ in sets(service) for name in FREE]


def test_each_slot_has_nodes_of_its_own_which_only_root_can_change(start_service):
    service = start_service(supervisor={"slots": 2})
    found = inodes(service)
    assert len({inode for _, _, inode in found}) == len(found) > 5 * 64
    assert (PLACE.stat().st_uid, stat.S_IMODE(PLACE.stat().st_mode)) == (0, 0o711)
    # None of the host's other accounts passes here.
    own, engine = (PLACE / service.cgroup).stat(), service.uid_base + JOBS
    assert (own.st_uid, own.st_gid, stat.S_IMODE(own.st_mode)) == (0, engine, 0o710)
    for path in (place_of(service), place_of(service) / "0", place_of(service) / "0/shm"):
        of = path.stat()
        assert (of.st_uid, stat.S_IMODE(of.st_mode)) == (0, 0o755), path
    service.end_daemons()
    assert sets(service) == [] and not (PLACE / service.cgroup).exists()


def test_what_a_killed_one_left_is_gone_with_the_next(start_service):
    service = start_service(supervisor={"slots": 40})
    before = sets(service)
    service.supervisor.kill()
    service.supervisor.wait()
    assert sets(service) == before
    (place_of(service) / "0/null").unlink()
    service.write_policy("", {"slots": 1})
    service.start_supervisor()
    service.wait_until_ready()
    assert 0 < len(sets(service)) < len(before) and (place_of(service) / "0/null").is_char_device()
    assert service.client.execute("def main(): return open('/dev/null').read()").result == ""


def test_the_units_capabilities_suffice(start_service):
    unit = (REPOSITORY / "systemd/cloister-supervisor.service").read_text()
    [allowed] = re.findall(r"(?m)^CapabilityBoundingSet=(.+)", unit)
    bounding = ",".join(["-all", *("+" + name.removeprefix("CAP_").lower() for name in allowed.split())])
    service = start_service(under=("setpriv", f"--bounding-set={bounding}", "--no-new-privs", "--"))
    assert sets(service) and "CAP_MKNOD" not in service.log("supervisor")
    held = re.search(r"(?m)^CapBnd:\t(\w+)", Path(f"/proc/{service.supervisor.pid}/status").read_text())[1]
    assert int(held, 16) & 1 << 27 == 0, "mknod: capabilities(7)"
    assert service.client.execute("def main(): return open('/dev/null').read()").result == ""


def test_without_the_power_to_make_nodes_it_says_what_that_means_and_serves(start_service):
    service = start_service(under=("setpriv", "--bounding-set=-mknod", "--"))
    assert "CAP_MKNOD" in service.log("supervisor") and "locks on these reach other jobs" in service.log("supervisor")
    assert service.log("supervisor").count("CAP_MKNOD") == 1
    assert not (PLACE / service.cgroup).exists()
    assert service.client.execute("def main(): return [open('/dev/null').read(), open('/dev/urandom', 'rb').read(1) != b'']").result == ["", True]


def test_more_slots_than_nodes_were_made_for_take_a_restart(start_service):
    service = start_service(supervisor={"slots": 1})
    made = len(sets(service))
    service.write_policy("", {"slots": made + 1})
    service.supervisor.send_signal(1)
    eventually(lambda: "reload refused" in service.log("supervisor"))
    assert "device nodes" in service.log("supervisor") and "restart" in service.log("supervisor")
    assert "the new policy needs a restart" in service.client.http.get("/readyz").text
    assert service.client.execute("def main(): return 1").result == 1
