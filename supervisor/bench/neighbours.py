"""The worst of each kind that a job can do to its neighbours within its limits, by name: each a script for many requests.

The suite runs them to see that nobody else's requests fail, the benchmarks to see what they cost.
"""

KINDS = {
    "one process spins": """
def main():
    while True: pass
""",
    "threads spin": """
import threading
def spin():
    while True: pass
def main():
    for _ in range(60): threading.Thread(target=spin, daemon=True).start()
    spin()
""",
    "processes spin": """
import os
def main():
    for _ in range(60):
        if os.fork() == 0: break
    while True: pass
""",
    "fork bomb": """
import os
def main():
    while True:
        try: os.fork()
        except OSError: pass
""",
    "forks and exits": """
import os
def main():
    while True:
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
""",
    "memory bandwidth": """
import numpy
def main():
    source = numpy.ones(20_000_000)
    target = numpy.empty_like(source)
    while True: numpy.copyto(target, source)
""",
    "page faults": """
import mmap
def main():
    while True:
        with mmap.mmap(-1, 200 << 20) as memory:
            for page in range(0, len(memory), 4096): memory[page] = 1
""",
    "threads map and unmap": """
import mmap, threading
def map_and_unmap():
    while True:
        with mmap.mmap(-1, 1 << 20) as memory: memory[0] = memory[1 << 19] = 1
def main():
    for _ in range(30): threading.Thread(target=map_and_unmap, daemon=True).start()
    map_and_unmap()
""",
    "files come and go": """
import os
def main():
    names = [f"/tmp/{number}" for number in range(3000)]
    while True:
        for name in names: os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        for name in names: os.unlink(name)
""",
    "names that are not there": """
import itertools, os
def main():
    for number in itertools.count(): os.path.exists(f"/usr/lib/{number}")
""",
    "pipes back and forth": """
import os
def main():
    (there_out, there_in), (back_out, back_in) = os.pipe(), os.pipe()
    if os.fork() == 0:
        while True: os.write(back_in, os.read(there_out, 1))
    while True:
        os.write(there_in, b"x")
        os.read(back_out, 1)
""",
    "sockets that hold one another": """
import socket
def main():
    while True:
        for _ in range(60):
            one, other = socket.socketpair()
            socket.send_fds(one, [b"x"], [one.fileno(), other.fileno()])
            one.close()
            other.close()
""",
    "threads yield": """
import os, threading
def give_way():
    while True: os.sched_yield()
def main():
    for _ in range(60): threading.Thread(target=give_way, daemon=True).start()
    give_way()
""",
    "output without end": """
import os
def main():
    while True: os.write(1, b"x" * 65536)
""",
    "stops and continues itself": """
import os, signal
def main():
    own = os.getpid()
    if os.fork() == 0:
        while True:
            os.kill(own, signal.SIGSTOP)
            os.kill(own, signal.SIGCONT)
    while True: pass
""",
    "ends at once": """
import os
def main(): os.abort()
""",
    "out of memory": """
def main():
    memory = bytearray(700 << 20)
    for page in range(0, len(memory), 4096): memory[page] = 1
""",
    "many processes with much memory end": """
import mmap, os, time
def main():
    memory = mmap.mmap(-1, 256 << 20)
    for page in range(0, len(memory), 4096): memory[page] = 1
    for _ in range(60):
        if os.fork() == 0: time.sleep(9)
    time.sleep(0.3)
""",
    "leaves many files and much memory": """
import os
def main():
    for number in range(4000): os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
    with open("/dev/shm/large", "wb") as file: file.write(b"x" * (60 << 20))
""",
    "returns many files": """
def main():
    for number in range(64):
        with open(f"out/{number}", "wb") as file: file.write(b"x" * 131000)
""",
    "returns much": """
def main(): return "x" * 8_000_000
""",
}
