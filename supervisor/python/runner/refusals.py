"""What the kernel refused on the way to an exception, as far as it can be told. The supervisor checks it: these are claims."""

import os

from .texts import clip, encodable

# Errors by which the kernel refuses what a policy forbids.
REFUSALS = {1: "EPERM", 2: "ENOENT", 13: "EACCES", 24: "EMFILE", 27: "EFBIG", 28: "ENOSPC", 30: "EROFS", 38: "ENOSYS", 95: "ENOTSUP"}
MOST_REFUSALS = 16

# Functions of Python's that are not named after their system call, and by how many arguments calls are judged.
CALLS = {"mkfifo": "mknodat", "mknod": "mknodat", "initgroups": "setgroups", "nice": "setpriority"}
JUDGED = {"socket": 3, "socketpair": 3, "ioctl": 2}


def refusals(error):
    """Those of an exception and of all that it came of, each once."""
    told = []
    for current in all_of(error):
        refusal = refusal_of(current)
        if refusal and refusal not in told:
            told.append(refusal)
        if len(told) == MOST_REFUSALS:
            break
    return told


def all_of(error):
    """An exception and those that it came of, each once, the outermost first."""
    seen, todo = [], [error]
    while todo and len(seen) < 64:
        current = todo.pop(0)
        if not isinstance(current, BaseException) or any(current is earlier for earlier in seen):
            continue
        seen.append(current)
        yield current
        todo += [current.__cause__, current.__context__, *(getattr(current, "exceptions", None) or ())]


def refusal_of(error):
    if not isinstance(error, OSError):
        return None
    if type(error).__name__ == "gaierror":  # the C library asks a name server, and hides why it could not
        return {"errno": "EPERM", "call": "socket", "arguments": [2, 2, 0]}
    refusal = {"errno": REFUSALS.get(error.errno)}
    if refusal["errno"] is None:
        return None
    path = error.filename2 or error.filename
    if isinstance(path, (str, bytes)):
        refusal["path"] = clip(encodable(os.path.abspath(os.fsdecode(path))))
    if refusal["errno"] == "ENOENT" and not refusal.get("path", "").startswith(("/proc/", "/sys")):
        return None
    if refusal["errno"] == "ENOSPC":
        refusal["full"] = what_is_full()
    elif refusal["errno"] in ("EPERM", "EACCES", "ENOSYS", "ENOTSUP"):
        refusal.update(call_of(error.__traceback__))
    return refusal


def what_is_full():
    """Which limit of a file system in memory is used up."""
    for name, path in (("tmp", "/tmp"), ("shm", "/dev/shm")):
        now = os.statvfs(path)
        if not now.f_bfree or not now.f_ffree:
            return name + ("_inodes" if not now.f_ffree else "_bytes")
    return None


def last_of(trace):
    """The end of a traceback, where the exception was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def call_of(trace):
    """The function of C's whose call raised an exception, and the arguments by which it is judged."""
    import ast
    import itertools
    import linecache
    import opcode

    trace = last_of(trace)
    frame, code = trace.tb_frame, trace.tb_frame.f_code
    if "CALL" not in opcode.opname[code.co_code[trace.tb_lasti]]:
        return {}
    first, last, start, stop = next(itertools.islice(code.co_positions(), trace.tb_lasti // 2, None))
    lines = [line.encode() for line in linecache.getlines(code.co_filename, frame.f_globals)[first - 1 : last]]
    lines[-1] = lines[-1][:stop]
    lines[0] = lines[0][start:]
    call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    function, given = call.func, call.args
    if getattr(function, "attr", None) == "__init__":
        function, given = function.value, given[1:]
    name = getattr(function, "attr", getattr(function, "id", ""))
    told = {"call": CALLS.get(name, name)}
    if name in JUDGED:
        told["arguments"] = [number_of(node, frame) for node in given[: JUDGED[name]]]
    return told


def number_of(node, frame):
    """The value of a plain argument of a call, if it is a number."""
    import ast

    if isinstance(node, (ast.Name, ast.Attribute, ast.Constant)):
        value = eval(compile(ast.Expression(node), "", "eval"), frame.f_globals, frame.f_locals)
        if isinstance(value, int):
            return int(value)
    return None
