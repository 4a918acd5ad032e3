"""The Python half of a zygote: imports what the profile asks for, then forks a child for each job.

Arguments: the runner's source, then the modules to import. Descriptor 0 is the wire to the supervisor
and 3 the native library. No script ever runs in this process; in a child, native code has confined it
before the first line below `serve` is reached.
"""

import ctypes
import gc
import importlib
import os
import sys
import types

# While importing, numeric libraries are told to start no threads; a forked child could not use them.
SINGLE = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def main():
    library = ctypes.PyDLL("/proc/self/fd/3")
    os.close(3)
    os.dup2(2, 3)  # the number stays taken: it is a job's result pipe later
    problem = warm_up(sys.argv[2:])
    if problem:
        text = problem.encode("utf-8", "replace")
        library.cloister_zygote_failed(text, ctypes.c_size_t(len(text)))
        sys.exit(1)
    runner = types.ModuleType("cloister_runner")
    exec(compile(sys.argv[1], "runner", "exec"), runner.__dict__)
    runner.pretouch()
    sys.argv[:] = ["script.py"]
    sys.orig_argv[:] = sys.orig_argv[:1]
    gc.collect()
    gc.freeze()
    python = ctypes.pythonapi
    hooks = [ctypes.cast(hook, ctypes.c_void_p) for hook in (python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child)]
    if library.cloister_zygote_serve(*hooks) == 1:
        library.cloister_zygote_name(b"parked")
        reseed()
        runner.pretouch()
        runner.serve(lambda: library.cloister_zygote_name(b"python3"))


def warm_up(modules):
    """Import the modules; what went wrong, if something did."""
    os.environ.update(dict.fromkeys(SINGLE, "1"))
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:
            return f"import {name}: {type(error).__name__}: {error}"
        if len(os.listdir("/proc/self/task")) > 1:
            return f"import {name} started threads, which a fork does not keep; take it out of the profile's warm imports"
    for name in SINGLE:
        del os.environ[name]
    return None


def reseed():
    """Nothing random or unique may be the same in two children of one zygote."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
    if "ssl" in modules:
        modules["ssl"].RAND_add(os.urandom(32), 32.0)
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None
    if "uuid" in modules:
        modules["uuid"]._last_timestamp = None


main()
