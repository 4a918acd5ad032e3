"""What jobs share with one another and with the host: the kernel's tables, and the files of the runtime."""

import re
from pathlib import Path

import pytest

WATCHING = """
import fcntl, select
def main():
    directory = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
    file = os.open(os.__file__, os.O_RDONLY)
    return {
        "inotify": [syscall(253), syscall(294, 0), syscall(254, 0, b"/usr", 1), syscall(255, 0, 1)],
        "fanotify": [syscall(300, 0, 0), syscall(301, 0, 1, 1, -100, b"/usr")],
        "dnotify": [attempt(fcntl.fcntl, directory, 1026, 0x80000001), syscall(72, directory, 1026, 1)],
        "lease": [attempt(fcntl.fcntl, file, fcntl.F_SETLEASE, fcntl.F_RDLCK), attempt(fcntl.fcntl, file, fcntl.F_GETLEASE)],
        "drop from memory": [attempt(os.posix_fadvise, file, 0, 0, os.POSIX_FADV_DONTNEED)],
    }
"""


@pytest.mark.layer("seccomp")
def test_what_other_jobs_open_cannot_be_watched(attempt, attempt_without):
    tried = attempt(WATCHING)
    assert {said for every in tried.values() for said in every} == {"EPERM"}, tried
    # No other layer stands behind this one, for the files are there to be read.
    assert attempt_without(WATCHING, "seccomp")["result"]["dnotify"][0] == "0"


@pytest.mark.layer("seccomp")
def test_what_is_refused_of_descriptors_is_only_that(attempt):
    attack = """
    import fcntl
    def main():
        fd = os.open("/tmp/x", os.O_RDWR | os.O_CREAT)
        read, write = os.pipe()
        fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_UN)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        memory = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        one, other = socket.socketpair()
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF, socket.SO_PASSCRED, socket.SO_REUSEADDR, socket.SO_KEEPALIVE):
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        one.settimeout(1)
        os.sync()
        return [fcntl.fcntl(write, fcntl.F_GETPIPE_SZ) > 0, fcntl.fcntl(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 50), fcntl.F_GETFD)]
    """
    assert attempt(attack) == [True, 1]


FILTERS = """
def main():
    accept_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xFFFF))
    program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(accept_all))
    one, _ = socket.socketpair()
    tried = [attempt(one.setsockopt, socket.SOL_SOCKET, option, program) for option in (26, 50, 51, 52)]
    # The upper halves of the registers, which the kernel does not read.
    return tried + [syscall(54, one.fileno(), (1 << 32) | 1, (1 << 32) | 26, program, len(program))]
"""


@pytest.mark.layer("seccomp")
def test_no_program_is_given_to_the_kernel(attempt, attempt_without):
    assert set(attempt(FILTERS)) == {"EPERM"}
    assert attempt_without(FILTERS, "seccomp")["result"][0] == "None"


@pytest.mark.layer("seccomp")
def test_huge_pages_which_no_limit_counts_are_not_to_be_had(attempt):
    attack = """
    def main():
        flags = 0x40000 | 0x22
        return [syscall(9, 0, 1 << 21, 3, flags, -1, 0), syscall(9, 0, 1 << 21, 3, flags | 21 << 26, -1, 0), syscall(9, 0, 1 << 21, 3, flags | 1 << 40, -1, 0),
                attempt(os.memfd_create, "x", 4), attempt(os.memfd_create, "x", 4 | 21 << 26)]
    """
    assert set(attempt(attack)) == {"EPERM"}


@pytest.mark.layer("seccomp")
def test_the_hosts_disks_cannot_be_made_to_wait(attempt):
    assert attempt("def main(): return [syscall(162), syscall(306, os.open(os.__file__, os.O_RDONLY))]") == ["EPERM", "EPERM"]


QUEUE = """
import signal
def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 65))
    information, queued, timers = struct.pack("iii", 34, 0, -1) + bytes(116), 0, 0
    children = 0
    for child in range(4):
        # In each of several processes, for the limit is of all that have the id.
        if os.fork() == 0:
            while syscall(129, os.getpid(), 34, information) == 0: pass
            signal.pause()
        children += 1
    while (said := syscall(129, os.getpid(), 34, information)) == 0: queued += 1
    timer = ctypes.c_int()
    while (timed := syscall(222, 0, None, ctypes.addressof(timer))) == 0: timers += 1
    return [queued, said, timers, timed]
"""


@pytest.mark.layer("rlimits")
def test_queued_signals_and_timers_are_few(attempt, attempt_without):
    # Without a bound of their own they count as the host's root's, who then has none left.
    queued, said, timers, timed = attempt(QUEUE)
    assert queued + timers <= 256 and (said, timed) == ("EAGAIN", "EAGAIN")
    assert attempt_without("def main(): return syscall(302, 0, 11, struct.pack('QQ', 9999, 9999), None)", "seccomp")["result"] == "EPERM"


@pytest.mark.layer("launcher")
def test_a_job_that_stops_and_continues_keeps_nobody_else_busy(service, execute):
    def main():
        import os
        import signal

        me = os.getpid()
        rounds = 3000
        child = os.fork()
        if child == 0:
            for _ in range(rounds):
                os.kill(me, signal.SIGSTOP)
                os.kill(me, signal.SIGCONT)
            os._exit(0)
        return [rounds, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]

    # Whoever forked the job is its parent, and would be told of each stop.
    parents = service.zygotes() or [service.launcher()]

    def wakeups():
        return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) for pid in parents)

    before = wakeups()
    assert execute(main).result == [3000, 0]
    assert wakeups() - before < 500
