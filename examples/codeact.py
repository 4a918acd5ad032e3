"""langgraph-codeact: the model's code runs in Cloister, its tools run here.

    agent = create_codeact(model, tools, eval_in_cloister).compile(checkpointer=...)

What snippets define is part of the graph's state, and so of what a checkpointer keeps.
"""

from snippets import run_snippet

STATE = "cloister"


def eval_in_cloister(code, context):
    """An `eval_fn`: what the code printed, and the variables that the next is to find."""
    tools = {name: value for name, value in context.items() if callable(value)}
    came = run_snippet(code, tools, context.get(STATE))
    output = came["printed"] + (came.get("error") or came.get("value") or "")
    return output or "<code ran, no output printed to stdout>", {STATE: came["state"]}
