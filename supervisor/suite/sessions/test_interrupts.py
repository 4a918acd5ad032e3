"""docs/sessions.md: an interrupt is a KeyboardInterrupt in the cell that runs, and its end if it does not heed that."""

from copy import copy

import pytest

from client import Client, eventually
from notebook import opened

IMPATIENT = """
[profile.impatient]
extends = "default"
sessions = { interrupt_wait = "300ms" }
"""


@pytest.fixture(scope="module")
def impatient(start_for_module):
    return start_for_module(policy=IMPATIENT)


def interrupted(session, code, **fields):
    """What becomes of a cell that is interrupted once it has printed something."""
    with session.stream(code, **fields) as events:
        events.until("stdout")
        assert session.interrupt() is True
        return events.until("result")


@pytest.mark.parametrize("wait", ["while True: pass", "import time; time.sleep(60)", "import asyncio; await asyncio.sleep(60)",
                                  "import threading; threading.Event().wait()", "os.waitpid(child, 0)"])
def test_it_ends_the_cell_and_nothing_else(session, wait):
    # What comes in the middle of a fork, Python loses: its hooks have nobody to raise it to.
    session.run("import os, signal\nkept = 'kept'\nchild = os.fork() or signal.pause()")
    told = interrupted(session, f"kept += '!'\nprint('begun', flush=True)\n{wait}", timeout_ms=60_000)
    assert told["error"]["code"] == "interrupted" and "restored" not in told, told
    # What it did before that stays.
    assert session.value("kept") == "kept!"


def test_a_cell_may_catch_it_and_go_on(session):
    told = interrupted(session, """
        try:
            print("begun", flush=True)
            while True: pass
        except KeyboardInterrupt:
            came = "caught"
        came
    """)
    assert told["result"] == "caught" and session.value("came") == "caught"


def test_one_that_no_call_of_the_system_noticed_is_heeded_all_the_same(session):
    """As where it comes between the last look for signals and a call that sleeps: here another thread has it, and the call goes on."""
    session.run("kept = 'kept'")
    told = interrupted(session, """
        import signal, threading, time
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            print("begun", flush=True)
            time.sleep(60)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    """, timeout_ms=60_000)
    assert told["error"]["code"] == "interrupted" and "restored" not in told, told
    assert session.value("kept") == "kept"


def test_one_that_comes_while_nothing_runs_does_nothing(session):
    session.run("x = 1")
    assert session.interrupt() is False
    assert session.value("x") == 1


@pytest.mark.parametrize("deaf", ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2])"])
def test_a_cell_that_does_not_heed_it_is_ended(impatient, deaf):
    with opened(impatient.client, profile="impatient") as session:
        session.run("kept = 'kept'")
        told = interrupted(session, f"kept = 'lost'\n{deaf}\nprint('begun', flush=True)\nwhile True: pass")
        assert told["error"]["code"] == "interrupted" and told["restored"] is True, told
        assert session.value("kept") == "kept"


def test_one_for_a_cell_does_not_reach_the_next(session):
    for _ in range(20):
        session.run("1")
        session.interrupt()
        assert session.value("sum(range(1000))") == 499500


def test_who_leaves_interrupts_the_cell(session, client):
    """The session goes on: it is the client's still."""
    session.run("kept = 'kept'")
    other = copy(session)
    other.http = Client(client.url).http
    with other.stream("""
        try:
            print("begun", flush=True)
            while True: pass
        except KeyboardInterrupt:
            kept = "interrupted"
    """) as events:
        events.until("stdout")
    other.http.close()
    eventually(lambda: session.info()["state"] == "idle")
    assert session.value("kept") == "interrupted"
