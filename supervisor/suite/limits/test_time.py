"""Time: a job is dead at its deadline, whatever it does, and the answer is sent only then."""

import re

import pytest

ENDLESS = {
    "a loop": "while True: pass",
    "sleep": "import time; time.sleep(600)",
    "all signals ignored": """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass""",
    "stopping itself": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP); signal.pause()",
    "a new session and a double fork": """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 4)
            while True: time.sleep(600)
        time.sleep(600)""",
    "timers and signals that are handled": """
        import signal
        for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGTERM, signal.SIGINT, signal.SIGXCPU):
            signal.signal(number, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while True: signal.pause()""",
    "processes that start one another": """
        import os, sys
        os.execv("/usr/bin/python3", ["python3", "-c", "import os\\nwhile True:\\n    if os.fork(): os.execv('/usr/bin/python3', ['python3', '-c', 'while True: pass'])\\n    os.setsid()\\n    while True: pass"])""",
    "threads that hold the interpreter": """
        import threading
        for _ in range(8): threading.Thread(target=lambda: sum(range(10**12))).start()
        sum(range(10**12))""",
    "printing": "while True: print('x' * 1000)",
    "every descriptor closed": "import os; os.closerange(0, 256)\nwhile True: pass",
    "waiting for input that never comes": "import os; r, w = os.pipe(); os.read(r, 1)",
    "children that stop their parent": """
        import os, signal, time
        parent = os.getpid()
        for _ in range(4):
            if os.fork() == 0:
                while True:
                    os.kill(parent, signal.SIGSTOP)
                    time.sleep(0.01)
        while True: pass""",
    "children without end": """
        import os
        os.fork()
        while True:
            pid = os.fork()
            if pid == 0: os._exit(0)
            os.waitpid(pid, 0)""",
    "an exception handler that never gives up": """
        while True:
            try:
                while True: pass
            except BaseException: pass""",
}


def script(body):
    lines = body.strip("\n").splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return "def main():\n" + "\n".join("    " + line[margin:] for line in lines)


@pytest.mark.layer("time")
@pytest.mark.parametrize("how", ENDLESS)
def test_wall_time_ends_it(service, execute, how):
    answer = execute(script(ENDLESS[how]), timeout_ms=400)
    assert (answer.status, answer.code) == (422, "timeout"), answer
    # At once, not eventually: the answer is only sent when nothing is left.
    assert not service.job_processes()


@pytest.mark.layer("time", "cgroup")
def test_cpu_time_ends_it(service, execute):
    answer = execute("def main():\n    while True: pass", profile="tiny")
    number, unit = re.search(r'(?s)\[profile\.tiny\].*?cpu_time = "(\d+)(m?s)"', service.policy.read_text()).groups()
    milliseconds = int(number) * (1 if unit == "ms" else 1000)
    assert answer.code == "cpu_limit" and f"its {milliseconds / 1000:g} s of CPU" in answer.error["message"]
    assert answer.body["usage"]["wall_ms"] < 18 * milliseconds
    assert not service.job_processes()


@pytest.mark.layer("time", "cgroup")
def test_cpu_time_of_children_counts(execute):
    def spread():
        import os

        def main():
            # Each child burns less than the limit of half a second; together they do not.
            for _ in range(100):
                pid = os.fork()
                if pid == 0:
                    for _ in range(3_000_000):
                        pass
                    os._exit(0)
                os.waitpid(pid, 0)

    assert execute(spread, profile="tiny").code == "cpu_limit"


@pytest.mark.layer("time")
def test_a_daemonised_grandchild_is_dead_after_a_result(service, execute):
    def daemonise():
        import os
        import time

        def main():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(600)
                os._exit(0)
            return os.wait()[1]

    assert execute(daemonise).result == 0
    assert not service.job_processes()


@pytest.mark.layer("time", "pid namespace")
def test_a_chain_of_children_ends_with_the_first(service, execute):
    def main():
        import os

        # Each child outlives its parent by as little as it takes to fork again.
        while os.fork() == 0:
            pass
        os._exit(0)

    for _ in range(5):
        answer = execute(main)
        assert (answer.code, answer.error["exit_code"]) == ("exit", 0)
        assert not service.job_processes()


@pytest.mark.layer("time", "report")
def test_a_result_pipe_on_its_way_between_sockets_keeps_nobody_waiting(execute):
    def main():
        import os
        import socket

        # Sent over one another, the ends and the pipe are held by no process, and open all the same.
        one, other = socket.socketpair()
        socket.send_fds(one, [b"x"], [one.fileno(), other.fileno(), 3])
        os._exit(0)

    answer = execute(main)
    assert (answer.code, answer.error["exit_code"]) == ("exit", 0)
