"""What a session does behind each copy that is put aside: a cell that does nothing.

A page of memory that both have is copied when one of them first writes to it, and an interpreter writes to hundreds by running anything.
What all cells write to is the session's own again when the next comes, if one that nobody sees has run before.
"""

import ast

from .captured import json_scan
from .cell import Cell, cell_sources
from .encode import encode_result
from .ends import be_counted
from .report import frame

REHEARSED = '{"cell":0,"code":"x += 1","result_bytes":1000}'
# Captured, for a cell may put something of its own in its place.
parse_by_python = ast.parse


def rehearse_cell(flags):
    """Run that cell; not where the session parses what is Python in a way of its own, which would see it."""
    if ast.parse is not parse_by_python:
        return
    try:
        order = json_scan(REHEARSED, 0)[0]
        cell = Cell(order["cell"], order["code"], flags)
        cell.run({"x": 0})
        cell_sources.pop(cell.name, None)
        frame(b"R", encode_result(None))
        be_counted()
    except BaseException:  # of whoever raises in other threads: nobody is there whom it would concern
        pass
