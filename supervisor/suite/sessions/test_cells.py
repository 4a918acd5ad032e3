"""docs/sessions.md: what a cell gives, and that its state stays."""

import base64

import pytest

from client import script_of


def test_what_a_cell_binds_is_there_in_the_next(session):
    assert session.value("x = 20\nx + 1") == 21
    session.run("import math\ndef double(n): return 2 * n\nclass Point: pass\nimport os; os.chdir('/dev/shm')")
    assert session.value("import pickle\n[double(x), math.floor(1.5), os.getcwd(), type(pickle.loads(pickle.dumps(Point()))) is Point]") == [
        40, 1, "/dev/shm", True]
    assert session.run("del x").status == 200
    assert session.run("x").error["exception"] == "NameError"


def test_cells_are_counted_and_the_session_tells_of_them(session):
    assert session.opened["state"] == "idle" and session.opened["cells"] == 0
    assert [session.run(code).body["cell"] for code in ("1", "1 / 0", "def f(:", "4")] == [1, 2, 3, 4]
    told = session.info()
    assert told["session"] == session.id and told["cells"] == told["usage"]["cells"] == 4
    assert told["usage"]["wall_ms"] > 0 and told["memory_bytes"] > 0 and 0 < told["idle_left_s"] <= told["idle_s"]
    listed = session.http.get("/sessions").json()["sessions"]
    assert [one["profile"] for one in listed if one["session"] == session.id] == ["default"]


@pytest.mark.parametrize(("code", "result", "text"), [
    ("1 + 1", 2, "2"),
    ("'a\\nb'", "a\nb", "'a\\nb'"),
    ("[1, None, {'a': 2.5}]", [1, None, {"a": 2.5}], "[1, None, {'a': 2.5}]"),
    ("import numpy as np\nnp.arange(3)", [0, 1, 2], "array([0, 1, 2])"),
    ("import asyncio; await asyncio.sleep(0, 7)", 7, "7"),
])
def test_the_last_expression_is_the_result_and_a_text(session, code, result, text):
    answer = session.run(code)
    assert (answer.result, answer.text, answer.body["data"]) == (result, text, {"text/plain": text})


@pytest.mark.parametrize("code", ["x = 1", "None", "1;", "def f(): return 1", "print('a')", "for n in range(3): n", "# nothing"])
def test_what_gives_nothing_has_the_result_null(session, code):
    answer = session.run(code)
    assert answer.result is None and not {"text", "data", "display"} & set(answer.body), answer


@pytest.mark.parametrize(("code", "text"), [("object", "<class 'object'>"), ("{1}", "{1}"), ("float('nan')", "nan"), ("{(1, 2): 3}", "{(1, 2): 3}")])
def test_what_has_no_form_in_json_is_told_as_text_alone(session, code, text):
    answer = session.run(code)
    assert answer.status == 200 and "result" not in answer.body and answer.text == text


def test_a_value_is_told_by_media_type(session):
    answer = session.run("""
        class Shown:
            def __repr__(self): return "plain"
            def _repr_html_(self): return "<b>html</b>"
            def _repr_png_(self): return b"\\x89PNG"
            def _repr_svg_(self): raise ValueError
        Shown()
    """)
    assert answer.body["data"] == {"text/plain": "plain", "text/html": "<b>html</b>", "image/png": base64.b64encode(b"\x89PNG").decode()}


def test_a_frame_comes_as_a_table(session):
    answer = session.run("import pandas as pd\npd.DataFrame({'a': [1, 2]})")
    assert "<table" in answer.body["data"]["text/html"] and "0  1" in answer.text


def test_what_is_displayed_comes_in_order(session):
    answer = session.run("display(1, 'two')\nprint('between')\ndisplay({'text/html': '<i>3</i>', 'text/plain': '3'}, raw=True)\n4")
    assert answer.display == [{"text/plain": "1"}, {"text/plain": "'two'"}, {"text/html": "<i>3</i>", "text/plain": "3"}]
    assert (answer.stdout, answer.result) == ("between\n", 4)


@pytest.mark.parametrize("code", ["plt.plot([1, 2])\nplt.show()", "plt.plot([1, 2]);", "figure, _ = plt.subplots()\ndisplay(figure)"])
def test_a_figure_is_shown_once_and_closed(session, code):
    answer = session.run(f"import matplotlib.pyplot as plt\n{code}")
    [shown] = answer.display
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG\r\n"), shown.keys()
    assert session.value("plt.get_fignums()") == []


def test_a_figure_that_is_the_value_is_not_shown_besides(session):
    answer = session.run("import matplotlib.pyplot as plt\nfigure, _ = plt.subplots()\nfigure")
    assert "image/png" in answer.body["data"] and answer.display == []


def test_await_works_at_the_top_level_and_tasks_go_on(session):
    session.run("import asyncio\nasync def twice(n):\n    await asyncio.sleep(0)\n    return 2 * n\ntask = asyncio.create_task(twice(4))\nawait asyncio.sleep(0)")
    assert session.value("await twice(3)") == 6
    assert session.value("await task") == 8
    assert session.value("[await twice(n) for n in range(3)]") == [0, 2, 4]
    assert session.value("async def count():\n    yield 1\n    yield 2\n[n async for n in count()]") == [1, 2]


@pytest.mark.parametrize(("code", "expected"), [
    ("def f(:", {"code": "syntax_error", "line": 1}),
    ("x = 1\n1 / 0", {"code": "exception", "exception": "ZeroDivisionError", "line": 2}),
    ("nowhere", {"code": "exception", "exception": "NameError"}),
    ("input()", {"code": "exception", "exception": "EOFError"}),
    ("import no_such_module", {"code": "exception", "reason": "missing_module"}),
    ("return 1", {"code": "syntax_error", "reason": "outside_function"}),
    ("!ls", {"code": "syntax_error"}),
    ("exit(3)", {"code": "exit", "exit_code": 3}),
    ("raise SystemExit", {"code": "exit", "exit_code": 0}),
    ("raise KeyboardInterrupt", {"code": "interrupted"}),
    ("import asyncio; await asyncio.wait_for(asyncio.sleep(9), 0)", {"code": "exception", "exception": "TimeoutError"}),
])
def test_a_cell_that_fails_says_how_and_costs_nothing(session, code, expected):
    session.run("kept = 'kept'")
    answer = session.run(code)
    assert answer.status == 422 and {key: answer.error.get(key) for key in expected} == expected, answer
    assert answer.restored is None and "main()" not in answer.error["message"], answer
    assert session.value("kept") == "kept"


def test_a_traceback_shows_lines_of_earlier_cells(session):
    session.run("def inner():\n    raise ValueError('deep')")
    error = session.run("\n\ninner()").error
    assert error["line"] == 3 and "raise ValueError('deep')" in error["traceback"] and "<cell 1>" in error["traceback"]
    assert "runner" not in error["traceback"] and error["traceback"].endswith("ValueError: deep")


def test_what_was_printed_is_told_whatever_comes_of_the_cell(session):
    answer = session.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 / 0")
    assert (answer.stdout, answer.stderr) == ("out\n", "err\n")
    assert session.run("2").stdout == ""


def test_bounds_of_a_job_bound_a_cell(open_session):
    session = open_session(profile="tiny")
    assert session.run("'x' * (65 << 10)").code == "result_too_large"
    assert session.run(f"len('{'x' * 5000}')").code == "too_large"
    assert session.run("while True: pass").code == "cpu_limit"
    assert session.run("print('x' * (2 << 20))").body["truncated"] == ["stdout"]
    answer = session.run("class Large:\n    _repr_html_ = lambda self: 'x' * (80 << 10)\nLarge()")
    assert set(answer.body["data"]) == {"text/plain"}
    # The processor time is a cell's, not the session's.
    for _ in range(3):
        assert session.value("import time\nwhile time.process_time() % 0.3 < 0.25: pass") is None


def test_files_of_the_request_are_there_before_the_first_cell(open_session):
    session = open_session(files=[{"path": "data/in.csv", "content": "a,b\n1,2\n"}, {"path": "module.py", "content_base64": "eCA9IDc="}])
    assert session.value("import module\n[open('data/in.csv').read(), module.x]") == ["a,b\n1,2\n", 7]


def test_a_cell_is_what_people_type(session):
    def cell():
        import collections
        import dataclasses

        @dataclasses.dataclass
        class Row:
            name: str
            count: int

        rows = [Row(name, count) for name, count in collections.Counter("abracadabra").most_common(2)]
        [dataclasses.asdict(row) for row in rows]

    assert session.value(script_of(cell)) == [{"name": "a", "count": 5}, {"name": "b", "count": 2}]


@pytest.mark.parametrize(("body", "expected"), [
    ({}, "code is missing"),
    ({"code": " \n"}, "code is empty"),
    ({"code": 1}, "code is the number 1"),
    ({"code": "1", "script": "1"}, "unknown field `script`"),
    ({"code": "1", "busy": "yes"}, 'busy is "yes", expected "wait" or "refuse"'),
    ({"code": "1", "timeout_ms": 0}, "timeout_ms is the number 0"),
    ({"code": "1", "tools": [{"name": "a b"}]}, "tools[0].name"),
])
def test_what_is_no_cell_is_refused_and_nothing_runs(session, body, expected):
    answer = session.ask("POST", "/execute", json=body)
    assert answer.status_code == 400 and expected in answer.json()["error"]["message"], answer.text
    assert session.info()["cells"] == 0


@pytest.mark.parametrize(("body", "expected"), [
    ({"profile": "nowhere"}, "no profile"),
    ({"idle_s": 0}, "idle_s is the number 0"),
    ({"files": [{"path": "../a", "content": ""}]}, "files[0].path"),
    ({"script": "x"}, "unknown field `script`"),
])
def test_a_session_that_cannot_be_is_not_opened(client, body, expected):
    before = len(client.http.get("/sessions").json()["sessions"])
    answer = client.http.post("/sessions", json=body)
    assert answer.status_code == 400 and expected in answer.json()["error"]["message"], answer.text
    assert len(client.http.get("/sessions").json()["sessions"]) == before
