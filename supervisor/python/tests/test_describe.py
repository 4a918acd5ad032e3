"""The part `describe`: exceptions in words, and tracebacks that show the script alone."""

import asyncio
import linecache

import pytest

from runner import describe as part
from runner.describe import describe, describe_exit, traceback_of
from runner.texts import LONGEST_TEXT


@pytest.fixture(autouse=True)
def one_script_a_test():
    """An interpreter of the service has one script, whose lines are looked up once."""
    linecache.clearcache()


class Source:
    """Lets tracebacks find lines that are in no file: a loader as PEP 302 has it."""

    def __init__(self, script):
        self.script = script

    def get_source(self, name):
        return self.script


def failure(source, name="script.py"):
    """What a script raises, with its own frames."""
    scope = {"__name__": "__main__", "__loader__": Source(source)}
    with pytest.raises(BaseException) as raised:
        exec(compile(source, name, "exec"), scope)
    return raised.value.with_traceback(raised.value.__traceback__.tb_next)


def test_an_exception_is_told_with_name_text_line_and_traceback():
    told = describe(failure("x = 1\n\nint('q')\n"))
    assert (told["code"], told["exception"], told["line"]) == ("exception", "ValueError", 3)
    assert told["message"].startswith("ValueError: invalid literal")
    assert told["traceback"].startswith('Traceback (most recent call last):\n  File "script.py", line 3, in <module>\n')


def test_frames_of_libraries_are_shown_and_the_line_is_the_script_s():
    told = describe(failure("import json\njson.loads('{')"))
    assert "json/decoder.py" in told["traceback"] and told["line"] == 2


def test_frames_of_executed_text_are_shown():
    told = describe(failure("def f():\n    exec('\\n1 / 0')\nf()"))
    assert 'File "<string>", line 2, in <module>' in told["traceback"] and told["line"] == 2


def test_the_runner_s_own_frames_are_left_out_with_what_led_from_it_to_the_script(monkeypatch):
    monkeypatch.setattr(part, "OURS", globals())
    scope = {"__name__": "__main__", "__loader__": Source("async def main():\n    1 / 0")}
    exec(compile("async def main():\n    1 / 0", "script.py", "exec"), scope)

    async def ours():
        await scope["main"]()

    with pytest.raises(ZeroDivisionError) as raised:
        asyncio.run(ours())
    told = describe(raised.value)
    assert told["traceback"].splitlines()[1].startswith('  File "script.py", line 2') and told["traceback"].count("File") == 1


def test_what_no_line_of_the_script_s_raised_has_no_line():
    told = describe(failure("1 / 0", name="another.py"))
    assert "line" not in told and told["traceback"].startswith('Traceback (most recent call last):\n  File "another.py", line 1')


@pytest.mark.parametrize(("source", "end"), [
    ("result = 1\nreslt", "name 'reslt' is not defined. Did you mean: 'result'?"),
    ("def f():\n    result = 1\n    return reslt\nf()", "name 'reslt' is not defined. Did you mean: 'result'?"),
    ("import math\nmath.sqr(2)", "module 'math' has no attribute 'sqr'. Did you mean: 'sqrt'?"),
    ("math.pi", "name 'math' is not defined. Did you forget to import 'math'?"),
    ("class A:\n    colour = 1\nA().color", "'A' object has no attribute 'color'. Did you mean: 'colour'?"),
    ("nothing_like_it_is_there", "name 'nothing_like_it_is_there' is not defined"),
])
def test_what_python_suggests_is_in_the_message_and_in_the_traceback(source, end):
    told = describe(failure(source))
    assert told["message"].endswith(end) and told["traceback"].endswith(end)


def test_causes_contexts_and_groups_show_the_script_s_frames_too():
    told = describe(failure("try:\n    try: 1 / 0\n    except Exception as e: raise KeyError('k') from e\nexcept KeyError:\n    raise ExceptionGroup('g', [ValueError('v')])"))
    for expected in ("ZeroDivisionError", "direct cause", "KeyError: 'k'", "During handling", "ExceptionGroup: g", "ValueError: v"):
        assert expected in told["traceback"], expected
    assert "test_describe" not in told["traceback"]


def test_an_exception_of_a_module_is_named_with_it_and_one_of_the_script_s_own_is_not():
    assert describe(failure("import json\njson.loads('')"))["exception"] == "json.decoder.JSONDecodeError"
    assert describe(failure("class Odd(Exception): pass\nraise Odd"))["message"] == "Odd"


def test_a_long_message_and_a_long_traceback_are_clipped():
    told = describe(failure("raise ValueError('a' * 1_000_000)"))
    for text in (told["message"], told["traceback"]):
        assert len(text) < LONGEST_TEXT + 100 and "characters left out" in text


@pytest.mark.parametrize(("source", "code", "hint"), [
    ("raise MemoryError", "memory_limit", None), ("raise MemoryError('of 1 GB')", "memory_limit", None),
    ("raise BlockingIOError(11, 'x')", "exception", "EAGAIN"), ("raise RuntimeError(\"can't start new thread\")", "exception", "EAGAIN"),
    ("raise OSError(12, 'x')", "exception", None),
])
def test_what_speaks_of_a_limit(source, code, hint):
    told = describe(failure(source))
    assert (told["code"], told.get("errno_hint")) == (code, hint)
    assert ("more memory than there is" in told["message"]) == (code == "memory_limit")


@pytest.mark.parametrize(("code", "exit_code"), [(None, 0), (0, 0), (3, 3), (256, 0), (-1, 255), (True, 1), (2**70 + 5, 5)])
def test_exit_codes_are_those_of_a_process(capfd, code, exit_code):
    told = describe_exit(code)
    assert (told["code"], told["exit_code"]) == ("exit", exit_code) and f"code {exit_code} before main() returned" in told["message"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("code", "printed"), [("why", "why\n"), (1.5, "1.5\n"), ("\ud800", "\\ud800\n"), ((1, 2), "(1, 2)\n")])
def test_an_exit_with_a_text_prints_it_and_is_a_failure(capfd, code, printed):
    assert describe(SystemExit(code))["exit_code"] == 1
    assert capfd.readouterr().err == printed


def test_a_system_exit_is_told_as_an_exit_and_has_no_traceback():
    assert set(describe(failure("import sys; sys.exit(4)"))) == {"code", "message", "exit_code"}


def test_a_traceback_that_cannot_be_made_is_told_of(monkeypatch):
    def broken(error):
        raise KeyboardInterrupt

    monkeypatch.setattr(part, "traceback_of", broken)
    assert describe(ValueError("v"))["traceback"] == "(no traceback: KeyboardInterrupt)"


def test_refusals_that_cannot_be_had_cost_nothing_else(monkeypatch):
    def broken(error):
        raise SystemExit

    monkeypatch.setattr(part, "refusals", broken)
    told = describe(ValueError("v"))
    assert told["message"] == "ValueError: v" and "refusals" not in told


def test_the_line_is_that_of_the_innermost_frame_of_the_script():
    text, line = traceback_of(failure("def f():\n    g()\ndef g():\n    1 / 0\nf()\n"))
    assert line == 4 and text.count('File "script.py"') == 3 and "    g()" in text
