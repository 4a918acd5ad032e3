"""Where that lies which every job touches: side by side, behind all that the imports have made.

A child copies each page that it writes to, and an interpreter writes to whatever it looks at, for it counts who refers to it. The
first such page of a huge page costs the table of its 512 entries besides, and those cost once more at its end. So the code
that a small request runs through, with its caches, is made anew in one place, and in the same place lies what is allocated next.
Beside it lies the code that common use of the imported libraries runs through.
"""

import gc
import os
import sys
import types

# An interpreter adapts code to what runs through it, in the ninth round at the latest (QUICKENING_WARMUP_DELAY of CPython 3.11; later
# ones sooner); a child that did so itself would copy each page of code that it touches.
ROUNDS = 12

# The functions whose code was made anew, and all code that was in use before: given back it would leave holes, from which
# a child's objects would come.
moved, before = {}, []


def all_functions():
    """Those that were made in Python, of which in a zygote that was forked from another only what is new is found."""
    return [thing for thing in gc.get_objects() if type(thing) is types.FunctionType] + [*moved]


def lay_together(fill, functions, steps, beside=()):
    """Take steps that each child takes, or many do, until nothing changes any more. `fill` uses up the holes of the heaps; `beside` is what
    else is called there."""
    for step in (*steps, *steps):
        step()
    called = [*run_through(steps), {id(function.__code__) for function in beside}]
    by_any = set().union(*called)
    gc.collect()
    fill()
    # A function lies with the step that calls it first.
    for codes in called:
        moved.update(dict.fromkeys(move(functions, codes, by_any)))
    for step in steps * ROUNDS:
        step()
    gc.collect()
    gc.freeze()
    # What a child collects is put behind the last object that is frozen: one that lies where it writes anyway.
    before.append(set())
    gc.freeze()


def move(functions, codes, by_any):
    """Make the code of those functions anew that have one of these, and that within it which any step has called; the functions.

    Code within a function's is called by a function of its own: one of these too, or one that this function makes, which then was called.
    """
    those = [function for function in functions if id(function.__code__) in codes]
    for function in those:
        function.__code__ = made_anew(function.__code__, by_any)
    return those


def run_through(steps):
    """The code that each step runs through, by the ids of the objects; nothing from one on of which that cannot be found out.

    A copy of this process looks: from Python 3.12 on one that has ever been watched pays for it with each function that it calls first.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for step in steps:
                os.write(write, (" ".join(map(str, watched_ids(step))) + "\n").encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as told:
        called = [{*map(int, line.split())} for line in told]
    os.waitpid(child, 0)
    return called


def watched_ids(step):
    called = {}
    sys.setprofile(lambda frame, event, _: called.update({id(frame.f_code): frame.f_code}) if event == "call" else None)
    step()
    sys.setprofile(None)
    return called


def is_called(code, called):
    return id(code) in called or any(is_called(inner, called) for inner in code.co_consts if type(inner) is types.CodeType)


def made_anew(code, called):
    """The same code as another object, with what of it is code of inner functions."""
    before.append(code)
    anew = lambda constant: made_anew(constant, called) if type(constant) is types.CodeType and is_called(constant, called) else constant
    return code.replace(co_consts=tuple(map(anew, code.co_consts)))
