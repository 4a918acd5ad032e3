"""Denials: a failed job is told what the policy refused it, and nobody can make the service say what is not so."""

import textwrap

import pytest

LAYERS = {"seccomp", "filesystem", "tmpfs", "cgroup", "rlimit"}


def failing(body):
    """A script whose main() has this body."""
    return "import os, socket, sys\ndef main():\n" + textwrap.indent(textwrap.dedent(body), "    ")


def denials(answer):
    """The denials of a failure, each of the shape that the contract promises."""
    assert answer.status == 422, answer
    told = answer.error.get("denials", [])
    assert len(told) <= 16 and told != [] or "denials" not in answer.error, answer
    for denial in told:
        assert set(denial) == {"layer", "what", "hint"} and denial["layer"] in LAYERS, denial
        assert all(isinstance(text, str) and 0 < len(text) < 1000 for text in denial.values()), denial
    assert len({str(denial) for denial in told}) == len(told)
    return told


def only(answer):
    told = denials(answer)
    assert len(told) == 1, answer
    return told[0]["layer"], told[0]["what"], told[0]["hint"]


def test_a_socket(execute):
    expected = ("seccomp", "socket(AF_INET)", "profile 'default' has network = \"none\"")
    answer = execute(failing("socket.socket(socket.AF_INET, socket.SOCK_STREAM)"))
    assert only(answer) == expected and answer.code == "exception" and answer.error["exception"] == "PermissionError"
    assert only(execute(failing("socket.create_connection(('192.0.2.1', 80), 1)"))) == expected
    assert only(execute(failing("import urllib.request\nurllib.request.urlopen('http://192.0.2.1/')"))) == expected
    # The resolver's sockets are refused inside the C library, which does not say so.
    assert only(execute(failing("import urllib.request\nurllib.request.urlopen('http://example.test/')"))) == expected
    layer, what, hint = only(execute(failing("socket.socketpair(socket.AF_INET6)")))
    assert (layer, what) == ("seccomp", "socketpair(AF_INET6)") and "network" in hint
    layer, what, hint = only(execute(failing("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)")))
    assert (layer, what) == ("seccomp", "socket(AF_NETLINK)") and "harmless" in hint


@pytest.mark.parametrize(
    ("call", "what", "hint"),
    [
        ("os.setuid(0)", "setuid", "profile 'default' cannot allow setuid, nor can any other"),
        ("os.chroot('/tmp')", "chroot", "profile 'default' cannot allow chroot, nor can any other"),
        ("os.mkfifo('/tmp/fifo')", "mknodat", "profile 'default' cannot allow mknodat, nor can any other"),
        ("os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))", "sched_setscheduler",
         "profile 'default' does not have sched_setscheduler in seccomp.allow"),
        ("import fcntl\nfcntl.ioctl(0, 0x5412, b'x')", "ioctl(0x5412)", "profile 'default' allows ioctl with harmless arguments only"),
        ("import fcntl, termios\nfcntl.ioctl(\n    0,\n    termios.TIOCSTI, b'x')", "ioctl(0x5412)", "profile 'default' allows ioctl with harmless arguments only"),
    ],
)
def test_a_call_by_name(execute, call, what, hint):
    assert only(execute(failing(call))) == ("seccomp", what, hint)


def test_a_write_outside_tmp(execute):
    layer, what, hint = only(execute(failing("open(os.__file__ + '.x', 'w')")))
    assert (layer, what[:14], hint) == ("filesystem", "write to /usr/", "profile 'default' shows /usr read-only; /tmp and /dev/shm can be written")
    layer, what, hint = only(execute(failing("os.mkdir('/srv')")))
    assert (layer, what) == ("filesystem", "write to /srv") and "/tmp and /dev/shm" in hint
    # Relative to where the script is, and by way of another directory.
    assert only(execute(failing("os.chdir('/'); os.mkdir('tmp/../var')")))[1] == "write to /var"
    assert only(execute(failing("os.rename('/usr/bin', '/usr/bin2')")))[0] == "filesystem"
    assert only(execute(failing("os.listdir('/')")))[:2] == ("filesystem", "access to /")


def test_what_a_job_forbids_itself_is_no_denial(execute):
    assert denials(execute(failing("os.mkdir('d', 0); os.mkdir('d/e')"))) == []
    assert denials(execute(failing("open('/tmp/none')"))) == []
    assert denials(execute(failing("open('/proc/self/none')"))) == []
    assert denials(execute(failing("os.kill(1, 9)"))) == []
    assert denials(execute(failing("raise ValueError(1)"))) == []
    assert denials(execute("def main() return")) == []
    assert denials(execute("def main(): return {1, 2}")) == []


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/proc/meminfo", "; a job has the profile's memory, 512MiB"),
        ("/sys/fs/cgroup/memory.max", "; a job has the profile's memory, 512MiB"),
        ("/proc/cpuinfo", "; a job has the profile's cpus, 1, and os.cpu_count() and os.times() are there"),
        ("/proc/uptime", "; time.monotonic() is there"),
        ("/sys/class/net", ""),
    ],
)
def test_files_of_the_kernels_that_tell_of_the_host(execute, path, instead):
    rule = "profile 'default' shows of /proc a job's own processes alone, and nothing of /sys"
    assert only(execute(failing(f"open({path!r})"))) == ("filesystem", f"access to {path}", rule + instead)


def test_a_tmpfs_that_is_full(execute):
    fill = "with open({!r}, 'wb') as file:\n    while True: file.write(bytes(1 << 20))"
    assert only(execute(failing(fill.format("/tmp/x")), profile="tiny")) == ("tmpfs", "more bytes in /tmp", "profile 'tiny' has filesystem.tmp = \"8MiB\"")
    assert only(execute(failing(fill.format("/dev/shm/x")), profile="tiny")) == ("tmpfs", "more bytes in /dev/shm", "profile 'tiny' has filesystem.shm = \"8MiB\"")
    many = "for number in range(9999): open(f'{}/{{number}}', 'w').close()"
    assert only(execute(failing(many.format("/tmp")), profile="tiny")) == ("tmpfs", "more files in /tmp", "profile 'tiny' has filesystem.tmp_inodes = 64")
    assert only(execute(failing(many.format("/dev/shm")), profile="tiny")) == ("tmpfs", "more files in /dev/shm", "profile 'tiny' has filesystem.shm_inodes = 32")


def test_processes(execute):
    expected = ("cgroup", "more than 16 processes and threads at once", "profile 'tiny' has processes = 16")
    bomb = "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    answer = execute(failing(bomb), profile="tiny")
    assert answer.code == "process_limit" and only(answer) == expected
    # The kernel counted it, whatever the script made of it.
    answer = execute(failing("try:\n    while True:\n        if not os.fork(): import time; time.sleep(600)\nexcept OSError: pass\nraise ValueError('other')"), profile="tiny")
    assert answer.error["exception"] == "ValueError" and only(answer) == expected


def test_memory(execute):
    answer = execute(failing("x = []\nwhile True: x.append(bytearray(1 << 20))"), profile="tiny")
    assert answer.code == "memory_limit" and only(answer) == ("cgroup", "more than 64MiB of memory", "profile 'tiny' has memory = \"64MiB\"")


def test_limits_of_a_process(execute):
    answer = execute(failing("kept = []\nwhile True: kept.append(open('/dev/null'))"))
    assert only(answer) == ("rlimit", "more than 256 open files in a process", "profile 'default' has rlimits.open_files = 256")
    # A file of its own limit's size fills /tmp first, unless it has holes.
    answer = execute(failing("open('/tmp/x', 'w').truncate(1 << 40)"))
    assert only(answer) == ("rlimit", "a file larger than 64MiB", "profile 'default' has rlimits.file_size = \"64MiB\"")
    answer = execute(failing("import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nopen('/tmp/x', 'w').truncate(1 << 40)"))
    assert answer.code == "killed" and only(answer)[:2] == ("rlimit", "a file larger than 64MiB")


def test_death_by_seccomp(execute):
    # getpid by the number it has on x32.
    answer = execute(failing("import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)"))
    assert (answer.code, answer.error["signal"]) == ("killed", "SIGSYS")
    assert only(answer)[:2] == ("seccomp", "a system call that is answered with death")


def test_a_job_that_copes_is_told_nothing(execute):
    def coping():
        import os
        import socket

        def main():
            met = []
            for call, arguments in ((socket.socket, ()), (os.setuid, (0,)), (os.mkdir, ("/var",)), (open, ("/usr/x", "w"))):
                try:
                    call(*arguments)
                except OSError as error:
                    met.append(error.errno)
            return met

    answer = execute(coping)
    assert answer.result == [1, 1, 30, 30]
    assert "denials" not in str(answer.body)


def test_refusals_behind_other_exceptions(execute):
    wrapped = "try:\n    socket.socket()\nexcept OSError as error:\n    raise RuntimeError('no weather today') from error"
    answer = execute(failing(wrapped))
    assert answer.error["exception"] == "RuntimeError" and only(answer)[1] == "socket(AF_INET)"
    during = "try:\n    socket.socket()\nexcept OSError:\n    sys.exit(3)"
    answer = execute(failing(during))
    assert answer.code == "exit" and only(answer)[1] == "socket(AF_INET)"
    group = """
    errors = []
    for call in (socket.socket, lambda: os.setuid(0), lambda: os.mkdir("/var"), socket.socket):
        try:
            call()
        except OSError as error:
            errors.append(error)
    raise ExceptionGroup("all of it", errors)
    """
    assert [denial["what"] for denial in denials(execute(failing(group)))] == ["socket(AF_INET)", "setuid", "write to /var"]


def test_a_flood_is_bounded_and_slows_nobody(execute):
    flood = """
    import ctypes
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    for _ in range(1_000_000): syscall(41, 2, 1, 0)
    error = None
    for number in range(200):
        try:
            os.mkdir(f"/etc{number}")
        except OSError as late:
            late.__cause__, error = error, late
    raise error
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        floods = [pool.submit(execute, failing(flood)) for _ in range(3)]
        while not all(flooding.done() for flooding in floods):
            assert execute("def main(): return 'served'").result == "served"
    for flooding in floods:
        answer = flooding.result()
        # A million refused calls are a second or two of the script's own time, on a machine that is not too slow.
        if answer.code == "exception":
            assert len(denials(answer)) == 16
        else:
            assert answer.code in ("timeout", "cpu_limit")


# What a script writes to descriptor 3 in place of the runner, see test_results.py.
FORGE = """
import json, os
def main(refusals):
    report = json.dumps({"code": "exception", "message": "forged", "refusals": refusals}).encode()
    os.write(3, b"E" + len(report).to_bytes(8, "big") + report)
    os._exit(0)
"""


def test_forged_claims_say_nothing_that_is_not_so(execute):
    forged = [
        # Calls and paths that the profile allows, and names that are none.
        {"errno": "EPERM", "call": "read"}, {"errno": "EPERM", "call": "socket", "arguments": [1]}, {"errno": "EPERM", "call": "socket"},
        {"errno": "EPERM", "call": "rm -rf"}, {"errno": "EPERM", "call": "ioctl", "arguments": [0, 0x5401]}, {"errno": "EPERM", "call": "clone", "arguments": [0]},
        {"errno": "EROFS", "path": "/tmp/x"}, {"errno": "EACCES", "path": "/usr/../dev/shm/x"}, {"errno": "ENOENT", "path": "/etc"},
        {"errno": "ENOENT", "path": "/proc/self/x"}, {"errno": "ENOENT", "path": "/proc/1/x"}, {"errno": "ENOENT", "path": "/proc/../tmp/x"}, {"errno": "ENOENT", "path": "/sysx"},
        # Space that the kernel never gave out.
        {"errno": "ENOSPC", "full": "tmp_bytes"}, {"errno": "ENOSPC", "full": "shm_bytes"}, {"errno": "ENOSPC", "full": "disk"}, {"errno": "ENOSPC"},
    ]
    answer = execute(FORGE, args=[forged])
    assert (answer.code, answer.error["message"], denials(answer)) == ("exception", "forged", []), answer
    shapes = [7, None, [], {}, {"errno": 1}, {"errno": "EPERM", "call": ["setuid"]}, {"errno": "EPERM", "call": "socket", "arguments": [-1]},
              {"errno": "EPERM", "arguments": [2]}, {"errno": "EPERM", "call": "socket", "arguments": 2}, {"layer": "cgroup", "what": "lies", "hint": "lies"}, {"errno": "EROFS", "path": ["/etc"]}]
    for refusals in (shapes, {}, "x", 7, {"denials": shapes}):
        assert denials(execute(FORGE, args=[refusals])) == []


def test_a_call_that_is_answered_in_every_profile_is_told_as_such(execute):
    answer = execute(failing("import os; os.setxattr('/tmp', 'user.x', b'y')"))
    [denial] = denials(answer)
    assert denial["layer"] == "seccomp" and denial["what"] == "setxattr" and "every other" in denial["hint"], denial
    # What was answered with success was refused to nobody.
    assert denials(execute(FORGE, args=[[{"errno": "EPERM", "call": "fsync", "arguments": [3]}]])) == []


def test_forged_claims_cannot_speak_for_the_kernel(execute):
    # What the policy does refuse may be claimed: true of the policy, whoever says it, in our words and bounded.
    long = "/etc/" + "x" * 100_000
    answer = execute(FORGE, args=[[{"errno": "EPERM", "call": "socket", "arguments": [2, 1, 0], "hint": "lies"}, {"errno": "EROFS", "path": long}]])
    told = denials(answer)
    assert told[0] == {"layer": "seccomp", "what": "socket(AF_INET)", "hint": "profile 'default' has network = \"none\""}
    assert told[1]["what"].startswith("write to /etc/xxx") and len(told) == 2
    # Processes and memory are the kernel's to count.
    for claim in ({"errno": "EAGAIN"}, {"errno": "ENOMEM"}):
        assert denials(execute(FORGE, args=[[claim]])) == []
    assert denials(execute(failing("raise MemoryError()"))) == []
    assert denials(execute(failing("raise BlockingIOError(11, 'no more threads')"))) == []
    # Nor can fields of the answer be forged beside the claims.
    forge = FORGE.replace('"refusals": refusals', '"denials": refusals')
    assert "denials" not in execute(forge, args=[[{"layer": "cgroup", "what": "lies", "hint": "lies"}]]).error


def test_hostile_exceptions_cost_only_their_own_denials(execute):
    hostile = """
    class Odd(PermissionError):
        @property
        def errno(self): raise KeyError
    raise Odd(1, "x")
    """
    answer = execute(failing(hostile))
    assert answer.code == "exception" and denials(answer) == []
    endless = "error = PermissionError(1, 'x', '/etc')\nerror.__cause__ = OSError(30, 'x', '/srv')\nerror.__cause__.__context__ = error\nraise error"
    assert {denial["what"] for denial in denials(execute(failing(endless)))} == {"access to /etc", "write to /srv"}
    surrogates = r"open('/\udcff\ud800', 'w')"
    assert execute(failing(surrogates)).code == "exception"


@pytest.mark.parametrize(("path", "words"), [
    ("/proc/meminfo", ["512MiB"]), ("/proc/cpuinfo", ["os.cpu_count()"]), ("/proc/stat", ["os.cpu_count()"]), ("/proc/uptime", ["time.monotonic()"]),
    ("/proc/version", ["platform.uname()"]), ("/proc/sys/kernel/hostname", []), ("/proc/../proc/./filesystems", []),
])
def test_what_every_host_has_below_proc_is_told_to_be_missing(execute, path, words):
    error = execute("def main(path):\n    return open(path).read()", args=[path]).error
    assert error["exception"] == "FileNotFoundError"
    [denial] = error["denials"]
    assert denial["layer"] == "filesystem" and "shows of /proc a job's own processes alone" in denial["hint"]
    assert all(word in denial["hint"] for word in words), denial


@pytest.mark.parametrize("path", ["/proc/self/nothing", "/proc/99999/status", "/proc/1/maps", "missing", "/etc/shadow", "/process"])
def test_what_is_merely_not_there_is_no_denial(execute, path):
    error = execute("def main(path):\n    return open(path).read()", args=[path]).error
    assert error["exception"] == "FileNotFoundError" and "denials" not in error
