"""OpenAI Agents SDK: a tool that runs the model's code in Cloister, where the code calls other tools.

    agent = Agent(name="…", tools=[run_python(search, fetch)], model=…)

The model sees one tool, writes one snippet that calls the others as often as it takes, and reads what that prints.
"""

import itertools
import json

from agents import FunctionTool, function_tool
from agents.tool import invoke_function_tool
from agents.tool_context import ToolContext

from snippets import run_snippet_async

ABOUT = """Run Python code in a sandbox without network, and read what it prints and the value of its last expression.
Each call begins anew. The code finds these functions, which are called with keyword arguments:
"""


def run_python(*given):
    """A function tool that hands others on to the code. Those that ask for approval or have guardrails are the SDK's to call."""
    for tool in given:
        if tool.needs_approval or tool.tool_input_guardrails or tool.tool_output_guardrails:
            raise ValueError(f"{tool.name} cannot be handed on: its approval and guardrails would be passed by")

    @function_tool(name_override="run_python", description_override=ABOUT + "\n".join(map(signature, given)))
    async def run(context: ToolContext, code: str) -> str:
        came = await run_snippet_async(code, {tool.name: called(tool, context) for tool in given})
        return came["printed"] + (came.get("error") or came.get("value") or "") or "(it printed nothing)"

    return run


def signature(tool):
    parameters = json.dumps(tool.params_json_schema.get("properties", {}))
    return f"- {tool.name}: {tool.description} Parameters: {parameters}"


def called(tool, context):
    """The tool as a coroutine function. Its arguments are checked by the SDK, as those of a model are."""
    numbers = itertools.count(1)

    async def call(*args, **kwargs):
        arguments = json.dumps({**dict(zip(tool.params_json_schema.get("properties", {}), args)), **kwargs})
        inner = ToolContext(context.context, context.usage, tool.name, f"{context.tool_call_id}.{tool.name}.{next(numbers)}", arguments,
                            agent=context.agent, run_config=context.run_config)
        return await invoke_function_tool(function_tool=tool, context=inner, arguments=arguments)

    call.description = tool.description
    return call
