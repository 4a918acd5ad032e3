"""docs/sessions.md: a cell counts as a job, and is told of as one."""

import pytest

from client import eventually
from keys import bearer
from notebook import Session, opened, refused
from tenants import Tenants


@pytest.fixture
def tenants():
    tenants = Tenants()
    yield tenants
    tenants.remove()


def test_a_cell_is_told_of_with_what_it_used(tenants, start_service):
    service = start_service(gateway_options=tenants.options, policy='[profile.other]\nextends = "default"\n')
    key = tenants.key(service, "ada")
    with opened(service.client, headers=bearer(key), profile="other") as session:
        answers = [session.run("sum(range(100_000))"), session.run("1 / 0")]
    events = [tenants.event(answer.body["id"]) for answer in answers]
    assert [event["outcome"] for event in events] == ["returned", "exception"]
    assert all(event["key"] == "ada" and event["profile"] == "other" for event in events), events
    assert [event for event in tenants.events() if event["id"] == session.id] == [], "opening one is no job"
    logged = service.log("supervisor").splitlines()
    assert all(any(answer.body["id"] in line and 'profile="other"' in line for line in logged) for answer in answers), logged


def test_cells_count_against_what_a_key_may_run_in_a_day(tenants, start_service):
    service = start_service(gateway_options=tenants.options)
    key = bearer(tenants.key(service, "few", "--jobs", "2"))
    session = Session(service.client, headers=key)
    assert session.value("1") == 1 and session.run("1 / 0").status == 422
    assert refused(session.post("1"), 429, "quota_exceeded")
    assert refused(service.client.http.post("/sessions", json={}, headers=key), 429, "quota_exceeded")
    # What costs nothing is let in.
    assert session.info()["cells"] == 2 and session.close() == 204


def test_a_cell_is_one_of_those_at_once_and_an_interrupt_is_not(start_service, keys):
    key = bearer(keys("new", "one", "--concurrency", "1"))
    service = start_service(gateway_options=["--keys", keys.path])
    session = Session(service.client, headers=key)
    eventually(lambda: session.run("1").status == 200)
    with session.stream("print('begun', flush=True)\nwhile True: pass") as events:
        events.until("stdout")
        assert session.run("1").code == "rate_limited"
        assert session.interrupt() is True
        assert events.until("result")["error"]["code"] == "interrupted"
    eventually(lambda: session.run("1").status == 200)


def test_a_key_has_sessions_of_its_profiles_alone(start_service, keys):
    key = bearer(keys("new", "small", "--profiles", "small"))
    service = start_service(gateway_options=["--keys", keys.path], policy='[profile.small]\nextends = "default"\nmemory = "128MiB"\n')
    assert refused(service.client.http.post("/sessions", json={}, headers=key), 403, "forbidden")
    assert Session(service.client, headers=key, profile="small").value("1") == 1


def test_cells_that_open_a_session_count_each_as_any_other(tenants, start_service):
    service = start_service(gateway_options=tenants.options)
    key = bearer(tenants.key(service, "few", "--jobs", "3", "--concurrency", "1"))
    ask = lambda cells: service.client.http.post("/sessions", json={"cells": [{"code": "x = 1"}] * cells}, headers=key)
    answer = ask(2)
    assert answer.status_code == 201 and answer.json()["usage"]["cells"] == 2, answer.text
    # It is told of behind the answer.
    assert eventually(lambda: [event["outcome"] for event in tenants.events()].count("returned") == 2)
    # The second of these is one too many for the day: nothing of the session stays.
    assert refused(ask(2), 429, "quota_exceeded")
    assert [session["session"] for session in service.client.http.get("/sessions", headers=key).json()["sessions"]] == [answer.json()["session"]]


def test_cells_that_open_a_session_come_as_fast_as_the_key_may_send(start_service, keys):
    key = bearer(keys("new", "slow", "--rate", "2/s"))
    service = start_service(gateway_options=["--keys", keys.path])
    answer = service.client.http.post("/sessions", json={"cells": [{"code": "import time; t = globals().setdefault('t', [])\nt.append(time.monotonic())"}] * 5}, headers=key)
    assert answer.status_code == 201, answer.text
    session = answer.json()["session"]
    times = eventually(lambda: service.client.http.post(f"/sessions/{session}/execute", json={"code": "t"}, headers=key).json().get("result"))
    assert len(times) == 5 and times[-1] - times[0] >= 1, times
