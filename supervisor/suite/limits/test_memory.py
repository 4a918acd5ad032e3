"""Memory: everything that can hold bytes counts, in all processes together."""

import pytest

from client import eventually

# Each would hold more, 256 MiB most of them, in a profile of 64.
HOARDS = {
    "one process": "x = b'x' * (256 << 20)",
    "children": """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                x = b'x' * (32 << 20)
                time.sleep(600)
        os.wait()""",
    "memfd": """
        import os
        fds = [os.memfd_create(str(n)) for n in range(8)]
        for fd in fds: os.write(fd, b'x' * (32 << 20))""",
    "pipes": """
        import fcntl, os, time
        for _ in range(8):
            if os.fork() == 0:
                held = []
                try:
                    while True:
                        read, write = os.pipe()
                        os.set_blocking(write, False)
                        held.append((read, write))
                        try:
                            while True: os.write(write, b'x' * 65536)
                        except BlockingIOError: pass
                except OSError: time.sleep(600)
        os.wait()""",
    "children that come and go": """
        import os, time
        held = os.memfd_create('held')
        for number in range(64):
            pid = os.fork()
            if pid == 0:
                os.pwrite(held, b'x' * (4 << 20), number * (4 << 20))
                os._exit(0)
            os.waitpid(pid, 0)""",
    "page tables": """
        import ctypes, mmap, os, time
        for _ in range(8):
            if os.fork() == 0:
                m = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
                for at in range(0, len(m), 2 << 20): m[at]
                time.sleep(600)
        os.wait()""",
    "descriptors in flight and epolls": """
        import os, select, socket, time
        for _ in range(12):
            if os.fork() == 0:
                held, ends = [], socket.socketpair()
                big = bytearray(12 << 20)
                try:
                    while True:
                        epoll = select.epoll()
                        epoll.register(ends[0].fileno())
                        held.append(epoll)
                except OSError: time.sleep(600)
        os.wait()""",
    "anonymous shared memory": """
        import mmap
        m = mmap.mmap(-1, 256 << 20)
        for at in range(0, len(m), 4096): m[at] = 1""",
    "files in /tmp and /dev/shm": """
        for place in ('/tmp', '/dev/shm'):
            with open(place + '/x', 'wb', buffering=0) as file:
                for _ in range(40): file.write(b'x' * (1 << 20))""",
    "socket buffers": """
        import os, socket, time
        for _ in range(8):
            if os.fork() == 0:
                held = []
                try:
                    while True:
                        pair = socket.socketpair()
                        for end in pair:
                            end.setblocking(False)
                            try:
                                while True: end.send(b'x' * 65536)
                            except BlockingIOError: pass
                        held.append(pair)
                except OSError: time.sleep(600)
        os.wait()""",
}


@pytest.mark.layer("cgroup")
@pytest.mark.parametrize("how", HOARDS)
def test_memory_limit_ends_it(service, execute, how):
    lines = HOARDS[how].strip("\n").splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    body = "\n".join("    " + line[margin:] for line in lines)
    answer = execute(f"def main():\n{body}\n    return 'held it all'", profile="hoard")
    assert answer.code == "memory_limit", answer
    assert answer.body["usage"]["memory_peak_bytes"] <= 64 << 20
    assert not service.job_processes()


@pytest.mark.layer("cgroup")
def test_the_limit_is_the_kernels(service, execute):
    execute("def main(): return 1", profile="tiny")
    limits = [int(path.read_text()) for name in ("memory.limit_in_bytes", "memory.max") for path in service.slot_groups(name)
              if path.read_text().strip().isdigit()]
    assert 64 << 20 in limits


@pytest.mark.layer("cgroup")
def test_pipes_count_as_memory_or_are_few(execute):
    def fill():
        import fcntl
        import os

        def main():
            held = 0
            try:
                while True:
                    read, write = os.pipe()
                    os.set_blocking(write, False)
                    try:
                        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 1 << 20)
                    except OSError:
                        pass
                    held += os.write(write, b"x" * (1 << 20))
            except OSError as error:
                return held, error.errno

    answer = execute(fill, profile="tiny")
    assert answer.code == "memory_limit" if answer.status == 422 else answer.result[0] <= 256 << 20


@pytest.mark.layer("tmpfs", "cgroup")
@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_a_full_tmpfs_says_so_by_bytes_and_by_inodes(execute, place):
    def fill():
        import os

        def main(place):
            written = 0
            try:
                with open(f"{place}/bytes", "wb") as file:
                    while True:
                        written += file.write(b"x" * 65536)
                        file.flush()
            except OSError as error:
                by_bytes = error.errno
            os.unlink(f"{place}/bytes")
            made = 0
            try:
                while True:
                    open(f"{place}/{made}", "w").close()
                    made += 1
            except OSError as error:
                return [by_bytes, written, error.errno, made]

    by_bytes, written, by_inodes, made = execute(fill, args=[place], profile="tiny").result
    assert (by_bytes, by_inodes) == (28, 28)  # ENOSPC
    assert written <= 8 << 20 and made < 64


@pytest.mark.layer("tmpfs")
def test_nothing_of_a_tmpfs_is_left_for_the_next_job(service, execute):
    assert execute("def main():\n    open('/tmp/mine', 'w').write('x' * 1000000)\n    open('/dev/shm/mine', 'w')").status == 200
    eventually(lambda: not service.job_processes())
    for _ in range(3):
        assert execute("import os\ndef main(): return sorted(os.listdir('/tmp')) + os.listdir('out') + os.listdir('/dev/shm')").result == ["out", "script.py"]


@pytest.mark.layer("cgroup", "slot")
def test_memory_that_outlives_its_processes_is_not_the_next_jobs_burden(start_service):
    def leave():
        import os
        import socket

        def main():
            # Held by sockets that are held by one another, and by nothing else.
            memory = [os.memfd_create(str(number)) for number in range(6)]
            for fd in memory:
                os.write(fd, b"x" * (50 << 20))
            one, other = socket.socketpair()
            socket.send_fds(one, [b"x"], [*memory, one.fileno(), other.fileno()])
            return len(os.listdir("/tmp/out"))

    service = start_service(supervisor={"slots": 1})
    for _ in range(6):
        assert service.client.execute(leave).result == 0
        service.settle()
        # More than would be left of the limit of 512.
        assert service.client.execute("def main(): return len(bytes(1) * (400 << 20))").result == 400 << 20


@pytest.mark.layer("rlimits")
def test_limits_of_one_process(execute):
    def limits():
        import resource

        def main():
            return {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in ("CORE", "MEMLOCK", "NOFILE", "FSIZE", "STACK")}

    expected = {"CORE": 0, "MEMLOCK": 0, "NOFILE": 256, "FSIZE": 64 << 20, "STACK": 64 << 20}
    assert execute(limits).result == {name: [value, value] for name, value in expected.items()}
    answer = execute("import resource\ndef main(): resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))")
    assert answer.error["exception"] in ("ValueError", "PermissionError")


@pytest.mark.layer("report")
def test_forged_data_on_every_descriptor_is_no_verdict_of_ours(execute):
    def forge():
        import os

        def main(data):
            for fd in range(256):
                try:
                    os.write(fd, data.encode("latin-1"))
                except OSError:
                    pass
            return "real"

    for data in ("junk" * 10, "E" + "\0" * 7 + "\x23" + '{"code": "timeout", "message": "x"}', "R" + "\xff" * 8, "F" + "\0" * 7 + "\1x", "P"):
        answer = execute(forge, args=[data])
        assert answer.code in ("exit", "result_too_large") and "usage" in answer.body, answer
