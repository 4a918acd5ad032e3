"""`os.system()` and `os.spawn...()` where there is no shell and no such program: they raise nothing, so it is told on stderr."""

import functools
import os

from .captured import os_write

# What a shell's process, or one whose program cannot be started, ends with.
NOT_FOUND = 127


def telling(call, status_of, missing):
    @functools.wraps(call)
    def told(*arguments, **named):
        status = call(*arguments, **named)
        if status_of(status, *arguments) == NOT_FOUND:
            what = missing(*arguments, **named)
            if what:
                os_write(2, f"os.{call.__name__.lstrip('_')}: {what}\n".encode("utf-8", "backslashreplace"))
        return status

    told.__module__ = "os"
    return told


def no_shell(command):
    return "" if os.path.exists("/bin/sh") else "there is no shell here and no other program than Python: nothing was run"


def no_program(mode, file, *others):
    return f"there is no program {os.fsdecode(file)!r} here that can be started: nothing was run"


os.system = telling(os.system, lambda status, *command: status >> 8, no_shell)
os._spawnvef = telling(os._spawnvef, lambda status, mode, *others: status if mode == os.P_WAIT else 0, no_program)
