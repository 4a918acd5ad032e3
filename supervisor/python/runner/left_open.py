"""Files that outlive the script's modules, for something holds them that is not the script's: `builtins`, a module of Python's, a context."""

import _io

from .ends import all_objects


def write_left_open():
    """Write what they keep back: the texts first, for these write through the others."""
    found = [value for value in all_objects() if issubclass(type(value), _io._IOBase)]
    for kind in (_io.TextIOWrapper, (_io.BufferedWriter, _io.BufferedRandom)):
        for value in found:
            if issubclass(type(value), kind):
                try:
                    value.flush()
                except BaseException:  # as where it is closed, or its descriptor is
                    pass
