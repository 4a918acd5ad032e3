"""docs/sessions.md: a cell that costs the session its process costs no more than itself."""

import pytest

from client import eventually
from notebook import opened

# Of a session at rest: the interpreter, and its copy.
PROCESSES = 2

# How a cell can end the process that it runs in: what it says, and what it is answered with.
ENDS = {
    "time": ("while True: pass", {"timeout_ms": 1200}, {"code": "timeout", "reason": "request_timeout"}),
    "sleep": ("import time; time.sleep(60)", {"timeout_ms": 1200}, {"code": "timeout"}),
    "exit": ("import os; os._exit(3)", {}, {"code": "exit", "exit_code": 3}),
    "kill": ("import os; os.kill(os.getpid(), 9)", {}, {"code": "killed", "signal": "SIGKILL"}),
    "abort": ("import os; os.abort()", {}, {"code": "killed", "signal": "SIGABRT"}),
    "crash": ("import ctypes; ctypes.string_at(0)", {}, {"code": "killed", "signal": "SIGSEGV"}),
    "its group": ("import os; os.kill(0, 9)", {}, {"code": "killed", "signal": "SIGKILL"}),
}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_the_session_goes_on_from_before_the_cell(session, end):
    code, fields, expected = ENDS[end]
    session.run("state = {'kept': 1}")
    answer = session.run(f"state['lost'] = 2\nprint('printed', flush=True)\n{code}", **fields)
    assert answer.status == 422 and answer.restored is True, answer
    assert {key: answer.error.get(key) for key in expected} == expected and answer.stdout == "printed\n", answer
    after = session.run("state")
    assert after.result == {"kept": 1} and after.restored is None and after.body["cell"] == 3


def test_a_stack_that_overflows_in_c(session):
    session.run("kept = 5\nimport sys, ctypes")
    deep = "sys.setrecursionlimit(1 << 30)\n@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)\ndef deeper(n): return [*map(deeper, [n + 1])][0]\ndeeper(0)"
    answer = session.run(deep, timeout_ms=8000)
    # Where Python counts calls of C it is an exception, which leaves all as it is.
    assert (answer.code, answer.restored) in [("killed", True), ("exception", None)], answer
    assert session.value("kept") == 5


def test_memory(open_session):
    session = open_session(profile="tiny")
    session.run("kept = list(range(5))")
    for _ in range(3):
        answer = session.run("filled = b'x' * (100 << 20)")
        assert (answer.code, answer.restored) == ("memory_limit", True), answer
        assert session.value("kept") == [0, 1, 2, 3, 4]


def test_processor_time(open_session):
    session = open_session(profile="tiny")
    session.run("kept = 1")
    answer = session.run("while True: pass")
    assert (answer.code, answer.restored) == ("cpu_limit", True) and session.value("kept") == 1


def test_again_and_again(session):
    session.run("count = 0")
    for number in range(20):
        assert session.value("count += 1\ncount") == number + 1
        assert session.run("count = -1\nimport os; os._exit(1)").restored is True


def test_nothing_that_a_cell_has_begun_goes_on(service, session):
    """Neither its threads nor its children, however they are hidden."""
    session.run("kept = 1")
    eventually(lambda: len(service.job_processes()) == PROCESSES)
    answer = session.run("""
        import os, signal, threading, time
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()))
                if os.fork() == 0:
                    while True: time.sleep(1)
                while True: open("/dev/shm/alive", "a").write("x")
        threading.Thread(target=lambda: time.sleep(60)).start()
        os._exit(1)
    """)
    # With the answer: nothing is waited for.
    assert answer.restored is True and len(service.job_processes()) <= PROCESSES
    assert session.value("import threading; [kept, threading.active_count()]") == [1, 1]
    eventually(lambda: len(service.job_processes()) == PROCESSES)


KEPT = [
    ("g = (n for n in range(10)); next(g)", "next(g)", 1),
    ("f = open('a', 'w+'); f.write('abc'); f.flush()", "f.seek(0); f.read()", "abc"),
    ("import sqlite3; db = sqlite3.connect(':memory:'); db.execute('create table t (n)'); db.execute('insert into t values (7)')",
     "db.execute('select n from t').fetchone()", [7]),
    ("import sqlite3; db = sqlite3.connect('a.db'); db.execute('create table t (n)'); db.execute('insert into t values (7)'); db.commit()",
     "db.execute('select n from t').fetchone()", [7]),
    ("import ctypes; p = ctypes.create_string_buffer(b'bytes')", "p.value.decode()", "bytes"),
    ("import numpy as np; a = np.arange(1000).reshape(10, 100)", "int(a.sum())", 499500),
    ("import pandas as pd; df = pd.DataFrame({'a': range(100)})", "int(df.a.sum())", 4950),
    ("import threading; lock = threading.Lock(); lock.acquire()", "lock.locked()", True),
    ("import asyncio; event = asyncio.Event()", "event.set(); await event.wait()", True),
    ("import re, decimal; d = decimal.Decimal('1.10'); r = re.compile('a+')", "[str(d + 1), bool(r.match('aa'))]", ["2.10", True]),
    ("def outer():\n    n = 0\n    def inner():\n        nonlocal n\n        n += 1\n        return n\n    return inner\nf = outer(); f()", "f()", 2),
    ("large = bytes(100 << 20)", "len(large) >> 20", 100),
]


@pytest.mark.parametrize(("make", "use", "expected"), KEPT)
def test_what_no_pickle_could_bring_back_is_there(session, make, use, expected):
    assert session.run(make).status == 200
    assert session.run("import os; os._exit(1)").restored is True
    assert session.value(use) == expected


def test_random_numbers_go_on_and_do_not_repeat(session):
    session.run("import random, numpy as np\nrandom.seed(5); np.random.seed(5); own = np.random.default_rng(5)")
    draw = "[random.random(), float(np.random.random()), float(own.random())]"
    told = [session.value(draw)]
    for _ in range(3):
        assert session.run("import os; os._exit(1)").restored is True
        told.append(session.value(draw))
    expected = session.value(f"random.seed(5); np.random.seed(5); own = np.random.default_rng(5)\n[{draw} for _ in range(4)]")
    assert told == expected and len({tuple(numbers) for numbers in told}) == 4


def test_what_nobody_seeded_does_not_repeat_between_sessions(open_session):
    draw = "import random, numpy as np, os\n[random.random(), float(np.random.random()), os.urandom(8).hex()]"
    first, second = open_session(), open_session()
    told = [first.value(draw), second.value(draw)]
    for session in (first, second):
        session.run("os._exit(1)")
        told.append(session.value(draw))
    assert all(len(set(column)) == 4 for column in zip(*told)), told


def test_files_are_as_the_cell_left_them(session):
    """Neither what is in them nor where they are read is rolled back."""
    session.run("import os\nopen('a', 'w').write('before')\nf = os.open('b', os.O_RDWR | os.O_CREAT); os.write(f, b'0123')")
    assert session.run("open('a', 'w').write('within')\nos.lseek(f, 1, os.SEEK_SET); os._exit(1)").restored is True
    assert session.value("[open('a').read(), os.lseek(f, 0, os.SEEK_CUR)]") == ["within", 1]
    assert session.get("a") == b"within"


def test_what_is_not_brought_back_is_named(session):
    session.run("""
        import os, subprocess, sys, threading, time
        worker = threading.Thread(target=time.sleep, args=(600,), name="the worker", daemon=True)
        worker.start()
        child = os.fork() or time.sleep(600)
    """)
    answer = session.run("os._exit(1)")
    assert answer.restored is True and answer.body["not_kept"] == ["the thread the worker", "a child process"], answer
    assert session.value("worker.is_alive()") is False
    assert "not_kept" not in session.run("os._exit(1)").body


def test_a_cell_that_ends_its_copy_too_ends_the_session(session):
    """docs/sessions.md: `restored` is false then, and who asks next is told why."""
    answer = session.run("import os; os.kill(-1, 9); os._exit(1)")
    assert answer.status == 422 and answer.restored is False, answer
    assert session.ended() == "crashed"


def test_a_cell_that_ends_its_copy_alone_costs_nothing(session):
    assert session.value("import os; x = 1; os.kill(-1, 9); x") == 1
    assert session.value("x += 1; x") == 2
    assert session.run("os._exit(1)").restored is True and session.value("x") == 2


def test_a_session_that_is_well_is_never_touched(session):
    """Its threads, its children and its process are those of its first cell."""
    pid = session.value("""
        import os, threading, time
        ticks = []
        def tick():
            while True:
                ticks.append(1)
                time.sleep(0.001)
        worker = threading.Thread(target=tick, daemon=True); worker.start()
        child = os.fork() or [time.sleep(1) for _ in iter(int, 1)]
        os.getpid()
    """)
    for _ in range(20):
        assert session.value("[os.getpid(), worker.is_alive(), os.waitpid(child, os.WNOHANG)[0]]") == [pid, True, 0]
    before = session.value("len(ticks)")
    assert session.value("time.sleep(0.2); len(ticks)") > before


def test_many_cells_leave_no_chain_of_processes(service):
    """docs/sessions.md: behind each cell there are the interpreter and its copy, and no more."""
    with opened(service.client) as session:
        session.run("import os; n = 0; pid = os.getpid()")
        for number in range(200):
            assert session.value("n += 1\n[n, os.getpid() == pid]") == [number + 1, True]
        eventually(lambda: len(service.job_processes()) == PROCESSES)
        for _ in range(20):
            assert session.run("os._exit(1)").restored is True
        eventually(lambda: len(service.job_processes()) == PROCESSES)
        assert session.value("n") == 200
    eventually(lambda: not service.job_processes())
