"""The Python half of a zygote: imports what the profile asks for, then forks a child for each job, and other zygotes that
import more.

Arguments: the runner's source, that of its sessions, then the modules to import. Descriptor 0 is the wire to the supervisor
and 3 the native library. No script ever runs in this process; in a child, native code has confined it
before the first line below `serve` is reached.
"""

import ctypes
import functools
import gc
import importlib
import os
import sys
import time
import types

from .layout import all_functions, lay_together
from .renew import random_generators, renewal, twisters

# While importing, numeric libraries that start their threads at once are told to start none; a forked child could not use them.
# Those of jemalloc, as pyarrow and others bring it, would be gone after a fork, where it does their work itself.
ALONE = {
    "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false", "_RJEM_MALLOC_CONF": "background_thread:false",
}

# What the libraries are called whose threads are told how many they may be by whoever finds the library in /proc/self/maps, as
# threadpoolctl does, and by it scikit-learn and joblib.
POOLS = ("libopenblas", "libscipy_openblas", "libblis", "libflexiblas", "libmkl_rt", "libgomp", "libiomp", "libomp")

# By which OpenBLAS is told how many it may have after all, as it calls this here and in builds of its own for wheels.
OPENBLAS = [f"{prefix}openblas_set_num_threads{suffix}" for prefix in ("", "scipy_") for suffix in ("", "64_")]

# How often garbage is looked for while something is imported: gc.set_threshold.
SELDOM = (100_000, 10, 10)

# How many hundredths of a second a thread has that an import has told to end.
ENDING = 200

# What the native half has returned: in a child that is to serve a job, and in another zygote.
CHILD, GROWN = 1, 2

# The modules for whose use that was done, here or in the zygote that this one was forked from, and the files of libraries whose threads
# are allowed.
laid_together, allowed_threads = set(), set()

# Milliseconds after which a parked child takes it that few requests come at all.
CALM = 15


def main():
    library = ctypes.PyDLL("/proc/self/fd/3")
    kept = os.dup(3)  # the runner loads it too
    os.close(3)
    os.dup2(2, 3)  # the number stays taken: it is a job's result pipe later
    hooks, os_register = watch_fork_hooks()
    # Ahead of the imports, so that what every job touches does not lie all over what they make.
    runner = types.ModuleType("cloister_runner")
    exec(compile(sys.argv[1], "runner", "exec"), runner.__dict__)
    runner.load_sessions(sys.argv[2])
    runner.load_all_late()
    runner.load_native(kept)
    problem = warm_up(sys.argv[3:])
    os.register_at_fork = os_register
    if problem:
        tell(library.cloister_zygote_failed, problem)
        sys.exit(1)
    sys.argv[:] = ["script.py"]
    sys.orig_argv[:] = sys.orig_argv[:1]
    shorten_command_line()
    open_streams(runner)
    # Kept: a state may be filled for as long as the generator that it is the state of exists.
    drawn_from, pools = [], []
    while fork_all(library, runner, hooks, drawn_from, pools) == GROWN:
        grow(library, hooks)


def fork_all(library, runner, hooks, drawn_from, pools):
    """Put all that was imported in order and fork what the supervisor asks for; what the native half has returned."""
    runner.take_for_granted()
    # Those of the zygote that this one was forked from are frozen, and not found again.
    drawn_from += random_generators()
    states, generators = twisters(drawn_from)
    renew, begun = renewal(generators), runner.native.begin if runner.native else bool

    def rehearse():
        renew()
        runner.rehearse()
        begun()

    functions = all_functions()
    # What a rehearsal collects is its own.
    gc.freeze()
    fill = functools.partial(library.cloister_zygote_fill, ctypes.pythonapi.PyObject_Malloc)
    beside = fork_all, prepare, runner.rehearse_early, runner.serve, runner.prepare_calls
    if new := sys.modules.keys() & (BASICS.keys() | MORE.keys()) - laid_together:
        lay_together(fill, functions, [functools.partial(use, parts) for parts in (BASICS, MORE)])
        laid_together.update(new)
    # Last of all: a method that is looked up later might take the place of one of these in the cache.
    lay_together(fill, functions, (rehearse,), beside)
    # What the zygote that this one was forked from has shown is moved with the rest.
    pools += [path for path in libraries() if os.path.basename(path).startswith(POOLS) and path not in pools]
    library.cloister_zygote_settle()
    show(pools)
    # Kept in a name: what nothing referred to any more would be given back in each child.
    given = *fork_functions(hooks), (ctypes.c_size_t * len(states))(*states), ctypes.c_size_t(len(states) // 2)
    returned = library.cloister_zygote_serve(*given)
    if returned == CHILD:
        renew()
        runner.serve(begun, meanwhile=prepare(runner))
    return returned


def grow(library, hooks):
    """Import what this process, just forked from a zygote, is to have beside what that has, and tell what of it is new.

    A name that is no module's stands for the package that it was to be in.
    """
    library.cloister_zygote_asked.restype = ctypes.c_char_p
    names = library.cloister_zygote_asked().decode().split("\n")
    had = {*sys.modules}
    more, os_register = watch_fork_hooks()
    problem = warm_up(names, asked=True)
    os.register_at_fork = os_register
    hooks += more
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what an import has printed of a line is nobody's
    if problem:
        tell(library.cloister_zygote_failed, problem)
        os.killpg(0, 9)  # with whatever an import has started
    found = {module for module in map(nearest, names) if module}
    tell(library.cloister_zygote_found, "\n".join(sorted(found - had)))


def nearest(name):
    """The module of this name, or the nearest package that it was to be in."""
    while name and name not in sys.modules:
        name = name.rpartition(".")[0]
    return name


def tell(function, text):
    text = text.encode("utf-8", "replace")
    function(text, ctypes.c_size_t(len(text)))


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
    alone has something to renew, and `renewal` does that; the runner asks about forks of a script's. Any other module gets what it asked for.
    """
    if set(modules) <= {"cloister_runner", "concurrent.futures.thread", "logging", "random", "threading"}:
        return [ctypes.c_void_p()] * 3
    python = ctypes.pythonapi
    steps = (python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child)
    return [ctypes.cast(step, ctypes.c_void_p) for step in steps]


def shorten_command_line():
    """Show the list of processes a word for the sources that were passed. proc_pid_cmdline(5)"""
    with open("/proc/self/stat") as stat:
        start, end = map(int, stat.read().rpartition(")")[2].split()[45:47])
    shown = ctypes.string_at(start) + b"\0(warm interpreter)"
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


def open_streams(runner):
    """Make the streams of the jobs to come, on pipes as theirs will be: a stream looks at its descriptor once."""
    read, write = os.pipe()
    runner.with_descriptors((read, write, write), runner.open_streams)
    for number in (read, write):
        os.close(number)


def warm_up(modules, asked=False):
    """Import the modules; what went wrong, if something did. Of those that requests have asked for some may be none."""
    before, often = dict(os.environ), gc.get_threshold()
    # What imports make stays, all but a little: to look through it over and over would take a tenth of their time.
    gc.set_threshold(*SELDOM)
    seldom = gc.get_threshold()
    os.environ.update(ALONE)
    for name in modules:
        try:
            bring(name) if asked else importlib.import_module(name)
        except BaseException as error:
            if asked and isinstance(error, ModuleNotFoundError) and "." in (error.name or "") and f"{name}.".startswith(f"{error.name}."):
                continue
            return f"import {name}: {type(error).__name__}: {error}"
        let_threads_end()
        unfit = left_behind()
        if unfit:
            return f"import {name} {unfit}; take it out of the profile's warm imports"
    # What libraries import and begin late.
    for parts in (BASICS, MORE) * 2:
        use(parts)
    unfit = left_behind()
    if unfit:
        return f"the use of what is imported {unfit}; take it out of the profile's warm imports"
    gc.collect()
    # One that has chosen for itself is left its choice.
    if gc.get_threshold() == seldom:
        gc.set_threshold(*often)
    # What modules have set for themselves is not the environment of a job either, which may never use them.
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
    name_libraries()
    allow_threads()
    return None


def bring(name):
    """Import what a script names, unless that is something of its package's which is no module: the script is to have that."""
    package, _, inner = name.rpartition(".")
    if not package or not hasattr(importlib.import_module(package), inner):
        importlib.import_module(name)


def let_threads_end():
    """Wait for threads that are about to end, such as a timer that was called off."""
    for _ in range(ENDING):
        if len(os.listdir("/proc/self/task")) == 1:
            break
        time.sleep(0.01)


def libraries():
    """The files that code is mapped from."""
    with open("/proc/self/maps") as maps:
        lines = [line.rstrip("\n").split(maxsplit=5) for line in maps]
    return {line[5] for line in lines if len(line) == 6 and "x" in line[1] and line[5].startswith("/")}


def name_libraries():
    """Have the loader know each library by the path that its file has, too.

    It compares devices and inodes, and a child sees the files on a mount of its own: by a path that it does not know it would load
    the same library a second time, or say that it is not loaded, as it then did to threadpoolctl, and so to scikit-learn.
    """
    for path in libraries():
        try:
            ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
        except OSError:
            pass  # the program itself


def show(paths):
    """Map a page of each library, for its code lies in memory without a name now: proc_pid_maps(5)."""
    page, read, private = os.sysconf("SC_PAGE_SIZE"), 1, 2
    place = ctypes.PyDLL(None).mmap
    place.restype, place.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    for path in paths:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        place(None, page, read, private, file, 0)
        os.close(file)


def allow_threads():
    """Let OpenBLAS have the threads that the environment allows: each child starts them itself, when it first needs some."""
    allowed = os.environ.get("OPENBLAS_NUM_THREADS", "1")
    if not allowed.isdecimal() or int(allowed) < 2:
        return
    new = {path for path in libraries() if "openblas" in path} - allowed_threads
    if not new:
        return
    allowed_threads.update(new)
    for library in new:
        loaded = ctypes.CDLL(library)
        for name in OPENBLAS:
            if hasattr(loaded, name):
                getattr(loaded, name)(int(allowed))
    # It has started them now; a fork ends them where it is made, and notes how many there are to be.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    let_threads_end()


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


def use(parts):
    """Do all of it with the libraries that are not laid together yet."""
    for _ in exercise({name: steps for name, steps in parts.items() if name not in laid_together}):
        pass


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


def prepare(runner):
    """What a parked child does in front of its request, if that takes its time: see `runner.serve`.

    Taken for nobody it is a loss for those who wait, so that each step waits a while to see whether somebody does.
    """
    yield from runner.rehearse_early()
    for _ in exercise(BASICS):
        yield CALM


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


if __name__ == "__main__":
    main()
