"""The part `compiled`: what the compiler takes, what it will not, and whether there is a main."""

import pytest

from runner.compiled import compile_script, may_bind_main
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
    assert stopped("print('ran')\n" + script) == {"code": "no_main", "message": "the script must define main() at its top level"}


@pytest.mark.parametrize("script", [
    "exec('x')", "globals()", "def f():\n    global main", "from os import *", "import sys", "import os, importlib.util", "x.__dict__", "import a as types", "setattr(a, b, c)",
])
def test_that_there_could_be_one_is_left_to_see(script):
    assert may_bind_main(script)
    assert not may_bind_main("import os\nos.getcwd().strip()\nfrom json import loads as read")
