"""The copy of a session that is put aside behind each cell, and what it goes on with, as seen from outside of the process."""

import os
import random
import select
import signal

import pytest

from conftest import LIBRARY
from session_of import Session


@pytest.fixture(params=[None, LIBRARY], ids=["without the native half", "with it"])
def session(request, tmp_path, runner_text, sessions_text):
    if request.param and not os.path.exists(request.param):
        pytest.skip("CLOISTER_BIN does not say where the programs are")
    begun = Session((runner_text, sessions_text), tmp_path, library=request.param)
    yield begun
    begun.close()


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def gone(pid):
    """Waits until a process has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([pidfd], [], [])
    os.close(pidfd)


DEATHS = {
    "exit": "import os; os._exit(0)", "crash": "import ctypes; ctypes.string_at(0)", "kill": "import os; os.kill(os.getpid(), 9)",
    "abort": "import os; os.abort()", "whole group": "import os, signal; os.killpg(0, signal.SIGKILL)",
    "all that is there": "import os, signal\nfor n in (1, 2, 3, 10, 12, 13, 14, 15):\n    os.killpg(0, n)\nos._exit(1)",
    "default": "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
}


@pytest.mark.parametrize("code", DEATHS.values(), ids=DEATHS.keys())
def test_a_cell_that_dies_costs_itself(session, code):
    session.run("x = [1]")
    assert session.dies("x.append(2)\n" + code)["checkpoint"]
    assert session.run("x").result == [1]
    assert session.dies("x.append(3)\n" + code)["checkpoint"]
    assert session.run("x.append(4); x").result == [1, 4]


def test_the_session_does_not_find_its_copy(session, request):
    copy = session.rest["pid"]
    assert parent_of(copy) not in (session.pid, os.getpid()) and parent_of(session.pid) == os.getpid()
    assert session.run("import os\nos.wait()").error["exception"] == "ChildProcessError"
    if "with it" in request.node.name:  # without it the process between is a child as any other
        assert session.run("import signal\ncame = []\nsignal.signal(signal.SIGCHLD, lambda *a: came.append(a))\n1").result == 1
        assert session.run("came").result == []
    assert session.run("import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n1").result == 1
    assert session.rest["checkpoint"] and session.dies("os._exit(1)")["checkpoint"]


def test_there_is_one_copy_whatever_came_before(session):
    session.run("n = 0")
    for _ in range(200):
        before = session.rest["pid"]
        session.run("n += 1")
        assert session.rest["pid"] != before
    assert sorted(session.processes()) == sorted([session.pid, session.rest["pid"]])
    for _ in range(20):
        session.dies("n += 1; import os; os._exit(1)")
    assert session.run("n").result == 200
    assert len(session.processes()) == 2 and parent_of(session.rest["pid"]) != session.pid


def test_what_cannot_be_pickled_is_as_it_was(session):
    session.run("""
        import ctypes, sqlite3, contextvars
        def numbers():
            n = 0
            while True:
                n += 1
                yield n
        numbers = numbers()
        next(numbers), next(numbers)
        base = sqlite3.connect(":memory:")
        base.execute("create table t (a)"); base.execute("insert into t values (5)")
        memory = ctypes.create_string_buffer(b"kept")
        file = open("file", "w+"); file.write("begun\\n"); file.flush()
    """)
    session.dies("next(numbers); base.execute('delete from t'); memory.value = b'gone'; file.write('by the dead\\n'); file.flush(); import os; os._exit(1)")
    assert session.run("next(numbers)").result == 3
    assert session.run("base.execute('select a from t').fetchall()").result == [[5]]
    assert session.run("memory.value.decode()").result == "kept"
    assert session.run("file.write('on\\n'); file.seek(0); file.read()").result == "begun\nby the dead\non\n"


def test_random_numbers_go_on(session):
    session.run("import random\nrandom.seed(1)\nown = random.Random(2)")
    expected = session.run("a = random.random(), own.random()\nimport copy\nahead = random.Random(); ahead.setstate(random.getstate())\nb = ahead.random()\n[*a, b]").result
    session.dies("random.random(); own.random(); import os; os._exit(1)")
    assert session.run("random.random()").result == expected[2]
    random_after = random.Random(1)
    assert [random_after.random() for _ in range(2)] == [expected[0], expected[2]]
    assert session.run("own.random()").result == [own := random.Random(2), own.random(), own.random()][2]


def test_numpys_numbers_go_on(session):
    pytest.importorskip("numpy")
    session.run("import numpy\nnumpy.random.seed(1)\ngenerator = numpy.random.default_rng(1)")
    session.dies("numpy.random.rand(); generator.random(); import os; os._exit(1)")
    import numpy

    numpy.random.seed(1)
    assert session.run("[numpy.random.rand(), generator.random()]").result == [numpy.random.rand(), numpy.random.default_rng(1).random()]


def test_what_a_copy_is_without_is_counted_and_named(session):
    assert (session.rest["threads"], session.rest["count"], session.rest["native"], session.rest["children"]) == ([], 0, 0, 0)
    session.run("""
        import threading, subprocess, sys, os
        stop = threading.Event()
        class Odd(threading.Thread):
            name = property(lambda self: 5)
        threads = [threading.Thread(target=stop.wait, name=name) for name in ("first", "x" * 200, "\\ud800")]
        for thread in threads: thread.start()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(write); os.read(read, 1); os._exit(0)
        import _thread
        begun = threading.Event()
        _thread.start_new_thread(lambda: begun.set() or stop.wait(), ())
        begun.wait()
    """)
    assert session.rest["checkpoint"] and session.rest["threads"] == ["first", "x" * 80, "\\ud800"]
    assert (session.rest["count"], session.rest["native"], session.rest["children"]) == (4, 0, 1)
    session.dies("os._exit(1)")
    assert (session.rest["threads"], session.rest["count"], session.rest["children"]) == ([], 0, 0)
    assert session.run("threading.active_count(), [thread.is_alive() for thread in threads]").result == [1, [False] * 3]
    session.run("thread = threading.Thread(target=lambda: print('anew'))\nthread.start()")
    assert session.run("thread.join()").error is None


def test_many_threads_are_counted(session):
    session.run("import threading\nstop = threading.Event()\nthreads = [threading.Thread(target=stop.wait) for _ in range(50)]\nfor thread in threads: thread.start()")
    assert len(session.rest["threads"]) == 32 and session.rest["count"] == 50
    assert session.run("stop.set()\nfor thread in threads: thread.join()").error is None
    assert session.rest["count"] == 0


def test_the_loop_of_a_restored_session_works(session):
    session.run("import asyncio\nawait asyncio.to_thread(lambda: 1)\nasync def ticks():\n    while True:\n        n.append(1)\n        await asyncio.sleep(0)\nn = []\n"
                "task = asyncio.get_event_loop().create_task(ticks())")
    assert session.rest["count"] == 1
    before = session.run("len(n)").result
    session.dies("await asyncio.sleep(0.01)\nimport os; os._exit(1)")
    assert session.run("len(n)").result == before
    assert session.run("await asyncio.to_thread(lambda: 2)").result == 2
    assert session.run("await asyncio.sleep(0.01)\nlen(n) > 1").result is True


def test_tools_and_threads_of_a_dead_cell_are_over(session):
    tools = {"tools": ['[{"name": "search"}]', 1000, 100]}
    session.begin("from cloister import tools\nimport threading, os\nthreading.Thread(target=lambda: tools.search(1)).start()\ntools.search(2)", **tools)
    while session.frame()[0] != "C":
        pass
    os.kill(session.pid, signal.SIGKILL)
    session.restore()
    told = session.run("from cloister import tools\ntools.search(3)", lambda call: session.write({"call": call["call"], "value": "back"}), **tools)
    assert told.result == "back"


def test_locks_that_threads_held_are_told_by_pythons_own_rules(session):
    session.run("import logging, threading\nlogging.getLogger('x').warning('one')")
    session.dies("import os; os._exit(1)")
    assert "two" in session.run("logging.getLogger('x').warning('two')").stderr


def test_hooks_of_forks_do_not_break_it(session):
    session.run("""
        import os
        def fails(): raise ValueError
        os.register_at_fork(before=fails, after_in_parent=fails, after_in_child=fails)
        x = 1
    """)
    assert session.rest["checkpoint"]
    session.dies("os._exit(1)")
    assert session.run("x").result == 1


def test_where_no_process_can_be_made_it_is_said(session):
    if os.getuid() == 0:
        pytest.skip("root is not held to RLIMIT_NPROC")
    session.run("import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (0, 0))")
    assert not session.rest["checkpoint"] and "copied" in session.rest["why"]


def test_threads_of_a_library_that_a_copy_would_wait_for_are_told(session, tmp_path):
    # A library of this name, and a thread that Python knows nothing of.
    (tmp_path / "libgomp.so.1").write_bytes(open("/proc/self/exe", "rb").read(1 << 16))
    session.run("""
        import ctypes, mmap
        file = open("libgomp.so.1", "r+b")
        mapped = mmap.mmap(file.fileno(), 4096)
        start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda argument: None)
        libc = ctypes.CDLL(None)
        thread = ctypes.c_ulong()
        pause = ctypes.cast(libc.pause, ctypes.c_void_p)
        libc.pthread_create(ctypes.byref(thread), None, pause, None)
    """)
    assert not session.rest["checkpoint"] and "libgomp" in session.rest["why"] and session.rest["native"] == 1
    session.run("mapped.close(); file.close()")
    assert session.rest["checkpoint"] and session.rest["native"] == 1


NATIVE = """
    import ctypes, os
    thread = ctypes.c_ulong()
    libc = ctypes.CDLL(None)
    libc.pthread_create(ctypes.byref(thread), None, ctypes.cast(libc.pause, ctypes.c_void_p), None)
    [number] = {int(name) for name in os.listdir("/proc/self/task")} - {os.getpid()}
    with open(f"/proc/self/task/{number}/comm", "w") as file: file.write("NAME");
"""


@pytest.mark.parametrize(("name", "why"), [("tokio-rt-worker", "tokio"), ("polars-3", "polars"), ("polars-ooc-clea", None), ("jemalloc_bg_thd", None)])
def test_threads_that_a_copy_would_wait_for_are_told_by_their_names(session, name, why):
    assert session.run(NATIVE.replace("NAME", name)).error is None
    assert session.rest["native"] == 1 and session.rest["checkpoint"] == (why is None)
    assert why is None or session.rest["why"].startswith(f"{why} has threads")


def test_loops_of_openmp_go_on_in_a_copy(session):
    told = session.run("""
        import ctypes, threading
        openmp = ctypes.CDLL("libgomp.so.1")
        def loop():
            seen = []
            function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: seen.append(threading.get_ident()))
            openmp.GOMP_parallel(function, None, 3, 0)
            return len(seen)
    """)
    if told.error:
        pytest.skip("libgomp is not there")
    assert session.run("loop()").result == 3 and session.rest["checkpoint"]
    session.dies("loop(); import os; os._exit(1)")
    assert session.run("loop()").result in (1, 3) and session.rest["checkpoint"]


def test_the_copy_ends_with_who_would_wake_it(session):
    copy = session.rest["pid"]
    os.kill(session.pid, signal.SIGKILL)
    os.close(session.wake)
    gone(copy)
    session.wake = os.open(os.devnull, os.O_RDONLY)


def test_an_interrupt_of_a_restored_session_is_heard(session):
    session.dies("import os; os._exit(1)")
    session.begin("print('begun')\nwhile True: pass")
    while not os.read(session.stdout, 100).endswith(b"\n"):
        pass
    session.interrupt()
    assert session.heard().error["code"] == "interrupted"
    session.at_rest()
