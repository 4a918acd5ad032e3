"""Functions of whoever sent the script, which it calls: `from cloister import tools`."""

import types
from _frozen_importlib import ModuleSpec

from .captured import json_scan, sys_modules
from .given import GIVEN_MODULES, given_calls
from .line import Line, ToolError, ToolTimeout
from .texts import clip


# Where none are given, as in a cell of a session that once were: the tools by name, the line, and the functions that were made.
NONE = {}, None, {}


class Tools(types.ModuleType):
    """The tools that the request names: `tools.search(q="...")`, and in a coroutine `await tools.search.call(q="...")`."""

    def __getattr__(self, name):
        if name == "__all__":
            return [name for name in self if name.isidentifier()]
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, name):
        given, line, made = given_to(self)
        if name not in given:
            raise KeyError(f"there is no tool {clip(str(name))!r}: the request names {clip(', '.join(given) or 'none')}")
        if name not in made:
            made[name] = function_of(given[name], line)
        return made[name]

    def __dir__(self):
        return [*given_to(self)[0]]

    def __iter__(self):
        return iter(self.__dir__())

    def __len__(self):
        return len(self.__dir__())

    def __contains__(self, name):
        return name in given_to(self)[0]

    def __repr__(self):
        return f"<tools {', '.join(self)}>"


def given_to(tools):
    """What was given, which is text until it is first asked for."""
    given = vars(tools).get("__given__", NONE)
    if given is NONE and given_calls[0] is not None:
        text, most, most_calls = given_calls[0]
        LINE.begin(most, most_calls, given_calls[1])
        given = vars(tools)["__given__"] = [text, LINE, {}]
    if type(given[0]) is str:
        given[0] = {tool["name"]: tool for tool in json_scan(given[0], 0)[0]}
    return given


def function_of(tool, line):
    name = tool["name"]

    def function(*args, **kwargs):
        return line.call(name, args, kwargs)

    async def call(*args, **kwargs):
        return await line.call_soon(name, args, kwargs)

    function.call = call
    for called, end in (function, ""), (call, ".call"):
        called.__name__ = called.__qualname__ = name + end
        called.__module__, called.__doc__ = "cloister.tools", described_tool(tool)
    return function


def described_tool(tool):
    parts = [tool.get("description", "")]
    if "parameters" in tool:
        import json

        parts.append("What it takes, as JSON Schema:\n" + json.dumps(tool["parameters"], indent=2, ensure_ascii=False))
    return "\n\n".join(part for part in parts if part)


def make_package():
    package, tools = types.ModuleType("cloister"), Tools("cloister.tools")
    for kind in ToolError, ToolTimeout:
        kind.__module__, kind.__qualname__ = "cloister", kind.__name__
        setattr(package, kind.__name__, kind)
    package.__doc__, package.__path__, package.tools = "What a job has of Cloister.", [], tools
    return package, tools


# Made where this is loaded, which in a zygote is ahead of all jobs: what a job does not make it need not wait for.
PACKAGE, TOOLS = make_package()
LINE = Line()


class ToolsLoader:
    """Of a job's, which imports what is there already."""

    @staticmethod
    def create_module(spec):
        return TOOLS if spec.name == TOOLS.__name__ else PACKAGE

    @staticmethod
    def exec_module(module):
        pass


TOOLS_SPECS = {name: ModuleSpec(name, ToolsLoader, origin="the request", is_package=name == PACKAGE.__name__) for name in GIVEN_MODULES}


def put_tools(given, line):
    """Make those of a cell there to be imported: JSON, as the request has it."""
    vars(TOOLS)["__given__"] = [given, line, {}]
    sys_modules["cloister"], sys_modules["cloister.tools"] = PACKAGE, TOOLS


def take_tools():
    for name in GIVEN_MODULES:
        sys_modules.pop(name, None)
    vars(TOOLS).pop("__given__", None)
