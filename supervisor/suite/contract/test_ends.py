"""Proves docs: a script's interpreter ends as Python ends, and what cannot end is told beside the result."""

import base64

import pytest

OPEN = "log = open('out/log.txt', 'w')\ndef main():\n    log.write('all of it')\n    {}"


@pytest.mark.parametrize(("end", "status"), [
    ("return 1", 200), ("raise ValueError", 422), ("import sys; sys.exit(2)", 422), ("return object()", 422), ("return 'x' * 100_000_000", 422),
])
def test_a_file_that_is_left_open_comes_back_whole(execute, end, status):
    answer = execute(OPEN.format(end))
    [file] = answer.files
    assert (answer.status, base64.b64decode(file["content_base64"])) == (status, b"all of it")


def test_its_order_is_python_s(execute):
    def script():
        import atexit
        import threading
        import time

        class Last:
            def __del__(self):
                print("finalizer")

        def late():
            time.sleep(0.1)
            print("thread")

        kept = Last()
        atexit.register(print, "callback")

        def main():
            threading.Thread(target=late).start()
            print("main")

    assert execute(script).stdout == "main\nthread\ncallback\nfinalizer\n"


@pytest.mark.parametrize(("end", "told"), [
    ("import threading, time; threading.Thread(target=time.sleep, args=(60,), name='t').start()", "threads that were still running: t"),
    ("import atexit, time; atexit.register(time.sleep, 60)", "callbacks of atexit"),
    ("import multiprocessing as m, time; m.get_context('fork').Process(target=time.sleep, args=(60,), name='p').start()", "child processes that were still running: p"),
    ("import time\n    class A:\n        def __del__(self): time.sleep(60)\n    global a; a = A()", "what is done at the end, such as finalizers"),
])
def test_what_does_not_end_is_told(service, execute, end, told):
    answer = execute(f"def main():\n    {end}\n    return 1", timeout_ms=1200)
    assert answer.result == 1 and answer.body["unfinished"].endswith(told), answer
    assert not service.job_processes()


@pytest.mark.parametrize(("end", "told"), [
    ("os._exit(5)", "exit code 5"), ("os.abort()", "SIGABRT"), ("os.kill(os.getpid(), 9)", "SIGKILL"),
])
def test_a_process_that_dies_while_it_ends_keeps_its_result(execute, end, told):
    answer = execute(f"import atexit, os\natexit.register(lambda: {end})\ndef main():\n    return 1")
    assert answer.result == 1 and told in answer.body["unfinished"]


def test_cpu_time_and_memory_are_limits_of_the_end_too(execute):
    spin = execute("import atexit\ndef spin():\n    while True: pass\natexit.register(spin)\ndef main():\n    return 1", profile="tiny")
    assert spin.result == 1 and "CPU time" in spin.body["unfinished"]
    fill = execute("import atexit\ndef fill():\n    [bytearray(1 << 20) for _ in range(4096)]\natexit.register(fill)\ndef main():\n    return 1", profile="tiny")
    assert fill.result == 1 and "memory" in fill.body.get("unfinished", fill.stderr).lower()


def test_a_failure_stays_what_it_was(execute):
    answer = execute("import threading, time\ndef main():\n    threading.Thread(target=time.sleep, args=(60,)).start()\n    1 / 0", timeout_ms=1200)
    assert answer.code == "exception" and "ZeroDivisionError" in answer.error["message"] and "unfinished" in answer.body


def test_nothing_is_told_of_what_ended(execute):
    body = execute("def main(): return 1").body
    assert not {"unfinished", "notes", "exit_code"} & body.keys()


@pytest.mark.parametrize(("script", "code"), [("", 0), ("raise SystemExit(3)", 3), ("raise SystemExit('why')", 1), ("1 / 0", 1), ("x = (", 1), ("import os; os._exit(4)", 4)])
def test_a_program_has_an_exit_code(execute, script, code):
    answer = execute(script or "pass", entry="program")
    assert (answer.status, answer.result, answer.body["exit_code"]) == (200, None, code)


@pytest.mark.parametrize(("script", "code"), [
    ("while True: pass", "timeout"), ("import os; os.abort()", "killed"), ("import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()", "timeout"),
])
def test_limits_of_a_program_are_limits(execute, script, code):
    answer = execute(script, entry="program", timeout_ms=1000)
    assert answer.code == code
