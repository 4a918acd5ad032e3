"""Snippets of a model's code, run one after the other as in a notebook, each in a sandbox of its own.

What one defines is there in the next: it goes along with it as `state`, a JSON value that the caller keeps and need not understand.
"""

from pathlib import Path

from cloister_client import run_async, wait_for

RUNNER = Path(__file__).with_name("in_the_sandbox.py").read_text()
NOTHING = {"definitions": {}, "values": {}}


async def run_snippet_async(code, tools=None, state=None, ending=None):
    """Run a snippet that finds `tools` as functions; what it came to.

    That has what it `printed`, the new `state`, and one of `value` (of its last expression, as text), `error` (a traceback) and
    `answer`: what it gave to the function called `ending`, which ends it.
    """
    tools, state = tools or {}, state or NOTHING
    answer = await run_async(RUNNER, tools, args=[code, state, [*tools], ending])
    if "error" in answer:  # a limit has ended it, or its state is too large: what it defined is lost
        error = answer["error"]
        came = {"error": " ".join(filter(None, [error["message"], error.get("hint")])), "state": state}
    else:
        came = answer["result"]
    return {"printed": answer["stdout"] + answer["stderr"], **came}


def run_snippet(*args, **kwargs):
    """The same where there is no event loop."""
    return wait_for(run_snippet_async(*args, **kwargs))
