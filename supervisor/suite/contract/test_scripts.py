"""Scripts as people write them: what Python promises them holds here too."""

import pytest

from client import script_of


def test_a_forked_childs_end_is_its_own(execute):
    def main():
        import os
        import sys

        ends = []
        for how in (lambda: sys.exit(3), lambda: os._exit(4), lambda: 1 / 0, lambda: None):
            pid = os.fork()
            if pid == 0:
                how()
                sys.exit(0)
            ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return ends

    answer = execute(main)
    assert answer.result == [3, 4, 1, 0]
    assert "ZeroDivisionError" in answer.stderr


def test_a_forked_child_that_returns_from_main_gives_no_result(execute):
    def main():
        import os

        pid = os.fork()
        if pid == 0:
            return "the child's"
        os.waitpid(pid, 0)
        return "the parent's"

    assert execute(main).result == "the parent's"


def test_multiprocessing_and_executors(execute):
    def script():
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        def square(x):
            return x * x

        def main():
            with multiprocessing.Pool(2) as pool:
                pooled = pool.map(square, range(4))
            with ProcessPoolExecutor(2) as processes:
                mapped = list(processes.map(square, range(4)))
            with ThreadPoolExecutor(2) as threads:
                threaded = list(threads.map(square, range(4)))
            return [pooled, mapped, threaded]

    assert execute(script).result == [[0, 1, 4, 9]] * 3


def test_shared_memory_and_managers(execute):
    def main():
        import multiprocessing
        from multiprocessing import shared_memory

        block = shared_memory.SharedMemory(create=True, size=1000)
        block.buf[0] = 7
        with multiprocessing.Manager() as manager:
            shared = manager.dict(x=1)
            worker = multiprocessing.Process(target=shared.update, args=({"y": block.buf[0]},))
            worker.start()
            worker.join()
            told = dict(shared)
        block.close()
        block.unlink()
        return told

    assert execute(main).result == {"x": 1, "y": 7}


def test_files_in_the_working_directory(execute):
    def main():
        import os
        import sqlite3
        import tempfile

        with open("note.txt", "w") as file:
            file.write("kept")
        database = sqlite3.connect("data.db")
        database.execute("create table t (x)")
        database.execute("insert into t values (1)")
        database.commit()
        with tempfile.NamedTemporaryFile() as scratch:
            inside = scratch.name.startswith("/tmp/")
        places = [os.getcwd(), os.path.expanduser("~"), sorted(os.listdir())]
        return [*places, inside, open("note.txt").read(), database.execute("select x from t").fetchone()]

    assert execute(main).result == ["/tmp", "/tmp", ["data.db", "note.txt", "out", "script.py"], True, "kept", [1]]


def test_the_script_is_the_main_module(execute):
    def script():
        import pickle
        import sys
        import typing
        from dataclasses import asdict, dataclass

        @dataclass
        class Point:
            x: int

        def main():
            copy = pickle.loads(pickle.dumps(Point(3)))
            found = sys.modules[__name__].main is main
            return [asdict(copy), str(typing.get_type_hints(Point)["x"]), __name__, __file__, sys.argv, found]

    answer = execute("from __future__ import annotations\n" + script_of(script))
    assert answer.result == [{"x": 3}, "<class 'int'>", "__main__", "/tmp/script.py", ["script.py"], True]


def test_source_can_be_inspected(execute):
    assert execute("import inspect\ndef main():\n    return inspect.getsource(main)").result == "def main():\n    return inspect.getsource(main)\n"


@pytest.mark.parametrize(
    "script",
    [
        "def main():\r\n    return 'ok'\r\n",
        "# -*- coding: latin-1 -*-\ndef main():\n    return 'ok'",
        "#!/usr/bin/env python3\n'''A docstring.'''\ndef main(): return 'ok'",
        "def main():\n\treturn 'ok'",
        "def ünïcödé(): return 'ok'\nmain = ünïcödé",
        "import functools\nmain = functools.partial(str, 'ok')",
        "class Callable:\n    def __call__(self): return 'ok'\nmain = Callable()",
        "class main:\n    def __new__(cls): return 'ok'",
        "len = print = str = dict = list = type = Exception = None\ndef main(): return 'ok'",
        "import builtins\nremove = delattr\nfor name in set(vars(builtins)) - {'__build_class__', '__import__'}: remove(builtins, name)\ndef main(): return 'ok'",
        "import signal\nfor n in (2, 13, 15, 17): signal.signal(n, signal.SIG_IGN)\ndef main(): return 'ok'",
        "import os, sys\nsys.stdin.close()\nsys.stdout.close()\nsys.stderr.close()\nfor fd in (0, 1, 2): os.close(fd)\ndef main(): return 'ok'",
        "import sys\nsys.stdout = sys.stderr = sys.stdin = object()\ndef main(): return 'ok'",
        "import os\nos.chdir('/')\nos.environ.clear()\ndef main(): return 'ok'",
        "import os\nos.setsid = os.setpgid(0, 0) if os.getpgid(0) != os.getpid() else None\ndef main(): return 'ok'",
        "import gc\ngc.disable()\ndef main(): return 'ok'",
    ],
)
def test_a_script_that_is_odd_but_right(execute, script):
    assert execute(script).result == "ok"


def test_numbers_of_any_size_both_ways(client):
    # More digits than Python converts unasked: sys.get_int_max_str_digits().
    digits = "7" * 6000
    body = '{"script": "def main(x): return [x, -x]", "args": [%s]}' % digits
    reply = client.http.post("/execute", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 200, reply.text[:500]
    assert f'"result":[{digits},-{digits}]' in reply.text


def test_main_is_called_as_asked(execute):
    missing = execute("def main(a, *, b): return a")
    assert missing.code == "exception" and missing.error["exception"] == "TypeError"
    assert "missing 1 required positional argument: 'a'" in missing.error["message"]
    assert execute("def main(**named): return named", kwargs={"a b": 1, "": 2, "é": 3}).result == {"a b": 1, "": 2, "é": 3}
    script = "def main(a, b=2, *rest, c, **named): return [a, b, rest, c, named]"
    assert execute(script, args=[1], kwargs={"c": 3, "d": 4}).result == [1, 2, [], 3, {"d": 4}]
    assert execute("def main(): return None").result is None
    assert execute("def main(): pass").result is None


def test_threads_that_fail_do_not_fail_main(execute):
    def main():
        import threading

        failing = threading.Thread(target=lambda: 1 / 0)
        failing.start()
        failing.join()
        return "ok"

    answer = execute(main)
    assert answer.result == "ok" and "ZeroDivisionError" in answer.stderr


def test_subprocesses_and_shells(execute):
    answer = execute("import os\ndef main():\n    return os.system('echo hello')")
    # There is no shell in a sandbox, and that is said as Python says it.
    assert answer.result == 127 << 8 and answer.stdout == ""
    # However it is called.
    assert execute("import os\ndef main():\n    return os.system(command='echo hello')").result == 127 << 8
