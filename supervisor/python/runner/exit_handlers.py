"""The callbacks of `atexit` that imports have registered ahead of a request: judged once, before there is a job.

They are about what a job does: `logging` flushes the job's handlers, `multiprocessing` joins the job's children,
`weakref` calls the job's finalizers. Whether one of these has anything to do can be told without calling it, and in most
jobs none has. Where one is registered that is not known here, all are called in each job.
"""

import atexit
import sys

from .captured import sys_modules

# Captured, for a script may patch them.
run_exit_handlers, count_exit_handlers, unregister = atexit._run_exitfuncs, atexit._ncallbacks, atexit.unregister

# The callbacks that were there, each with what tells that it has nothing to do; none while nobody has judged.
judged = []
# All that were there, known or not: none is of a script.
ahead = []


class Asker:
    """Equal to no callback, and compared with each: what `unregister` does to find one."""

    def __init__(self):
        self.seen = []

    def __eq__(self, other):
        self.seen.append(other)
        return False


asker = Asker()


def registered():
    unregister(asker)
    found = asker.seen[:]
    asker.seen.clear()
    return found


def judge_exit_handlers():
    """Look at what is registered by now."""
    known = [(function(), idle) for function, idle in KNOWN]
    ahead[:] = callbacks = registered()
    found = [(callback, idle) for callback in callbacks for function, idle in known if callback == function]
    # Before Python 3.14 one that was taken away goes on to be counted, so that a number tells whether any has come.
    if len(found) == len(callbacks) == count_exit_handlers() and sys.version_info < (3, 14):
        judged[:] = found


def nothing_for_exit_handlers():
    """Whether no callback has come since, and those that were there have nothing to do."""
    if count_exit_handlers() != len(judged):
        return False
    try:
        for there, (callback, is_idle) in zip(registered(), judged, strict=True):
            if there is not callback or not is_idle():
                return False
    except Exception:  # it is not as it was
        return False
    return True


def found_in(name, attribute):
    return lambda: getattr(sys_modules.get(name), attribute, None)


def logging_is_idle():
    """There is none but the handler of last resort, which keeps nothing back."""
    logging = sys_modules["logging"]
    [handler] = logging._handlerList
    return handler() is logging._defaultLastResort


def finalizers_are_idle():
    return not sys_modules["weakref"].finalize._registry


def multiprocessing_is_idle():
    util = sys_modules["multiprocessing.util"]
    return not (util._finalizer_registry or util._logger or sys_modules["multiprocessing.process"]._children)


KNOWN = (
    (found_in("logging", "shutdown"), logging_is_idle),
    (found_in("multiprocessing.util", "_exit_function"), multiprocessing_is_idle),
    (lambda: getattr(getattr(sys_modules.get("weakref"), "finalize", None), "_exitfunc", None), finalizers_are_idle),
)
