"""Sessions against the rest of the node: what they hold, wait for and do at rest is bounded, whoever says what."""

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from client import eventually
from notebook import Session, opened, refused
from service import name_of

LOCKS = """
import fcntl, os, time
files = [os.open(f"/tmp/lock{number}", os.O_RDWR | os.O_CREAT) for number in range(200)]
place = 0
def lock(seconds):
    global place
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for file in files:
            for number in range(20):
                fcntl.lockf(file, fcntl.LOCK_EX, 1, place + 2 * number)
        place += 40
"""

PATIENT = """
[profile.patient]
extends = "default"
sessions = { most = 64 }
"""


def test_what_is_closed_while_it_is_opened_loses_no_slot(start_service):
    service = start_service(supervisor={"slots": 4})
    client, over = service.client, threading.Event()

    def open_many():
        mine = service.new_client()
        opened = []
        while not over.is_set():
            opened.append(mine.http.post("/sessions", json={}).status_code)
        return opened

    with ThreadPoolExecutor(2) as pool:
        openers = [pool.submit(open_many) for _ in range(2)]
        closed = 0
        while closed < 60:
            for session in client.http.get("/sessions").json()["sessions"]:
                closed += client.http.delete(f"/sessions/{session['session']}").status_code == 204
        over.set()
        assert {201, 410} >= {status for opener in openers for status in opener.result()} - {429}
    for session in client.http.get("/sessions").json()["sessions"]:
        client.http.delete(f"/sessions/{session['session']}")
    with opened(client) as session:
        assert session.value("1") == 1
    # As many jobs at once as there are slots, and no process of what was closed.
    with ThreadPoolExecutor(4) as pool:
        assert [job.result().status for job in [pool.submit(client.execute, "def main(): import time; time.sleep(0.2)") for _ in range(4)]] == [200] * 4
    service.settle()


def test_locks_of_short_cells_end_the_session_that_holds_them(open_session):
    session = open_session()
    session.run(LOCKS)
    for _ in range(600):
        answer = session.run("lock(0.06)")
        if answer.status != 200:
            break
    # While it locks, which ends its process; or at rest, which ends it.
    assert answer.code in ("memory_limit", "session_ended"), answer


def test_a_verdict_does_not_let_a_session_lock_on(open_session):
    session = open_session()
    session.run(LOCKS)
    session.post("os.write(3, b'R' + (4).to_bytes(8, 'big') + b'null'); lock(60)")
    # What it would go on with is ended, and with it its locks are gone.
    assert eventually(lambda: session.ended() or session.info()["state"] == "idle" and session.value("place") == 0)


def test_files_that_nobody_takes_are_counted(service, open_session):
    session = open_session()
    session.run("open('big', 'wb').write(bytes(8 << 20))")
    host, port = service.address.split(":")
    readers = []
    try:
        for _ in range(4):
            readers.append(socket.create_connection((host, int(port))))
            readers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            readers[-1].sendall(f"GET {session.path}/files/big HTTP/1.1\r\nHost: {service.address}\r\n\r\n".encode())
        assert eventually(lambda: service.stats()["unread_bytes"] >= 8 << 20)
    finally:
        for reader in readers:
            reader.close()
    assert eventually(lambda: service.stats()["unread_bytes"] == 0) is True


def test_orders_are_carried_out_in_a_place_and_told_of(service, open_session):
    session = open_session()
    session.run("""
        import os
        if os.fork() == 0:
            while True: pass
    """)
    before = session.info()["usage"]["cpu_ms"]
    session.put("a", b"x" * 100_000)
    # A child that runs meanwhile is the session's to pay for.
    assert session.info()["usage"]["cpu_ms"] > before


def test_a_session_outlives_what_it_was_forked_from(start_service):
    service = start_service()
    if not service.warm:
        return
    with opened(service.client) as session:
        assert session.value("x = 1\nx") == 1
        zygotes = service.zygotes()
        for zygote in zygotes:
            os.kill(zygote, signal.SIGKILL)
        eventually(lambda: not any(name_of(zygote) for zygote in zygotes))
        assert [session.value("x += 1\nx") for _ in range(4)] == [2, 3, 4, 5]


def test_what_files_bring_counts_as_the_sessions_memory(open_session):
    session = open_session()
    before = session.info()["memory_bytes"]
    session.put("big", bytes(6 << 20))
    assert session.info()["memory_bytes"] >= before + (5 << 20)


def test_who_holds_most_makes_room(start_service):
    service = start_service(supervisor={"sessions": "16\nsessions_memory = \"300MiB\""})
    other = service.new_client()
    with opened(service.client) as small, opened(other) as large, opened(other) as more:
        assert small.value("1") == 1
        for session in (large, more):
            session.post("kept = bytearray(180 << 20)")
        # All are of one address: of those the longest idle go, and the last stays.
        assert eventually(large.ended) == "memory" and small.ended() == "memory"
        assert more.ended() is None


def test_things_without_end_are_not_told_and_cost_no_session(session):
    answer = session.run("for n in range(5000): display(n)\n'done'")
    assert answer.result == "done" and len(answer.display) == 1000 and "1000 things" in answer.body["notes"][0]
    # What the runner would not write ends the cell.
    told = session.run("""
        import os
        shown = b'{"text/plain":"x"}'
        for n in range(2000): os.write(3, b'M' + len(shown).to_bytes(8, 'big') + shown)
    """)
    assert told.status == 422 and told.restored is True
    assert session.value("1") == 1


def test_nobody_waits_for_turns_in_the_place_of_others(start_service):
    service = start_service(supervisor={"queue": 40}, policy=PATIENT)
    sessions = [Session(service.client, profile="patient") for _ in range(4)]
    with ThreadPoolExecutor(64) as pool:
        running = [pool.submit(session.post, "import time; time.sleep(3)", timeout_ms=9000) for session in sessions]
        for session in sessions:
            eventually(lambda session=session: session.info()["state"] == "running")
        waiting = [pool.submit(session.post, "1") for session in sessions for _ in range(12)]
        refusals = [answer.result() for answer in waiting if answer.result().status_code == 429]
        assert refusals and all("wait for their turn" in refused(answer, 429, "overloaded") for answer in refusals)
        assert {answer.result().status_code for answer in running} == {200}
