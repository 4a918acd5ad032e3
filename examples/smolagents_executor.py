"""smolagents: the agent's code runs in Cloister, its tools run here, with this process's keys and network.

    agent = CodeAgent(tools=[...], model=model, executor=CloisterExecutor())

smolagents' own remote executors send the source of tools into the sandbox; here the sandbox calls them.
"""

import json

from smolagents.local_python_executor import CodeOutput, PythonExecutor

from snippets import run_snippet

ENDING = "final_answer"


class CloisterExecutor(PythonExecutor):
    def __init__(self):
        self.tools, self.kept = {}, None
        # Where an agent looks for what a snippet printed before it failed.
        self.state = {"_print_outputs": ""}

    def send_tools(self, tools):
        self.tools = {**tools}

    def send_variables(self, variables):
        """Values with a form in JSON; snippets find them."""
        if variables:
            self(f"import json\nglobals().update(json.loads({json.dumps(variables)!r}))")

    def __call__(self, code):
        tools = {name: tool for name, tool in self.tools.items() if name != ENDING}
        came = run_snippet(code, tools, self.kept, ENDING)
        self.kept, self.state["_print_outputs"] = came["state"], came["printed"]
        if "error" in came:
            raise RuntimeError(came["error"])
        if "answer" in came:
            return CodeOutput(self.tools[ENDING](came["answer"]), came["printed"], is_final_answer=True)
        return CodeOutput(came["value"], came["printed"], is_final_answer=False)
