"""The end of an interpreter, as Python ends it: `Py_FinalizeEx` in CPython's Python/pylifecycle.c, step by step.

It is gone through where a script has left something: see `leavings`. The result has been told by then. What is finalised is the script's own: `__main__`, and what was imported since the
request came. What a zygote has imported is left as it is, for its pages are shared, and the process ends anyhow. The
handlers which its imports have registered with `atexit` do run, for they are about what a job does: `logging` flushes
the job's handlers, `multiprocessing` joins the job's children, `weakref` calls the job's finalizers.
"""

import gc
import sys
import types
from _thread import _count as thread_count
from _weakref import ref

from .captured import os_times, sys_modules
from .exit_handlers import count_exit_handlers, nothing_for_exit_handlers, run_exit_handlers
from .main_module import MAIN_NAMES
from .leavings import all_objects, collect_callbacks, count_thread_handlers, leaves_nothing, modules_since, sys_names
from .streams import call_native, flush_streams

# Captured, for a script may patch them.
collect_garbage = gc.collect

STREAMS = ("stdin", "__stdin__"), ("stdout", "__stdout__"), ("stderr", "__stderr__")

MOST_NAMED = 16

# Given back ahead of an end: a script may have left no memory, and where an allocator gets no more of it an end of any kind needs some.
reserve = [bytes(500) for _ in range(256)]

# What is called when nothing of the script's is to come any more.
before_finalize = []


def end(start, tell=lambda text: None):
    """End what a script has begun, in Python's order. `tell` hears what is waited for, where that may take long."""
    reserve.clear()
    for step in (join_threads, call_exit_handlers):
        try:
            step(start, tell)
        except BaseException as error:  # as Python goes on after it has told
            sys_unraisable(step, error)
    flush_streams()
    finalize(start)
    if call_native("open_files") != 0:
        from .left_open import write_left_open

        write_left_open(all_objects())
    flush_streams()
    flush_c()


def rehearse_end(start):
    """What the end does with a script that has begun nothing. No callback is called and no thread joined: none is that script's."""
    call_native("open_files")
    leaves_nothing(start)
    finalize(start)
    flush_streams()
    flush_c()


def join_threads(start, tell):
    threading = sys_modules.get("threading")
    if threading is None or not thread_count() and count_thread_handlers() == start.thread_handlers:
        return
    here = threading.current_thread()
    names = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not here]
    if names:
        tell("threads that were still running: " + some_of(names))
    threading._shutdown()
    if names:
        tell("")


def call_exit_handlers(start, tell):
    if nothing_for_exit_handlers():
        return
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
    """Let go of the script's modules, as `finalize_modules` does."""
    while before_finalize:
        before_finalize.pop()()
    for name, original in STREAMS:
        sys_names[name] = sys_names.get(original)
    # Twice, as Python does: the first time orders what survives by who holds whom, so that of files which are collected
    # with all that they write through the outermost is closed first.
    collect_garbage()
    # The second time nobody is told.
    del collect_callbacks[:]
    alive = taken_out(start)
    collect_garbage()
    for weak in alive:
        module = weak()
        if module is not None:
            clear(module.__dict__)
        del module


def taken_out(start):
    """The script's modules, out of `sys.modules`, the last first."""
    alive = []
    for name in [*modules_since(start), *MAIN_NAMES]:
        module = sys_modules.pop(name, None)
        if isinstance(module, types.ModuleType):
            alive.append(ref(module))
    return alive


def clear(namespace):
    """As `_PyModule_ClearDict`: first what is private by its name, then the rest."""
    for name in [name for name in namespace if isinstance(name, str) and name[:1] == "_" != name[1:2]]:
        namespace[name] = None
    for name in [name for name in namespace if isinstance(name, str) and name != "__builtins__"]:
        namespace[name] = None


def flush_c():
    """What C's own streams hold: exit(3) would write it."""
    if call_native("flush_c") is not NotImplemented:
        return
    try:
        import _ctypes

        _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 0), "fflush"), (None,))
    except BaseException:  # without it nothing was written by way of it either
        pass


def be_counted():
    """Have the kernel count the CPU time until now: that of a process that runs is else counted now and then, times(2)."""
    if call_native("be_counted") is not NotImplemented:
        return
    try:
        os_times()
    except OSError:
        pass


def sys_unraisable(step, error):
    """Say of an error what Python says of one that nobody can catch any more."""
    try:
        sys.stderr.write(f"Exception ignored in: {step.__name__}\n{type(error).__name__}: {error}\n")
    except BaseException:
        pass
