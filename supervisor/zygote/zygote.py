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

# An interpreter adapts code to what runs through it, some rounds long; a child that did so itself would
# copy each page of code that it touches.
ROUNDS = 20


def main():
    library = ctypes.PyDLL("/proc/self/fd/3")
    os.close(3)
    os.dup2(2, 3)  # the number stays taken: it is a job's result pipe later
    hooks, os_register = watch_fork_hooks()
    problem = warm_up(sys.argv[2:])
    os.register_at_fork = os_register
    if problem:
        text = problem.encode("utf-8", "replace")
        library.cloister_zygote_failed(text, ctypes.c_size_t(len(text)))
        sys.exit(1)
    runner = types.ModuleType("cloister_runner")
    exec(compile(sys.argv[1], "runner", "exec"), runner.__dict__)
    for _ in range(ROUNDS):
        runner.pretouch()
    sys.argv[:] = ["script.py"]
    sys.orig_argv[:] = sys.orig_argv[:1]
    open_streams(runner)
    forget()
    generator = numpy_state()
    gc.collect()
    gc.freeze()
    library.cloister_zygote_settle()
    if library.cloister_zygote_serve(*fork_functions(hooks), *map(ctypes.c_size_t, generator or (0, 0))) == 1:
        library.cloister_zygote_name(b"parked")
        renew(generator is None)
        runner.pretouch()
        runner.serve(lambda: library.cloister_zygote_name(b"python3"), meanwhile=exercise(BASICS))


def watch_fork_hooks():
    """From now on, the names of the modules that ask to be told of forks are put in the list returned."""
    modules, register = [], os.register_at_fork

    def watched(**hooks):
        modules.append(sys._getframe(1).f_globals.get("__name__"))
        register(**hooks)

    os.register_at_fork = watched
    return modules, register


def fork_functions(modules):
    """CPython's own steps around a fork, or nothing where none is needed.

    They renew locks that another thread might hold, and call the modules that asked for it. A zygote has
    one thread, which forks while it holds no lock; of the standard library's modules that ask, `random`
    alone has something to renew, and `renew` does that. Any other module gets what it asked for.
    """
    if set(modules) <= {"concurrent.futures.thread", "logging", "random", "threading"}:
        return [ctypes.c_void_p()] * 3
    python = ctypes.pythonapi
    steps = (python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child)
    return [ctypes.cast(step, ctypes.c_void_p) for step in steps]


def open_streams(runner):
    """Make the streams of the jobs to come, on pipes as theirs will be: a stream looks at its descriptor once."""
    kept = [os.dup(number) for number in range(3)]
    read, write = os.pipe()
    for number, end in enumerate((read, write, write)):
        os.dup2(end, number)
    runner.open_streams()
    for number, original in enumerate(kept):
        os.dup2(original, number)
    for number in (read, write, *kept):
        os.close(number)


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
    for _ in range(ROUNDS):
        for parts in (BASICS, MORE):
            for _ in exercise(parts):
                pass
    for name in SINGLE:
        del os.environ[name]
    if len(os.listdir("/proc/self/task")) > 1:
        return "the imported modules start threads when they are used, which a fork does not keep; take them out of the profile's warm imports"
    return None


def exercise(parts):
    """Do what scripts commonly do with a library, a little at a time: yields between the steps.

    In a zygote all of it, so that what a library imports and prepares late is there before a fork; in a
    parked child the basics, so that it has pages of its own where most scripts write.
    """
    for name, steps in parts.items():
        if name in sys.modules:
            try:
                yield from steps(sys.modules[name])
            except Exception:
                pass  # a version that lacks something; nothing depends on it


def numpy_basics(numpy):
    array = numpy.arange(12.0).reshape(3, 4)
    yield array.sum(), array.mean(axis=0)


def numpy_more(numpy):
    array = numpy.arange(12.0).reshape(3, 4)
    yield array @ array.T, array[array > 2].tolist(), str(array), numpy.array([1, 2, 3]).std()


def pandas_basics(pandas):
    frame = pandas.DataFrame({"count": [1, 2, 3], "price": [1.5, 2.5, 3.5]})
    yield
    yield int(frame["count"].sum()), float(frame["price"].mean())


def pandas_more(pandas):
    frame = pandas.DataFrame({"name": ["a", "b", "a"], "count": [1, 2, 3], "price": [1.5, 2.5, float("nan")]})
    frame["total"] = frame["count"] * frame["price"]
    yield frame[frame["count"] > 1].to_dict("records"), frame.groupby("name")["count"].sum().to_dict()
    yield frame.sort_values("price").head(2), frame.describe(), str(frame)


BASICS = {"numpy": numpy_basics, "pandas": pandas_basics}
MORE = {"numpy": numpy_more, "pandas": pandas_more}


def forget():
    """Nothing that is made once and is to be unique may be there before a fork."""
    if "tempfile" in sys.modules:
        sys.modules["tempfile"]._name_sequence = None
    if "uuid" in sys.modules:
        sys.modules["uuid"]._last_timestamp = None


def numpy_state():
    """Address and size of the state of numpy's global generator, which native code fills anew in each child.

    It is a Mersenne twister: random bytes are as good a state of it as any. See numpy's documentation of
    `BitGenerator.ctypes`. None where there is no such generator.
    """
    try:
        generator = sys.modules["numpy.random"].mtrand._rand._bit_generator
        words = len(generator.state["state"]["key"])
        if generator.state["bit_generator"] == "MT19937" and words == 624:
            return generator.ctypes.state_address, words * 4
    except (AttributeError, KeyError):
        pass
    return None


def renew(numpy_too):
    """Nothing random or of this process alone may be the same in two children of one zygote."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if numpy_too and "numpy.random" in modules:
        modules["numpy.random"].seed()
    if "threading" in modules:
        modules["threading"].main_thread()._set_native_id()


main()
