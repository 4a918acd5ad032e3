"""Imports one module, and tells what that takes and what it leaves running or open."""

import importlib
import os
import sys
import threading
import time
import warnings


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tasks():
    return len(os.listdir("/proc/self/task"))


def descriptors():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            pass
    return found


def left_open(before):
    """What is not a file of the tree: a socket, a pipe, a poll of events."""
    return sorted({target.split(":")[0].strip("[]") for _, target in descriptors() - before if not target.startswith("/")})


def main(name):
    warnings.simplefilter("ignore")
    files, threads, memory, began = descriptors(), tasks(), resident(), time.perf_counter()
    try:
        importlib.import_module(name)
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    took = time.perf_counter() - began
    # One that is about to end, such as a timer that was called off, is none that a fork would lose.
    for _ in range(50):
        if tasks() <= threads:
            break
        time.sleep(0.01)
    return {
        "milliseconds": round(took * 1000, 1),
        "bytes": max(resident() - memory, 0),
        "threads": max(tasks() - threads, 0),
        "open": left_open(files),
    }
