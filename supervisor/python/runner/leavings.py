"""What a script leaves, and whether there is anything of it whose end could be seen.

Collecting garbage and letting go of the script's modules is for those objects that do something when they go: that have
a finalizer, hold a file, are suspended in the middle of a function, are watched by somebody. Most small jobs leave none.
So every object that was made since the request came, and what each of them refers to, is looked at: where all are of
kinds that go without a sound, nobody can tell whether they went. It errs on the side of an end that is gone through.
"""

import gc
import itertools
import os
import sys
import types
from _thread import _count as thread_count
from _frozen_importlib_external import SourceFileLoader

from .captured import RETURNS_FD, sys_modules
from .exit_handlers import count_exit_handlers, nothing_for_exit_handlers
from .given import GIVEN_MODULES, given_calls
from .streams import call_native

# Captured, for a script may patch them.
all_objects, referents, is_tracked = gc.get_objects, gc.get_referents, gc.is_tracked
freeze, collect_callbacks, collect_debug = gc.freeze, gc.callbacks, gc.get_debug
count_new, count_collections = gc.get_count, gc.get_stats
sys_names, set_inheritable = vars(sys), os.set_inheritable

# More is not looked at: then the end takes no longer than this would.
MOST_OBJECTS, MOST_INSIDE = 200, 100
# So many are made before a collection comes by itself: "threshold0" of gc.set_threshold().
MOST_NEW = 700

# Kinds of which each is what it is: no class that is made from one is one of them.
ATOMS = frozenset((type(None), bool, int, float, complex, str, bytes, types.CodeType, range, type(...), type(NotImplemented)))
SIZED = frozenset((dict, list, tuple, set, frozenset))
INERT = SIZED | {types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.CellType, SourceFileLoader}
# Those of a script are among the objects, and are no atoms there: what is only referred to is a class of somebody else's.
REFERRED = INERT | ATOMS | {type}


class Start:
    """What an interpreter has when its request comes: all else is the script's."""

    def __init__(self):
        freeze()
        self.modules, self.handlers, self.thread_handlers = len(sys_modules), count_exit_handlers(), count_thread_handlers()
        self.collected = collected()


def collected():
    total = 0
    for generation in count_collections():
        total += generation["collections"]
    return total


def count_thread_handlers():
    """The callbacks that are called before threads are joined."""
    return len(getattr(sys_modules.get("threading"), "_threading_atexits", ()))


def modules_since(start):
    """The names of the modules that a script has imported, the last first. What it is given is no module of its own."""
    names = itertools.islice(reversed(sys_modules), max(0, len(sys_modules) - start.modules))
    return [name for name in names if given_calls[0] is None or name not in GIVEN_MODULES]


def leaves_nothing(start):
    """Whether the script has left nothing to be ended, and nothing that could be seen to go. In doubt it has."""
    try:
        if len(sys_modules) != start.modules and (len(sys_modules) < start.modules or modules_since(start)):
            return False
        if collect_callbacks or collect_debug():
            return False
        if thread_count() or count_thread_handlers() != start.thread_handlers or not nothing_for_exit_handlers():
            return False
        if sys_names.get("stdout") is not sys_names.get("__stdout__") or sys_names.get("stderr") is not sys_names.get("__stderr__"):
            return False
        # Where there is much, even a list of it may be more than there is memory for.
        if count_new()[0] > MOST_NEW or collected() != start.collected:
            return False
        if not made_what_is_inert():
            return False
        return call_native("open_files") == 0
    except BaseException:  # the script has seen to it that nothing can be told
        return False


def keep_returns():
    """What calls of tools return is read from a descriptor, which is no file of the script's and none for what it starts."""
    if call_native("keep_returns") is NotImplemented:
        try:
            set_inheritable(RETURNS_FD, False)
        except OSError:
            pass  # there is none


def made_what_is_inert():
    objects = all_objects()
    if len(objects) > MOST_OBJECTS:
        return False
    for value in objects:
        kind = type(value)
        if kind not in INERT or kind in SIZED and len(value) > MOST_INSIDE:
            return False
    return are_inert(referents(*objects))


def are_inert(values):
    hidden = []
    for value in values:
        kind = type(value)
        if kind not in REFERRED:
            return False
        # One that holds none but atoms is known to no collector.
        if kind is dict or kind is tuple:
            if value and not is_tracked(value):
                hidden.append(value)
    return not hidden or ATOMS.issuperset(map(type, referents(*hidden)))
