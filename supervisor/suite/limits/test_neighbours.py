"""Jobs at their limits disturb no other job and not the service."""

from concurrent.futures import ThreadPoolExecutor

import pytest

# Each goes on for ever, one statement a line inside main.
HOSTILE = {
    "fork bomb": ("import os", "os.fork()"),
    "memory": ("x = []", "x.append(bytearray(1 << 20))"),
    "output": ("", "print('x' * 4096)"),
    "descriptors": ("import os", "os.pipe()"),
    "files": ("import uuid", "open(uuid.uuid4().hex, 'w').write('x' * 9999)"),
    "threads": ("import threading, time", "threading.Thread(target=time.sleep, args=(60,)).start()"),
}


def forever(before, statement):
    return f"{before}\ndef main():\n    while True:\n        try: {statement}\n        except (OSError, RuntimeError): pass"


@pytest.mark.layer("cgroup", "rlimits", "time")
def test_all_at_once(service, execute):
    def innocent(number):
        return execute("def main(n): return sum(range(n))", args=[number]).result

    with ThreadPoolExecutor(len(HOSTILE) + 2) as pool:
        attacks = [pool.submit(execute, forever(*how), profile="tiny", timeout_ms=9000) for how in HOSTILE.values()]
        assert list(pool.map(innocent, range(30))) == [sum(range(number)) for number in range(30)]
        codes = {name: attack.result().code for name, attack in zip(HOSTILE, attacks)}
    assert codes.pop("memory") == "memory_limit", codes
    assert set(codes.values()) <= {"timeout", "cpu_limit", "process_limit", "memory_limit"}, codes
    assert not service.job_processes()


@pytest.mark.layer("pid namespace")
def test_signals_reach_the_job_alone(service, execute):
    def main():
        import os
        import signal

        children = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
        for target in (-1, 0, 1, os.getppid()):
            # The first ends the children; none ends the caller, its init or anything else.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            try:
                os.kill(target, signal.SIGTERM)
            except OSError:
                pass
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        return [os.waitpid(pid, 0)[1] != 0 for pid in children]

    supervisor, gateway = service.supervisor.pid, service.gateway.pid
    assert execute(main).result == [True] * 3
    assert service.supervisor.poll() is None and service.gateway.poll() is None
    assert (service.supervisor.pid, service.gateway.pid) == (supervisor, gateway)


@pytest.mark.layer("rlimits")
def test_a_stack_without_end_is_the_scripts_own_failure(execute):
    def main():
        import sys

        def deeper(item):
            return max([item], key=deeper)

        sys.setrecursionlimit(10**9)
        return deeper(1)

    answer = execute(main)
    assert answer.status == 422 and answer.code in ("killed", "exception", "memory_limit"), answer


@pytest.mark.layer("rlimits")
def test_open_files_are_bounded(execute):
    def main():
        import errno

        held = []
        try:
            while True:
                held.append(open("/dev/null"))
        except OSError as error:
            return [len(held), errno.errorcode[error.errno]]

    count, why = execute(main).result
    assert why == "EMFILE" and 200 < count < 256


def test_open_files_are_a_jobs_own_however_many_run(start_service):
    """A cold job's process is forked by whoever holds descriptors of all slots, and has them until it is confined."""
    few = '[profile.few]\nextends = "default"\nwarm = false\nrlimits = { open_files = 24 }\n'
    service, together = start_service(supervisor={"slots": 8}, policy=few), "import time\ndef main():\n    time.sleep(0.5)\n    return 1"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.client.execute(together, profile="few"), range(16)))
    assert [answer.body.get("result") for answer in answers] == [1] * 16, [answer.body for answer in answers]
