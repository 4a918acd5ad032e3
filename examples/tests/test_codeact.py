"""langgraph-codeact with the model's code in Cloister: the whole agent, with a model that says what it is told to."""

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import MemorySaver
from langgraph_codeact import create_codeact

from codeact import eval_in_cloister


class Desk:
    """The host's tools, and what they were called with."""

    def __init__(self):
        self.asked = []

    def tools(self):
        def temperature(city: str) -> float:
            """The temperature in a city, in °C."""
            self.asked.append(city)
            if city == "Atlantis":
                raise LookupError("no such city")
            return {"Oslo": -3.5, "Rome": 12.0}[city]

        return [temperature]


def converse(*said):
    """Run the agent with a model that says this; the tools' desk, and what was said, as it was said."""
    desk = Desk()
    model = GenericFakeChatModel(messages=iter(map(AIMessage, said)))
    agent = create_codeact(model, desk.tools(), eval_in_cloister).compile(checkpointer=MemorySaver())
    ended = agent.invoke({"messages": [{"role": "user", "content": "go on"}]}, {"configurable": {"thread_id": "1"}})
    return desk, [message.content for message in ended["messages"]]


def snippet(code):
    return f"```python\n{code}\n```"


def test_the_models_code_calls_the_hosts_tools():
    desk, said = converse(snippet("for city in ['Oslo', 'Rome']:\n    print(city, temperature(city=city))"), "It is warmer in Rome.")
    assert desk.asked == ["Oslo", "Rome"]
    assert said[2:] == ["Oslo -3.5\nRome 12.0\n", "It is warmer in Rome."]


def test_a_snippet_finds_what_earlier_ones_defined():
    desk, said = converse(
        snippet("import statistics as s\nfrom dataclasses import dataclass\n\n@dataclass\nclass Reading:\n    city: str\n    degrees: float\n\n"
                "def mean(of):\n    return s.fmean(r.degrees for r in of) + offset\n\noffset = 1\n"
                "readings = [Reading(c, temperature(c)) for c in ('Oslo', 'Rome')]"),
        snippet("offset = 10\nmean(readings)"),
        snippet("print(readings[0], mean(readings), offset)"),
        "Done.",
    )
    assert desk.asked == ["Oslo", "Rome"]
    assert said[2] == "<code ran, no output printed to stdout>"
    assert said[4] == "14.25"
    assert said[6] == "Reading(city='Oslo', degrees=-3.5) 14.25 10\n"


def test_what_a_tool_fails_with_is_an_exception_in_the_code():
    desk, said = converse(snippet("before = 1\ntemperature('Atlantis')"), snippet("before + 1"), "There is none.")
    assert said[2].endswith("cloister.ToolError: LookupError: no such city\n") and 'File "snippet", line 2' in said[2]
    assert "script.py" not in said[2]
    # As in a notebook: what stood before it is there.
    assert said[4] == "2"


def test_what_ends_a_sandbox_is_told_and_what_was_defined_before_stays():
    desk, said = converse(snippet("kept = 7"), snippet("import os\nos.abort()"), snippet("kept"), "7.")
    assert "SIGABRT" in said[4]
    assert said[6] == "7"
