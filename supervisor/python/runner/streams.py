"""A script's `sys.stdin`, `sys.stdout` and `sys.stderr`: what is printed is out of the process's hands at once, a print in one piece."""

import io
import os
import sys

from .captured import builtins

native = None


class Unbuffered(io.FileIO):
    """Writes all of it, at once: what was printed before a crash has been printed."""

    def write(self, data):
        view = memoryview(data).cast("B")
        total = len(view)
        while view:
            view = view[super().write(view) :]
        return total


class Through(io.BufferedWriter):
    """Keeps nothing back. Its `write` is native, and as `Unbuffered`'s."""

    def close(self):
        native.leave(self)
        super().close()

    def detach(self):
        native.leave(self)
        return super().detach()


class Text(io.TextIOWrapper):
    """Tells the native `print`, which writes what this would, that it will do so in another way."""

    def close(self):
        native.leave(self)
        super().close()

    def detach(self):
        native.leave(self)
        return super().detach()

    def reconfigure(self, **changes):
        native.leave(self)
        super().reconfigure(**changes)


# To whoever looks they are what they are made from.
Through.__name__ = Through.__qualname__ = "BufferedWriter"
Text.__name__ = Text.__qualname__ = "TextIOWrapper"
Through.__module__ = Text.__module__ = "_io"


def load_native(descriptor):
    """Load the native half from the library that a descriptor refers to, and close that. Without it prints are slower, and in pieces."""
    global native
    import _imp

    try:
        native = _imp.create_dynamic(type(os.__spec__)("cloister_output", None, origin=f"/proc/self/fd/{descriptor}"))
    except ImportError:
        pass
    try:
        os.close(descriptor)
    except OSError:
        pass


def call_native(name, *given):
    """What a function of the native half gives; NotImplemented without one."""
    return getattr(native, name)(*given) if native else NotImplemented


def open_streams():
    """Make the three of the descriptors 0, 1 and 2, which must be pipes by now."""
    # Undecodable input and unencodable output must not cost a script its answer.
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = buffer = (io.FileIO if native else Unbuffered)(fd, "w", closefd=False)
        raw.name = f"<{name}>"
        if native:
            buffer = Through(raw)
        stream = (Text if native else io.TextIOWrapper)(buffer, "utf-8", "backslashreplace", "\n", write_through=True)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, "__" + name + "__", stream)
    if native:
        __builtins__["print"] = builtins.print = native.take_over(Through, builtins, sys, sys.stdout, sys.stderr)


def flush_streams():
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
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
