"""Children that are started ahead and not forked: warm, and with nothing in common, not even a layout."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import eventually
from service import HOLD, POLICY
from test_state import changes, draws, run_many

STARTED = ', children = "started"'

PROFILE = """
[profile.started]
extends = "default"
warm = { imports = ["numpy", "pandas"], parked = 2, children = "started" }

[profile.plain]
extends = "default"
warm = false
"""


@pytest.fixture(scope="module")
def started(start_for_module):
    return start_for_module(policy=PROFILE)


@pytest.fixture
def run(started):
    return lambda script, **fields: started.client.execute(script, profile="started", **fields)


def test_two_jobs_share_neither_the_hash_nor_the_layout_nor_anything_drawn(run):
    def peculiar():
        import sys

        import numpy

        def main():
            return {"hash": hash("a text"), "hash of bytes": hash(b"some bytes"), "order": list({str(n) for n in range(100)}), "an object": id(sys.modules), "a library": id(numpy.ndarray)}

    for script in (peculiar, draws):
        told = run_many(run, script)
        for what in told[0]:
            assert len({str(job[what]) for job in told}) == len(told), (what, [job[what] for job in told])


def test_what_one_job_changes_the_next_does_not_see(run):
    fresh = run(changes, args=[False]).result
    assert [run(changes, args=[True]).result for _ in range(3)] == [fresh] * 3


def test_the_imports_are_done_before_a_request_and_are_not_the_jobs_time(started, run):
    loaded = "import sys\nahead = 'pandas' in sys.modules\nimport pandas\ndef main(): return ahead"
    alone = started.client.execute(loaded, profile="started")
    cold = started.client.execute("import pandas\ndef main(): return 1", profile="plain")
    assert alone.result is True and cold.status == 200
    assert alone.body["usage"]["cpu_ms"] < cold.body["usage"]["cpu_ms"] / 4, (alone.body, cold.body)


def test_what_it_prints_and_opens_is_a_scripts_own(run):
    answer = run("import os\ndef main():\n    print('printed')\n    return sorted(map(int, os.listdir('/proc/self/fd')))")
    # The last is that of the list itself.
    assert (answer.stdout, answer.stderr, answer.result) == ("printed\n", "", [0, 1, 2, 3, 4])


def test_children_that_die_are_replaced_and_cost_no_request(started, run):
    for _ in range(3):
        children = eventually(lambda: len(found := waiting(started)) == 2 and found)
        for child in children:
            os.kill(child, signal.SIGKILL)
        # Gone with all of their threads: one whose first thread has ended may still have others.
        eventually(lambda: not any(os.path.exists(f"/proc/{child}") for child in children))
        assert run(HOLD, args=[0]).result == "held"


def waiting(service):
    """Its children that wait: one that is forked has no such arguments, and one that imports or serves no such name."""
    def arguments(pid):
        try:
            return open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            return []

    return [pid for pid in service.parked() if arguments(pid)[-3:] == ["numpy", "pandas", ""]]


def test_more_requests_than_children(run):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: run("def main(number): return number", args=[number]), range(12)))
    assert [answer.result for answer in answers] == list(range(12))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise ValueError('is broken')", "import wsgiref: ValueError: is broken"),
        ("import no_such_module", "import wsgiref: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import os, time\nif os.fork() == 0: time.sleep(60)\nraise ValueError('with a child')", "import wsgiref: ValueError: with a child"),
        ("import os\nos._exit(0)", "ended before it was ready"),
    ],
)
def test_an_import_that_fails_stops_the_start(refused_start, own_module, source, told):
    said = refused_start(POLICY.read_text() + own_module.profile(source, STARTED))
    assert told in said and 'profile "own"' in said and "does not hold" not in said, said


def test_an_import_that_fails_later_is_told_of_and_not_what_it_says(start_service, own_module):
    service = start_service(policy=own_module.profile("", STARTED))
    ask = lambda: service.client.execute("def main(): return 'served'", profile="own")
    assert ask().result == "served"
    own_module.rewrite("raise ValueError('a secret of the operator')")
    refused = eventually(lambda: (answer := ask()).status != 200 and answer)
    assert (refused.status, refused.code) == (503, "unavailable") and "import" in refused.error["message"], refused
    assert "secret" not in str(refused.body) and "import wsgiref: ValueError: a secret of the operator" in service.log("supervisor")
    own_module.rewrite("")
    eventually(lambda: ask().status == 200)


# What modules do to the streams that they find, and what they print, at whatever depth.
TALKATIVE = """
import faulthandler, logging, os, sys, threading
print("printed")
print("printed", file=sys.stderr)
for descriptor in 1, 2:
    os.write(descriptor, b"written" * 30_000)
sys.stdout.reconfigure(line_buffering=True)
faulthandler.enable()
logging.basicConfig()
kept, encoding = sys.stdout, sys.stdout.encoding.lower()
assert sys.stdin.read() == ""
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def test_what_an_import_prints_is_no_scripts_and_what_it_keeps_is(start_service, own_module):
    service = start_service(policy=own_module.profile(TALKATIVE, STARTED))

    def script():
        import logging
        import os
        import sys
        import wsgiref

        def main():
            print("by the script", file=wsgiref.kept)
            logging.warning("by the script")
            names = {open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")}
            return [wsgiref.kept is sys.stdout, sys.stdin.read(), sorted(names), len(os.listdir("/proc/self/task"))]

    answer = service.client.execute(script, profile="own", stdin="for the script")
    assert answer.result == [True, "for the script", ["python3\n"], 2]
    assert (answer.stdout, answer.stderr) == ("by the script\n", "WARNING:root:by the script\n")


def test_the_imports_are_not_in_the_limit_on_cpu_time(start_service, own_module):
    source = "import time\nwhile time.process_time() < 1.1: pass"
    service = start_service(policy=own_module.profile(source, STARTED) + '[profile.plain]\nextends = "default"\nwarm = false\n')
    script = "import resource\ndef main(): return resource.getrlimit(resource.RLIMIT_CPU)"
    (soft, hard), (plain, _) = (service.client.execute(script, profile=name).result for name in ("own", "plain"))
    assert soft == hard and plain + 1 <= soft <= plain + 3
