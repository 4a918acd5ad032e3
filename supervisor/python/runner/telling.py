"""What a session says on the result pipe: frames, each in one piece, whoever says it and whatever is raised meanwhile."""

import _thread

from .captured import RESULT_FD, os_exit, os_getpid, os_write
from .report import frame, pipe_turn, take_pipe_turn

# Threads that are in the middle of saying something.
speaking = set()
# The process whose word it is: what the session forks says nothing.
speaker = []


def tell(tag, payload):
    """Say it, and then raise what a handler of signals has raised meanwhile."""
    me = _thread.get_ident()
    if me in speaking:
        raise RuntimeError("nothing can be shown by what runs in the middle of that, such as a handler of signals")
    view, written, got, raised, whole = memoryview(frame(tag, payload)), [], [], None, False
    while not whole:
        try:
            speaking.add(me)
            if not got:
                got.extend(map(take_pipe_turn, (True,)))
            while sum(written) < len(view):
                written.extend(map(os_write, (RESULT_FD,), (view[sum(written) :],)))
            speaking.discard(me)
            whole = True
        except BaseException as error:
            if issubclass(type(error), OSError) and error.errno in (9, 32):  # closed, or nobody reads: the session is over
                os_exit(1)
            raised = error
    pipe_turn.release()
    if raised is not None:
        raise raised


def speaks():
    return speaker == [os_getpid()]
