"""Threads that work for libraries: a copy of the process has none of them, and who hands them work there waits for them for ever.

Of OpenMP's a library can be told to let them go, and starts others when it needs them next: `omp_pause_resource_all` in the OpenMP API.
An older one cannot. A copy that goes on then has it run each loop on the thread that comes to it: `omp_set_max_active_levels`.
"""

import os

from .captured import builtins

# That of GCC knows nothing of forks. Those of LLVM and Intel do: what they say of a pause is not needed.
WITHOUT_HOOKS, WITH_HOOKS = ("libgomp",), ("libiomp", "libomp")
# Threads of these cannot be let go.
STAYING = ("libmkl_tbb",)
# What the kernel calls threads that others wait for: those of polars, and those of Rust's libraries that do several things at once.
WAITED_FOR = {"tokio-rt-worker": "tokio", **{f"polars-{number}": "polars" for number in range(100)}}
HARD_PAUSE, NONE_AT_ONCE = 2, 0
# RTLD_NOW | RTLD_NOLOAD
LOADED_ALREADY = 2 | 4

read_file_of_kernel, list_threads = builtins.open, os.listdir


def let_pools_go():
    """Have the libraries let their threads go: the paths of those that a copy must not have, and the name of one that it would wait for."""
    waited_for = next((WAITED_FOR[name] for name in sorted(native_names()) if name in WAITED_FOR), None)
    if waited_for is not None:
        return [], waited_for
    left = []
    for path in loaded_libraries():
        name = path.rpartition("/")[2]
        paused = not name.startswith(STAYING) and call_openmp(path, "omp_pause_resource_all", HARD_PAUSE) == 0
        if name.startswith(WITH_HOOKS) or paused:
            continue
        if name.startswith(STAYING) or call_openmp(path, "omp_get_level") != 0:
            return [], name
        left.append(path)
    return left, None


def native_names():
    """What the kernel calls the threads of this process."""
    names = set()
    for thread in list_threads("/proc/self/task"):
        try:
            with read_file_of_kernel(f"/proc/self/task/{thread}/comm") as name:
                names.add(name.read().rstrip("\n"))
        except OSError:
            pass  # it has ended
    return names


def do_without(paths):
    """In the copy: no thread is waited for that is not there."""
    for path in paths:
        call_openmp(path, "omp_set_max_active_levels", NONE_AT_ONCE)


def loaded_libraries():
    known = WITHOUT_HOOKS + WITH_HOOKS + STAYING
    try:
        with read_file_of_kernel("/proc/self/maps") as maps:
            paths = {line[line.index("/") :].rstrip("\n") for line in maps if "/" in line}
    except OSError:
        return []
    return sorted(path for path in paths if path.rpartition("/")[2].startswith(known))


def call_openmp(path, name, *arguments):
    """What a function of a loaded library gives; nothing if it has none of that name."""
    try:
        import _ctypes

        return _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(path, LOADED_ALREADY), name), arguments)
    except Exception:
        return None
