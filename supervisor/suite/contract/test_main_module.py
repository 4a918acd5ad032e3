"""Proves docs: the script is `__main__`, with a file of its own, and its `main` is run once, whoever calls it."""

import pytest

GUARD = "\nif __name__ == '__main__':\n    "


def test_it_is_the_main_module_with_a_file_that_can_be_read(execute):
    def main():
        import os
        import sys

        module = sys.modules["__main__"]
        with open(__file__) as file:
            return [module.main is main, file.readline(), os.path.dirname(__file__) == os.getcwd() == sys.path[-1], sys.argv,
                    __spec__, __cached__, __builtins__.__name__, type(__loader__).__name__, __annotations__]

    answer = execute(main)
    assert answer.result == [True, "def main():\n", True, ["script.py"], None, None, "builtins", "SourceFileLoader", {}]


@pytest.mark.parametrize(("define", "call", "result"), [
    ("def main(): return 4", "main()", 4),
    ("import sys\ndef main(): return 4", "sys.exit(main())", 4),
    ("import asyncio\nasync def main(): return 4", "asyncio.run(main())", 4),
    ("import threading\ndef main(): return 4", "threading.Thread(target=main).start()", 4),
    ("def f(g): return lambda: g() + 1\n@f\ndef main(): return 4", "print(main())", 5),
    ("class A:\n    def __call__(self): return 4\nmain = A()", "main()", 4),
    ("def main(n=3): return n + main(n - 1) if n else 0", "main()", 6),
])
def test_a_main_that_the_guard_calls_is_run_once(execute, define, call, result):
    counted = "import os\nruns = 0\n" + define.replace("return", "print('run'); return", 1) if "n=3" not in define else define
    answer = execute(counted + GUARD + call)
    assert answer.result == result and answer.stdout.count("run\n") <= 1, answer


def test_what_such_a_call_drops_and_what_fails_after_it_are_told(execute):
    answer = execute("def main(name='nobody'):\n    return name" + GUARD + "main()\n    1 / 0", args=["Ada"])
    assert answer.result == "nobody" and "ZeroDivisionError" in answer.stderr
    assert [note.split(":")[0] for note in answer.body["notes"]] == [
        "after main() had returned the script failed (line 5)", "the script called main() itself, so the args and kwargs of the request were not passed to it"]


def test_a_guard_that_exits_before_main_is_an_exit(execute):
    answer = execute("import sys\ndef main(): return 1" + GUARD + "sys.exit(4)")
    assert (answer.code, answer.error["exit_code"]) == ("exit", 4)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_know_the_script_s_functions(execute, method):
    script = f"""
import multiprocessing
class Job:
    def __init__(self, n): self.n = n
def work(job): return Job(job.n * 2)
def main():
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        return [job.n for job in pool.map(work, [Job(1), Job(2)])]
if __name__ == "__main__":
    main()
"""
    assert execute(script).result == [2, 4]


def test_a_large_script_under_a_guard_costs_no_second_compilation(execute):
    script = "data = [" + "1, " * 200_000 + "]\ndef main():\n    return len(data)" + GUARD + "main()"
    assert execute(script).result == 200_000
