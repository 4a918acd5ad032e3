"""Processes and threads: bombs hit the profile's limit and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cells
from client import eventually
from service import name_of


@pytest.mark.layer("cgroup")
def test_a_fork_bomb_that_reports_is_process_limit(service, execute):
    answer = execute("import os\ndef main():\n    while True: os.fork()", profile="tiny", timeout_ms=3000)
    # Those of a session have more for themselves.
    assert answer.code in ("process_limit", "timeout", "cpu_limit", *(["memory_limit"] if cells.CELLS else [])), answer
    assert not service.job_processes()


@pytest.mark.layer("cgroup")
def test_a_fork_bomb_that_goes_on_stays_within_its_limit(service, execute):
    def bomb():
        import os

        def main():
            while True:
                try:
                    os.fork()
                except OSError:
                    pass

    # Asked for first: an installed service has none to look at, and no such profile either.
    groups = service.slot_groups("pids.max")
    with ThreadPoolExecutor(1) as pool:
        bombing = pool.submit(execute, bomb, profile="hoard", timeout_ms=6000)
        eventually(lambda: len(service.job_processes()) > 8)
        assert len(service.job_processes()) <= 16
        assert "16" in [path.read_text().strip() for path in groups]
        # Others are served meanwhile.
        assert execute("def main(): return 'served'").result == "served"
        assert bombing.result().code in ("timeout", "cpu_limit")
    assert not service.job_processes()


@pytest.mark.layer("cgroup")
def test_a_thread_bomb_is_process_limit(execute):
    def bomb():
        import threading
        import time

        def main():
            while True:
                threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

    answer = execute(bomb, profile="tiny")
    assert answer.code == "process_limit" and "can't start new thread" in answer.error["message"]


@pytest.mark.layer("cgroup")
def test_a_refused_fork_that_is_handled_ends_nothing(execute):
    def careful():
        import os
        import time

        def main():
            children = []
            try:
                while True:
                    pid = os.fork()
                    if pid == 0:
                        time.sleep(600)
                    children.append(pid)
            except OSError:
                return len(children)

    assert 8 <= execute(careful, profile="tiny").result < 16


REPORTS = """
import ctypes, os, time

def main(who):
    parent, said = os.getpid(), b"1"
    ctypes.CDLL(None).prctl(15, b"lingers", 0, 0, 0)
    if who == "thread":
        import threading
        threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
    elif who == "child" and os.fork() == 0:
        while True: pass
    elif who == "orphan" and os.fork() == 0:
        os.kill(parent, 9)
    elif who == "orphan":
        time.sleep(60)
    os.write(3, b"R" + len(said).to_bytes(8, "big") + said)
    while True: pass
"""


@pytest.mark.parametrize("who", ["thread", "child", "orphan"])
def test_whoever_reports_all_others_of_the_job_are_dead_when_its_answer_comes(service, who):
    for _ in range(10):
        answer = service.client.execute(REPORTS, args=[who])
        assert answer.status in (200, 422), answer
        assert not lingering(service)


def test_who_reports_and_goes_on_alone_is_dead_at_once(service):
    assert service.client.execute(REPORTS, args=["alone"]).result == 1
    eventually(lambda: not lingering(service))


def lingering(service):
    """The processes of that script that are not dead."""
    named = [pid for pid in service.job_processes() if name_of(pid) == "lingers"]
    return [pid for pid in named if state_of(pid) not in ("Z", "X", None)]


def state_of(pid):
    """As proc(5) has it in /proc/PID/stat, or None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
