"""What a script finds of the tools that its request names."""

import pytest


def test_a_call_is_made_and_returned_to(talk):
    def main():
        from cloister import tools

        print("before")
        return [tools.add(1, 2), tools.greet(name="Ada", times=2), tools.nothing()]

    tools = {"add": lambda a, b: a + b, "greet": lambda name, times: f"hello {name} " * times, "nothing": lambda: None}
    last = talk.run(main, tools)
    assert last["result"] == [3, "hello Ada hello Ada ", None] and last["stdout"] == "before\n"
    assert [(call["call"], call["tool"], call["args"], call["kwargs"]) for call in last["calls"]] == [
        (1, "add", [1, 2], {}), (2, "greet", [], {"name": "Ada", "times": 2}), (3, "nothing", [], {})]
    told = last["usage"]["calls"]
    assert {key: told[key] for key in ("number", "returned", "failed", "unanswered")} == {
        "number": 3, "returned": 3, "failed": 0, "unanswered": 0}


@pytest.mark.parametrize("value", [None, True, 0, -1.5, 12345678901234567890123, "", "\u00e9\u20ac\U0001f600\0\n", [], {}, {"a": [1, {"b": None}]}])
def test_values_pass_both_ways(talk, value):
    def main(value):
        from cloister import tools

        return tools.same(value, again=value)

    seen = []
    assert talk.result(main, {"same": lambda one, again: seen.append([one, again]) or one}, args=[value]) == value
    assert seen == [[value, value]]


def test_what_has_no_json_form_never_leaves(talk):
    def main():
        from cloister import tools

        said = []
        for call in (lambda: tools.take({1}), lambda: tools.take(q=[object()]), lambda: tools.take(float("nan"))):
            try:
                call()
            except TypeError as error:
                said.append(str(error))
        return said

    last = talk.run(main, {"take": lambda *args: None})
    assert last["calls"] == []
    assert last["result"] == [
        "tools.take(): argument [0] is a set, which has no form in JSON",
        "tools.take(): argument [\"q\"][0] is an object, which has no form in JSON",
        "tools.take(): argument [0] is NaN, which has no form in JSON"]


def test_what_a_tool_fails_with_is_an_exception(talk):
    def main():
        from cloister import ToolError, tools

        try:
            tools.fail()
        except ToolError as error:
            caught = [type(error).__module__, str(error), isinstance(error, TimeoutError)]
        return caught

    def fail():
        raise ValueError("the index is away: \u00e9")

    assert talk.result(main, {"fail": fail}) == ["cloister", "the index is away: \u00e9", False]


def test_nobody_catches_it_and_the_answer_says_what_failed_and_where(talk):
    def fail():
        raise ValueError("away")

    failed = talk.failure("from cloister import tools\n\ndef main():\n    return tools.fail()", {"fail": fail})
    assert (failed["code"], failed["exception"]) == ("exception", "cloister.ToolError")
    assert failed["message"].endswith("ToolError: away") and failed["line"] == 4
    assert "runner" not in failed["traceback"] and failed["traceback"].count("File ") == 1


def test_a_name_that_was_not_given_fails_before_anything_leaves(talk):
    def main():
        from cloister import tools

        said = []
        for name in ("serach", "__wrapped__"):
            try:
                getattr(tools, name)
            except AttributeError as error:
                said.append(str(error))
        try:
            tools["no"]
        except KeyError as error:
            said.append(error.args[0])
        return said, dir(tools), [*tools], len(tools), "search" in tools, "no" in tools

    last = talk.run(main, {"search": None, "fetch-page": None})
    names = ["search", "fetch-page"]
    there_is_no = "there is no tool {!r}: the request names search, fetch-page"
    assert last["calls"] == [] and last["result"] == [
        [there_is_no.format("serach"), "__wrapped__", there_is_no.format("no")], sorted(names), names, 2, True, False]


def test_what_the_request_says_of_a_tool_is_its_help(talk):
    def main():
        import inspect
        import pydoc

        from cloister import tools

        assert inspect.iscoroutinefunction(tools.search.call)
        return pydoc.render_doc(tools.search, renderer=pydoc.plaintext), tools.bare.__doc__, tools.search.__name__

    tools = [{"name": "search", "description": "Search the web.", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}, "bare"]
    talk.execute(main, tools)
    shown, bare, name = talk.until("result")["result"]
    assert "search(*args, **kwargs)" in shown and "Search the web." in shown and '"q": {' in shown
    assert (bare, name) == ("", "search")


@pytest.mark.parametrize("imports", ["from cloister.tools import add", "from cloister.tools import *", "import cloister.tools; add = cloister.tools.add",
                                     "import cloister; add = cloister.tools['add']", "import importlib; add = importlib.import_module('cloister.tools').add",
                                     "import importlib.util, importlib; assert importlib.util.find_spec('cloister.tools').name == 'cloister.tools'\n"
                                     "import cloister; add = importlib.reload(cloister).tools.add",
                                     "import sys, cloister.tools; del sys.modules['cloister'], sys.modules['cloister.tools']; from cloister.tools import add"])
def test_the_ways_to_import_one(talk, imports):
    assert talk.result(f"{imports}\ndef main():\n    return add(1, 2)", {"add": lambda a, b: a + b}) == 3


def test_without_tools_there_is_no_such_module_and_the_descriptor_is_closed(execute):
    answer = execute("from cloister import tools\ndef main(): pass")
    assert answer.code == "exception" and answer.error["hint"].startswith("the request names no tools")
    assert execute("import os\ndef main(): return sorted(map(int, os.listdir('/proc/self/fd')))[:-1]").result == [0, 1, 2, 3]


def test_an_import_that_is_cut_short_can_be_made_again(talk):
    def main():
        import sys

        def deep(depth):
            if depth:
                deep(depth - 1)
            else:
                from cloister import tools

        cut_short = 0
        for depth in range(sys.getrecursionlimit(), 0, -1):
            try:
                deep(depth)
                break
            except RecursionError:
                cut_short += 1
        from cloister import tools

        return [cut_short > 0, tools.add(1, 2)]

    assert talk.result(main, {"add": lambda a, b: a + b}) == [True, 3]


def test_a_module_of_the_scripts_by_that_name_is_its_own(execute):
    module = "class Last:\n    def __del__(self): print('gone')\nkept = Last()"
    answer = execute("import sys\nsys.path.insert(0, '')\nimport cloister\ndef main(): return cloister.kept is not None", files=[{"path": "cloister.py", "content": module}])
    assert (answer.result, answer.stdout) == (True, "gone\n")


def test_with_tools_what_is_not_there_is_told_by_its_name(talk):
    error = talk.failure("import cloister.other\ndef main(): pass", {"a": None})
    assert error["hint"].startswith("cloister is there, and has no module cloister.other"), error


def test_a_job_with_tools_has_one_descriptor_more(talk):
    assert talk.result("import os\ndef main(): return sorted(map(int, os.listdir('/proc/self/fd')))[:-1]", {"a": None}) == [0, 1, 2, 3, 4]


def test_threads_call_side_by_side(talk):
    def main():
        from concurrent.futures import ThreadPoolExecutor

        from cloister import tools

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(tools.double, range(40)))

    talk.execute(main, ["double"])
    # None is returned to before eight wait, and then the last is first.
    open_calls = []
    for done in range(40):
        while len(open_calls) < min(8, 40 - done):
            open_calls.append(talk.until("call"))
        call = open_calls.pop()
        talk.send("return", call=call["call"], value=2 * call["args"][0])
    assert talk.until("result")["result"] == [2 * number for number in range(40)]


def test_coroutines_call_side_by_side(talk):
    def main():
        import asyncio

        from cloister import tools

        async def one(number):
            return await tools.double.call(number)

        async def all_of_them():
            return await asyncio.gather(*map(one, range(20)))

        return asyncio.run(all_of_them()) + asyncio.run(all_of_them())

    talk.execute(main, ["double"])
    for _ in range(2):
        calls = [talk.until("call") for _ in range(20)]
        for call in reversed(calls):
            talk.send("return", call=call["call"], value=2 * call["args"][0])
    assert talk.until("result")["result"] == 2 * [2 * number for number in range(20)]


def test_threads_and_coroutines_wait_together(talk):
    def main():
        import asyncio
        import threading

        from cloister import tools

        came = []
        threads = [threading.Thread(target=lambda number=number: came.append(tools.same(number))) for number in range(5)]

        async def all_of_them():
            for thread in threads:
                thread.start()
            return await asyncio.gather(*(tools.same.call(number) for number in range(5, 10)))

        later = asyncio.run(all_of_them())
        for thread in threads:
            thread.join()
        return sorted(came) + later + [tools.same(10)]

    for order in (1, -1):
        talk.execute(main, ["same"])
        calls = [talk.until("call") for _ in range(10)]
        for call in calls[::order]:
            talk.send("return", call=call["call"], value=call["args"][0])
        last = talk.until("call")
        talk.send("return", call=last["call"], value=10)
        assert talk.until("result")["result"] == list(range(11))


def test_a_call_that_is_given_up_leaves_the_others_as_they_are(talk):
    def main():
        import asyncio

        from cloister import tools

        async def both():
            first = asyncio.create_task(tools.wait.call("first"))
            try:
                await asyncio.wait_for(tools.wait.call("second"), 0.05)
            except asyncio.TimeoutError:
                pass
            return await first, await tools.wait.call("third")

        return asyncio.run(both())

    talk.execute(main, ["wait"])
    calls = {}
    for name in ("first", "second"):
        call = talk.until("call")
        calls[call["args"][0]] = call["call"]
    # Too late for whoever made it, and taken all the same: the sandbox is not asked what its script still wants.
    assert set(calls) == {"first", "second"}
    talk.send("return", call=calls["first"], value=1)
    third = talk.until("call")
    talk.send("return", call=calls["second"], value=2)
    talk.send("return", call=third["call"], value=3)
    assert talk.until("result")["result"] == [1, 3]


@pytest.mark.parametrize("size", [10, 200_000])
def test_an_alarm_that_raises_leaves_the_line_whole(talk, size):
    """Wherever it strikes: before a call, in the middle of its way, while it waits, when its value comes."""

    def main(size):
        import signal
        import threading

        from cloister import tools

        class Rang(Exception):
            pass

        def ring(*_):
            raise Rang

        def others():
            while not over:
                came.append(tools.same("o"))

        came, over, rang = [], [], 0
        threads = [threading.Thread(target=others) for _ in range(2)]
        for thread in threads:
            thread.start()
        signal.signal(signal.SIGALRM, ring)
        for number in range(25):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 0.0001)
                while True:
                    assert tools.same("x" * size) == "x" * size
            except Rang:
                rang += 1
        over.append(True)
        for thread in threads:
            thread.join()
        return rang, tools.same("whole"), {*came} <= {"o"}

    assert talk.result(main, {"same": lambda text: text}, args=[size], profile="talks") == [25, "whole", True]


def test_what_runs_in_the_middle_of_a_call_cannot_make_another(talk):
    def main():
        import signal

        from cloister import tools

        said = []

        def ring(*_):
            try:
                tools.b()
            except RuntimeError as error:
                said.append(str(error))

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        return tools.a(), said

    talk.execute(main, "ab")
    call = talk.until("call")
    assert call["tool"] == "a"
    # It rings while the call waits, and nothing comes of it.
    import time

    time.sleep(0.3)
    talk.send("return", call=call["call"], value=1)
    one, said = talk.until("result")["result"]
    assert one == 1 and len(said) == 1 and said[0].startswith("a tool cannot be called by what runs in the middle of another call")


def test_threads_and_a_loop_whose_values_come_at_once(talk):
    def main():
        import asyncio
        import threading

        from cloister import tools

        came = []
        for number in range(30):
            thread = threading.Thread(target=lambda: came.append(tools.a()))

            async def both():
                thread.start()
                return await tools.b.call()

            came.append(asyncio.run(both()))
            thread.join()
        return came.count("a"), came.count("b")

    talk.execute(main, "ab")
    waiting = []
    while (message := talk.next())["type"] != "result":
        if message["type"] == "call":
            waiting.append(message)
        if len(waiting) == 2:
            # One piece on the wire, as near as may be.
            for call in waiting:
                talk.send("return", call=call["call"], value=call["tool"])
            waiting = []
    assert message["result"] == [30, 30]


def test_many_large_values_at_once_are_read_in_their_time(talk):
    def main():
        import asyncio

        from cloister import tools

        async def all_of_them():
            return [len(text) for text in await asyncio.gather(*(tools.a.call(number) for number in range(12)))]

        return asyncio.run(all_of_them())

    talk.execute(main, "a")
    calls = [talk.until("call")["call"] for _ in range(12)]
    for call in calls:
        talk.send("return", call=call, value="x" * 1_000_000)
    while (message := talk.next())["type"] != "result":
        # A job on a busy machine may take its time: then the same is returned again.
        assert message["type"] == "refused" and message["again"], message
        talk.send("return", call=message["call"], value="x" * 1_000_000)
    assert message["result"] == [1_000_000] * 12


def test_a_thread_that_is_left_in_a_call_does_not_spoil_the_answer(talk):
    def main():
        import threading

        from cloister import tools

        threading.Thread(target=lambda: tools.big("x" * 900_000), daemon=True).start()
        return tools.small()

    for _ in range(10):
        talk.execute(main, ["big", "small"])
        while (message := talk.next())["type"] != "result":
            if message.get("tool") == "small":
                talk.send("return", call=message["call"], value="here")
        assert message.get("result") == "here", message


def test_a_process_that_the_script_forks_cannot_call(talk):
    def main():
        import os
        import subprocess
        import sys

        from cloister import tools

        read, write = os.pipe()
        if os.fork() == 0:
            try:
                tools.a()
            except BaseException as error:
                os.write(write, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        os.wait()
        own = subprocess.run([sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"], capture_output=True, text=True)
        return os.read(read, 1000).decode(), own.stdout.strip(), tools.a()

    last = talk.run(main, {"a": lambda: 1})
    said, descriptors, one = last["result"]
    assert said.startswith("RuntimeError: tools are called by the process that the script was started in")
    assert descriptors == "['0', '1', '2', '3']" and one == 1 and len(last["calls"]) == 1


def test_what_runs_at_the_end_may_call_too(talk):
    def main():
        import atexit
        import threading

        from cloister import tools

        atexit.register(lambda: print("at the end", tools.a("atexit")))
        threading.Thread(target=lambda: print("thread", tools.a("thread"))).start()
        return "returned"

    last = talk.run(main, {"a": lambda where: where.upper()})
    assert last["result"] == "returned" and last["stdout"].splitlines() == ["thread THREAD", "at the end ATEXIT"], last


def test_a_program_may_call_too(talk):
    last = talk.run("from cloister import tools\nprint(tools.a(1))\nraise SystemExit(3)", {"a": lambda one: one + 1}, entry="program")
    assert (last["exit_code"], last["stdout"]) == (3, "2\n")
