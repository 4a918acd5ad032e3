"""Files that outlive the script's modules, for something holds them that is not the script's: `builtins`, a module of Python's, a context."""

import _io


def write_left_open(objects):
    """Write what those among all objects keep back: the texts first, for these write through the others."""
    found = [value for value in objects if issubclass(type(value), _io._IOBase)]
    for kind in (_io.TextIOWrapper, (_io.BufferedWriter, _io.BufferedRandom)):
        for value in found:
            if issubclass(type(value), kind):
                try:
                    value.flush()
                except BaseException:  # as where it is closed, or its descriptor is
                    pass
