"""An agent of the OpenAI Agents SDK whose one tool runs code that calls others, and a model that says what it is told to."""


import pytest
from agents import Agent, RunConfig, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

from openai_agents import run_python

asked = []


@function_tool
async def stock(item: str, place: str = "Oslo") -> int:
    """How many of an item there are.

    Args:
        item: its name
        place: where
    """
    asked.append((item, place))
    return {"bolt": 40, "nut": 2}[item]


@function_tool(failure_error_function=None)
def order(item: str, count: int) -> dict:
    """Order some."""
    if count > 100:
        raise ValueError("100 at most")
    return {"ordered": item, "count": count}


def converse(*snippets, tools=(stock, order)):
    """Have the agent run these, each in a turn; what the model was told of each, and the model."""
    asked.clear()
    calls = [[function_call("run_python", {"code": code}, call_id=f"call_{number}")] for number, code in enumerate(snippets)]
    model = ScriptedModel([*calls, [assistant_message("Done.")]])
    agent = Agent(name="clerk", model=model, tools=[run_python(*tools)])
    ended = Runner.run_sync(agent, "Look after the stock.", run_config=RunConfig(tracing_disabled=True))
    assert ended.final_output == "Done."
    model.assert_complete()
    return [item["output"] for item in ended.to_input_list() if item.get("type") == "function_call_output"], model


def test_the_code_calls_other_function_tools():
    [told], model = converse(
        "few = [item for item in ('bolt', 'nut') if stock(item=item) < 10]\n"
        "for item in few:\n    print(order(item=item, count=50))\nprint(stock('bolt', 'Rome'))"
    )
    assert told == "{'ordered': 'nut', 'count': 50}\n40\n"
    assert asked == [("bolt", "Oslo"), ("nut", "Oslo"), ("bolt", "Rome")]
    # The model is offered one tool, and told of the others.
    [offered] = model.first_call.tools
    assert offered.name == "run_python" and "- stock: How many of an item there are." in offered.description


def test_coroutines_call_side_by_side():
    [told], _ = converse(
        "import asyncio\nasync def both():\n    return await asyncio.gather(stock.call(item='bolt'), stock.call(item='nut'))\nasyncio.run(both())"
    )
    assert told == "[40, 2]" and sorted(asked) == [("bolt", "Oslo"), ("nut", "Oslo")]


def test_arguments_are_checked_by_the_sdk_and_failures_told_as_it_tells_them():
    told, _ = converse(
        "stock(item=['bolt'])",
        "try:\n    order(item='nut', count=1000)\nexcept Exception as error:\n    print(repr(error))",
    )
    assert told == ["An error occurred while running the tool. Please try again.", "ToolError('ValueError: 100 at most')\n"]
    assert asked == []


def test_a_tool_that_asks_for_approval_is_not_handed_on():
    @function_tool(needs_approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    with pytest.raises(ValueError, match="pay cannot be handed on"):
        run_python(pay)
