"""What a job opens anew by `/dev/stdin` and its kin is a pipe of its own: more rights to it give it nothing."""

import os

import pytest

from cells import CELLS
from client import eventually


def test_the_other_ends_are_the_jobs_own_loss(attempt):
    """Its standard streams the other way round: it reads what it wrote, and has written to itself what it reads."""
    said = attempt("""
    import fcntl, threading
    def main():
        back = os.open("/dev/stdout", os.O_RDONLY | os.O_NONBLOCK)
        # Whoever is first has it: the supervisor or the script.
        os.write(1, b"said")
        told = attempt(os.read, back, 100)
        forth = os.open("/dev/stdin", os.O_WRONLY)
        os.write(forth, b"to myself")
        os.close(forth)
        heard = os.read(0, 100).decode()
        both = os.open("/proc/self/fd/2", os.O_RDWR)
        return {"told": told, "heard": heard, "size": attempt(fcntl.fcntl, both, 1031, 1 << 20), "direct": attempt(os.open, "/dev/stdout", os.O_WRONLY | os.O_DIRECT),
                "mode": attempt(os.fchmod, 1, 0), "owner": attempt(os.fchown, 1, 1000, 1000), "path": attempt(os.chmod, "/dev/stdout", 0),
                "link": attempt(os.link, "/proc/self/fd/1", "/tmp/kept"), "mount": attempt(os.listdir, "/proc/self/fd/1/.."),
                "result": [attempt(os.open, "/proc/self/fd/3", flags) for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)]}
    """)
    assert said.pop("told") in ("EAGAIN", "b'said'") and said.pop("heard") == "to myself"
    assert said.pop("result") == ["EACCES"] * 3
    assert set(said.values()) <= {"EPERM", "ENOTDIR", "EXDEV", "EACCES"}, said


def test_ends_that_nobody_closes_keep_no_answer(service, client):
    """Each end is kept open in every way there is, by a child too: the answer comes, with all that was printed."""
    # What a session prints nobody in it opens to read.
    outputs = os.O_WRONLY if CELLS else os.O_RDWR

    def main(flags):
        import array
        import os
        import signal
        import socket

        ends = [os.open(f"/proc/self/fd/{number}", flag) for number, flag in enumerate(flags)]
        ours, theirs = socket.socketpair()
        # In flight to itself, where no process holds them.
        for one in (ours, theirs):
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [*ends, ours.fileno(), theirs.fileno()]))])
        if os.fork() == 0:
            os.setsid()
            while True:
                signal.pause()
        os.set_blocking(ends[1], False)
        os.set_blocking(1, True)
        print("x" * 100_000)
        return "ended"

    for _ in range(3):
        answer = client.execute(main, args=[[os.O_RDWR, outputs, outputs]])
        assert answer.result == "ended" and answer.stdout == "x" * 100_000 + "\n"
    eventually(lambda: not service.job_processes())


def test_a_full_pipe_of_ones_own_stalls_nobody_else(client, execute):
    """A job fills its own output and its own input, which it does not read, until its time is up; the next is served at once."""

    def main():
        import os
        import threading

        def fill(path):
            with open(path, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))

        for path in ("/dev/stdin", "/proc/self/fd/0"):
            threading.Thread(target=fill, args=[path], daemon=True).start()
        reader = os.open("/dev/stdout", os.O_RDONLY)
        while True:
            os.read(reader, 1)

    assert client.execute(main, timeout_ms=300, stdin="x" * 500_000).code == "timeout"
    assert execute("def main(): return 1").result == 1


@pytest.mark.layer("descriptors")
def test_another_process_has_no_way_to_them(attempt):
    """Nobody but who has an end finds it: not by the number of its process, in the job or beside it."""
    said = attempt("""
    import subprocess, sys
    def main():
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        tried = [attempt(os.open, f"/proc/{pid}/fd/{number}", os.O_RDWR) for pid in (1, 2, child.pid, os.getppid()) for number in range(4) if pid != os.getpid()]
        child.stdin.close()
        child.wait()
        return tried
    """)
    assert set(said) <= {"ENOENT", "EACCES", "EPERM"}, said
