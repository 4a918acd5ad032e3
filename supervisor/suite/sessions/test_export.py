"""docs/sessions.md, Moving: what made a session, as a request for another."""

import pytest

from notebook import refused


def exported(session, query=""):
    told = session.ask("GET", f"/export{query}")
    assert told.status_code == 200 and told.headers["content-type"] == "application/json", told.text
    return told.json()


def imported(open_session, export, **fields):
    return open_session(**{**export, **fields})


def test_what_is_exported_makes_another_of_the_same(session, open_session):
    for code in ("x = 20", "import random; random.seed(7); drawn = [random.random()]", "def f(): return x + len(drawn)", "out = open('out/log', 'w')", "out.write('a'); out.flush()"):
        session.run("import os; os.makedirs('out', exist_ok=True)") if "out/log" in code else None
        assert session.run(code).status == 200
    session.put("data/in.bin", bytes(range(256)))
    export = exported(session)
    assert export["profile"] == "default" and export["cells"][0] == {"code": "x = 20"} and len(export["cells"]) == 6
    assert sorted(file["path"] for file in export["files"]) == ["data/in.bin", "out/log"]
    other = imported(open_session, export)
    assert other.id != session.id and other.opened["cells"] == 6 and "failed" not in other.opened and other.opened["state"] == "idle"
    assert other.value("f()") == 21 and other.value("drawn") == session.value("drawn")
    assert other.get("data/in.bin") == bytes(range(256)) and other.value("random.random()") == session.value("random.random()")
    # And once more of that: nothing is lost on the way.
    again = exported(other)
    assert again["cells"] == [*export["cells"], {"code": "f()"}, {"code": "drawn"}, {"code": "random.random()"}]


def test_only_what_made_the_state_is_exported(session):
    assert session.run("x = 1").status == 200
    assert session.run("x = (").error["code"] == "syntax_error"
    assert session.run("x = 2; 1 / 0").error["code"] == "exception"
    assert session.run("x = 3; import os; os._exit(1)").restored is True
    assert session.value("x") == 2
    assert [cell["code"] for cell in exported(session)["cells"]] == ["x = 1", "x = 2; 1 / 0", "x"]


def test_files_are_left_out_on_request_and_links_never_followed(session):
    session.put("a", b"1")
    session.run("import os; os.symlink('/etc/passwd', 'link'); os.symlink('a', 'other'); os.mkdir('empty'); os.mkfifo('pipe')")
    assert [file["path"] for file in exported(session)["files"]] == ["a"]
    without = exported(session, "?files=false")
    assert "files" not in without and len(without["cells"]) == 1
    assert exported(session, "?files=true") == exported(session)
    assert "neither" in refused(session.ask("GET", "/export?files=no"), 400, "invalid_request")


def test_what_failed_of_an_import_is_told(open_session):
    session = open_session(cells=[{"code": "x = 1"}, {"code": "1 / 0"}, {"code": "x = (\n"}, {"code": "import os; x = 2; os._exit(1)"}, {"code": "x += 1"}])
    failed = session.opened["failed"]
    assert [(cell["cell"], cell["code"]) for cell in failed] == [(2, "exception"), (3, "syntax_error"), (4, "exit")], failed
    assert "division by zero" in failed[0]["message"]
    assert session.value("x") == 2 and session.info()["cells"] == 6


def test_cells_that_are_none_open_nothing(client):
    before = len(client.http.get("/sessions").json()["sessions"])
    for cells, expected in (({}, "cells is an object"), ([{}], "cells[0].code is missing"), ([{"code": "x"}, {"code": "y", "z": 1}], "cells[1]: unknown field")):
        answer = client.http.post("/sessions", json={"cells": cells})
        assert expected in refused(answer, 400, "invalid_request")
    assert len(client.http.get("/sessions").json()["sessions"]) == before


def test_a_cell_that_ends_the_session_is_told_and_leaves_none(client):
    before = len(client.http.get("/sessions").json()["sessions"])
    # It ends its checkpoint and then itself.
    kill = "import os, signal\nfor number in range(2, 200):\n    try:\n        number != os.getpid() and os.kill(number, signal.SIGKILL)\n    except OSError: pass\nos._exit(1)"
    answer = client.http.post("/sessions", json={"cells": [{"code": "x = 1"}, {"code": kill}, {"code": "x"}]})
    error = answer.json()["error"]
    assert answer.status_code == 422 and error["message"].startswith("cell 2 of 3 could not be run, and the session is closed: "), answer.text
    assert len(client.http.get("/sessions").json()["sessions"]) == before


OWN = """
import sys
frame = sys._getframe()
while not hasattr(frame.f_locals.get("self"), "sources"):
    frame = frame.f_back
session = frame.f_locals["self"]
"""


@pytest.mark.parametrize(("code", "expected"), [
    ("session.sources.append({'a': 1})", "cells[1].code is an object"),
    ("session.sources[:] = ['']", "cells[0].code is empty"),
    ("session.sources.append('x' * (5 << 20))", "its cells are"),
    ("session.files.found = lambda: ['../../etc/hostname']", None),
    ("session.files.content = lambda *_: b''; session.files.found = lambda: ['../a']", 'files[0].path is "../a"'),
    ("session.files.content = lambda *_: b''; session.files.found = lambda: ['a', 'a']", "which an earlier file has too"),
    ("session.files.export = lambda *_: exit()", None),
])
def test_what_a_session_forges_is_refused_as_any_request_is(session, code, expected):
    assert session.run(OWN + code).status == 200
    answer = session.ask("GET", "/export")
    assert answer.status_code in (400, 404, 422), answer.text
    assert expected is None or expected in answer.json()["error"]["message"], answer.text
    # One that has ended itself over it is restored by the next cell.
    assert session.run("1").status in (200, 422) and session.value("1 + 1") == 2


def test_what_is_too_large_is_told_with_what_to_do(open_session):
    session = open_session(profile="tiny")
    session.run("for name in 'ab': open(name, 'wb').write(bytes(3 << 20))")
    message = refused_too_large(session.ask("GET", "/export"))
    assert "without" in message or "files=false" in message
    assert len(exported(session, "?files=false")["cells"]) == 1


def refused_too_large(answer):
    error = answer.json()["error"]
    assert answer.status_code in (400, 413, 422), answer.text
    return error["message"]


def test_of_a_session_that_is_over_there_is_nothing(session):
    session.close()
    assert session.ask("GET", "/export").status_code == 410


def test_an_export_is_asked_for_by_one_method(session):
    assert session.ask("POST", "/export").status_code == 405
    assert exported(session) == {"profile": "default"}
