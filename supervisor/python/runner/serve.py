"""From an interpreter that is ready to its end: one request, in one that was started for it, ahead of it, or forked."""

import gc
import io
import os
import select
import sys

from .captured import LIBRARY_FD, RESULT_FD, RETURNS_FD, load_sessions, os_close, os_exit, os_getpid, os_write, sys_modules
from .encode import dump
from .figures import look_for_figures
from .given import given_calls
from .receive import read_standard_input, receive
from .report import ahead_of_end, done_frame, encode_error, frame, send, tell_wait
from .main_module import MAIN_NAMES, remove_script
from .exit_handlers import judge_exit_handlers
from .leavings import Start, keep_returns, leaves_nothing
from .ends import be_counted, end, flush_c, rehearse_end
from .script import EXITED, run
from .streams import flush_streams, load_native, open_streams, with_descriptors

# Milliseconds after which an interpreter takes it that no request is waiting for it.
SHORTLY = 2


# In the place of a report: that the end is over is all that is left to say.
DONE = object()

waiting = select.poll()
waiting.register(0, select.POLLIN)
wait_for_request = waiting.poll


def serve(begun, meanwhile=(), bound=bool):
    """Say that the interpreter is ready, then serve one request and end the process.

    `begun` is called once the request has come and before the script can print anything, and says whether `keep_returns` is
    done. `meanwhile` is gone through step by step for as long as no request has come for the milliseconds that each step tells
    to wait: not where requests are waiting. `bound` is called for a job, and not for a session.
    """
    os_write(RESULT_FD, b"P")
    report, notes = b"", []
    try:
        for calm in meanwhile:
            if wait_for_request(calm):
                break
        request = receive(read_standard_input)
        kept = begun()
        if request.get("entry") == "session":
            open_session(request)
        bound()
        prepare_calls(request, kept)
        start = Start()
        report = run(request, start, notes)
        del request
        if not notes and leaves_nothing(start):
            flush_streams()
            flush_c()
        elif report[:1] == EXITED:
            end(start)
        else:
            send(ahead_of_end(report))
            report = DONE
            end(start, tell_wait)
    except BaseException as error:  # whatever the script did to us, something true is said
        if not report:
            report = frame(b"E", encode_error({"code": "exception", "message": "the script broke the runner: " + type(error).__name__}))
    finally:
        if report is DONE:
            report = done_frame(notes)
        be_counted()
        send(report)
        os_exit(0)


def open_session(request):
    """Be a session: what returns from there is an error."""
    load_sessions(request.pop("parts"))
    from .session import keep_session

    keep_session(request)


def prepare_calls(request, kept):
    """Let the script call what the request names of its sender's, if it does. Native code may have kept what calls return."""
    if "tools" not in request:
        os_close(RETURNS_FD)
        return
    if not kept:
        keep_returns()
    given_calls[0], given_calls[1] = request["tools"], os_getpid()


def rehearse():
    """Serve a small request that nobody has made, so that its first-use costs are paid before one comes."""
    script = "def main(*a, **k):\n    return {'sum': sum([1, 2]), 'text': str(1.5)}\n"
    body = dump({"script": script, "args": [1, 2.5, "x", None], "result_bytes": 1 << 10})
    before = {name: sys_modules[name] for name in MAIN_NAMES if name in sys_modules}, sys.argv, sys.path[:]
    rehearse_calls()
    start = Start()
    run(receive(io.BytesIO(len(body).to_bytes(8, "big") + body).read), start, [])
    remove_script(sys_modules["__main__"])
    rehearse_end(start)
    be_counted()
    modules, sys.argv, sys.path[:] = before
    sys_modules.update(modules)


def rehearse_calls():
    from .tools import TOOLS_SPECS

    prepare_calls({"tools": [*TOOLS_SPECS]}, True)
    given_calls[0] = None


def rehearse_early():
    """What `meanwhile` is at least, for who is ahead of its request: see `serve`."""
    yield SHORTLY
    rehearse()


def serve_ahead(cpu_seconds, modules):
    """Be an interpreter that was started ahead of its request: do the imports, and be seen to wait until it comes.

    Their CPU time is not the script's: the limit that the process began with has room for them, and becomes the
    job's own when there is one.
    """
    import ctypes
    import importlib
    import resource
    import time

    set_name = ctypes.CDLL(None).prctl  # with PR_SET_NAME, prctl(2)

    def do_imports():
        before = dict(os.environ)
        for name in modules:
            try:
                importlib.import_module(name)
            except BaseException as error:
                send(frame(b"I", f"import {name}: {type(error).__name__}: {error}".encode("utf-8", "replace")))
                os_exit(1)
        # What modules have set for themselves is not the environment of a job, which may never use them.
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)

    # Made before the imports, so that one which keeps a stream has the script's. What an import prints is nobody's.
    open_streams()
    nowhere = os.open(os.devnull, os.O_RDWR)
    with_descriptors((nowhere, nowhere, nowhere), do_imports)
    os.close(nowhere)
    # As in a zygote: what the imports made is nothing that the end of a job looks through.
    gc.collect()
    gc.freeze()
    judge_exit_handlers()
    # After the imports, for threads that one starts take the name over.
    set_name(15, b"parked", 0, 0, 0)

    def begun():
        set_name(15, b"python3", 0, 0, 0)

    def bound():
        limit = cpu_seconds + int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    serve(begun, rehearse_early(), bound)


# Numbers of any size pass both ways.
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
look_for_figures()
if __name__ == "__main__":
    load_native(LIBRARY_FD)
    if sys.argv[1:2] == ["ahead"]:
        serve_ahead(int(sys.argv[2]), sys.argv[3:])
    gc.freeze()
    serve(open_streams)
