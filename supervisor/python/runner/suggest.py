"""What Python's own last line of a traceback adds to a message: which name was meant."""

import sys
from _thread import get_ident

from .refusals import last_of
from .texts import text_of

LONGEST_SUGGESTION = 300


class Overheard:
    """Stands for `sys.stderr`: keeps what this thread writes, and passes on what others do."""

    def __init__(self, stream):
        self.stream, self.thread, self.kept = stream, get_ident(), []

    def write(self, text):
        if get_ident() != self.thread:
            return self.stream.write(text)
        self.kept.append(text)
        return len(text)

    def flush(self):
        pass


def suggested(error):
    """The end of the last line that the interpreter prints, where it goes on after the message."""
    text = text_of(error)
    alone = type(error)(text)
    alone.name = error.name
    if isinstance(error, AttributeError):
        alone.obj = error.obj
    heard = Overheard(sys.stderr)
    sys.stderr = heard
    try:
        sys.__excepthook__(type(alone), alone, last_of(error.__traceback__))
    finally:
        sys.stderr = heard.stream
    printed = "".join(heard.kept)
    rest = printed.rpartition(f"{type(error).__name__}: {text}")[2].rstrip("\n")
    if not rest and isinstance(error, NameError) and error.name in sys.stdlib_module_names:
        rest = f". Did you forget to import {error.name!r}?"
    return rest if rest.startswith(". Did you") and len(rest) < LONGEST_SUGGESTION else ""
