"""The notebook and its session: how one ends, how the next begins, and what is told late of the one before."""

import pytest
from playwright.sync_api import expect

from client import eventually


def hold(notebook, pattern):
    """Have requests wait on their way; those that do, as they come."""
    held = []
    notebook.tab.route(pattern, lambda route: held.append(route))
    return held


def first(notebook, held):
    """The first that is held, once there is one: the tab tells of a request when it is asked something."""
    return eventually(lambda: notebook.tab.evaluate("1") and held, within=120)[0]


def release(notebook, held, pattern):
    """Let what is held go on, at least one, and all later ones."""
    first(notebook, held)
    for route in held:
        route.continue_()
    notebook.tab.unroute(pattern)


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


def test_a_new_session_ends_what_runs_in_the_one_before_and_not_what_waits_for_it(notebook):
    notebook.code(1).fill("x = 1\nprint('begun', flush=True)\nwhile True: pass")
    notebook.code(1).press("Control+Enter")
    expect(notebook.output(1)).to_contain_text("begun")
    held = hold(notebook, "**/sessions/*")
    notebook.new.click()
    notebook.code(2).fill("x")
    notebook.code(2).press("Control+Enter")
    expect(notebook.state(2)).to_have_text("Waiting")
    first(notebook, held).continue_()
    expect(notebook.state(2)).to_have_text("Failed")
    expect(notebook.output(2)).to_contain_text("NameError")
    expect(notebook.state(1)).not_to_have_text("Running…")
    expect(notebook.problem).to_have_text("")


def test_a_new_session_ends_one_that_is_not_open_yet(notebook, client):
    held = hold(notebook, "**/sessions")
    notebook.code(1).fill("x = 1")
    notebook.code(1).press("Control+Enter")
    expect(notebook.state(1)).to_have_text("Running…")
    notebook.new.click()
    notebook.code(2).fill("x")
    notebook.code(2).press("Control+Enter")
    expect(notebook.state(2)).to_have_text("Waiting")
    release(notebook, held, "**/sessions")
    expect(notebook.state(2)).to_have_text("Failed")
    expect(notebook.output(2)).to_contain_text("NameError")
    expect(notebook.output(1)).to_contain_text("a new session was asked for before the cell began")
    eventually(lambda: len(client.http.get("/sessions").json()["sessions"]) == 1, within=120)


@pytest.mark.parametrize("answer", [{"status": 204}, {"status": 410, "json": {"error": {"code": "session_ended", "reason": "idle", "message": "it is over"}}}], ids=["closed", "over before"])
def test_what_is_told_late_of_the_session_before_is_not_told_of_the_new_one(notebook, answer):
    notebook.run(1, "x = 1")
    held = hold(notebook, "**/sessions/*")
    notebook.new.click()
    notebook.run(1, "open('new', 'w').close()")
    # Nothing else is on its way by then.
    expect(notebook.tab.locator("#files")).to_contain_text("new")
    session = notebook.session.inner_text()
    with notebook.tab.expect_request_finished(lambda request: request.method == "DELETE"):
        first(notebook, held).fulfill(**answer)
    expect(notebook.state(1)).to_have_text("Done")
    expect(notebook.status).to_have_text("Cell 1: done")
    expect(notebook.problem).to_have_text("")
    notebook.run(2, "x", "Failed")
    assert session and notebook.session.inner_text() == session


def test_an_end_that_is_told_while_the_next_is_opened_is_not_told_of_that(notebook):
    notebook.run(1, "x = 1")
    ends, begins = hold(notebook, "**/sessions/*"), hold(notebook, "**/sessions")
    notebook.new.click()
    notebook.code(1).fill("2")
    notebook.code(1).press("Control+Enter")
    expect(notebook.state(1)).to_have_text("Running…")
    with notebook.tab.expect_request_finished(lambda request: request.method == "DELETE"):
        first(notebook, ends).fulfill(status=410, json={"error": {"code": "session_ended", "reason": "idle", "message": "it is over"}})
    release(notebook, begins, "**/sessions")
    expect(notebook.state(1)).to_have_text("Done")
    expect(notebook.problem).to_have_text("")
    expect(notebook.session).to_contain_text("Session ")


def test_a_cell_and_a_file_at_once_begin_one_session(notebook, client):
    held = hold(notebook, "**/sessions")
    notebook.upload.set_input_files([{"name": "up", "mimeType": "text/plain", "buffer": b"up"}])
    notebook.code(1).press("Control+Enter")
    expect(notebook.state(1)).to_have_text("Running…")
    release(notebook, held, "**/sessions")
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
