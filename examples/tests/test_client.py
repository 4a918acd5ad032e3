"""The client that the other examples have in common."""

import asyncio
import contextvars
import threading

import pytest

from cloister_client import Refused, run, run_async
from snippets import run_snippet

CALL = "from cloister import tools\ndef main(*args):\n    return tools.ask(*args)"
TRY = "from cloister import tools\ndef main():\n    try:\n        return tools.ask()\n    except Exception as error:\n        return repr(error)"


def test_a_function_is_called_and_its_value_is_what_the_script_gets():
    assert run(CALL, {"ask": lambda *args: {"args": args, "é": None}}, args=[1, "ü"])["result"] == {"args": [1, "ü"], "é": None}


def test_calls_that_are_open_at_once_are_answered_side_by_side():
    both = threading.Barrier(2)
    script = """
from concurrent.futures import ThreadPoolExecutor
from cloister import tools

def main():
    with ThreadPoolExecutor() as pool:
        return sorted(pool.map(tools.meet, ["a", "b"]))
"""

    def meet(who):
        both.wait(60)  # each waits for the other
        return who

    assert run(script, {"meet": meet})["result"] == ["a", "b"]


def test_coroutine_functions_are_tools_too_and_functions_know_their_context():
    user = contextvars.ContextVar("user")

    async def wait():
        await asyncio.sleep(0)
        return user.get()

    async def caller():
        user.set("ada")
        script = "from cloister import tools\ndef main():\n    return [tools.wait(), tools.plain()]"
        tools = {"wait": wait, "plain": lambda: user.get()}
        # In an event loop, and from a function that runs in one.
        return (await run_async(script, tools))["result"], run(script, tools)["result"]

    assert asyncio.run(caller()) == (["ada", "ada"], ["ada", "ada"])


@pytest.mark.parametrize("value, told", [
    (object(), "TypeError: Object of type object is not JSON serializable"),
    (float("nan"), "ValueError: Out of range float values are not JSON compliant"),
    ("x" * (2 << 20), "above the profile's tools.bytes"),
])
def test_what_cannot_be_returned_is_an_exception_in_the_script(value, told):
    assert told in run(TRY, {"ask": lambda: value})["result"]


def test_a_value_that_the_node_cannot_read_is_the_scripts_to_hear_of():
    deep = []
    for _ in range(200):
        deep = [deep]
    assert "nested too deeply" in run(TRY, {"ask": lambda: deep})["result"]


def test_a_script_that_fails_has_an_answer_and_a_request_that_is_none_has_not():
    assert run("def main():\n    return 1 / 0")["error"]["exception"] == "ZeroDivisionError"
    with pytest.raises(Refused) as refused:
        run("def main(): pass", timeout_ms="soon")
    assert refused.value.error["ran"] is False


def test_what_a_snippet_defines_is_kept_as_far_as_it_can_be():
    came = run_snippet("import math, collections\ncounts = collections.Counter('aab')\nf = open('x', 'w')\n"
                       "def area(r, pi=math.pi):\n    return pi * r * r")
    came = run_snippet("class Round:\n    def __init__(self, r):\n        self.r = r\nrounds = [Round(2)]\nsame = rounds[0]", state=came["state"])
    came = run_snippet("area = [area(each.r) for each in rounds]", state=came["state"])
    came = run_snippet("[counts['a'], math.floor(area[0]), same.r, 'f' in globals()]", state=came["state"])
    assert came["value"] == "[2, 12, 2, False]", came


def test_what_is_executed_again_calls_no_tool_again():
    asked = []
    came = run_snippet("def price(of=ask()):\n    return of\ncost = price()", {"ask": lambda: asked.append("once") or 3})
    came = run_snippet("cost, ask", {"ask": lambda: asked.append("twice")}, came["state"])
    assert came["value"].startswith("(3, <function ask") and asked == ["once"]


def test_the_state_is_never_read_outside():
    # What comes back is text; a sandbox that makes bad use of it deceives the next, and nobody else.
    came = run_snippet("import os\nclass Evil:\n    def __reduce__(self):\n        return os.abort, ()\nevil = Evil()")
    assert "error" not in came and isinstance(came["state"]["values"]["evil"], str)
    assert "SIGABRT" in run_snippet("1", state=came["state"])["error"]
