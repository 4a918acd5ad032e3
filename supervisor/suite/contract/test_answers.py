"""The answers to a script's own failure: every code, with its fields."""

import pytest

from client import script_of


def test_what_was_printed_before_any_failure_is_returned(execute):
    endings = {
        "exception": "raise ValueError('x')",
        "exit": "import os; os._exit(3)",
        "killed": "import os; os.abort()",
        "timeout": "while True: pass",
        "memory_limit": "x = [bytearray(1 << 20) for _ in range(4096)]",
        "result_not_json": "return object()",
    }
    for code, ending in endings.items():
        script = f"import sys\ndef main():\n    print('out', end='')\n    print('err', end='', file=sys.stderr)\n    {ending}"
        # Only the one that would not end by itself: the others may take as long as they need.
        answer = execute(script, **{"timeout_ms": 2000} if code == "timeout" else {})
        assert (answer.status, answer.code) == (422, code), answer
        assert (answer.body["stdout"], answer.body["stderr"]) == ("out", "err"), code
        assert "result" not in answer.body and answer.body["truncated"] == []
        assert set(answer.body["usage"]) == {"wall_ms", "cpu_ms", "memory_peak_bytes"}


def test_syntax_error_has_line_column_and_text(execute):
    answer = execute("print('before')\nx = 1\ndef main(:\n    return 1")
    assert answer.code == "syntax_error"
    assert (answer.error["line"], answer.error["text"]) == (3, "def main(:")
    assert answer.error["column"] >= 9 and answer.body["stdout"] == ""


@pytest.mark.parametrize("script", ["(" * 10_000, "-" * 200_000 + "1", "x=" * 50_000 + "1", "def main():\n" + " " * 3 + "\tx\n        y"])
def test_scripts_that_no_compiler_takes(execute, script):
    answer = execute(script)
    assert answer.status == 422 and answer.code in ("syntax_error", "no_main", "killed"), answer


def test_no_main_is_decided_before_anything_runs(execute):
    answer = execute("print('it ran')\nx = 1")
    assert (answer.code, answer.body["stdout"]) == ("no_main", "")
    assert "must define main()" in answer.error["message"]


@pytest.mark.parametrize(
    "script",
    [
        "globals()['main'] = lambda: 7",
        "exec('def main(): return 7')",
        "from operator import *\nimport sys\nsetattr(sys.modules[__name__], 'main', lambda: 7)",
        "main = lambda: 7",
        "class main:\n    def __new__(cls): return 7",
        "def bind():\n    global main\n    main = lambda: 7\nbind()",
        "if True:\n    def main(): return 7",
        "for main in [lambda: 7]: pass",
        "(main := lambda: 7)",
        "from math import pi as main\nmain = lambda: 7",
    ],
)
def test_a_main_bound_in_any_way_works(execute, script):
    assert execute(script).result == 7


def test_a_main_that_cannot_be_called(execute):
    answer = execute("main = 3")
    assert answer.code == "no_main" and "an int" in answer.error["message"]


def test_exception_shows_the_scripts_own_frames(execute):
    def script():
        import json

        def helper():
            json.loads("{")

        def main():
            helper()

    answer = execute(script)
    error = answer.error
    assert (error["code"], error["exception"], error["line"]) == ("exception", "json.decoder.JSONDecodeError", 4)
    assert 'File "script.py", line 7, in main' in error["traceback"] and 'json.loads("{")' in error["traceback"]
    # And those of libraries, where the sandbox has them; none of the runner's.
    assert '/json/__init__.py", line' in error["traceback"] and "runner" not in error["traceback"]


def test_exceptions_in_the_body_with_causes_and_in_groups(execute):
    answer = execute("def main(): pass\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e")
    assert answer.error["exception"] == "KeyError" and answer.error["line"] == 5
    assert "direct cause" in answer.error["traceback"] and "ZeroDivisionError" in answer.error["traceback"]
    answer = execute("def main():\n    raise ExceptionGroup('many', [ValueError(1), TypeError(2)])")
    assert answer.error["exception"] == "ExceptionGroup" and "TypeError: 2" in answer.error["traceback"]


def test_exceptions_that_resist_being_told(execute):
    answer = execute("class E(Exception):\n    def __str__(self): raise RuntimeError\ndef main(): raise E")
    assert answer.code == "exception" and answer.error["exception"] == "E"
    answer = execute("def main():\n    raise ValueError('\\ud800' + 'x' * 10_000_000)")
    assert answer.code == "exception" and len(answer.error["message"]) < 200_000
    answer = execute("import traceback, linecache\ntraceback.TracebackException = None\ndef main(): raise ValueError('v')")
    assert answer.code == "exception" and "ValueError: v" in answer.error["message"]


def test_recursion_without_end(execute):
    answer = execute("def main(): return main()")
    assert answer.error["exception"] == "RecursionError" and len(answer.error["traceback"]) < 100_000


@pytest.mark.parametrize(
    ("how", "code"),
    [("sys.exit(0)", 0), ("sys.exit()", 0), ("sys.exit(7)", 7), ("os._exit(3)", 3), ("os._exit(0)", 0), ("raise SystemExit(True)", 1)],
)
def test_exit_has_its_code(execute, how, code):
    answer = execute(f"import os, sys\ndef main():\n    {how}")
    assert (answer.code, answer.error["exit_code"]) == ("exit", code)


def test_exit_with_a_message_prints_it(execute):
    answer = execute("import sys\ndef main(): sys.exit('the reason')")
    assert (answer.error["exit_code"], answer.body["stderr"]) == (1, "the reason\n")


def test_exit_before_main_is_defined(execute):
    assert execute("import sys\nsys.exit(4)\ndef main(): return 1").error["exit_code"] == 4


@pytest.mark.parametrize(
    ("how", "signal"),
    [
        ("os.abort()", "SIGABRT"),
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("os.kill(os.getpid(), 15)", "SIGTERM"),
    ],
)
def test_killed_names_the_signal(execute, how, signal):
    answer = execute(f"import ctypes, os\ndef main():\n    {how}")
    assert (answer.code, answer.error["signal"]) == ("killed", signal), answer


def test_memory_error_and_oom_kill_are_told_apart_from_a_crash(execute):
    asked = execute("def main():\n    bytearray(1 << 45)")
    assert asked.code == "memory_limit" and asked.error["exception"] == "MemoryError" and asked.error["line"] == 2
    ended = execute("def main():\n    x = [bytearray(1 << 20) for _ in range(4096)]")
    assert ended.code == "memory_limit" and "exception" not in ended.error
    assert ended.body["usage"]["memory_peak_bytes"] > 500 << 20
    caught = execute("def main():\n    try:\n        bytearray(1 << 45)\n    except MemoryError:\n        return 'caught'")
    assert caught.result == "caught"


def test_a_script_that_breaks_the_interpreter_under_the_runner(execute):
    def script():
        import builtins
        import io
        import json
        import os
        import sys

        json.dumps = json.loads = None
        json.encoder.c_make_encoder = None
        os.write = os.read = os._exit = None
        sys.modules.clear()
        io.TextIOWrapper = None
        sys.setrecursionlimit(60)
        for name in ("len", "isinstance", "type", "str", "repr", "print", "dict", "bytes", "memoryview", "open"):
            setattr(builtins, name, None)

        def main():
            return {"still": ["right", 1.5]}

    assert execute(script).result == {"still": ["right", 1.5]}


def test_async_main_is_awaited(execute):
    script = "import asyncio\nasync def main(x):\n    await asyncio.sleep(0)\n    return x + 1"
    assert execute(script, args=[1]).result == 2
    assert execute("async def inner(): return 5\ndef main(): return inner()").result == 5


def test_the_main_guard_does_not_run_main_twice(execute):
    answer = execute("def main():\n    print('once')\n    return __name__\nif __name__ == '__main__':\n    main()")
    assert (answer.result, answer.body["stdout"]) == ("__main__", "once\n")


def test_what_does_not_end_is_told_with_the_result(execute):
    def script():
        import atexit
        import threading
        import time

        atexit.register(print, "never")

        def main():
            threading.Thread(target=time.sleep, args=(600,), name="sleeper").start()
            return "done"

    answer = execute(script, timeout_ms=1200)
    assert (answer.result, answer.body["stdout"]) == ("done", "")
    assert "1.2 s" in answer.body["unfinished"] and answer.body["unfinished"].endswith("threads that were still running: sleeper")


def test_threading_may_be_busy_when_main_returns(execute):
    def script():
        def main():
            import threading
            import time

            def work():
                import email.mime.multipart  # an import of its own, under way or not
                while True:
                    time.sleep(0.001)
                    print(end="")

            for _ in range(4):
                threading.Thread(target=work, daemon=True).start()
            return threading.active_count()

    assert execute(script).result == 5


def test_an_import_that_another_thread_is_in_the_middle_of(execute):
    def script():
        import sys
        import threading

        inside, never = threading.Event(), threading.Event()

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == "slow":
                    inside.set()
                    never.wait()

        def main():
            sys.meta_path.insert(0, Finder())
            threading.Thread(target=__import__, args=("slow",), daemon=True).start()
            inside.wait()
            # Had the report to import something, it must not wait for that thread.
            return {"a": [1.5, None]}

    assert execute(script).result == {"a": [1.5, None]}


def test_the_two_examples_of_the_readme(client):
    answer = client.post('{"script": "def main():\\n    return {\\"sum\\": 2 + 2}"}')
    assert answer.result == {"sum": 4}

    def script():
        import numpy as np
        import pandas as pd

        def main():
            print("computing")
            frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})
            return {"sum": int(frame["a"].sum()), "mean": float(np.array([1, 2, 3]).mean())}

    answer = client.execute(script)
    assert answer.result == {"sum": 6, "mean": 2.0}
    assert answer.body["stdout"] == "computing\n" and answer.body["stderr"] == ""


def test_flask_can_be_imported(execute):
    assert execute(script_of("import flask\ndef main(): return flask.Flask('x').name")).result == "x"
