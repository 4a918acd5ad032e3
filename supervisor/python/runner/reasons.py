"""Why an exception came, where the sandbox or the contract is the reason: a word for programs, and the way out for a person.

The words that programs go by are a closed list, `Reason` of the protocol: the supervisor passes no other on.
"""

import os
import sys

from .captured import FILE_NAME, OURS
from .modules import missing_module
from .programs import failed_install, last_frame, missing_program
from .refusals import all_of
from .texts import clip, name_of, type_module

WRITABLE = ("/tmp", "/dev/shm")
MOST_NAMES = 12
PLACES = "files of the request are in the working directory"
NO_ARGV = 'a call of main() has no command line: give it "args" and "kwargs", or send "entry": "program" with "argv"'
NATIVE = "calls through native code (repr(), json, max(key=), functools.lru_cache) are nested too deeply"
# How many calls fewer than its limit Python may be seen in when it is reached.
SLACK = 16
OUT = "can be written there and below /tmp and /dev/shm, and what is left in out/ comes back with the answer"


def reason_of(error):
    """What is told beside an exception that nobody caught."""
    told = of_call(error)
    for current in all_of(error):
        told = told or of_one(current)
    return {key: word for key, word in zip(("reason", "hint"), told or ()) if word}


def of_one(error):
    for kind, judge in JUDGES:
        if issubclass(type(error), kind):
            told = judge(error)
            if told:
                return told
    return None


def of_call(error):
    """Of arguments that do not fit: then the call of `main` is the last that was done."""
    frame = last_frame(error) if issubclass(type(error), TypeError) else None
    # Or one that is around it called it: then Python names it.
    if frame is None or frame.f_globals is not OURS and not str(error).startswith(("main() missing", "main() takes", "main() got")):
        return None
    told = 'main() is called as main(*args, **kwargs) with what the request has as "args" (an array) and "kwargs" (an object)'
    return "arguments", told + signature_of_main()


def signature_of_main():
    """The names that main takes, without asking the script's objects for their texts."""
    code = getattr(getattr(sys.modules.get("__main__"), "main", None), "__code__", None)
    if type(code) is not type(reason_of.__code__):
        return ""
    count = code.co_argcount + code.co_kwonlyargcount
    named = [name[:100] for name in code.co_varnames[:count]][:MOST_NAMES]
    return f"; it takes {', '.join(named)}" if named else "" if code.co_flags & 12 else "; it takes none"


def of_os_error(error):
    if error.errno == 25:
        return no_terminal(error)
    if error.errno is None:
        text = clip(str(error))
        if "shared object file" in text:
            return "missing_library", "that library is not in this profile's runtime"
        return ("missing_path", "os.makedirs() makes a folder") if "non-existent directory" in text else None
    return missing_program(error) or (missing_path(error) if error.errno in (2, 20) else None)


def missing_path(error):
    """Where files are, of a path that leads nowhere."""
    path = error.filename2 or error.filename
    if not isinstance(path, (str, bytes)):
        return None
    here, path = os.getcwd(), os.path.abspath(os.fsdecode(path))
    folder, name = os.path.split(path)
    if path.startswith(("/proc/", "/sys/")):
        return "missing_path", "of /proc a job sees its own processes alone, and nothing of /sys"
    if not f"{path}/".startswith((f"{here}/", *(f"{place}/" for place in WRITABLE))):
        there = f": open({name!r}) finds this one" if os.path.lexists(os.path.join(here, name)) else f" ({contents_of(here)})"
        return "missing_path", clip(f"there is no {path} here: {PLACES}{there}; files {OUT}")
    if not os.path.isdir(folder):
        made = f"the folder {os.path.relpath(folder, here)!r} is not there: os.makedirs() makes it, to write to"
        return "missing_path", clip(f"{made}; to read, {PLACES} ({contents_of(here)})")
    there = f"open({name!r}) finds one of that name in the working directory" if os.path.lexists(os.path.join(here, name)) else ""
    return "missing_path", clip(there or f"{PLACES} ({contents_of(here)})")


def contents_of(folder):
    names = sorted(name for name in os.listdir(folder) if not name.startswith(".") and name.lstrip("_") not in (FILE_NAME, "out"))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"it has {', '.join(names[:MOST_NAMES])}{more}" if names else "it is empty"


def at_end_of_input(error):
    if str(error) != "EOF when reading a line":
        return None
    return "stdin_at_end", 'the request\'s "stdin" is empty, or all of it has been read: input() takes a line of it each time'


def too_deep(error):
    """Since Python 3.12 calls of functions in Python have the limit that a script may set, and those of native code one of their own."""
    limit, said = sys.getrecursionlimit(), str(error)
    if said.startswith("Stack overflow"):
        return "recursion", f"{NATIVE}: no deeper than the profile's rlimits.stack goes, whatever sys.setrecursionlimit() allows"
    if not said.startswith("maximum recursion depth exceeded"):
        return "recursion", "calls are nested too deeply, as what was called says by itself"
    if sys.version_info >= (3, 12) and frames_of(error, limit) < limit - SLACK:
        return "recursion", f"{NATIVE}: the interpreter's own limit for these is reached, which sys.setrecursionlimit() does not change"
    bound = "rlimits.stack goes" if sys.version_info < (3, 12) else "memory goes"
    return "recursion", (
        f"calls are nested deeper than {limit}, which is sys.getrecursionlimit(): either they have no end, or "
        f"sys.setrecursionlimit() allows more, as far as the profile's {bound}"
    )


def frames_of(error, most):
    """How many functions in Python were called inside of one another when it was raised, or that there were more than `most`."""
    trace, count = error.__traceback__, 0
    frame = trace and trace.tb_frame.f_back
    while frame is not None and count <= most:
        frame, count = frame.f_back, count + 1
    while trace is not None and count <= most:
        trace, count = trace.tb_next, count + 1
    return count


def no_terminal(error):
    return "no_terminal", "a job has no terminal: its input and output are the request's stdin and the answer's stdout and stderr"


def no_variable(error):
    frame = last_frame(error)
    if frame is None or frame.f_locals.get("self") is not os.environ:
        return None
    return "missing_variable", 'a job has no variables of its host\'s: give it values in "args" or "kwargs" of the request'


def of_exit(error):
    """Of command lines, which `main()` has not."""
    frame = last_frame(error)
    if frame is None or frame.f_globals.get("__name__") not in ("argparse", "optparse", "getopt", "click.core"):
        return None
    return "arguments", NO_ARGV


def no_argument(error):
    """Of an index beyond `sys.argv`, in code that names it."""
    frame = last_frame(error)
    if frame is None or len(sys.argv) > 1 or "argv" not in frame.f_code.co_names:
        return None
    return "arguments", NO_ARGV


def of_notebook(error):
    name = error.name
    return (None, f"{name}() is of notebooks: print(), or a file in out/, shows it here") if name in ("display", "get_ipython") else None


def in_running_loop(error):
    if str(error) not in ("asyncio.run() cannot be called from a running event loop", "This event loop is already running"):
        return None
    return None, "main() is awaited by an event loop already: use await in place of it, or make main() a plain `def`"


def of_module_error(error):
    """Of exceptions that are known by the module that they are of, which need not be loaded."""
    kind = (str(type_module(type(error))), name_of(error))
    if kind in (("_curses", "error"), ("termios", "error")):
        return no_terminal(error)
    if kind == ("sqlite3", "OperationalError") and "unable to open" in str(error):
        return "missing_path", f"a database {OUT.replace(' there', ' in the working directory')}"
    if kind == ("locale", "Error"):
        return "missing_locale", "the locales here are C and C.UTF-8"
    return failed_install(error) if kind == ("subprocess", "CalledProcessError") else None


# The kinds of exceptions, and what judges each: the first that has something to say is heard.
JUDGES = (
    (ImportError, missing_module),
    (OSError, of_os_error),
    (EOFError, at_end_of_input),
    (RecursionError, too_deep),
    (KeyError, no_variable),
    (SystemExit, of_exit),
    (IndexError, no_argument),
    (NameError, of_notebook),
    (RuntimeError, in_running_loop),
    (Exception, of_module_error),
)
