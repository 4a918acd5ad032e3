"""Exceptions: named, placed, and shown with every frame that is not the runner's and nothing of the host."""

import pytest

INNARDS = ('File "runner"', "in serve\n", "/var/", "/home/", "cloister")


def told(answer):
    """The error of an answer, once it is seen to show nothing of the runner and of the host."""
    error = answer.error
    for innard in INNARDS:
        assert innard not in error.get("traceback", ""), error["traceback"]
    return error


def test_inside_a_library(execute):
    def script():
        import pandas as pd

        def main():
            frame = pd.DataFrame({"a": [1]})
            return frame["b"]

    error = told(execute(script))
    assert (error["code"], error["exception"], error["line"]) == ("exception", "KeyError", 5)
    assert 'return frame["b"]' in error["traceback"] and "pandas/core/frame.py" in error["traceback"]


def test_at_import(execute):
    error = told(execute("def main(): return 1\nimport no_such_module"))
    assert (error["exception"], error["line"]) == ("ModuleNotFoundError", 2)
    error = told(execute("def main(): return 1\nfrom os import nothing_like_it"))
    assert error["exception"] == "ImportError" and error["line"] == 2


def test_the_last_line_of_the_script_is_named(execute):
    error = told(execute("def a():\n    raise ValueError('deep')\n\ndef main():\n    a()"))
    assert error["line"] == 2
    assert error["traceback"].splitlines()[0] == "Traceback (most recent call last):"
    assert error["traceback"].splitlines()[-1] == "ValueError: deep"
    assert error["traceback"].count('File "script.py"') == 2


def test_an_exception_of_the_scripts_own(execute):
    error = told(execute("class Mine(Exception): pass\ndef main(): raise Mine('this', 1)"))
    assert error["exception"] == "Mine" and error["message"] == "Mine: ('this', 1)"


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "GeneratorExit", "StopIteration", "AssertionError", "RecursionError"])
def test_every_kind_is_an_exception(execute, name):
    error = told(execute(f"def main(): raise {name}"))
    assert (error["code"], error["exception"], error["line"]) == ("exception", name, 1)


def test_notes_are_shown(execute):
    error = told(execute("def main():\n    e = ValueError('v')\n    e.add_note('look here')\n    raise e"))
    assert "look here" in error["traceback"]


def test_an_async_exception(execute):
    error = told(execute("import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    raise ValueError('later')"))
    assert (error["exception"], error["line"]) == ("ValueError", 4)


@pytest.mark.parametrize(
    "script",
    [
        "class E(Exception):\n    def __str__(self): return 5\ndef main(): raise E",
        "class E(Exception):\n    def __str__(self): import os; os.abort\ndef main(): raise E",
        "class E(Exception):\n    __module__ = None\ndef main(): raise E",
        "class E(Exception):\n    __module__ = property(lambda s: 1 / 0)\ndef main(): raise E()",
        "class M(type):\n    __qualname__ = __name__ = property(lambda s: 1 / 0)\nclass E(Exception, metaclass=M): pass\ndef main(): raise E",
        "class E(Exception):\n    __cause__ = property(lambda s: s)\n    __context__ = property(lambda s: s)\ndef main(): raise E",
        "class E(Exception):\n    def __getattribute__(self, name): raise RuntimeError\ndef main(): raise E",
        "class E(SystemExit):\n    code = property(lambda s: 1 / 0)\ndef main(): raise E",
        "def main():\n    e = ValueError('loop')\n    e.__cause__ = e\n    raise e",
        "import sys, traceback, linecache\nsys.modules['traceback'] = sys.modules['linecache'] = None\ndef main(): 1 / 0",
        "def main():\n    raise ValueError('\\x00\\ud800\\u2028' + chr(0x10ffff))",
        "e = ValueError(0)\nfor n in range(5000):\n    try: raise ValueError(n) from e\n    except ValueError as x: e = x\ndef main(): raise e",
    ],
)
def test_a_hostile_exception_is_still_an_answer(execute, script):
    error = told(execute(script))
    assert error["code"] == "exception", error
    assert len(error["message"]) < 200_000 and len(error.get("traceback", "")) < 200_000


def test_frames_that_only_claim_to_be_the_scripts(execute):
    answer = execute("def main():\n    exec(compile('\\n\\n1 / 0', '/secret.py', 'exec'), {})")
    assert told(answer)["line"] == 2 and 'File "/secret.py", line 3' in answer.error["traceback"]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("sys.exit(-1)", 255),
        ("sys.exit(256)", 0),
        ("sys.exit(2 ** 70)", None),
        ("sys.exit([])", 1),
        ("sys.exit('')", 1),
        ("exit(2)", None),
        ("os._exit(255)", 255),
        ("os.execv('/usr/bin/python3', ['python3', '-c', 'import sys; sys.exit(9)'])", 9),
        ("raise type('Quit', (SystemExit,), {})(6)", 6),
    ],
)
def test_ways_to_exit(execute, how, code):
    answer = execute(f"import os, sys\ndef main():\n    {how}")
    if code is None:
        assert answer.status == 422 and answer.code in ("exit", "exception"), answer
    else:
        assert (answer.code, answer.error["exit_code"]) == ("exit", code), answer


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("def main():\n    result = 1\n    return reslt", "name 'reslt' is not defined. Did you mean: 'result'?"),
        ("import math\ndef main(): return math.sqr(2)", "module 'math' has no attribute 'sqr'. Did you mean: 'sqrt'?"),
        ("def main(): return math.pi", "name 'math' is not defined. Did you forget to import 'math'?"),
    ],
)
def test_what_python_suggests(execute, script, end):
    error = told(execute(script))
    assert error["message"].endswith(end) and error["traceback"].endswith(end)


def test_files_of_the_request_and_executed_text_are_in_the_traceback(execute):
    helper = {"path": "helper.py", "content": "def f(d):\n    return g(d)\n\ndef g(d):\n    exec('d[0]')"}
    error = told(execute("import sys\nsys.path.insert(0, '')\nimport helper\ndef main():\n    helper.f({})", files=[helper]))
    assert error["line"] == 5 and error["exception"] == "KeyError"
    for place in ('script.py", line 5', 'helper.py", line 2', 'helper.py", line 5', '"<string>", line 1'):
        assert place in error["traceback"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import nothing_like_it\ndef main(): pass", "missing_module"),
        ("import subprocess\ndef main(): subprocess.run(['ls'])", "missing_program"),
        ("import subprocess\ndef main(): subprocess.run('ls', shell=True)", "no_shell"),
        ("def main(): open('/mnt/data/x')", "missing_path"),
        ("def main(x): pass", "arguments"),
        ("def main(): input()", "stdin_at_end"),
        ("def main(): main()", "recursion"),
        ("%magic\ndef main(): pass", "notebook_line"),
        ("def main(): 1 / 0", None),
    ],
)
def test_why_is_told_in_a_word_for_programs_and_in_a_sentence(execute, script, reason):
    """docs/denials.md: "a `reason`, a word of this list for programs"."""
    error = told(execute(script))
    assert error.get("reason") == reason and bool(error.get("hint")) == bool(reason), error


@pytest.mark.parametrize("reason", ["a word of its own", "", 5, None, ["recursion"], "Recursion"])
def test_a_forged_reason_is_one_of_the_list_or_none(execute, reason):
    forge = """
    import json, os
    def main(reason):
        report = json.dumps({"code": "exception", "message": "forged", "reason": reason}).encode()
        os.write(3, b"E" + len(report).to_bytes(8, "big") + report)
        os._exit(0)
    """
    import textwrap

    error = execute(textwrap.dedent(forge), args=[reason]).error
    assert "reason" not in error, error
