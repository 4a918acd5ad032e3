"""docs/sessions.md: files of a session, one by one."""

import hashlib
import http.client
from contextlib import closing

import pytest

from notebook import refused


def test_files_are_put_fetched_told_and_deleted(session):
    content = bytes(range(256)) * 1000
    session.put("data/in.bin", content)
    assert session.value("open('data/in.bin', 'rb').read() == bytes(range(256)) * 1000") is True
    session.run("open('out.txt', 'w').write('made here')")
    assert session.get("out.txt") == b"made here" and session.get("data/in.bin") == content
    told = session.ask("GET", "/files").json()
    assert [(file["path"], file["size"]) for file in told["files"]] == [("data/in.bin", 256000), ("out.txt", 9)] and told["more"] == 0
    assert all(file["modified"].endswith("Z") for file in told["files"])
    assert session.ask("DELETE", "/files/out.txt").status_code == 204
    assert "No such file" in refused(session.ask("GET", "/files/out.txt"), 404, "not_found") and session.files() == ["data/in.bin"]
    assert session.info()["cells"] == 2


def test_what_is_put_takes_the_place_of_what_was_there(session):
    for content in (b"a longer content", b"short", b""):
        session.put("a", content)
        assert session.get("a") == content


@pytest.mark.parametrize("path", ["a b", "\u00e9\u4e2d", "a%3Fb", "a+b&c=d", "deep/er/and/deeper", ".hidden", "a:b", "%2525"])
def test_a_path_is_what_it_says(session, path):
    session.put(path, b"x")
    [told] = session.files()
    assert session.get(path) == b"x" and session.value(f"import os; os.path.exists({told!r})") is True


@pytest.mark.parametrize("path", ["..", "../a", "%2e%2e/a", "a/../../b", "%2Fetc/passwd", "a//b", "a%00b", "%FF", "a/", "./a", "n" * 256])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_path_leads_nowhere_but_down(session, method, path):
    url = session.http.base_url
    # As it is written: most clients resolve dots.
    with closing(http.client.HTTPConnection(url.host, url.port, timeout=60)) as connection:
        connection.request(method, f"{session.path}/files/{path}", body=b"x" if method == "PUT" else None)
        answer = connection.getresponse()
        assert answer.status == 400 and b"the path" in answer.read()


@pytest.mark.parametrize(("method", "path"), [("GET", "directory"), ("PUT", "directory"), ("DELETE", "directory"), ("GET", "socket"), ("PUT", "socket")])
def test_what_is_no_file_is_refused(session, method, path):
    assert session.run("import os, socket; os.mkdir('directory'); s = socket.socket(socket.AF_UNIX); s.bind('socket')").status == 200
    answer = session.ask(method, f"/files/{path}", content=b"x" if method == "PUT" else None)
    assert refused(answer, 400, "invalid_request")
    assert session.value("{'directory', 'socket'} <= {*os.listdir()}") is True


def test_a_file_is_bounded_as_those_of_a_request_are(open_session):
    session = open_session(profile="tiny")
    large = session.ask("PUT", "/files/a", content=bytes(9 << 20))
    assert large.status_code == 413 and large.json()["error"]["code"] == "too_large"
    # There is no room for it in the session's /tmp, nor a second time.
    session.put("half", bytes(5 << 20))
    full = session.ask("PUT", "/files/other", content=bytes(5 << 20))
    assert full.status_code in (413, 422), full.text
    assert session.value("import os; os.path.getsize('half')") == 5 << 20


def test_a_large_file_comes_whole(session):
    assert session.value("import os; open('large', 'wb').write(os.urandom(4 << 20))") == 4 << 20
    assert hashlib.sha256(session.get("large")).hexdigest() == session.value("import hashlib; hashlib.sha256(open('large', 'rb').read()).hexdigest()")


def test_more_than_are_told_of_are_counted(session):
    session.run("for n in range(1200): open(f'{n:04}', 'w')")
    told = session.ask("GET", "/files").json()
    assert len(told["files"]) == 1000 and told["more"] == 200 and told["files"][0]["path"] == "0000"


def test_a_browser_takes_no_file_for_a_page(session):
    session.put("a.html", b"<script>alert(1)</script>")
    headers = session.ask("GET", "/files/a.html").headers
    assert (headers["content-type"], headers["x-content-type-options"]) == ("application/octet-stream", "nosniff")
    assert headers["content-disposition"] == "attachment"


def test_files_are_those_of_the_first_working_directory(session):
    session.run("import os; os.mkdir('other'); os.chdir('other'); open('inner', 'w').write('x')")
    assert session.files() == ["other/inner"]
    session.put("outer", b"y")
    assert session.value("open('../outer').read()") == "y"


def test_files_of_a_session_that_patches_what_they_are_made_with(session):
    session.run("import os, time\nos.open = os.read = os.write = os.scandir = time.strftime = None\nimport builtins; builtins.open = None")
    session.put("a", b"content")
    assert session.get("a") == b"content" and session.files() == ["a"]


def test_links_lead_where_the_session_may_look(session):
    session.run("import os; os.symlink('/etc/passwd', 'link'); own = open('/etc/passwd').read()")
    answer = session.ask("GET", "/files/link")
    assert answer.status_code in (200, 400) and (answer.status_code == 400 or answer.text == session.value("own"))
    assert session.files() == []
