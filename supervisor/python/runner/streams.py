"""A script's `sys.stdin`, `sys.stdout` and `sys.stderr`."""

import io
import os
import sys


class Unbuffered(io.FileIO):
    """Writes all of it, at once: what was printed before a crash has been printed."""

    def write(self, data):
        view = memoryview(data).cast("B")
        total = len(view)
        while view:
            view = view[super().write(view) :]
        return total


def open_streams():
    """Make the three of the descriptors 0, 1 and 2, which must be pipes by now."""
    # Undecodable input and unencodable output must not cost a script its answer.
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(Unbuffered(fd, "w", closefd=False), "utf-8", "backslashreplace", "\n", write_through=True)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, "__" + name + "__", stream)


def flush_streams():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


def with_descriptors(others, do):
    """Call a function while others lie at the descriptors 0, 1 and 2."""
    kept = [os.dup(number) for number in range(3)]
    for number, other in enumerate(others):
        os.dup2(other, number)
    do()
    for number, original in enumerate(kept):
        os.dup2(original, number)
        os.close(original)
