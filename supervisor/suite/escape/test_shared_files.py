"""docs/security.md, "What jobs share": nothing of the host or of another job is locked, flushed, charged or read by way of it."""

import ctypes
import fcntl
import os
import re
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually
from prelude import attack


def on_the_host(service, inside):
    """Where a path of the runtime lies on the host."""
    host, at = re.search(r'"(/[^:"]*):(/usr)"', Path(service.policy).read_text()).groups()
    return inside.replace(at, host, 1)


LOCKS = """
import fcntl
def main(path):
    file = os.open(path or os.__file__, os.O_RDONLY)
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    kind, _, _, _, holder = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return [os.__file__, kind == fcntl.F_UNLCK, attempt(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)]
"""


@pytest.mark.layer("overlay")
@pytest.mark.parametrize("without", [(), ("seccomp", "landlock")])
def test_locks_on_the_runtime_are_the_jobs_own(service, attempt, attempt_without, without):
    ask = (lambda: attempt_without(LOCKS.replace("main(path)", "main(path=None)"), *without)["result"]) if without else (lambda: attempt(LOCKS, args=[None]))
    path = on_the_host(service, ask()[0])
    with open(path, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.lockf(held, fcntl.LOCK_SH)
        assert ask() == [ask()[0], True, "None"]


HOLD = """
import fcntl, time
def main(role):
    file, deadline = os.open(os.__file__, os.O_RDONLY), time.monotonic() + 0.5
    if role == "holder":
        fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(file, fcntl.LOCK_SH, 1, 4711)
        _libc.prctl(15, b"holding", 0, 0, 0)
        time.sleep(6)
        return []
    met = set()
    while time.monotonic() < deadline:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 4711, 1, 0)
        met |= {struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))[0], attempt(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)}
        time.sleep(0.02)
    return sorted(map(str, met))
"""


@pytest.mark.layer("overlay")
def test_two_jobs_do_not_meet_by_locks_on_the_runtime(service, attempt):
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(attempt, HOLD, args=["holder"])
        eventually(lambda: service.holding() or holder.done())
        assert attempt(HOLD, args=["asking"]) == ["2", "None"]
        assert holder.result() == []


MOUNTS = """
def main():
    return [open("/proc/self/mountinfo").read().splitlines(), [[of.f_blocks, of.f_bfree] for of in (os.statvfs("/usr"), os.statvfs(os.__file__))]]
"""


@pytest.mark.layer("overlay")
def test_no_mount_tells_of_the_host(attempt):
    lines, filled = attempt(MOUNTS)
    for line in lines:
        before, after = line.split(" - ")
        root, point, (kind, source) = before.split()[3], before.split()[4], after.split()[:2]
        # The devices lie where the host has its own: what is seen is the service's name and the slot's number.
        devices = point == "/dev" and re.fullmatch(r"/cloister/[\w-]+/slots/\d+", root)
        assert kind in ("tmpfs", "overlay", "proc") or (kind == "devtmpfs" and devices), line
        assert root in ("/", "/interpreter") or devices, line
        assert source in ("none", "devtmpfs", "udev"), line
        assert "lowerdir=" not in after or re.search(r"lowerdir=/lower/empty:\.(,|$)", after), line
    # The host's disk has more blocks than the empty layer on top.
    assert all(blocks < 1024 for blocks, _ in filled), filled


ANSWERS = """
import fcntl, mmap
def main():
    file = os.open(os.__file__, os.O_RDONLY)
    own = os.open("/tmp/own", os.O_RDWR | os.O_CREAT)
    read, write = os.pipe()
    area = mmap.mmap(-1, 1 << 16)
    lists = struct.pack("<I", 2) + struct.pack("<HHI", 1, 7, 0xffffffff) + struct.pack("<HHI", 4, 7, 0xffffffff) + struct.pack("<HHI", 32, 7, 0xffffffff)
    return {
        # With a descriptor that is no file's: what is answered was not made.
        "done": [syscall(74, 9999), syscall(75, 9999), syscall(277, 9999, 0, 0, 0), syscall(74, file)],
        "unsupported": [attempt(os.setxattr, "/tmp/own", name, lists) for name in ("system.posix_acl_access", "user.x")]
            + [attempt(os.setxattr, own, "user.x", b""), attempt(lambda: os.setxattr("/tmp/own", "user.x", b"", follow_symlinks=False))],
        "refused": [
            attempt(os.open, os.__file__, os.O_DIRECT), syscall(2, os.__file__.encode(), os.O_DIRECT, 0), attempt(fcntl.fcntl, file, fcntl.F_SETFL, os.O_DIRECT),
            attempt(fcntl.fcntl, write, fcntl.F_SETPIPE_SZ, 1 << 20), attempt(fcntl.fcntl, 1, fcntl.F_SETPIPE_SZ, 4096),
            *[attempt(os.preadv, file, [bytearray(9)], 0, flag) for flag in (1, 2, 4, 8, 16)], *[attempt(os.pwritev, own, [b"x"], 0, flag) for flag in (1, 2, 4, 16)],
            attempt(area.madvise, mmap.MADV_MERGEABLE), syscall(72, own, 37, ctypes.create_string_buffer(32)), syscall(56, 0x400 | 17, 0, 0, 0, 0)],
        "made": [attempt(os.preadv, file, [bytearray(9)], 0), attempt(os.pwritev, own, [b"x"], 0), attempt(area.madvise, mmap.MADV_DONTNEED), attempt(os.set_blocking, write, False),
                 attempt(fcntl.fcntl, own, fcntl.F_SETFL, os.O_APPEND), attempt(os.removexattr, "/tmp/own", "user.x")],
    }
"""


@pytest.mark.layer("seccomp")
def test_what_is_charged_to_others_or_bypasses_memory_is_answered_or_refused(attempt):
    said = attempt(ANSWERS)
    assert set(said["done"]) == {0} and set(said["unsupported"]) == {"ENOTSUP"} and set(said["refused"]) == {"EPERM"}, said
    assert said["made"][:5] == ["9", "1", "None", "None", "0"] and said["made"][5] in ("ENODATA", "ENOTSUP"), said


SCAN = """
import re
def main(backwards):
    # The words themselves are nowhere in this script.
    words = re.compile(b"[" + backwards[::-1][0].encode() + b"]" + re.escape(backwards[::-1][1:]).encode())
    found = []
    for line in open("/proc/self/maps"):
        begin, end = (int(number, 16) for number in line.split()[0].split("-"))
        if line.split()[1].startswith("rw") and "[v" not in line:
            for at in range(begin, end, 1 << 20):
                if words.search(ctypes.string_at(at, min(1 << 20, end - at))):
                    found.append(line)
    return found
"""


@pytest.mark.layer("zygote")
def test_no_path_of_the_host_is_in_a_jobs_memory(service, attempt):
    assert attempt(SCAN, args=[on_the_host(service, "/usr")[::-1]]) == []


@pytest.mark.layer("launcher")
def test_signals_that_the_starter_ignored_have_their_usual_effect(start_service):
    # Two of them are the C library's own, which does not let them be spoken of.
    def be(effect):
        for number in (2, 32, 33, 64):
            assert ctypes.CDLL(None).syscall(13, number, (ctypes.c_ulong * 4)(effect), None, 8) == 0

    be(1)
    try:
        service = start_service(supervisor={"slots": 1})
    finally:
        be(0)
    script = attack("def main(): return [line for line in open('/proc/self/status') if line.startswith('SigIgn')]")
    [line] = service.client.execute(script).result
    # Python itself ignores SIGPIPE and SIGXFSZ.
    assert int(line.split()[1], 16) & ~(1 << 12 | 1 << 24) == 0, line


SHOWN = """
def main():
    import fcntl
    def heard():
        pipe = os.open("/shown/pipe", os.O_RDONLY | os.O_NONBLOCK)
        return os.read(pipe, 99)
    caller = socket.socket(socket.AF_UNIX)
    return {
        "socket": attempt(caller.connect, "/shown/socket"), "pipe": attempt(heard),
        "locks": [attempt(lambda: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)) for path in ("/shown/file", "/alone")],
        "read": [open(path).read() for path in ("/shown/file", "/alone", "/shown/late")],
        "write": [attempt(os.open, path, os.O_WRONLY) for path in ("/shown/file", "/alone")],
    }
"""


@pytest.mark.layer("overlay")
def test_what_comes_late_into_a_shown_path_leads_nowhere(start_service):
    with tempfile.TemporaryDirectory(prefix="suite-shown-") as directory, socket.socket(socket.AF_UNIX) as listener:
        shown = Path(directory)
        shown.chmod(0o755)
        for name in ("file", "alone"):
            (shown / name).write_text(name)
            (shown / name).chmod(0o644)
        (shown / "inner").mkdir()
        service = start_service(policy=f"""
[profile.shows]
extends = "default"
warm = false
filesystem.read_only = ["{shown}:/shown", "{shown}/alone:/alone"]
""")
        listener.bind(f"{shown}/socket")
        listener.listen()
        os.chmod(f"{shown}/socket", 0o777)
        os.mkfifo(shown / "pipe")
        os.chmod(shown / "pipe", 0o644)
        (shown / "late").write_text("late")
        (shown / "late").chmod(0o644)
        pipe = os.open(shown / "pipe", os.O_RDWR)
        os.write(pipe, b"a secret")
        with open(shown / "file") as one, open(shown / "alone") as other:
            fcntl.flock(one, fcntl.LOCK_EX)
            fcntl.flock(other, fcntl.LOCK_EX)
            said = service.client.execute(attack(SHOWN), profile="shows").result
        assert os.read(pipe, 99) == b"a secret"
        os.close(pipe)
        assert said["socket"] in ("ECONNREFUSED", "EACCES") and said["pipe"] == "b''", said
        assert said["locks"] == ["None", "None"] and said["read"] == ["file", "alone", "late"] and set(said["write"]) <= {"EROFS", "EACCES"}, said
