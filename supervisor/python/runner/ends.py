"""The end of an interpreter, as Python ends it: `Py_FinalizeEx` in CPython's Python/pylifecycle.c, step by step.

The result has been told by then. What is finalised is the script's own: `__main__`, and what was imported since the
request came. What a zygote has imported is left as it is, for its pages are shared, and the process ends anyhow. The
handlers which its imports have registered with `atexit` do run, for they are about what a job does: `logging` flushes
the job's handlers, `multiprocessing` joins the job's children, `weakref` calls the job's finalizers.
"""

import atexit
import gc
import itertools
import select
import sys
import types
from _thread import _count as thread_count
from _weakref import ref

from .captured import sys_modules
from .streams import flush_streams

# Captured, for a script may patch them.
run_exit_handlers, count_exit_handlers = atexit._run_exitfuncs, atexit._ncallbacks
collect_garbage, all_objects = gc.collect, gc.get_objects

MOST_NAMED = 16
# The descriptors that the first files of a script have. Nothing is waited for on them: those that are not open say so.
FIRST_FILES = range(4, 36)
first_files = select.poll()
for first_file in FIRST_FILES:
    first_files.register(first_file, 0)


class Start:
    """What an interpreter has when its request comes: all else is the script's."""

    def __init__(self):
        self.modules, self.handlers = len(sys_modules), count_exit_handlers()


def end(start, tell=lambda text: None):
    """End what a script has begun, in Python's order. `tell` hears what is waited for, where that may take long."""
    for step in (join_threads, call_exit_handlers):
        try:
            step(start, tell)
        except BaseException as error:  # as Python goes on after it has told
            sys_unraisable(step, error)
    flush_streams()
    native = finalize(start)
    flush_streams()
    if native:
        flush_c()


def join_threads(start, tell):
    threading = sys_modules.get("threading")
    if threading is None or not thread_count():
        return
    here = threading.current_thread()
    names = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not here]
    if names:
        tell("threads that were still running: " + some_of(names))
    threading._shutdown()
    if names:
        tell("")


def call_exit_handlers(start, tell):
    children = running_children()
    waits = children or count_exit_handlers() > start.handlers
    if waits:
        tell("child processes that were still running: " + some_of(children) if children else "callbacks of atexit")
    run_exit_handlers()
    if waits:
        tell("")


def running_children():
    process = sys_modules.get("multiprocessing.process")
    return [child.name for child in getattr(process, "_children", ()) if not child.daemon]


def some_of(names):
    shown = ", ".join(str(name)[:80] for name in names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"


def finalize(start):
    """Let go of the script's modules, as `finalize_modules` does; whether native code may hold output."""
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, getattr(sys, f"__{name}__", None))
    # Twice, as Python does: the first time orders what survives by who holds whom, so that of files which are collected
    # with all that they write through the outermost is closed first.
    collect_garbage()
    alive, native = taken_out(start)
    collect_garbage()
    for weak in alive:
        module = weak()
        if module is not None:
            clear(module.__dict__)
        del module
    if [event for _, event in first_files.poll(0)].count(select.POLLNVAL) < len(FIRST_FILES):
        from .left_open import write_left_open

        write_left_open(all_objects())
    return native


def taken_out(start):
    """The script's modules, out of `sys.modules`, the last first, and whether native code is among them or was used."""
    names = list(itertools.islice(reversed(sys_modules), max(0, len(sys_modules) - start.modules)))
    alive, native = [], "_ctypes" in sys_modules
    for name in [*names, "__main__", "__mp_main__"]:
        module = sys_modules.pop(name, None)
        if isinstance(module, types.ModuleType):
            alive.append(ref(module))
            file = module.__dict__.get("__file__")
            native = native or isinstance(file, str) and file.endswith(".so") and "/lib-dynload/" not in file
    return alive, native


def clear(namespace):
    """As `_PyModule_ClearDict`: first what is private by its name, then the rest."""
    for private in (True, False):
        for name in list(namespace):
            if isinstance(name, str) and name != "__builtins__" and (not private or name[:1] == "_" != name[1:2]):
                namespace[name] = None


def flush_c():
    """What C's own streams hold: exit(3) would write it."""
    try:
        import _ctypes

        _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 0), "fflush"), (None,))
    except BaseException:  # without it nothing was written by way of it either
        pass


def sys_unraisable(step, error):
    """Say of an error what Python says of one that nobody can catch any more."""
    try:
        sys.stderr.write(f"Exception ignored in: {step.__name__}\n{type(error).__name__}: {error}\n")
    except BaseException:
        pass
