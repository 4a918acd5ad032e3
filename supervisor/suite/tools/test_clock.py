"""What a job that calls tools is given of time, and how many calls."""

import time

import pytest

from client import eventually


def test_wall_time_stands_still_while_a_call_is_open(short_talk):
    def main():
        from cloister import tools

        return tools.ask("slow"), tools.ask("again")

    last = short_talk.run(main, {"ask": lambda what: time.sleep(0.8) or what}, profile="short")
    assert last["result"] == ["slow", "again"]
    usage = last["usage"]
    assert usage["calls"]["waited_ms"] > 1500 and usage["wall_ms"] < 1000, usage


def test_so_it_does_for_threads_and_coroutines_that_wait(short_talk):
    def main():
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        from cloister import tools

        async def both():
            return await asyncio.gather(tools.ask.call(1), tools.ask.call(2))

        with ThreadPoolExecutor() as pool:
            return list(pool.map(tools.ask, [3, 4])) + asyncio.run(both())

    assert short_talk.result(main, {"ask": lambda number: time.sleep(0.6) or number}, profile="short") == [3, 4, 1, 2]


def test_a_job_that_computes_beside_its_open_call_is_ended_in_time(short_talk):
    def main():
        import threading

        from cloister import tools

        threading.Thread(target=tools.never, daemon=True).start()
        while True:
            pass

    short_talk.execute(main, ["never"], profile="busy")
    error = short_talk.until("result")["error"]
    assert (error["code"], error["reason"]) == ("timeout", "profile_timeout")


def test_a_call_that_nobody_returns_to_fails_in_the_script(short_talk):
    def main():
        from cloister import ToolError, ToolTimeout, tools

        try:
            tools.never()
        except TimeoutError as error:
            return isinstance(error, ToolTimeout) and isinstance(error, ToolError), str(error), tools.again()

    short_talk.execute(main, ["never", "again"], profile="waits")
    first, second = short_talk.until("call"), short_talk.until("call")
    short_talk.send("return", call=first["call"], value="late")
    refused = short_talk.until("refused")
    assert refused["call"] == 1 and "its time is over" in refused["error"]["message"]
    short_talk.send("return", call=second["call"], value="here")
    last = short_talk.until("result")
    assert last["result"] == [True, "nobody has returned to this call within 0.4 s, which is the profile's tools.wait", "here"]
    assert (last["usage"]["calls"]["unanswered"], last["usage"]["calls"]["returned"]) == (1, 1)


def test_all_calls_together_wait_no_longer_than_the_profile_lets_them(short_talk):
    def main():
        from cloister import tools

        while True:
            tools.ask()

    last = short_talk.run(main, {"ask": lambda: time.sleep(0.3)}, profile="total")
    assert (last["error"]["code"], last["error"]["reason"]) == ("timeout", "tools_timeout")
    assert "0.7 s in all" in last["error"]["message"] and "tools.total" in last["error"]["message"]


def test_one_call_too_many_fails_in_the_script(short_talk):
    def main():
        from cloister import ToolError, tools

        came = []
        for number in range(5):
            try:
                came.append(tools.same(number))
            except ToolError as error:
                came.append(str(error))
        return came

    last = short_talk.run(main, {"same": lambda one: one}, profile="few")
    too_many = "a job may call tools 3 times, which is the profile's tools.most"
    assert last["result"] == [0, 1, 2, too_many, too_many] and len(last["calls"]) == 3
    told = last["usage"]["calls"]
    assert (told["number"], told["returned"]) == (3, 3)
    assert short_talk.result("from cloister import tools\ndef main():\n    try:\n        tools.a()\n    except Exception as error:\n        return str(error)",
                             {"a": None}, profile="none") == too_many.replace("3", "0")


def test_arguments_and_values_have_a_bound(short_talk):
    def main():
        from cloister import tools

        try:
            tools.take("x" * 1023)
        except ValueError as error:
            said = str(error)
        return said, len(tools.take("x" * 1000))

    short_talk.execute(main, ["take"], profile="small")
    call = short_talk.until("call")
    short_talk.send("return", call=call["call"], value="y" * 1023)
    refused = short_talk.until("refused")
    assert refused["call"] == 1 and "above the profile's tools.bytes of 1024" in refused["error"]["message"]
    short_talk.send("return", call=call["call"], value="y" * 1022)
    said, length = short_talk.until("result")["result"]
    assert said == "tools.take(): the arguments are 1029 bytes of JSON, above the profile's tools.bytes of 1024" and length == 1022


def test_calls_are_given_up_in_time_by_a_job_that_does_not_listen(short_talk):
    """It has closed its end, or reads nothing: its calls end all the same, and late values are refused."""
    for deaf in ("os.close(4)", "pass"):
        script = f"import os, time\nfrom cloister import tools\ndef main():\n    import threading\n    threading.Thread(target=tools.a, daemon=True).start()\n    tools.b()\n    {deaf}\n    time.sleep(4)"
        short_talk.execute(script, "ab", profile="waits")
        calls = {call["tool"]: call["call"] for call in (short_talk.until("call"), short_talk.until("call"))}
        short_talk.send("return", call=calls["b"], value=None)
        time.sleep(1)
        short_talk.send("return", call=calls["a"], value=None)
        assert "its time is over" in short_talk.until("refused")["error"]["message"]
        last = short_talk.until("result")
        # The rest of its sleep was no waiting for calls.
        assert last["usage"]["calls"]["unanswered"] == 1 and last["usage"]["wall_ms"] > 2000, last["usage"]


def test_what_a_job_waits_for_at_its_end_is_no_wall_time(short_talk):
    script = "import threading\nfrom cloister import tools\ndef main():\n    threading.Thread(target=tools.a, daemon=True).start()\n    threading.Event().wait(3)"
    short_talk.execute(script, "a")
    usage = short_talk.until("result")["usage"]
    assert usage["calls"]["waited_ms"] > 2000 and usage["wall_ms"] < 2000, usage


def test_large_values_pass(talk):
    def main():
        from cloister import tools

        return [len(tools.echo("\u00e9" * 100_000)) for _ in range(3)]

    assert talk.result(main, {"echo": lambda text: text}) == [100_000] * 3


def test_a_job_that_waits_holds_its_slot(start_service):
    from talk import conversation

    service = start_service(supervisor={"slots": 1, "queue_wait": '"50ms"'})
    with conversation(service) as talk:
        talk.execute("from cloister import tools\ndef main(): return tools.a()", ["a"])
        call = talk.until("call")
        assert service.client.execute("def main(): return 1").code == "overloaded"
        talk.send("return", call=call["call"], value=1)
        assert talk.until("result")["result"] == 1
        eventually(lambda: service.client.execute("def main(): return 1").status == 200)


@pytest.mark.parametrize("end", ["import os; os._exit(3)", "raise SystemExit", "import os; os.kill(os.getpid(), 9)"])
def test_a_job_that_ends_with_a_call_open_says_how(talk, end):
    script = f"import threading, time\nfrom cloister import tools\ndef main():\n    threading.Thread(target=tools.a, daemon=True).start()\n    tools.b()\n    {end}"
    talk.execute(script, ["a", "b"])
    calls = {call["tool"]: call["call"] for call in (talk.until("call"), talk.until("call"))}
    talk.send("return", call=calls["b"], value=None)
    last = talk.until("result")
    assert last["error"]["code"] in ("exit", "killed") and last["usage"]["calls"]["unanswered"] == 1
    talk.send("return", call=calls["a"], value=None)
    assert "no job runs" in talk.until("refused")["error"]["message"]
