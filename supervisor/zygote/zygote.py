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
import time
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
    generators = random_generators()
    gc.freeze()
    python = ctypes.pythonapi
    hooks = [ctypes.cast(hook, ctypes.c_void_p) for hook in (python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child)]
    if library.cloister_zygote_serve(*hooks) == 1:
        reseed(generators)
        runner.pretouch()
        runner.serve(lambda: library.cloister_zygote_name(b"python3"))


def warm_up(modules):
    """Import the modules; what went wrong, if something did."""
    before = {name: os.environ.get(name) for name in SINGLE}
    os.environ.update(dict.fromkeys(SINGLE, "1"))
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:
            return f"import {name}: {type(error).__name__}: {error}"
        unfit = left_behind()
        if unfit:
            return f"import {name} {unfit}; take it out of the profile's warm imports"
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    return None


def left_behind():
    """What an import has started or made that forked children must not inherit, if it has."""
    if len(os.listdir("/proc/self/task")) > 1:
        return "started threads, which a fork does not keep"
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return "started a process, which no job may depend on"
    except ChildProcessError:
        pass
    with open("/proc/self/maps") as maps:
        for line in maps:
            _, access, _, _, _, *path = line.split(maxsplit=5)
            path = path[0].rstrip("\n") if path else ""
            if "s" in access and ("w" in access or not os.path.isfile(path) or os.access(path, os.W_OK)):
                return f"made shared memory ({path or 'anonymous'}), through which jobs could reach one another"
    return None


def random_generators():
    """Every generator of random numbers that there is by now, whoever has made it."""
    kinds = ()
    if "random" in sys.modules:
        kinds += (sys.modules["random"].Random,)
    if "numpy.random" in sys.modules:
        kinds += (sys.modules["numpy.random"].RandomState, sys.modules["numpy.random"].BitGenerator)
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]


def reseed(generators):
    """Nothing random or unique may be the same in two children of one zygote. What cannot be changed is
    the secret behind the hashes of strings, for every dict that the imports have filled depends on it."""
    modules = sys.modules
    for generator in generators:
        if hasattr(generator, "getrandbits"):
            modules["random"].Random.seed(generator)
        elif hasattr(generator, "random_raw"):
            generator.state = type(generator)().state
        else:
            generator.__init__(type(generator._bit_generator)())
    if "_ssl" in modules:
        # Its own look at the process id does not tell it of the fork: the first of each namespace has the same.
        modules["_ssl"].RAND_add(os.urandom(32), 32.0)
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None
    if "uuid" in modules:
        # A network address that is none, as RFC 9562, 6.10 has it.
        modules["uuid"]._node = int.from_bytes(os.urandom(6), "big") | 1 << 40
        modules["uuid"]._last_timestamp = None
    if "multiprocessing.process" in modules:
        process = modules["multiprocessing.process"]
        process.current_process().authkey = os.urandom(32)
    if "logging" in modules:
        # A time in seconds or, from Python 3.13 on, in nanoseconds.
        now = time.time_ns() if isinstance(modules["logging"]._startTime, int) else time.time()
        modules["logging"]._startTime = now


main()
