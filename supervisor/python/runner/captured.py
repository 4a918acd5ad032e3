"""The part of Cloister that lives inside a job's interpreter: reads one request, runs it, reports.

It is the last trusted code before the script and shares its process, so nothing it says is trusted
outside; it is careful for the script's sake: a script that patches builtins, json or os must still
get the right answer. Hence the private builtins below and the names captured here. Modules that
only failures need are imported when they fail, for a cold start pays for each import.

The parts of it are put behind one another to one text, in the order of the file `parts`; what one imports
from another is there already then. So each name is one thing in all of them.

Descriptors: 0 request, the content of its files, then the script's standard input; 1 and 2 output; 3 the result pipe;
4 what calls of tools return, closed where the request has no tools; 5 the native library, closed once it is loaded, where
the interpreter is not forked; 6 this program's code, closed once it is read, where it was compiled before.
Arguments: none, or where the interpreter is started ahead of its request "ahead", the limit on CPU time in seconds that
the job is to have, and the modules to import.
"""

import builtins
import json
import os
import sys

# The runner's own copy of the builtins: what a script assigns to `builtins.len` does not reach it.
__builtins__ = dict(vars(builtins))

os_read, os_write, os_exit, os_getpid, os_times = os.read, os.write, os._exit, os.getpid, os.times
os_open, os_close, os_getcwd, os_fstat = os.open, os.close, os.getcwd, os.fstat
# What decodes without looking for white space and encodings: the supervisor's JSON has no such surprises.
json_scan = json.JSONDecoder().scan_once
json_encoder = json.encoder.c_make_encoder
json_string = json.encoder.encode_basestring
sys_modules, sys_exc_info, sys_getframe = sys.modules, sys.exc_info, sys._getframe

# By these a frame is known as the runner's.
OURS = globals()

RESULT_FD = 3
RETURNS_FD = 4
LIBRARY_FD = 5
FILE_NAME = "script.py"
# With what the names of a session's cells begin, where code is from a file.
CELL_NAME = "<cell "


def load_late(part):
    """Have a part that most jobs do not need, whose text is in `LATE`: a cold start compiles none of them."""
    text = globals()["LATE"].pop(part, None)
    if text is not None:
        try:
            exec(compile(text, "runner", "exec"), globals())
        except BaseException:  # of a script's in the middle of it: whoever needs the part next has it whole
            globals()["LATE"][part] = text
            raise


# Whether the parts of sessions are among the late ones.
has_sessions = []


def load_sessions(text):
    """Have the parts of sessions among those that are compiled when they are needed, once."""
    if not has_sessions:
        has_sessions.append(True)
        exec(text, globals())


def load_all_late():
    for part in [*globals()["LATE"]]:
        load_late(part)
