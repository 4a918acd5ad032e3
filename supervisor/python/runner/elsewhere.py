"""A `main` that the script's top level has called in a process of its own: that call is the run, too.

The top level asks once it is done, and by then a child may not have come to its call yet. So a process of multiprocessing's
whose target is `main` counts from its start, and what is sent to one that is not forked (spawn, forkserver) to be called. Of all
other calls it is told where they are made: see `first_call`.
"""

import os
import sys

from .captured import sys_getframe, sys_modules
from .first_call import FirstCall

# Where multiprocessing forks: the frame that has the process which is about to be.
LAUNCH, LAUNCHED = "_launch", "process_obj"
# What it sends objects with, to processes that it starts and to those of its pools.
REDUCTION = "multiprocessing.reduction"
MOST_NESTED, MOST_SENT, MOST_FRAMES = 5, 8, 10


class Elsewhere:
    # Of the script that runs: hooks of forks stay for good.
    current = None

    def __init__(self, is_main, leads):
        self.is_main, self.leads, self.given, self.first = is_main, leads, False, FirstCall()
        # Threads that `main` was called in.
        self.callers, self.reduction = set(), None
        Elsewhere.current = self
        if REDUCTION in sys_modules:  # imported ahead
            self.look_at(sys_modules[REDUCTION])
        else:
            sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        if name != REDUCTION:
            return None
        from .imports import found_and_then

        return found_and_then(name, path, self.look_at)

    def look_at(self, reduction):
        """Look at each object that is sent, for as long as the top level runs."""
        pickler, dump, dumps = reduction.ForkingPickler, reduction.dump, reduction.ForkingPickler.__dict__["dumps"]
        self.reduction = reduction, dump, dumps

        def dump_and_look(value, *rest, **named):
            self.sent(value)
            return dump(self.with_word(value), *rest, **named)

        def dumps_and_look(kind, value, *rest, **named):
            self.sent(value)
            return dumps.__func__(kind, value, *rest, **named)

        reduction.dump, pickler.dumps = dump_and_look, classmethod(dumps_and_look)

    def sent(self, value):
        if self.given or self.leads is None or self.first.is_ours():
            return
        try:
            self.given = starts_elsewhere() and self.is_in(value)
        except Exception:  # it is sent no less for it
            pass

    def with_word(self, value):
        """What is sent, with the word of whose call of `main` is the run where it is a process that begins."""
        process = getattr(sys_modules.get("multiprocessing.process"), "BaseProcess", ())
        if self.first.is_inside_ours() or not isinstance(value, process) or not launches(sys_getframe(1)):
            return value
        try:
            return self.first.carried(value)
        except Exception:  # it begins no less for it
            return value

    def is_in(self, value, depth=MOST_NESTED):
        """Whether `main` is what a process, a pool or an executor is told to call."""
        if value is None:
            return False
        if type(value) in (tuple, list):
            inside = value[:MOST_SENT]
        elif type(value).__name__ == "partial":
            inside = value.func, *value.args[:MOST_SENT]
        elif callable(value):
            return self.leads(value)
        else:
            inside = getattr(value, "_target", None), getattr(value, "fn", None)
        return depth > 0 and any(self.is_in(part, depth - 1) for part in inside)

    def before_fork(self):
        if self.is_main is None:
            return
        try:
            self.first.share()
            # Of who forks, which has called the hook.
            frame = sys_getframe(2)
            if frame.f_code.co_name == LAUNCH:
                self.given = self.given or self.is_main(getattr(frame.f_locals.get(LAUNCHED), "_target", None))
        except Exception:  # a fork is no less a fork for it
            pass

    @property
    def called(self):
        return self.given or self.first.was_elsewhere()

    def close(self):
        Elsewhere.current = None
        self.is_main = self.leads = None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self.reduction:
            reduction, reduction.dump, reduction.ForkingPickler.dumps = self.reduction
        self.first.close()


def starts_elsewhere():
    """Whether processes are, or one is about to be, that are no forks of this one: those tell by themselves."""
    children = [*getattr(sys_modules.get("multiprocessing.process"), "_children", ())]
    if any(getattr(getattr(child, "_popen", None), "method", "fork") != "fork" for child in children):
        return True
    return launches(sys_getframe(1))


def launches(frame):
    for _ in range(MOST_FRAMES):
        if frame is None:
            return False
        if frame.f_code.co_name == LAUNCH:
            return True
        frame = frame.f_back
    return False


def before_fork():
    if Elsewhere.current is not None:
        Elsewhere.current.before_fork()


os.register_at_fork(before=before_fork)
