"""The Python half of a zygote: what it finds before it forks, and what it renews in each child. Its forks are the suite's."""

import ctypes
import os
import random
import subprocess
import sys
import types

import pytest

from conftest import LIBRARY, alone as text_of
from zygote import zygote


def alone(code):
    """What code prints that runs in a process which has the zygote's functions and nothing of the tests'."""
    return outputs(code)[0]


def outputs(code):
    """The same, and what it says on standard error."""
    source = "import os, sys, types\nzygote = types.ModuleType('zygote')\nexec(sys.argv[1], zygote.__dict__)\n" + code
    command = [sys.executable, "-I", "-X", "utf8", "-B", "-c", source, text_of("renew", "zygote") + text_of("layout", "zygote") + text_of("zygote", "zygote")]
    # In another locale the C library maps a table that all processes share, and that root, whom the tests run as, may write to.
    done = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize(("modules", "needed"), [
    ([], False), (["random", "logging", "threading", "concurrent.futures.thread"], False), (["random", "some.extension"], True), ([None], True),
])
def test_steps_around_a_fork_are_taken_where_somebody_asked_for_them(modules, needed):
    steps = zygote.fork_functions(modules)
    assert len(steps) == 3 and all(bool(step.value) == needed for step in steps)


def test_who_asks_to_be_told_of_forks_is_known_and_asked_as_before(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "register_at_fork", lambda **hooks: asked.append(sorted(hooks)))
    original = os.register_at_fork
    modules, register = zygote.watch_fork_hooks()
    os.register_at_fork(before=print)
    assert (modules, asked, register) == ([__name__], [["before"]], original)


@pytest.mark.parametrize(("code", "told"), [
    ("", "None"),
    ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "started threads, which a fork does not keep"),
    ("read, write = os.pipe()\nif not os.fork():\n    os.close(write); os.read(read, 1); os._exit(0)", "started a process, which no job may depend on"),
    ("child = os.fork()\nif not child: os._exit(0)\nos.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)", "None"),
    ("import mmap; kept = mmap.mmap(-1, 4096)", "made shared memory (/dev/zero (deleted)), through which jobs could reach one another"),
])
def test_what_children_must_not_inherit_is_found(code, told):
    assert alone(code + "\nprint(zygote.left_behind())\nos._exit(0) if not sys.stdout.flush() else None") == told


def test_an_import_that_fails_is_told_with_its_name():
    assert alone("print(zygote.warm_up(['json', 'no_such_module']))") == "import no_such_module: ModuleNotFoundError: No module named 'no_such_module'"


def test_libraries_start_no_threads_while_they_are_imported_and_scripts_are_not_told_so():
    code = "os.environ['MKL_NUM_THREADS'] = '7'\nseen = []\nsys.meta_path.insert(0, type('F', (), {'find_spec': staticmethod(lambda *a: seen.append(dict(os.environ)))}))\n" \
           "assert zygote.warm_up(['decimal']) is None\nprint(seen[0]['MKL_NUM_THREADS'], seen[0]['OPENBLAS_NUM_THREADS'], os.environ['MKL_NUM_THREADS'], 'OPENBLAS_NUM_THREADS' in os.environ)"
    assert alone(code) == "1 1 7 False"


def test_a_thread_that_is_about_to_end_is_waited_for():
    timer = "import threading\ntimer = threading.Timer(60, print)\ntimer.start()\ntimer.cancel()\n"
    assert alone(timer + "zygote.let_threads_end()\nprint(zygote.left_behind())") == "None"
    assert alone("zygote.ENDING = 2\n" + timer.replace("timer.cancel()", "") + "zygote.let_threads_end()\nprint(zygote.left_behind())\ntimer.cancel()").startswith("started threads")


def test_the_state_of_a_generator_is_found_where_it_lies():
    generator = random.Random(5)
    states, others = zygote.twisters([generator])
    assert others == [] and len(states) == 2 and states[1] == 624 * 4
    words = ctypes.string_at(states[0], states[1])
    assert words == b"".join(word.to_bytes(4, sys.byteorder) for word in generator.getstate()[1][:-1])


def test_generators_with_more_than_that_are_seeded_by_themselves():
    class Own(random.Random):
        pass

    half = random.Random(5)
    half.gauss(0, 1)
    generators = [half, Own(5), random.SystemRandom()]
    states, others = zygote.twisters(generators)
    assert states == [] and others == generators[:2]
    before = [generator.getstate() for generator in others]
    zygote.renewal(others)()
    assert all(generator.getstate() != was for generator, was in zip(others, before, strict=True))


def test_what_is_unique_to_a_process_is_renewed():
    code = "import uuid, tempfile, multiprocessing.process as p, logging\nuuid.getnode(); tempfile._name_sequence = 5; key = p.current_process().authkey; began = logging._startTime\n" \
           "zygote.renewal([])()\nprint(tempfile._name_sequence, bool(uuid._node >> 40 & 1), p.current_process().authkey != key, logging._startTime > began, uuid._generate_time_safe)"
    assert alone(code) == "None True True True None"


def test_what_a_rehearsal_calls_has_code_of_its_own_afterwards_and_nothing_else_has():
    code = """
def called(): return [inner(number) for inner in (lambda number: number + 1,) for number in (1, 2)]
def beside(): return 5
def same(): return 5
def fails(): raise ValueError
def fails_not(): return 6
unhashable = called.__code__.replace(co_consts=(None, [1]))
for function in (called, beside, same, fails, fails_not): function.old = function.__code__
strange = type(called)(unhashable, {})
def shared(first): return (lambda: 1)() if first else [2 for _ in "a"]
old_code = shared.__code__
within = old_code.co_consts
filled, rehearsed = [], []
zygote.lay_together(lambda: filled.append(1), zygote.all_functions(), (fails_not, lambda: rehearsed.append(called()), lambda: shared(True), lambda: shared(False)), (beside,))
kept = [function.__code__ is function.old for function in (called, beside, same, fails, fails_not)]
print(kept, called.__code__ == called.old, rehearsed[-1], len(filled), len(rehearsed) - zygote.ROUNDS, strange.__code__ is unhashable)
print(sum(old is new for old, new in zip(within, shared.__code__.co_consts) if type(old) is type(old_code)), zygote.before.count(old_code), zygote.run_through([fails]))
"""
    assert alone(code).split("\n") == ["[False, False, True, True, False] True [2, 3] 1 2 True", "0 1 []"]


def test_only_what_was_imported_is_exercised(monkeypatch):
    done = []

    def steps(module):
        done.append(module)
        yield
        done.append("second")

    def broken(module):
        raise AttributeError
        yield

    module = types.ModuleType("present")
    monkeypatch.setitem(sys.modules, "present", module)
    monkeypatch.setitem(sys.modules, "older", module)
    assert list(zygote.exercise({"absent": steps, "older": broken, "present": steps})) == [None]
    assert done == [module, "second"]


def test_a_parked_child_waits_longer_for_what_takes_longer():
    runner = types.SimpleNamespace(rehearse_early=lambda: iter([2]))
    assert next(zygote.prepare(runner)) == 2


def test_nothing_runs_when_it_is_only_imported():
    assert zygote.__name__ == "zygote.zygote" and not hasattr(sys, "cloister_runner")


@pytest.mark.skipif(not os.path.exists(LIBRARY), reason="needs the native library that CLOISTER_BIN has")
def test_memory_is_laid_out_anew_whatever_its_layout_is():
    """The list of so many mappings is long. One that lay in memory of the allocator was itself among what was to be moved, or had
    been: gone by then, in a third of the layouts that the kernel chose."""
    code = f"""
import ctypes
library = ctypes.PyDLL({LIBRARY!r})
place = ctypes.CDLL(None).mmap
place.restype, place.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
for number in range(3000):
    place(None, 4096 * (1 + number % 7), 1 + number % 2 * 2, 0x22, -1, 0)
huge = place(None, 8 << 20, 3, 0x22, -1, 0)
ctypes.memset(huge, 7, 8 << 20)
library.cloister_zygote_settle.restype = ctypes.c_size_t
print(library.cloister_zygote_settle() >= 8 << 20, ctypes.string_at(huge, 8 << 20) == bytes([7]) * (8 << 20))
"""
    assert {alone(code) for _ in range(16)} == {"True True"}


@pytest.mark.skipif(not os.path.exists(LIBRARY), reason="needs the native library that CLOISTER_BIN has")
def test_what_cannot_be_laid_out_is_told_and_as_good_as_it_was():
    code = f"""
import ctypes, mmap, re, resource
library = ctypes.PyDLL({LIBRARY!r})
held = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE)
held[:] = bytes([7]) * (32 << 20)
has = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (has + (16 << 20),) * 2)
print(library.cloister_zygote_settle(), all(held[at] == 7 for at in range(0, len(held), 4096)))
"""
    printed, said = outputs(code)
    assert printed == "0 True" and said.startswith("forks of a warm interpreter will cost more") and "Cannot allocate memory" in said
