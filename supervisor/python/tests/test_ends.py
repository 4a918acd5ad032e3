"""The end of a script's interpreter, over the runner's pipes: what plain Python writes at its end is written."""

import subprocess
import sys

import pytest
from test_pipes import run  # noqa: F401, the fixture

# Each prints at its end what it prints under plain Python.
ENDS = {
    "a callback": "import atexit\natexit.register(print, 'called')\ndef main(): pass",
    "callbacks, the last first": "import atexit\natexit.register(print, 1)\natexit.register(print, 2)\ndef main(): atexit.register(print, 3)",
    "a thread": "import threading, time\ndef work():\n    time.sleep(0.2)\n    print('done')\ndef main(): threading.Thread(target=work).start()",
    "an executor": "from concurrent.futures import ThreadPoolExecutor\ndef main():\n    ThreadPoolExecutor().submit(print, 'done')",
    "a child": "import multiprocessing as m\ndef work(): print('done')\ndef main(): m.get_context('fork').Process(target=work).start()",
    "a global object": "class A:\n    def __del__(self): print('gone', A)\na = A()\ndef main(): pass",
    "an object of the end": "import os\nclass A:\n    def __del__(self): print('gone', os.sep)\ndef main():\n    global a\n    a = A()",
    "a circle": "class A:\n    def __del__(self): print('gone')\ndef main():\n    a = A()\n    a.a = a",
    "a generator": "def g():\n    try: yield\n    finally: print('closed')\nit = g()\nnext(it)\ndef main(): pass",
    "a finalizer": "import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 'gone')\ndef main(): pass",
    "a log": "import logging, logging.handlers, sys\nh = logging.handlers.MemoryHandler(9, target=logging.StreamHandler(sys.stdout))\n"
             "logging.getLogger().addHandler(h)\ndef main(): logging.warning('kept')",
    "another standard output": "import sys\nsys.stdout = open('/dev/fd/1', 'w')\ndef main(): print('written')",
    "a stream of C's": "import ctypes\ndef main(): ctypes.CDLL(None).printf(b'of C')",
    "a reference from a library": "import os\nclass A:\n    def __del__(self): print('gone')\na = A()\nimport tempfile\ntempfile.kept = lambda: a\ndef main(): pass",
    "who is told of collections": "import gc\ndef told(phase, info): print(phase)\ngc.callbacks.append(told)\ndef main(): pass",
    "a callback in the place of another": "import atexit, logging\natexit.unregister(logging.shutdown)\natexit.register(print, 'called')\ndef main(): pass",
    "a callback before threads are joined": "import threading\nthreading._register_atexit(print, 'called')\ndef main(): pass",
    "an object without a dictionary": "class A:\n    __slots__ = ()\n    def __del__(self): print('gone')\na = A()\ndef main(): pass",
    "who watches": "import weakref\ndef f(): pass\nr = weakref.ref(f, lambda r: print('gone'))\ndef main():\n    global f\n    f = None",
    "a child of its own": "import atexit, os\natexit.register(print, 'called', flush=True)\ndef main():\n    if os.fork() == 0: return\n    os.wait()",
}


@pytest.mark.parametrize("name", ENDS)
def test_it_prints_what_plain_python_prints(run, name):
    script = ENDS[name]
    plain = subprocess.run([sys.executable, "-c", script + "\nmain()"], capture_output=True, text=True, timeout=30)
    assert plain.stdout and not plain.stderr, plain
    done = run(script)
    assert (done.stdout, done.stderr, done.result) == (plain.stdout, "", None)
    assert run(script + "\n    raise ValueError(1)" if "\n    " in script.rsplit("main", 1)[1] else script).stdout == plain.stdout


def test_a_file_that_is_left_open_is_written(run, tmp_path):
    run("log = open('log', 'w')\ndef main():\n    log.write('one\\n')\n    log.write('two\\n')\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_so_is_one_of_an_imported_module_s(run, tmp_path):
    (tmp_path / "helper.py").write_text("log = open('log', 'w')\n")
    run("import helper\ndef main():\n    helper.log.write('one')\n    raise ValueError\n")
    assert (tmp_path / "log").read_text() == "one"


@pytest.mark.parametrize("held", ["import builtins\nbuiltins.log = log", "import string\nstring.log = log",
                                  "import contextvars\ncontextvars.ContextVar('log').set(log)"])
def test_so_is_one_that_outlives_the_script(run, tmp_path, held):
    run(f"log = open('log', 'w')\n{held}\ndef main():\n    log.write('one')\n")
    assert (tmp_path / "log").read_text() == "one"


def test_an_end_that_fails_is_told_as_python_tells_it(run):
    done = run("import atexit\natexit.register(lambda: 1 / 0)\nclass A:\n    def __del__(self): raise KeyError('k')\na = A()\ndef main(): return 1\n")
    assert done.result == 1 and "ZeroDivisionError" in done.stderr and "KeyError: 'k'" in done.stderr


def test_what_is_waited_for_is_told(run):
    done = run("import threading, time\ndef main():\n    for n in range(20): threading.Thread(target=time.sleep, args=(0.3,), name=f't{n}').start()\n")
    assert done.waits == ["threads that were still running: " + ", ".join(f"t{n}" for n in range(16)) + " and 4 more", ""]
    assert run("import atexit\natexit.register(print)\ndef main(): pass").waits == ["callbacks of atexit", ""]
    assert run("def main(): pass").waits == []


@pytest.mark.parametrize(("script", "code", "printed", "complaint"), [
    ("import sys\nprint(sys.argv, __name__)", 0, "['script.py', 'a', '-b'] __main__\n", ""),
    ("import sys\nsys.exit(3)", 3, "", ""), ("raise SystemExit('why')", 1, "", "why\n"), ("import os\nos._exit(7)", None, "", ""),
    ("def f(): raise ValueError('v')\nf()", 1, "", 'Traceback (most recent call last):\n  File "script.py", line 2, in <module>\n    f()\n  File "script.py", line 1, in f\n'),
    ("def f(:", 1, "", '  File "script.py", line 1\n    def f(:\n'), ("import atexit\natexit.register(print, 'bye')\nprint('hi')", 0, "hi\nbye\n", ""),
    ("def main(): return 1", 0, "", ""),
])
def test_a_program_is_run_as_python_runs_it(run, script, code, printed, complaint):
    done = run(script, entry="program", argv=["a", "-b"])
    assert (getattr(done, "exit_code", None), done.stdout) == (code, printed)
    assert done.stderr.startswith(complaint) and bool(done.stderr) == bool(complaint)


@pytest.mark.parametrize(("script", "result", "notes"), [
    ("def main(a=1): return a\nmain()", 1, ["the script called main() itself, so the args and kwargs of the request were not passed to it"]),
    ("import sys\ndef main(a=1): return 3\nsys.exit(main())", 3, ["the script called main() itself, so the args and kwargs of the request were not passed to it"]),
])
def test_dropped_arguments_are_noted(run, script, result, notes):
    done = run(script, args=[2])
    assert (done.result, done.notes) == (result, notes)


@pytest.mark.parametrize(("after", "notes", "complaint"), [
    ("1 / 0", ["after main() had returned the script failed (line 2): ZeroDivisionError: division by zero"], "ZeroDivisionError"),
    ("raise SystemExit(2)", ["after main() had returned the script exited with code 2"], ""),
    ("raise SystemExit('why')", ["after main() had returned the script exited with code 1"], "why\n"),
    ("raise SystemExit", [], ""),
])
def test_what_fails_after_main_is_noted(run, after, notes, complaint):
    done = run(f"def main(): return 5\nmain(); {after}")
    assert (done.result, done.notes) == (5, notes) and complaint in done.stderr


@pytest.mark.parametrize(("script", "result"), [
    ("print('p')\n2 + 2", 4), ("def main(): return 9\n5", 9), ("x = 1", None), ("def main(): return 9\nmain()", 9), ("async def f(): return 5\nf()", 5), ("{1}", "{1}"),
])
def test_plain_code_has_the_value_of_its_last_expression(run, script, result):
    done = run(script, entry="auto")
    assert done.result == result and bool(done.notes) == (script == "{1}")
