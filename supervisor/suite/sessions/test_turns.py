"""docs/sessions.md: one cell runs at a time; another waits for its turn, or is told that it would have to."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from notebook import opened, refused
from talk import conversation

HELD = "from cloister import tools\nx = tools.hold()"


@contextmanager
def holding(service, session):
    """A cell that runs until what this gives is called."""
    with conversation(service) as talk:
        talk.send("execute", session=session.id, code=HELD, tools=[{"name": "hold"}])
        call = talk.until("call")["call"]

        def let_go(value):
            talk.send("return", call=call, value=value)
            return talk.until("result")

        yield let_go


def test_the_next_has_its_turn_when_the_cell_has_ended(service, session):
    with holding(service, session) as let_go, ThreadPoolExecutor() as pool:
        next_ones = [pool.submit(session.value, "x += 1; x") for _ in range(3)]
        assert session.info()["state"] == "running"
        let_go(5)
        assert sorted(one.result() for one in next_ones) == [6, 7, 8]


def test_who_would_not_wait_is_told_so(service, session):
    with holding(service, session) as let_go:
        message = refused(session.post("1", busy="refuse"), 409, "session_busy")
        assert "busy" in message or "runs" in message
        let_go(1)
    # At rest it is a moment after the answer.
    assert session.value("x") == 1
    answer = session.run("x", busy="wait")
    assert answer.result == 1


def test_files_wait_for_their_turn_too(service, session):
    with holding(service, session) as let_go, ThreadPoolExecutor() as pool:
        put = pool.submit(session.put, "a", b"content")
        let_go(1)
        put.result()
    assert session.get("a") == b"content"


def test_sessions_run_side_by_side(service, session, open_session):
    other = open_session()
    with holding(service, session) as let_go:
        assert other.value("1 + 1") == 2
        let_go(0)


def test_an_idle_session_holds_no_slot(start_service):
    service = start_service(supervisor={"slots": 1})
    with opened(service.client) as one, opened(service.client) as two:
        assert one.value("1") == two.value("1") == 1
        assert service.client.execute("def main(): return 1").result == 1
        assert one.value("2") == 2


def test_a_closed_session_ends_its_cell(service, session):
    with conversation(service) as talk:
        talk.send("execute", session=session.id, code=HELD, tools=[{"name": "hold"}])
        talk.until("call")
        assert session.close() == 204
        last = talk.until("result", "error")
        assert last["type"] == "result" or last["error"]["code"] in ("session_ended", "lost"), last
    assert session.ended() == "closed"
