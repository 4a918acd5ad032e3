"""The part `script`: what is compiled, called and put into words. In this process, so nothing here ends its interpreter."""

import json
import linecache
import sys

import pytest

from runner import script as part
from runner.compiled import no_main
from runner.leavings import Start
from runner.script import run


@pytest.fixture(autouse=True)
def as_before(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.chdir(tmp_path)


def told(script, **fields):
    frame = run({"script": script, "result_bytes": 1000, **fields}, Start(), notes := [])
    told.notes = notes
    assert frame[:1] in (b"R", b"E") and int.from_bytes(frame[1:9], "big") == len(frame) - 9
    return frame[:1], json.loads(frame[9:])


def test_main_is_called_with_what_was_given():
    assert told("def main(a, *b, c=1, **d): return [a, b, c, d]", args=[1, 2, 3], kwargs={"c": 4, "e": 5}) == (b"R", [1, [2, 3], 4, {"e": 5}])
    assert told("def main(): return 'alone'") == (b"R", "alone")


def test_arguments_that_do_not_fit_are_the_script_s_failure():
    tag, error = told("def main(a): pass")
    assert tag == b"E" and error["exception"] == "TypeError" and "main() missing 1 required" in error["message"]


@pytest.mark.parametrize("script", [
    "main = lambda: 1", "class main:\n    def __new__(cls): return 1", "from operator import truth as t\nimport functools\nmain = functools.partial(t, 1)",
    "async def main(): return 1", "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 1",
    "class Later:\n    def __await__(self):\n        yield from ()\n        return 1\ndef main(): return Later()",
])
def test_whatever_can_be_called_or_awaited_is_a_main(script):
    assert told(script) == (b"R", 1)


def test_a_byte_order_mark_is_no_part_of_the_script():
    assert told("\ufeffdef main(): return 1") == (b"R", 1)
    assert told("\ufeff\ufeffdef main(): return 1")[1]["code"] == "syntax_error"


def test_the_script_is_the_main_module(tmp_path):
    assert told("import sys\ndef main(): return [__name__, __file__, sys.argv, sys.modules['__main__'].main is main, sys.path[-1]]")[1] == [
        "__main__", f"{tmp_path}/script.py", ["script.py"], True, str(tmp_path)]


def test_its_source_can_be_inspected():
    linecache.clearcache()
    assert told("import inspect\ndef main():\n    return inspect.getsource(main)\n") == (b"R", "def main():\n    return inspect.getsource(main)\n")


def test_it_sees_nothing_of_the_runner():
    assert told("def main(): return sorted(name for name in globals() if not name.startswith('__'))") == (b"R", ["main"])


def test_the_runner_s_own_future_features_are_not_the_script_s():
    assert told("def f(a: nowhere): pass\ndef main(): pass")[1]["exception"] == "NameError"


def test_what_is_bound_and_cannot_be_called_is_told_by_its_type():
    assert told("main = 5")[1] == {"code": "no_main", "message": "main is an int, which cannot be called; the script must define main() at its top level"}
    assert no_main(None, True).startswith("main is a NoneType")
    assert told("def main(): pass\ndel main")[1]["code"] == "no_main"


def test_a_failure_at_the_top_level_and_one_in_main_are_told_alike():
    assert told("1 / 0\ndef main(): pass")[1]["line"] == 1
    assert told("def main():\n    1 / 0")[1]["line"] == 2
    assert told("import sys\nsys.exit(7)\ndef main(): pass")[1]["exit_code"] == 7


def test_a_result_above_the_limit_is_refused():
    assert told("def main(): return 'x' * 999")[1]["code"] == "result_too_large"


def test_files_are_put_after_the_script_compiled_and_before_it_runs(monkeypatch):
    put = []
    monkeypatch.setattr(part, "put_files", put.append)
    told("def main(:", files=[["/f", 1]])
    assert put == []
    assert told("def main(): return 1", files=[["/f", 1]]) == (b"R", 1)
    assert put == [[["/f", 1]]]


@pytest.mark.parametrize(("end", "code", "printed"), [
    ("", 0, ""), ("    raise ValueError('v')\n", 1, "ValueError: v\n"), ("    import sys; sys.exit(3)\n", 3, ""),
])
def test_a_forked_child_ends_as_its_interpreter_would(monkeypatch, capfd, end, code, printed):
    class Ended(BaseException):
        pass

    codes = []

    def ended(code):
        codes.append((code, capfd.readouterr().err))
        raise Ended

    processes = iter([1, *[2] * 9])
    monkeypatch.setattr(part, "os_getpid", lambda: next(processes))
    monkeypatch.setattr(part, "os_exit", ended)
    over = []
    monkeypatch.setattr(part, "end", over.append)
    with pytest.raises(Ended):
        run({"script": "def main():\n    pass\n" + end, "result_bytes": 100}, ended_with := Start(), [])
    assert over == [ended_with]
    assert codes[0][0] == code and codes[0][1].endswith(printed) and bool(codes[0][1]) == bool(printed)
