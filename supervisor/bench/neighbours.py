"""What one client's small jobs wait while another's do their worst, each kind of it within its limits.

Run as a program it is that other client: arguments are the port and the number of connections, standard input is the body of
its requests. It asks again and again until it is told to end, and then prints how it was answered, by status.
"""

import asyncio
import collections
import json
import signal
import subprocess
import sys
import textwrap
import time

NEIGHBOUR, ASKER = "127.0.0.1", "127.0.0.2"
JOBS = 31
# Milliseconds between an answer and the next request of the one who asks.
PAUSE = 5
ASKED = "def main():\n    return 2 + 2"
# Longer than this is a failure, whatever comes.
PATIENCE = 60

THREADS = """
import threading
def main():
    for _ in range(60):
        threading.Thread(target=work, daemon=True).start()
    work()
"""

KINDS = {
    "one loop": "def main():\n    while True: pass",
    "60 threads": "def work():\n    while True: pass\n" + THREADS,
    "60 processes": """
        import os
        def main():
            for _ in range(60):
                if os.fork() == 0: break
            while True: pass
    """,
    "memory bandwidth": """
        import numpy
        def main():
            source = numpy.ones(20_000_000)
            to = numpy.empty_like(source)
            while True: numpy.copyto(to, source)
    """,
    "page faults": """
        import mmap
        def main():
            while True:
                with mmap.mmap(-1, 200 << 20) as area:
                    for place in range(0, 200 << 20, 4096): area[place] = 1
    """,
    "mappings of threads": """
        import mmap
        def work():
            while True:
                with mmap.mmap(-1, 1 << 20) as area: area[0] = area[1 << 19] = 1
    """ + textwrap.indent(THREADS, " " * 8),
    "fork and exit": """
        import os
        def main():
            while True:
                if (child := os.fork()) == 0: os._exit(0)
                os.waitpid(child, 0)
    """,
    "fork bomb": """
        import os
        def main():
            while True:
                try: os.fork()
                except OSError: pass
    """,
    "fork tree": """
        import os
        def main():
            for _ in range(5):
                os.fork()
            while True:
                try:
                    if os.fork() == 0: os._exit(0)
                    os.wait()
                except OSError: pass
    """,
    "starts that are refused": """
        import subprocess, sys
        def main():
            while True:
                try: subprocess.run([sys.executable, "-S", "-c", ""])
                except OSError: pass
    """,
    "files": """
        import os
        def main():
            while True:
                for number in range(4000): os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
                for number in range(4000): os.unlink(f"/tmp/{number}")
    """,
    "names that are not there": """
        import os
        def main():
            number = 0
            while True:
                number += 1
                os.path.exists(f"/usr/lib/{number}")
    """,
    "reads of the runtime": """
        import os
        def main():
            files = [os.path.join(where, name) for where, _, names in os.walk("/usr") for name in names]
            while True:
                for path in files:
                    try:
                        with open(path, "rb", buffering=0) as file:
                            while file.read(1 << 20): pass
                    except OSError: pass
    """,
    "direct reads": """
        import glob, mmap, os
        def main():
            path = max(glob.glob("/usr/lib/python3*/**/*.so*", recursive=True), key=os.path.getsize)
            area, size = mmap.mmap(-1, 1 << 20), os.path.getsize(path)
            try: file = os.open(path, os.O_RDONLY | os.O_DIRECT)
            except OSError: file = os.open(path, os.O_RDONLY)
            while True:
                for place in range(0, size - (1 << 20), 1 << 20): os.preadv(file, [area], place)
    """,
    "fsync": """
        import os
        def main():
            file = os.open(os.__file__, os.O_RDONLY)
            while True:
                try: os.fsync(file)
                except OSError: pass
    """,
    "record locks": """
        import fcntl, json, os, struct
        def main():
            files = [os.open(path, os.O_RDONLY) for path in (os.__file__, json.__file__)]
            place = 0
            while True:
                place += 2
                for file in files:
                    for ask in (fcntl.F_SETLK, fcntl.F_GETLK):
                        try: fcntl.fcntl(file, ask, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, place % 16000, 1, 0))
                        except OSError: pass
    """,
    "access lists": """
        import os, struct
        def main():
            entry = lambda tag, number: struct.pack("<HHI", tag, 7, number)
            nobody = 0xFFFFFFFF
            text = struct.pack("<I", 2) + entry(1, nobody) + entry(2, 1000) * 8180 + entry(4, nobody) + entry(16, nobody) + entry(32, nobody)
            try: os.setxattr("/tmp", "system.posix_acl_default", text)
            except OSError: pass
            while True:
                for number in range(1500): os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
                for number in range(1500): os.unlink(f"/tmp/{number}")
    """,
    "pipes back and forth": """
        import os
        def main():
            (read, write), (read_back, write_back) = os.pipe(), os.pipe()
            if os.fork() == 0:
                while True: os.read(read, 1), os.write(write_back, b"x")
            while True: os.write(write, b"x"), os.read(read_back, 1)
    """,
    "sockets in sockets": """
        import socket
        def main():
            while True:
                for _ in range(60):
                    one, other = socket.socketpair()
                    try: socket.send_fds(one, [b"x"], [one.fileno(), other.fileno()])
                    except OSError: pass
                    one.close(), other.close()
    """,
    "memory barriers": """
        import ctypes
        call = ctypes.CDLL(None).syscall
        def work():
            while True: call(324, 1, 0, 0)
    """ + textwrap.indent(THREADS, " " * 8),
    "yields": "import os\ndef work():\n    while True: os.sched_yield()\n" + THREADS,
    "timers": """
        import ctypes, signal, struct, time
        call = ctypes.CDLL(None).syscall
        def main():
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            timer = ctypes.c_int()
            for _ in range(250):
                if call(222, 1, struct.pack("qiii", 0, 14, 0, 0) + bytes(44), ctypes.byref(timer)) == 0:
                    call(223, timer.value, 0, struct.pack("qqqq", 0, 1, 0, 1), None)
            while True: time.sleep(0.001)
    """,
    "output": """
        import os
        def main():
            while True: os.write(1, b"x" * 65536)
    """,
    "stop and continue": """
        import os, signal
        def main():
            parent = os.getpid()
            if os.fork() == 0:
                while True: os.kill(parent, signal.SIGSTOP), os.kill(parent, signal.SIGCONT)
            while True: pass
    """,
    "ends at once": "import os\ndef main():\n    os.abort()",
    "memory limit": """
        def main():
            area = bytearray(700 << 20)
            for place in range(0, 700 << 20, 4096): area[place] = 1
    """,
    "60 big processes end": """
        import mmap, os, time
        def main():
            area = mmap.mmap(-1, 256 << 20)
            for place in range(0, 256 << 20, 4096): area[place] = 1
            for _ in range(60):
                if os.fork() == 0: time.sleep(9)
            time.sleep(0.3)
    """,
    "many files left": """
        import os
        def main():
            for number in range(4000): os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
            with open("/dev/shm/file", "wb") as file: file.write(b"x" * (60 << 20))
    """,
    "files in the answer": """
        def main():
            for number in range(64):
                with open(f"out/{number}", "wb") as file: file.write(b"x" * 131_000)
    """,
    "large results": "def main():\n    return 'x' * 8_000_000",
}
KINDS = {kind: textwrap.dedent(script) for kind, script in KINDS.items()}


def measure(service, kinds, jobs, seconds):
    """For each kind what the one who asks saw, and before and after all of them with no neighbour ("alone")."""
    port = int(service.address.rpartition(":")[2])
    rows = {"alone": asyncio.run(ask(port, seconds))}
    for kind in kinds:
        rows[kind] = beside(port, KINDS[kind], jobs, seconds)
        told = ", ".join(f"{name} {rows[kind][name] or 0:.1f} ms" for name in ("p50", "p99", "max"))
        print(f"beside {jobs} of {kind}: {told}, failed: {rows[kind]['failed'] or 0}", file=sys.stderr, flush=True)
        service.settle(within=120)
    rows["alone, after"] = asyncio.run(ask(port, seconds))
    for row in rows.values():
        row["p99 to alone"] = row["p99"] / rows["alone"]["p99"] if row["p99"] and rows["alone"]["p99"] else None
    return rows


def beside(port, script, jobs, seconds):
    command = [sys.executable, "-B", __file__, str(port), str(jobs)]
    neighbour = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        neighbour.stdin.write(json.dumps({"script": script}))
        neighbour.stdin.close()
        assert neighbour.stdout.readline() == "asking\n"
        time.sleep(1)
        row = asyncio.run(ask(port, seconds))
    finally:
        neighbour.send_signal(signal.SIGTERM)
        answers = neighbour.stdout.read()
        neighbour.wait()
    return {**row, "neighbour": json.loads(answers)}


async def ask(port, seconds):
    """One small job after another for so many seconds: their latencies in milliseconds, and what failed."""
    body, times, failed = json.dumps({"script": ASKED}).encode(), [], collections.Counter()
    end, connection = time.monotonic() + seconds, None
    while time.monotonic() < end or not times and not failed:
        begun = time.perf_counter()
        try:
            connection = connection or await asyncio.open_connection(NEIGHBOUR, port, local_addr=(ASKER, 0))
            status = await asyncio.wait_for(request(*connection, body), PATIENCE)
            times.append((time.perf_counter() - begun) * 1000)
            if status != 200:
                failed[str(status)] += 1
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            failed[type(error).__name__] += 1
            if connection:
                connection[1].close()
            connection = None
        await asyncio.sleep(PAUSE / 1000)
    if connection:
        connection[1].close()
    times.sort()
    at = lambda part: times[min(len(times) - 1, int(len(times) * part))] if times else None
    return {"requests": len(times), "failed": dict(failed), "p50": at(0.5), "p99": at(0.99), "max": at(1)}


async def request(reader, writer, body):
    """The status of the answer to one POST /execute, which is read to its end."""
    writer.write(b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in head[1:] if line)
    if b"content-length" in fields:
        await reader.readexactly(int(fields[b"content-length"]))
    else:
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head[0].split()[1])


async def be_the_neighbour(port, jobs, body):
    answers = collections.Counter()

    async def client():
        while True:
            try:
                reader, writer = await asyncio.open_connection(NEIGHBOUR, port, local_addr=(NEIGHBOUR, 0))
                while True:
                    status = await request(reader, writer, body)
                    answers[str(status)] += 1
                    if status in (429, 503):
                        await asyncio.sleep(0.2)
            except (OSError, EOFError) as error:
                answers[type(error).__name__] += 1
                await asyncio.sleep(0.1)

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    clients = [asyncio.create_task(client()) for _ in range(jobs)]
    print("asking", flush=True)
    await ended.wait()
    for each in clients:
        each.cancel()
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    asyncio.run(be_the_neighbour(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer.read()))
