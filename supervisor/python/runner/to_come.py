"""Calls of `main` that a script's top level has arranged for, and that come when it is done: in threads, in executors, at exit.

Python waits for threads and executors and calls what is registered with `atexit` before it ends. So what leads to `main` is
waited for here: else it would be called once more.
"""

import sys
from _thread import _count as thread_count

from .captured import sys_modules
from .exit_handlers import KNOWN, ahead, registered, run_exit_handlers
from .leavings import all_objects

# Nothing is imported here that is in a file: a script may have left nothing of the import system.
FUNCTION = type(lambda: None)
# Seconds after which one looks again whether a thread has come back from `main`, which it may go on for long after.
BETWEEN_LOOKS = 0.02


def calls_main(function, namespace):
    """Whether a function of the script's calls its `main` in any case: before anything that it decides, as far as can be seen."""
    if not isinstance(function, FUNCTION) or namespace is None or function.__globals__ is not namespace:
        return False
    code = function.__code__
    if "main" not in code.co_names or sys.version_info < (3, 11):
        return False
    import dis

    decides = {*dis.hasjrel, *dis.hasjabs}
    for step in dis.get_instructions(code):
        if step.opcode in decides or step.opname.startswith(("RETURN", "RAISE")):
            return False
        # With room for what is called: "LOAD_GLOBAL" in the documentation of dis. A name that is only looked at has none.
        if step.opname == "LOAD_GLOBAL" and step.argval == "main" and step.arg & 1:
            return True
    return False


def may_come(namespace, first):
    """Whether anything is left that could call `main` some time: threads, processes, callbacks, what is to be finalised."""
    if thread_count() or first.pipe is not None:
        return True
    known = [*ahead, *(function() for function, _ in KNOWN)]
    if any(callback not in known for callback in callbacks()):
        return True
    return any(isinstance(value, type) and "__del__" in vars(value) for value in namespace.values())


def wait_for_calls(top_level):
    """Wait for what leads to `main`; at exit only if it was not called before."""
    for thread in threads(top_level):
        while thread.is_alive() and not top_level.returned:
            thread.join(BETWEEN_LOOKS)
    for future in futures(top_level.elsewhere.is_in):
        try:
            future.exception()
        except BaseException:  # it was called off
            pass
    if not top_level.called and any(map(top_level.calls_watched, callbacks())):
        if thread_count():
            sys_modules["threading"]._shutdown()  # first, as Python does
        run_exit_handlers()


def threads(top_level):
    threading = sys_modules.get("threading")
    if threading is None or not thread_count():
        return []
    here, leads, callers = threading.current_thread(), top_level.calls_watched, top_level.elsewhere.callers
    others = [thread for thread in threading.enumerate() if thread is not here and not thread.daemon]
    return [thread for thread in others if thread.ident in callers or any(map(leads, does(threading, thread)))]


def does(threading, thread):
    """What a thread calls: what it was given, what its class says, or what a timer calls."""
    run = type(thread).run
    return [getattr(thread, "_target", None), run if run is not threading.Thread.run else None, getattr(thread, "function", None)]


def futures(is_in):
    """Those of the executors' calls that lead to `main`."""
    kinds = [getattr(sys_modules.get(f"concurrent.futures.{kind}"), "_WorkItem", None) for kind in ("thread", "process")]
    if kinds == [None, None]:
        return []
    return [value.future for value in all_objects() if type(value) in kinds and is_in(value.fn)]


def callbacks():
    """What is called at exit, the finalizers among it."""
    finalize = getattr(sys_modules.get("weakref"), "finalize", None)
    finalizers = [info.func for info in [*getattr(finalize, "_registry", {}).values()] if info.atexit]
    return [*registered(), *finalizers]
