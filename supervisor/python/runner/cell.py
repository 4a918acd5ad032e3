"""A cell: compiled as a piece of `__main__`, with `await` at its top level, and what its last expression gives."""

import ast
import linecache
import __future__

from .captured import CELL_NAME
from .compiled import compile_source, unfenced
from .entry import LastValue
from .report import Stop
from .syntax import lines_of

# Sources of this many cells are kept, for tracebacks and for who reads his own code.
MOST_SOURCES = 1000
# A code that gives a coroutine, in the documentation of inspect.
CO_COROUTINE = 0x80
FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})

# Captured, for a cell may patch it.
cell_sources = linecache.cache

NOTEBOOK = "there is no shell and no magic here, a cell is Python"
NO_FUNCTION = "a cell is no function: the value of its last expression is what it gives"


class Cell:
    """One that compiles."""

    def __init__(self, number, code, flags):
        self.name, self.source = f"{CELL_NAME}{number}>", unfenced(code.removeprefix("\ufeff"))
        self.keep_source(number)
        try:
            self.last = LastValue(self.source, self.name, flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except Stop as stop:
            raise Stop(**refused_cell(stop.error)) from None
        self.flags = flags | self.last.code.co_flags & FUTURES

    def keep_source(self, number):
        # Without a time, so that no file is looked for. Each line ends as one of a file does.
        lines = [line + "\n" for line in lines_of(self.source)]
        cell_sources[self.name] = len(self.source), None, lines, self.name
        cell_sources.pop(f"{CELL_NAME}{number - MOST_SOURCES}>", None)

    def run(self, namespace):
        """What the last expression gives, or nothing."""
        code = self.last.code
        if code.co_flags & CO_COROUTINE:
            from .awaiting import run_awaiting

            run_awaiting(code, namespace)
        else:
            exec(code, namespace)
        value, self.last.value = self.last.value, None
        return value if not self.is_silenced() else None

    def is_silenced(self):
        """Whether a `;` stands behind the last expression."""
        if ";" not in self.source:
            return False
        last = self.last.tree.body[-1]
        rest = lines_of(self.source)[last.end_lineno - 1 :]
        return rest[0].encode()[last.end_col_offset :].lstrip().startswith(b";")


def refused_cell(error):
    """What is said of a source that is none, in words for a cell."""
    if error.get("reason") in ("notebook_line", "shell_line"):
        error["message"] = f"{NOTEBOOK}: {error['message']}"
    elif error.get("reason") == "outside_function":
        error["hint"] = NO_FUNCTION
    return error
