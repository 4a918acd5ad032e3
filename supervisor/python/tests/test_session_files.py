"""Files of a session, by the orders that it is given between cells."""

import json
import os
import re

import pytest

from session_of import LIMIT, Session


def test_files_come_with_the_request(tmp_path, runner_text, sessions_text):
    begun = Session((runner_text, sessions_text), tmp_path, files=[("a.txt", b"a"), ("in/b.bin", bytes(100_000))])
    try:
        assert begun.run("open('a.txt').read(), len(open('in/b.bin', 'rb').read())").result == ["a", 100_000]
        assert begun.run("import os; sorted(os.listdir())").result == ["a.txt", "in"]
        assert begun.run("input()").error["exception"] == "EOFError"
    finally:
        begun.close()


def test_files_are_put_fetched_listed_and_deleted(session):
    content = os.urandom(300_000)
    session.write({"put": "in/here/a.bin", "size": len(content)})
    for at in range(0, len(content), 50_000):
        os.write(session.returns, content[at : at + 50_000])
    assert session.frame() == ("R", b"{}")
    assert session.order({"put": "empty", "size": 0}) == ("R", b"{}")
    assert session.order({"get": "in/here/a.bin"}) == ("F", content)
    assert session.order({"get": "empty"}) == ("F", b"")
    tag, listed = session.order({"list": True})
    listed = json.loads(listed)
    assert tag == "R" and listed["more"] == 0
    assert [(file["path"], file["size"]) for file in listed["files"]] == [("empty", 0), ("in/here/a.bin", 300_000)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", file["modified"]) for file in listed["files"])
    assert session.order({"put": "empty", "size": 2}, b"no") == ("R", b"{}")
    assert session.run("open('empty').read()").result == "no"
    assert session.order({"delete": "empty"}) == ("R", b"{}")
    assert [file["path"] for file in json.loads(session.order({"list": True})[1])["files"]] == ["in/here/a.bin"]


def failed(told):
    assert told[0] == "E", told
    return json.loads(told[1])["code"]


def test_what_is_no_file_is_told(session):
    session.run("import os, socket\nos.mkfifo('fifo'); os.mkdir('folder'); os.symlink('loop', 'loop'); os.symlink('/dev/zero', 'device')\ns = socket.socket(socket.AF_UNIX); s.bind('socket')")
    for path in ("missing", "folder/missing", "folder/none/below"):
        assert failed(session.order({"get": path})) == failed(session.order({"delete": path})) == "not_found"
    for path in ("fifo", "folder", "loop", "device", "socket"):
        assert failed(session.order({"get": path})) == "invalid_request", path
        assert failed(session.order({"put": path, "size": 3}, b"abc")) == "invalid_request", path
    assert failed(session.order({"delete": "folder"})) == "invalid_request"
    for path in ("loop", "fifo", "device", "socket"):
        assert session.order({"delete": path})[0] == "R"
    assert failed(session.order({"put": "x" * 300, "size": 1}, b"x")) == "invalid_request"
    assert session.run("sorted(os.listdir())").result == ["folder"]


def test_a_file_above_what_is_asked_for_is_refused(session):
    session.run("open('large', 'w').write('x' * 1000)")
    assert failed(session.order({"get": "large", "most": 999})) == "invalid_request"
    assert session.order({"get": "large", "most": 1000}) == ("F", b"x" * 1000)


def test_many_files_and_odd_names_are_listed_bounded(session):
    session.run("import os\nfor n in range(1200): open(f'{n:04}', 'w').close()\nos.makedirs(b'\\xff'); open(b'\\xff/x', 'w').close()\nos.utime('0000', (0, 1e15)); os.symlink('/', 'root')")
    listed = json.loads(session.order({"list": True})[1])
    assert [file["path"] for file in listed["files"]] == [f"{n:04}" for n in range(1000)] and listed["more"] == 201
    # As far off as the file system goes.
    assert re.fullmatch(r"[0-9]{4}-[0-9T:-]*Z", listed["files"][0]["modified"])


def test_paths_are_relative_to_where_the_session_began(session):
    session.run("import os, tempfile\nos.chdir(tempfile.gettempdir())\nos.open = os.write = open = None")
    assert session.order({"put": "a", "size": 1}, b"x")[0] == "R"
    assert session.order({"get": "a"}) == ("F", b"x") and (session.directory / "a").read_bytes() == b"x"


def test_no_copy_is_made_for_an_order(session):
    before = session.rest["pid"]
    session.order({"put": "a", "size": 1}, b"x")
    session.dies("import os; os.unlink('a'); os._exit(1)")
    assert session.pid == before and failed(session.order({"get": "a"})) == "not_found"


@pytest.mark.parametrize("order", [{}, {"put": "a\0b", "size": 1}, {"list": True, "more": "x"}])
def test_odd_orders_are_answered(session, order):
    tag, _ = session.order(order, b"x" * order.get("size", 0))
    assert tag in "RE" and session.run("1", result_bytes=LIMIT).result == 1
