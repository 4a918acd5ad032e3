"""Printing: "nothing that was printed is lost, whatever ends the job; lines are not torn by other threads or processes, and the order of a program's output is kept".

What is printed is with the kernel when `print` returns, a print as one write.
"""

import os

import pytest

NUMBER = 200

# Each adds one line or a part of one, in its own way.
WRITERS = {
    "print": "print('{}')",
    "print of parts": "print('{}', end=''); print(end='\\n')",
    "print of objects": "print(Odd('{}'), end='', sep=''); print()",
    "print and flush": "print('{}', flush=True)",
    "write of text": "sys.stdout.write('{}'); sys.stdout.write('\\n')",
    "lines of text": "sys.stdout.writelines(['{}', '\\n'])",
    "write of bytes": "sys.stdout.buffer.write(b'{}'); sys.stdout.buffer.write(b'\\n')",
    "write of raw bytes": "sys.stdout.buffer.raw.write(b'{}\\n')",
    "os.write": "os.write(1, b'{}\\n')",
    "os.writev": "os.writev(1, [b'{}', b'\\n'])",
    "os.write of a part": "os.write(1, b'{}'); print()",
    "another file": "other.write('{}\\n'); other.flush()",
    "another descriptor": "os.write(duplicate, b'{}\\n')",
    "write in C": "libc.write(1, b'{}\\n', len('{}\\n'))",
    "a line of C": "libc.puts(b'{}')",
    "a part of C, flushed": "libc.printf(b'{}'); libc.fflush(None); print()",
    "a part of C": "libc.printf(b'{}'); print()",
    "a thread": "thread = threading.Thread(target=print, args=('{}',)); thread.start(); thread.join()",
    "a fork": "child = os.fork()\n    if not child:\n        print('{}')\n        os._exit(0)\n    os.waitpid(child, 0)",
    "a program": "subprocess.run([sys.executable, '-c', 'print(\"{}\")'], check=True)",
}
PREPARED = """import ctypes, os, subprocess, sys, threading
class Odd(str):
    def __str__(self): return str.__str__(self)
libc = ctypes.CDLL(None)
duplicate = os.dup(1)
other = open(1, 'w', closefd=False)
def main():
    """


def test_each_that_writes_is_heard_in_the_order_of_the_program(execute):
    ways = list(WRITERS)
    # Each behind each of the others that are not too slow to be had so often, and in front of it.
    order = ways + ways[::-1] + [way for other in ways[:-2] for way in (other, "print of parts", other, "os.write of a part")]
    lines = [f"{number}: {way}" for number, way in enumerate(order)]
    script = PREPARED + "\n    ".join(WRITERS[way].replace("{}", line) for way, line in zip(order, lines))
    answer = execute(script)
    assert answer.stdout.splitlines() == lines, answer.body.get("error")


def test_what_is_printed_while_a_print_puts_itself_together_comes_where_python_has_it(execute):
    def main():
        class Loud:
            def __init__(self, name, fails=False):
                self.name, self.fails = name, fails

            def __str__(self):
                print("<", self.name, ">", sep="", end="")
                if self.fails:
                    raise KeyError(self.name)
                return self.name

        print("a", Loud("b"), "c", Loud("d"))
        print(Loud("e"), [1], sep="-")
        try:
            print("f", Loud("g"), "h", Loud("i", fails=True), "j")
        except KeyError as error:
            return [str(error)]

    answer = execute(main)
    assert answer.stdout == "a <b>b c <d>d\n<e>e-[1]\nf <g>g h <i>" and answer.result == ["'i'"]


THREADS = """
import sys, threading
class Slow:
    def __init__(self, text): self.text = text
    def __str__(self): return "".join(part for part in self.text)
def work(name):
    for number in range({number}):
        {line}
def main():
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(str(name) * 30,)) for name in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@pytest.mark.parametrize("line", [
    "print('line', name, number)",
    "print('line', Slow(name), number, sep=' ')",
    "print(f'line {name}', end=f' {number}\\n')",
    "sys.stdout.write(f'line {name} {number}\\n')",
])
def test_lines_of_threads_are_whole(execute, line):
    answer = execute(THREADS.format(number=NUMBER, line=line))
    assert sorted(answer.stdout.splitlines()) == sorted(f"line {str(name) * 30} {number}" for name in range(8) for number in range(NUMBER))


@pytest.mark.parametrize("length", [1, 80, 4095])
def test_lines_of_processes_are_whole(execute, length):
    # More of them than a pipe holds at once, and of two and more a print.
    def main(length, number):
        import multiprocessing

        def work(name):
            for _ in range(number):
                print("\n".join([name * length] * 3))

        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(name,)) for name in "abcd"]
        for child in children:
            child.start()
        for child in children:
            child.join()

    answer = execute(main, args=[length, 20])
    lines = answer.stdout.splitlines()
    assert {len(line) for line in lines} == {length} and all(len(set(line)) == 1 for line in lines)
    assert sorted(line[0] for line in lines) == sorted("abcd" * 60)


@pytest.mark.parametrize(("ending", "code"), [
    ("time.sleep(600)", "timeout"),
    ("while True: pass", "timeout"),
    ("os._exit(3)", "exit"),
    ("os.abort()", "killed"),
    ("ctypes.string_at(0)", "killed"),
    ("os.kill(os.getpid(), 9)", "killed"),
    ("kept = [bytearray(1 << 20) for _ in range(1 << 20)]", "memory_limit"),
    ("threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(600)", "exit"),
    ("os.fork() or os.kill(os.getppid(), 9); time.sleep(600)", "killed"),
    ("os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(4)'])", "exit"),
    ("sys.stdout.close(); os._exit(0)", "exit"),
    ("os.close(3); os._exit(0)", "exit"),
])
def test_parts_of_lines_are_not_lost_whatever_ends_the_job(execute, ending, code):
    script = f"""import ctypes, os, sys, threading, time
def main():
    for number in range(1000):
        print(number)
    print("a", "part", end="")
    sys.stdout.write(", another")
    print("err", end="", file=sys.stderr)
    {ending}"""
    answer = execute(script, **({"timeout_ms": 3000} if code == "timeout" else {}))
    assert answer.code == code, answer.body
    assert answer.stdout == "".join(f"{number}\n" for number in range(1000)) + "a part, another" and answer.stderr.startswith("err")


@pytest.mark.parametrize(("replaced", "printed"), [
    ("sys.stdout = io.StringIO()\n    print('a')\n    sys.__stdout__.write('b')", "b"),
    ("with contextlib.redirect_stdout(io.StringIO()): print('a')\n    print('b')", "b\n"),
    ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-16-le')\n    print('a')\n    sys.stdout.flush()", "a\0\n\0"),
    ("sys.stdout = io.TextIOWrapper(sys.stdout.detach(), 'utf-8')\n    print('a')\n    sys.stdout.flush()", "a\n"),
    ("sys.stdout = open(1, 'w', closefd=False)\n    print('a')\n    sys.stdout.flush()", "a\n"),
    ("sys.stdout.reconfigure(encoding='latin-1', newline='\\r\\n')\n    print('a')", "a\r\n"),
    ("sys.stdout.reconfigure(errors='replace', encoding='ascii')\n    print('\\u00e4')", "?\n"),
    ("print('a', file=sys.stderr, flush=True)\n    os.dup2(1, 2)\n    print('b', file=sys.stderr)", "b\n"),
    ("kept = os.dup(1)\n    os.dup2(os.open('f', os.O_CREAT | os.O_WRONLY), 1)\n    print('a')\n    os.dup2(kept, 1)\n    print('b', open('f').read())", "b a\n\n"),
    ("sys.stdout.write = lambda text: os.write(1, b'<' + text.encode() + b'>')\n    print('a')", "<a><\n>"),
    ("with mock.patch('sys.stdout.write') as write: print('a', 'b')\n    print(write.mock_calls)", "[call('a'), call(' '), call('b'), call('\\n')]\n"),
    ("with mock.patch('builtins.print') as fake: builtins.print('a')\n    print(fake.mock_calls)", "[call('a')]\n"),
    ("sys.stdout.buffer.close()\n    try: print('a')\n    except ValueError as error: os.write(1, str(error).encode())", "I/O operation on closed file."),
    ("buffer = sys.stdout.buffer\n    buffer.close()\n    try: buffer.write(b'a')\n    except ValueError as error: os.write(1, b'closed')", "closed"),
    ("sys.stdout.buffer.detach()\n    try: print('a')\n    except ValueError as error: os.write(1, b'detached')", "detached"),
    ("sys.stdout.buffer.write = lambda data: os.write(1, b'<' + data + b'>')\n    print('a')", "<a><\n>"),
    ("sys.stdout.reconfigure(write_through=False)\n    print('a')\n    os.write(1, b'b')\n    sys.stdout.flush()", "ba\n"),
    ("print(type(sys.stdout), repr(sys.stdout), sys.stdout.buffer.name, sep='|')", "<class '_io.TextIOWrapper'>|<_io.TextIOWrapper name='<stdout>' mode='w' encoding='utf-8'>|<stdout>\n"),
    ("os.close(1)\n    try: print('a')\n    except OSError as error: print(error.errno, file=sys.stderr); sys.stderr.flush(); os.dup2(2, 1)", ""),
    ("type(sys.stdout.buffer)(io.FileIO(1, closefd=False, mode='w')).write(memoryview(b'abcd')[::1])", "abcd"),
    ("try: sys.stdout.buffer.write('a')\n    except TypeError as error: print(error)", "a bytes-like object is required, not 'str'\n"),
    ("try: print('a', 'b', sep=1)\n    except TypeError as error: print(error)", "sep must be None or a string, not int\n"),
    ("try: print('a', size=1)\n    except TypeError: print('refused')", "refused\n"),
    ("print(*[None, True, 1.5, 10**20, b'a', 'b'], sep=None, end=None, file=None)", "None True 1.5 100000000000000000000 b'a' b\n"),
    ("print()\n    print('', end='')\n    print('a', end='b', flush=1)\n    print('\\u20ac\\ud800')", "\nab\u20ac\\ud800\n"),
    ("print(pickle.loads(pickle.dumps(print)) is print, print.__module__, print.__name__, inspect.signature(print).parameters['sep'].default == ' ')", "True builtins print True\n"),
    ("print(isinstance(sys.stdout, io.TextIOWrapper), isinstance(sys.stdout.buffer, io.BufferedWriter), sys.stdout.fileno(), sys.stdout.isatty())", "True True 1 False\n"),
    ("functools.partial(print, 'a', end='')('b')\n    list(map(print, 'cd'))", "a bc\nd\n"),
])
def test_streams_and_print_are_pythons(execute, replaced, printed):
    script = f"import builtins, contextlib, functools, inspect, io, os, pickle, sys\nfrom unittest import mock\ndef main():\n    {replaced}"
    answer = execute(script)
    assert answer.status == 200, answer.body
    assert answer.stdout == printed


def test_a_signal_comes_through_while_a_full_pipe_is_waited_for(execute):
    # The reader of what is printed is another thread of the same process.
    def main():
        import os
        import signal
        import threading

        kept = os.dup(1)
        read, write = os.pipe()
        os.dup2(write, 1)
        os.close(write)
        rung, parts = threading.Event(), []
        signal.signal(signal.SIGALRM, lambda *_: rung.set())
        signal.setitimer(signal.ITIMER_REAL, 0.05)

        def drain():
            rung.wait()
            while part := os.read(read, 1 << 16):
                parts.append(part)

        thread = threading.Thread(target=drain)
        thread.start()
        print("x" * 1_000_000)
        os.dup2(kept, 1)
        thread.join()
        return len(b"".join(parts))

    assert execute(main).result == 1_000_001


@pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 5), reason="pipes cannot be asked whether they would block")
def test_a_thread_that_computes_keeps_nobody_from_printing(execute):
    # Were the interpreter's lock given up for each print, each would wait for its turn of 5 ms, 50 seconds in all.
    def main():
        import threading

        ended = threading.Event()

        def compute():
            while not ended.is_set():
                pass

        thread = threading.Thread(target=compute)
        thread.start()
        for number in range(10_000):
            print(number)
        ended.set()
        thread.join()

    answer = execute(main)
    assert answer.status == 200 and len(answer.stdout.split()) == 10_000, answer.body


def test_nothing_of_how_it_is_done_is_left_for_the_script(execute):
    def main():
        import os
        import sys

        def is_open(number):
            try:
                return bool(os.fstat(number))
            except OSError:
                return False

        numbers, opened = [number for number in range(64) if is_open(number)], []
        for name in os.listdir("/proc/self/map_files"):
            try:
                opened.append(os.readlink(f"/proc/self/fd/{os.open(f'/proc/self/map_files/{name}', os.O_RDONLY)}"))
            except OSError:
                pass
        maps = [line.split()[-1] for line in open("/proc/self/maps") if "zygote" in line]
        return [numbers, [path for path in opened if "memfd" in path], maps, [name for name in sys.modules if "cloister" in name]]

    assert execute(main).result == [[0, 1, 2, 3], [], [], []]


@pytest.mark.parametrize("taken", ["del sys.stdout", "del sys.stderr, sys.__stdout__", "sys.stdout = None", "sys.stdout = 5"])
def test_a_stream_that_a_script_takes_away_takes_no_result_with_it(execute, taken):
    answer = execute(f"import sys\ndef main():\n    print('said')\n    {taken}\n    return 7")
    assert (answer.result, answer.stdout) == (7, "said\n")
