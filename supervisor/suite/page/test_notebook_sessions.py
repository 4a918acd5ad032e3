"""The notebook and its session: how one ends, how the next begins, and what is told late of the one before."""

import pytest
from playwright.sync_api import expect

from client import eventually


def test_a_session_that_is_over_is_told_and_another_begins(notebook, client):
    notebook.run(1, "x = 1; open('seen', 'w').close()")
    # Behind a cell it asks for the files, and would hear of the end by that.
    expect(notebook.tab.locator("#files")).to_contain_text("seen")
    [session] = client.http.get("/sessions").json()["sessions"]
    expect(notebook.session).to_have_text(f"Session {session['session']}")
    client.http.delete(f"/sessions/{session['session']}")
    notebook.run(2, "x", "Refused")
    expect(notebook.problem).to_contain_text("The session is over: it was closed.")
    notebook.run(2, "x", "Failed")
    expect(notebook.output(2)).to_contain_text("NameError")
    expect(notebook.problem).to_have_text("")
    expect(notebook.cell(1).locator(".count")).to_have_text("")
    notebook.new.click()
    expect(notebook.session).to_have_text("")
    eventually(lambda: not client.http.get("/sessions").json()["sessions"], within=120)


def test_a_new_session_ends_what_runs_in_the_one_before(notebook):
    notebook.code(1).fill("x = 1\nprint('begun', flush=True)\nwhile True: pass")
    notebook.code(1).press("Control+Enter")
    expect(notebook.output(1)).to_contain_text("begun")
    notebook.new.click()
    expect(notebook.interrupt).to_have_attribute("aria-disabled", "true")
    expect(notebook.state(1)).not_to_have_text("Running…")
    notebook.run(2, "x", "Failed")
    expect(notebook.output(2)).to_contain_text("NameError")


@pytest.mark.parametrize("answer", [{"status": 204}, {"status": 410, "json": {"error": {"code": "session_ended", "reason": "idle", "message": "it is over"}}}], ids=["closed", "over before"])
def test_what_is_told_late_of_the_session_before_is_not_told_of_the_new_one(notebook, answer):
    notebook.run(1, "x = 1")
    held = []
    notebook.tab.route("**/sessions/*", lambda route: held.append(route))
    notebook.new.click()
    notebook.run(1, "len('new')")
    session = notebook.session.inner_text()
    with notebook.tab.expect_request_finished(lambda request: request.url.endswith("/files")):
        held.pop().fulfill(**answer)
    expect(notebook.state(1)).to_have_text("Done")
    expect(notebook.status).to_have_text("Cell 1: done")
    expect(notebook.problem).to_have_text("")
    notebook.tab.unroute("**/sessions/*")
    notebook.run(2, "x", "Failed")
    assert session and notebook.session.inner_text() == session


def test_a_cell_and_a_file_at_once_begin_one_session(notebook, client):
    held = []
    notebook.tab.route("**/sessions", lambda route: held.append(route))
    notebook.upload.set_input_files([{"name": "up", "mimeType": "text/plain", "buffer": b"up"}])
    notebook.code(1).press("Control+Enter")
    expect(notebook.state(1)).to_have_text("Running…")
    # A route is told of while the tab is asked something.
    eventually(lambda: notebook.tab.evaluate("1") and held, within=120)
    for route in held:
        route.continue_()
    notebook.tab.unroute("**/sessions")
    expect(notebook.state(1)).to_have_text("Done")
    expect(notebook.files.locator("li")).to_have_count(1)
    assert len(client.http.get("/sessions").json()["sessions"]) == 1


def test_cells_and_their_session_outlive_a_reload(notebook):
    notebook.run(1, "x = 'kept'")
    notebook.code(2).fill("x")
    notebook.tab.reload()
    expect(notebook.code(1)).to_have_value("x = 'kept'")
    notebook.run(2, "x")
    expect(notebook.output(2)).to_have_text("'kept'")
