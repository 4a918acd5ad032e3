"""Processes and threads: bombs hit the profile's limit and nothing else."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from client import eventually


@pytest.mark.layer("cgroup")
def test_a_fork_bomb_that_reports_is_process_limit(service, execute):
    answer = execute("import os\ndef main():\n    while True: os.fork()", profile="tiny", timeout_ms=3000)
    assert answer.code in ("process_limit", "timeout", "cpu_limit"), answer
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
