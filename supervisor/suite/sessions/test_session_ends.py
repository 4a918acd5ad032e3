"""docs/sessions.md: what ends a session is told to who asks next, and so is each bound that keeps one from being opened."""

import os
import signal

import pytest

from client import eventually
from keys import bearer
from notebook import Session, opened, refused
from session_group import Group
from tongue import SAY

BOUNDED = """
[profile.idle]
extends = "default"
sessions = { idle = "1s" }

[profile.short]
extends = "default"
sessions = { lifetime = "1s" }

[profile.few]
extends = "default"
sessions = { most = 2 }

[profile.none]
extends = "default"
sessions = { most = 0 }
"""


@pytest.fixture(scope="module")
def bounded(start_for_module):
    return start_for_module(policy=BOUNDED)


def test_a_session_that_is_closed_is_over(session, service):
    session.run("x = 1")
    assert session.close() == 204
    assert session.ended() == "closed"
    assert "closed" in refused(session.ask("DELETE"), 410, "session_ended")
    for method, what, options in (("POST", "/execute", {"json": {"code": "1"}}), ("POST", "/interrupt", {}), ("POST", "/fork", {"json": {}}), ("GET", "/files", {}),
                                  ("GET", "/files/a", {}), ("PUT", "/files/a", {"content": b"x"}), ("DELETE", "/files/a", {})):
        answer = session.ask(method, what, **options)
        assert refused(answer, 410, "session_ended") and answer.json()["error"]["reason"] == "closed", (method, what)
    assert session.id not in [one["session"] for one in session.http.get("/sessions").json()["sessions"]]


def test_nothing_of_it_is_left(service, start_service):
    service = start_service()
    with opened(service.client) as session:
        session.run("import os, threading, time\nif os.fork() == 0: time.sleep(600)\nthreading.Thread(target=time.sleep, args=(600,)).start()")
        assert service.job_processes()
    service.settle()


@pytest.mark.parametrize("id", ["0" * 32, "x", "0" * 31, "%00", "..%2f"])
def test_one_that_never_was_is_not_found(client, id):
    for method, what in (("GET", ""), ("DELETE", ""), ("POST", "/interrupt"), ("GET", "/files"), ("GET", "/files/a")):
        assert "no such session" in refused(client.http.request(method, f"/sessions/{id}{what}"), 404, "not_found") or id == "0" * 32
    assert client.http.post(f"/sessions/{id}/execute", json={"code": "1"}).status_code == 404


def test_one_without_cells_ends_by_itself(bounded):
    session = Session(bounded.client, profile="idle")
    session.run("x = 1")
    eventually(lambda: session.ended() == "idle")
    assert "idle" in refused(session.post("x"), 410, "session_ended")


def test_a_request_may_ask_for_less_time_and_never_for_more(bounded):
    assert Session(bounded.client, profile="idle", idle_s=3600).opened["idle_s"] == 1
    session = Session(bounded.client, idle_s=1)
    assert session.opened["idle_s"] == 1
    eventually(lambda: session.ended() == "idle")


def test_who_only_asks_does_not_keep_it(bounded):
    """`eventually` asks all the time."""
    session = Session(bounded.client, profile="idle")
    eventually(lambda: session.ended() == "idle")


def test_a_cell_that_runs_longer_than_that_is_no_idleness(bounded):
    with opened(bounded.client, profile="idle") as session:
        assert session.value("import time; time.sleep(1.5); 'ran'") == "ran"


def test_none_stays_for_ever(bounded):
    session = Session(bounded.client, profile="short")
    eventually(lambda: session.post("1").status_code == 410)
    assert session.ended() == "lifetime"


def test_a_key_has_so_many_of_a_profile(bounded):
    with opened(bounded.client, profile="few") as first, opened(bounded.client, profile="few"):
        message = refused(bounded.client.http.post("/sessions", json={"profile": "few"}), 429, "overloaded")
        assert "sessions.most" in message
        with opened(bounded.client) as other:
            assert other.value("1") == 1
        first.close()
        with opened(bounded.client, profile="few") as again:
            assert again.value("1") == 1
    assert bounded.client.http.post("/sessions", json={"profile": "none"}).status_code == 429


def test_a_node_has_so_many(start_service):
    service = start_service(supervisor={"sessions": 2})
    with opened(service.client), opened(service.client):
        message = refused(service.client.http.post("/sessions", json={}), 429, "overloaded")
        assert "supervisor.sessions" in message
    with opened(service.client) as session:
        assert session.value("1") == 1


def test_the_one_longest_without_a_cell_goes_for_memory(start_service):
    service = start_service(supervisor={"sessions": '8\nsessions_memory = "120MiB"'})
    first, second = Session(service.client), Session(service.client)
    assert first.value("x = bytearray(70 << 20); len(x)") == 70 << 20
    assert second.value("x = bytearray(70 << 20); len(x)") == 70 << 20
    eventually(lambda: first.ended() == "memory")
    assert second.value("len(x)") == 70 << 20


def test_a_reload_leaves_sessions_as_they_began(start_service):
    service = start_service(policy='[profile.other]\nextends = "default"\nresult_bytes = "1KiB"\n')
    with opened(service.client, profile="other") as session:
        session.run("x = 'kept'")
        text = service.policy.read_text()
        service.policy.write_text(text[: text.index("[profile.other]")])
        service.supervisor.send_signal(signal.SIGHUP)
        eventually(lambda: service.client.http.post("/sessions", json={"profile": "other"}).status_code == 400)
        assert session.value("x") == "kept"
        assert session.run("'x' * 2000").code == "result_too_large"
        assert session.run("import os; os._exit(1)").restored is True and session.value("x") == "kept"
        assert session.info()["profile"] == "other"


def test_a_supervisor_that_dies_ends_them_and_who_asks_next_is_told(start_service):
    service = start_service()
    session = Session(service.client)
    session.run(SAY + "x = 1")
    # What stands still does not end before it may go on: the next supervisor has to see to that.
    eventually(Group(service, service.holding()[0]).is_frozen)
    os.kill(service.supervisor.pid, signal.SIGKILL)
    service.supervisor.wait()
    service.start_supervisor()
    service.wait_until_ready()
    assert session.ended() == "node_restarted"
    assert "began anew" in refused(session.post("x"), 410, "session_ended")
    with opened(service.client) as another:
        assert another.value("1") == 1
    service.settle()


def test_a_node_that_goes_leaves_nothing(start_service):
    """What is left of a service is looked at when it is stopped."""
    service = start_service()
    for _ in range(3):
        Session(service.client).run("import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()")


def test_sessions_are_of_a_key_and_to_all_others_there_are_none(start_service, keys):
    ada, bob = bearer(keys("new", "ada")), bearer(keys("new", "bob"))
    service = start_service(gateway_options=["--keys", keys.path], policy=BOUNDED)
    session = Session(service.client, headers=ada, profile="few")
    session.run("x = 1")
    none = refused(service.client.http.get(f"/sessions/{'0' * 32}", headers=bob), 404, "not_found")
    for method, what, options in (("GET", "", {}), ("DELETE", "", {}), ("POST", "/execute", {"json": {"code": "1"}}), ("POST", "/interrupt", {}),
                                  ("GET", "/files", {}), ("PUT", "/files/a", {"content": b"x"}), ("DELETE", "/files/a", {})):
        assert service.client.http.request(method, session.path + what, **options).status_code == 401
        answer = service.client.http.request(method, session.path + what, headers=bob, **options)
        assert refused(answer, 404, "not_found").replace(session.id, "0" * 32) == none, (method, what)
    assert service.client.http.get("/sessions", headers=bob).json() == {"sessions": []}
    assert [one["session"] for one in service.client.http.get("/sessions", headers=ada).json()["sessions"]] == [session.id]
    # Each key has as many as the profile says.
    Session(service.client, headers=bob, profile="few"), Session(service.client, headers=bob, profile="few")
    assert session.value("x") == 1 and session.close() == 204
    assert service.client.http.get(session.path, headers=bob).status_code == 404, "not even that it was is told"
