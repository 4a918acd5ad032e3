"""Cells of a session, as seen from outside of its process: what they give, show, call and fail with, and what is kept for the next."""

import base64
import json
import os
import signal

import pytest

from session_of import Gone


def test_names_are_kept_from_cell_to_cell(session):
    assert session.run("x = 20\ndef twice(y): return 2 * y").result is None
    assert session.run("twice(x) + 2").result == 42
    assert session.run("__name__, __import__('sys').modules['__main__'].x").result == ["__main__", 20]
    assert session.run("import sys\n[sys.argv, sys.orig_argv[1:], globals() is sys.modules['__main__'].__dict__]").result == [[""], [], True]


@pytest.mark.parametrize(("code", "tag", "content", "text"), [
    ("1 + 1", "R", 2, "2"), ("'a' 'b'", "R", "ab", "'ab'"), ("x = 1", "R", None, None), ("None", "R", None, None), ("", "R", None, None),
    ("# nothing", "R", None, None), ("1; 2", "R", 2, "2"), ("5;", "R", None, None), ("5 ;  # no", "R", None, None), ("'a;'", "R", "a;", "'a;'"),
    ("(1,\n 2)", "R", [1, 2], "(1, 2)"), ("if True: 3", "R", None, None), ("{1, 2}", "N", None, "{1, 2}"), ("float('nan')", "N", None, "nan"),
    ("```python\n7\n```", "R", 7, "7"), ("'é' # ;", "R", "é", "'é'"), ("'é';", "R", None, None),
])
def test_the_last_expression_is_the_value(session, code, tag, content, text):
    told = session.run(code)
    assert (told.tag, told.result, told.text) == (tag, content, text)
    assert (told.value is None) == (text is None)


def test_what_is_printed_is_out_before_the_verdict(session):
    told = session.run("import sys\nprint('a', end='')\nprint('b', file=sys.stderr, end='')")
    assert (told.stdout, told.stderr) == ("a", "b")


def test_values_above_the_limit_are_told_and_the_session_goes_on(session):
    told = session.run("'x' * 1000", result_bytes=500)
    assert told.error["code"] == "result_too_large" and len(json.dumps(told.value)) <= 520
    assert session.run("'x' * 10", result_bytes=500).result == "x" * 10


def test_a_failure_is_told_with_the_line_of_its_cell(session):
    session.run("def f(n):\n    return 1 / n")
    told = session.run("x = 1\n\nf(0)").error
    assert (told["code"], told["exception"], told["line"]) == ("exception", "ZeroDivisionError", 3)
    assert told["traceback"].splitlines()[:6] == [
        "Traceback (most recent call last):", '  File "<cell 2>", line 3, in <module>', "    f(0)",
        '  File "<cell 1>", line 2, in f', "    return 1 / n", told["traceback"].splitlines()[5],
    ]
    assert session.run("import inspect\ninspect.getsource(f)").result == "def f(n):\n    return 1 / n\n"


@pytest.mark.parametrize(("code", "line", "words"), [
    ("x = 1\ny = (", 2, "never closed"), ("!ls", 1, "no shell and no magic"), ("%matplotlib inline", 1, "no shell and no magic"),
    ("!pip install x", 1, "no shell and no magic"), ("return 3", 1, "outside function"), ("break", 1, "outside loop"),
])
def test_what_is_no_python_is_told_and_the_session_goes_on(session, code, line, words):
    told = session.run(code).error
    assert (told["code"], told["line"]) == ("syntax_error", line) and words in told["message"], told
    assert "main()" not in told.get("hint", "")
    assert session.run("1").result == 1


def test_what_a_cell_imports_from_the_future_is_so_in_later_ones(session):
    session.run("from __future__ import annotations")
    assert session.run("def f(a: no_such_name): pass\nf.__annotations__").result == {"a": "no_such_name"}


def test_an_exit_is_the_verdict_of_a_cell_alone(session):
    told = session.run("x = 5\nimport sys\nsys.exit('over')")
    assert (told.error["code"], told.error["exit_code"], told.stderr) == ("exit", 1, "over\n")
    assert session.run("exit(3)").error["exit_code"] == 3
    assert session.run("x").result == 5
    assert session.run("input()").error["exception"] in ("EOFError", "ValueError")


def test_awaiting_goes_on_in_one_loop(session):
    assert session.run("import asyncio\nawait asyncio.sleep(0, 'slept')").result == "slept"
    session.run("""
        async def count():
            for number in range(1000):
                seen.append(number)
                await asyncio.sleep(0)
        seen = []
        task = asyncio.get_event_loop().create_task(count())
    """)
    assert session.run("seen").result == []
    assert session.run("await asyncio.sleep(0.001)\nlen(seen) > 0").result is True
    assert session.run("await task\nlen(seen)").result == 1000
    assert session.run("async def g():\n    return asyncio.get_running_loop()\nawait g() is asyncio.get_event_loop()").result is True
    assert session.run("asyncio.run(asyncio.sleep(0, 5))").result == 5
    assert session.run("await asyncio.to_thread(lambda: 6)").result == 6
    told = session.run("async def fails():\n    raise KeyError('k')\nawait fails()").error
    assert (told["line"], told["traceback"].count("File ")) == (2, 2), told["traceback"]


def test_what_a_value_offers_is_shown(session):
    session.run("""
        class Rich:
            def _repr_html_(self): return "<b>r</b>"
            def _repr_png_(self): return b"png"
            def _repr_json_(self): return {"a": [1]}
            def _repr_latex_(self): return None
            def __repr__(self): return "rich"
    """)
    whole = {"text/plain": "rich", "text/html": "<b>r</b>", "image/png": base64.b64encode(b"png").decode(), "application/json": '{"a":[1]}'}
    told = session.run("Rich()")
    assert (told.tag, told.value) == ("N", whole)
    told = session.run("display(Rich(), 5)\nprint('after')\ndisplay({'text/plain': 'raw', 'x/y': {'k': 1}}, raw=True)")
    assert told.shown == [whole, {"text/plain": "5"}, {"text/plain": "raw", "x/y": '{"k":1}'}]
    assert session.run("display(Rich(), include=['text/html'])").shown == [{"text/plain": "rich", "text/html": "<b>r</b>"}]
    assert session.run("Rich").value["text/plain"] == "<class '__main__.Rich'>"
    assert set(session.run("Rich").value) == {"text/plain"}


def test_a_bundle_of_ones_own_is_shown_too(session):
    session.run("""
        class Own:
            def _repr_mimebundle_(self, include=None, exclude=None):
                return {"text/plain": "own", "image/jpeg": b"j", "application/vnd.x+json": {"z": None}, 5: "no", "": "no", "a\\n": "no"}, {"meta": 1}
    """)
    assert session.run("Own()").value == {"text/plain": "own", "image/jpeg": "ag==", "application/vnd.x+json": '{"z":null}'}


HOSTILE = {
    "raises": "raise ValueError", "exits": "raise SystemExit(3)", "an end of its own": "raise BaseException", "a number": "return 5",
    "endless": "return self.{name}()", "half a pair": "return chr(0xD800)", "circle": "d = []; d.append(d); return d", "text of its own": "return Text('t')",
}


@pytest.mark.parametrize("does", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_break_nothing(session, does):
    names = ["__repr__", "_repr_html_", "_repr_png_", "_repr_json_", "_repr_mimebundle_"]
    methods = "".join(f"    def {name}(self, **k):\n        {does.format(name=name)}\n" for name in names)
    session.run(f"class Text(str):\n    def __str__(self): raise ValueError\n    encode = __len__ = __str__\nclass Hostile:\n{methods}")
    for code in ("Hostile()", "display(Hostile())"):
        told = session.run(code)
        assert told.tag in "NR" and (told.value or told.shown[0])["text/plain"], told
    assert session.run("1").result == 1


def test_a_bundle_that_is_too_large_keeps_its_text(session):
    session.run("class Large:\n    def __repr__(self): return 'é' * 5000\n    def _repr_html_(self): return 'x' * 3000\n    def _repr_svg_(self): return 's'")
    [shown] = session.run("display(Large())", result_bytes=15_000).shown
    assert set(shown) == {"text/plain", "text/html", "image/svg+xml"}
    [shown] = session.run("display(Large())", result_bytes=12_000).shown
    assert set(shown) == {"text/plain", "image/svg+xml"}
    [shown] = session.run("display(Large())", result_bytes=800).shown
    assert set(shown) == {"text/plain"} and 100 < len(shown["text/plain"].encode()) < 800


def test_shown_by_threads_each_is_whole(session):
    told = session.run("""
        import threading
        threads = [threading.Thread(target=lambda: [display("x" * 3000) for _ in range(50)]) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads];
    """)
    assert [len(shown["text/plain"]) for shown in told.shown] == [3002] * 200 and told.tag == "R"


def brings(session, name):
    if session.run(f"import {name}").error:
        pytest.skip(f"{name} is not there")


def test_figures_are_shown_at_the_end_and_closed(session):
    brings(session, "matplotlib")
    told = session.run("import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.figure()\nplt.plot([3])\nNone")
    assert [base64.b64decode(shown["image/png"])[1:4] for shown in told.shown] == [b"PNG"] * 2 and told.tag == "R"
    assert session.run("plt.get_fignums()").result == []
    told = session.run("fig = plt.figure()\nfig")
    assert "image/png" in told.value and told.shown == [] and told.stderr == ""
    assert "image/png" in session.run("fig").value
    told = session.run("plt.plot([1])\nplt.show()\nprint('shown')\n1 / 0")
    assert len(told.shown) == 1 and told.tag == "E" and not os.path.exists(f"{session.directory}/out")


def test_pictures_and_frames_are_shown_as_what_they_offer(session):
    brings(session, "pandas")
    value = session.run("import pandas\npandas.DataFrame({'a': [1]})").value
    assert value["text/html"].startswith("<div>") and value["text/plain"].split() == ["a", "0", "1"]


TOOLS = {"tools": ['[{"name": "search"}, {"name": "other"}]', 1000, 2]}


def returning(session):
    def returns(call):
        session.write({"call": call["call"], "value": [call["tool"], *call["args"]]})

    return returns


def test_tools_are_those_of_the_cell(session):
    assert session.run("from cloister import tools").error["exception"] == "ModuleNotFoundError"
    told = session.run("from cloister import tools\nfrom cloister.tools import other\ntools.search('a')", returning(session), **TOOLS)
    assert told.result == ["search", "a"]
    told = session.run("await tools.search.call(1) + other(2)", returning(session), **TOOLS)
    assert told.result == ["search", 1, "other", 2]
    assert session.run("other(3)").error["exception"] == "cloister.ToolError"
    assert session.run("from cloister import tools").error["exception"] == "ModuleNotFoundError"
    only = {"tools": ['[{"name": "search"}]', 1000, 2]}
    assert "names no tool other" in session.run("other(3)", returning(session), **only).error["message"]
    told = session.run("for n in range(3): tools.search(n)", returning(session), **TOOLS)
    assert len(told.calls) == 2 and "2 times" in told.error["message"]
    assert session.run("tools.search('b')", returning(session), **TOOLS).result == ["search", "b"]


def test_what_comes_late_is_nobodys(session):
    told = session.run("""
        import threading
        from cloister import tools
        failed = []
        def call():
            try: tools.search('late')
            except Exception as error: failed.append(str(error))
        thread = threading.Thread(target=call)
        thread.start()
        while not tools.search.__name__ or not called: pass
    """.replace("while not tools.search.__name__ or not called: pass", "tools.other()"),
        lambda call: call["tool"] == "other" and session.write({"call": call["call"], "value": 1}), **TOOLS)
    assert told.tag == "R" and {call["tool"] for call in told.calls} == {"search", "other"}
    late = next(call["call"] for call in told.calls if call["tool"] == "search")
    session.write({"call": late, "value": "too late"})
    assert session.run("thread.join()\nfailed").result == ["the cell that this was called in is over, and nobody returns to its calls"]
    assert session.run("tools.search(1)", returning(session), **TOOLS).result == ["search", 1]


def test_a_call_that_is_still_awaited_at_the_end_of_its_cell_fails(session):
    session.run("import asyncio\nfrom cloister import tools\ntask = asyncio.get_event_loop().create_task(tools.search.call(1))\nawait asyncio.sleep(0.001)", **TOOLS)
    assert "is over" in session.run("await task").error["message"]


def begun(session):
    """Waits until a cell has printed a line."""
    while not os.read(session.stdout, 100).endswith(b"\n"):
        pass


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(100)", "import asyncio; await asyncio.sleep(100)",
                                  "import asyncio\nawait asyncio.sleep(0)\nwhile True: pass", "import threading; threading.Event().wait()"])
def test_an_interrupt_is_an_exception_in_the_cell(session, code):
    session.begin(f"print('begun')\n{code}")
    begun(session)
    session.interrupt()
    told = session.heard()
    assert told.error["code"] == "interrupted" and 1 <= told.error["line"] <= 4, told.error
    session.at_rest()
    assert session.run("6").result == 6


def test_an_interrupt_can_be_caught(session):
    for wait in ("import time; time.sleep(100)", "import asyncio; await asyncio.sleep(100)"):
        session.begin(f"try:\n    print('begun')\n    {wait}\nexcept BaseException as error:\n    caught = type(error).__name__\ncaught")
        begun(session)
        session.interrupt()
        assert session.heard().result in ("KeyboardInterrupt", "CancelledError")
        session.at_rest()


def test_an_interrupt_that_no_call_of_the_system_noticed_is_heeded(session):
    """As where it comes between the last look for signals and a call that sleeps: here another thread has it."""
    session.run("import signal, threading, time\nthreading.Thread(target=threading.Event().wait, daemon=True).start()")
    session.begin("signal.pthread_sigmask(signal.SIG_BLOCK, [2])\nprint('begun')\ntime.sleep(100)")
    begun(session)
    session.interrupt()
    assert session.heard().error["code"] == "interrupted"
    session.at_rest()
    assert session.run("signal.pthread_sigmask(signal.SIG_UNBLOCK, [2])\n6").result == 6


def test_a_handler_in_native_code_of_the_signal_that_nudges_stays(session):
    session.run("import faulthandler, os, signal\nkept = open('dump', 'w+')\nfaulthandler.register(signal.SIGURG, kept)")
    told = session.run("os.kill(os.getpid(), signal.SIGURG)\nkept.seek(0)\nkept.read()")
    assert "most recent call first" in told.result


def test_an_interrupt_at_any_moment_leaves_the_session_whole(session):
    session.run("import asyncio")
    told = set()
    for moment in range(150):
        session.begin(("await asyncio.sleep(0)\nfor _ in range(moment): pass\n5" if moment % 2 else "for _ in range(moment): pass\n5").replace("moment", str(moment * 20)))
        # Earlier or later, as it comes.
        for _ in range(moment * 100):
            pass
        session.interrupt()
        heard = session.heard()
        session.at_rest()
        told.add((heard.tag, (heard.error or {}).get("code")))
    assert told <= {("R", None), ("E", "interrupted")}
    session.run("try: pass\nexcept: pass")
    assert session.run("await asyncio.sleep(0, 'whole')").result == "whole"


def test_an_interrupt_ahead_of_a_cell_is_that_cells(session):
    session.interrupt()
    assert session.run("x = 1").error["code"] == "interrupted"
    assert session.run("2").result == 2


def test_an_interrupt_reaches_what_shows_a_value(session):
    session.begin("class Endless:\n    def __repr__(self):\n        print('begun')\n        while True: pass\nEndless()")
    begun(session)
    session.interrupt()
    assert session.heard().error["code"] == "interrupted"
    session.at_rest()


def test_a_handler_of_the_sessions_stays_and_does_not_run_at_rest(session):
    session.run("import signal\ncame = []\ndef handler(*a):\n    came.append(1)\n    raise RuntimeError('handled')\nsignal.signal(signal.SIGINT, handler)\nsignal.signal(signal.SIGALRM, handler);")
    session.interrupt()
    assert session.run("came").error["message"] == "RuntimeError: handled"
    assert session.run("came").result == [1]
    session.run("signal.setitimer(signal.ITIMER_REAL, 0.000001);")
    told = session.run("import time; time.sleep(0.01)")
    assert "RuntimeError: handled" in (told.error or {"message": "RuntimeError: handled"})["message"]
    assert session.run("signal.getsignal(signal.SIGINT) is handler").result is True


BROKEN = ["len = print = None", "import builtins; builtins.__dict__.update(dict.fromkeys(['len', 'sum', 'memoryview', 'isinstance', 'map', 'print', 'getattr']))",
          "import sys; sys.modules.clear()", "import os; os.write = os.read = os.fork = os._exit = os.getpid = None", "import json; json.dumps = json.JSONDecoder = None",
          "import sys; sys.stdout = sys.stderr = None", "import sys; sys.stdout.close(); sys.stderr.close()", "import sys; sys.setrecursionlimit(40)",
          "import sys; sys.settrace(lambda *a: 1 / 0)", "import sys; sys.setprofile(lambda *a: 1 / 0)", "import signal; signal.signal = signal.getsignal = None",
          "import gc; gc.disable(); gc.set_debug(gc.DEBUG_STATS)", "import random; random._inst = None", "import threading; threading.enumerate = threading.main_thread = None",
          "import os; os.chdir('/')", "import linecache; linecache.cache = linecache.getlines = None", "import os; os.environ.clear()", "del __builtins__",
          "import asyncio; asyncio.set_event_loop = asyncio.SelectorEventLoop = None"]


@pytest.mark.parametrize("code", BROKEN)
def test_whatever_a_cell_does_to_python_its_verdict_is_told(session, code):
    told = session.run(code)
    assert told.tag in "RNE"
    assert session.run("1 + 1").tag in "RE"
    assert session.rest["checkpoint"]
    os.kill(session.pid, signal.SIGKILL)
    assert session.restore()["checkpoint"] and session.run("1 + 1").tag in "RE"


def test_a_process_that_a_cell_forks_does_not_go_on_as_the_session(session):
    told = session.run("import os\nif not os.fork(): print('child'); display('shown')\nelse: os.wait()\n5")
    assert (told.result, sorted(told.stdout.split())) == (5, ["'shown'", "child"]) and told.shown == []
    told = session.run("child = os.fork()\nif not child: raise KeyError('child')\nos.waitstatus_to_exitcode(os.waitpid(child, 0)[1])")
    assert told.result == 1 and "KeyError: 'child'" in told.stderr
    told = session.run("import asyncio\nawait asyncio.sleep(0)\nchild = os.fork()\nif child: os.waitpid(child, 0)\n'end'")
    assert told.result == "end"


def test_an_end_of_the_line_is_the_end(session):
    os.close(session.returns)
    session.process.wait(30)
    session.returns = os.open(os.devnull, os.O_RDONLY)


def test_what_is_said_is_not_read_of_what_is_dead(session):
    session.begin("import os; os._exit(7)")
    with pytest.raises(Gone):
        session.heard()
    session.restore()
    assert session.run("1").result == 1
