"""The part `compiled`: what the compiler takes, what it will not, and whether there is a main."""

import sys

import pytest

from runner.compiled import compile_script, may_bind_main, unfenced
from runner.report import Stop


def stopped(script):
    with pytest.raises(Stop) as stop:
        compile_script(script)
    return stop.value.error


def test_errors_of_the_compiler_are_told_in_its_own_words():
    error = stopped("x = 1\nif x:\nreturn\n")
    assert (error["code"], error["exception"], error["line"]) == ("syntax_error", "IndentationError", 3)
    assert error["message"].endswith("(line 3)") and error["text"] == "return" and error["column"] == 1


@pytest.mark.parametrize(("script", "words"), [("\0", "null bytes"), ("def main(): return " + "(" * 300 + ")" * 300, "parenthes"), ("-" * 200_000 + "1", "nested too deeply")])
def test_what_the_compiler_gives_up_on(script, words):
    error = stopped(script)
    assert error["code"] == "syntax_error" and words in error["message"]


@pytest.mark.parametrize("script", ["", "x = 1", "class A:\n    def main(self): pass", "if False:\n    def other(): pass", "'main'"])
def test_that_there_is_no_main_is_told_before_anything_runs(script):
    error = stopped("print('ran')\n" + script)
    assert '"entry": "program"' in error.pop("hint")
    assert error == {"code": "no_main", "message": "the script must define main() at its top level"}


@pytest.mark.parametrize(("script", "way"), [
    ("def Main(): pass", "did you mean Main()?"), ("async def mian(): pass", "did you mean mian()?"),
    ("class A:\n    def main(self): pass", "main() is a method of A"), ("def f(): pass\ndef solve(n): pass", "call solve()"),
    ("x = 1", "put the code into `def main():`"),
])
def test_how_a_script_comes_to_a_main_is_told_by_what_it_has(script, way):
    assert way in stopped(script)["hint"]


@pytest.mark.parametrize("script", ["x = “a”", "def f():\n\u00a0return 1", "x = 3 – 1"])
def test_characters_that_no_keyboard_gives_are_told_as_such(script):
    assert "as on a keyboard" in stopped(script)["hint"]


@pytest.mark.parametrize("script", [
    "exec('x')", "globals()", "def f():\n    global main", "from os import *", "import sys", "import os, importlib.util", "x.__dict__", "import a as types", "setattr(a, b, c)",
])
def test_that_there_could_be_one_is_left_to_see(script):
    assert may_bind_main(script)
    assert not may_bind_main("import os\nos.getcwd().strip()\nfrom json import loads as read")


@pytest.mark.parametrize(("script", "reason", "line", "text"), [
    ("x = 1\nreturn x", "outside_function", 2, "return x"),
    ("import asyncio\r\nawait asyncio.sleep(0)\r\n", "outside_function", 2, "await asyncio.sleep(0)"),
    ("def f():\n    await g()\n", "outside_function", 2, "    await g()"),
    ("yield 1", "outside_function", 1, "yield 1"),
    ("\n%matplotlib inline\ndef main(): pass", "notebook_line", 2, "%matplotlib inline"),
    ("def main():\n    !ls\n", "notebook_line", 2, "    !ls"),
    ("?print\n", "notebook_line", 1, "?print"),
    ("print?\n", "notebook_line", 1, "print?"),
    ("pip install emoji\n", "shell_line", 1, "pip install emoji"),
    ("!pip3 install emoji\n", "shell_line", 1, "!pip3 install emoji"),
    ("python -m pip install x", "shell_line", 1, "python -m pip install x"),
    (">>> x = 1\n", "prompt", 1, ">>> x = 1"),
    ("def main():\n... return 1", "prompt", 2, "... return 1"),
    ("Here it is:\n```python\ndef main(): pass\n```\n", "markdown", 1, "Here it is:"),
    ("def main(): pass\n```\n", "markdown", 2, "```"),
    ("def main():\\n    return 1", "escaped_text", 1, "def main():\\n    return 1"),
    ("    import os\n\n    def main(): pass", "indented", 1, "    import os"),
    ("x = 1\ny = '\0'", "null_bytes", 2, "y = '\0'"),
])
def test_what_is_no_python_is_told_as_what_it_is(script, reason, line, text):
    error = stopped(script)
    assert (error["code"], error["reason"], error["line"], error["text"]) == ("syntax_error", reason, line, text) and error["hint"]


@pytest.mark.parametrize("script", [
    "type X = int\ntype", "print 'x'", "def f(:\n", "x = 1 %\n", "a = !b", "doc = '''\n```\n'''\nx = = 1\ny = '''\n```\n'''",
    "if x:\n    pass\n  y = 1", "'''\n>>> 1\n'''\nx = = 1", "x = (1,\n%inline\n 2", "def main(): return 'a\\nb' \\ + 1\n\nmain()",
])
def test_other_errors_have_no_reason_and_tell_the_version(script):
    error = stopped(script)
    assert error["code"] == "syntax_error" and not error.get("reason"), error
    assert ".".join(map(str, sys.version_info[:3])) in error["hint"]


@pytest.mark.parametrize(("script", "expected"), [
    ("```python\nx = 1\n```", "\nx = 1\n"), ("\n ```\nx\n\n```  \n\n", "\n\nx\n\n"), ("```py\r\nx\r\n```\r\n", "\nx\r\n"),
    ("~~~py\nx\n~~~", "\nx\n"), ("````\nx\n````", "\nx\n"), ("\n  ```\n  x\n    y\n\n  ```", "\n\nx\n  y\n\n"), ("````\nx\n```", "````\nx\n```"), ("~~~\nx", "~~~\nx"),
    ("```\nx", "```\nx"), ("x = '''\n```\n'''", "x = '''\n```\n'''"), ("```", "```"), ("", ""), ("```\n```\nx\n```", "\n```\nx\n"),
])
def test_a_fence_around_the_whole_script_is_taken_off_and_lines_keep_their_numbers(script, expected):
    assert unfenced(script) == expected
