"""What the runner says, in frames on the result pipe. Nobody outside believes more of it than its form.

A verdict, then what the end of the interpreter waits for while it does, then that it is done, with what there is to note.
"""

import _thread

from .captured import RESULT_FD, os_write
from .encode import NotJson, dump, encode_result
from .texts import encodable


MOST_NOTES, LONGEST_NOTE = 8, 1000

# Of all that writes to the result pipe, one at a time. Held while a session's copy is made, too: none begins in the middle of a frame.
pipe_turn = _thread.allocate_lock()
take_pipe_turn = pipe_turn.acquire


class Stop(Exception):
    """A verdict that is known before the script could give one."""

    def __init__(self, code, message, **fields):
        super().__init__(message)
        self.error = {"code": code, "message": message, **fields}


def frame(tag, payload):
    return tag + len(payload).to_bytes(8, "big") + payload


def result_frame(value, limit, nan=None):
    """The frame for what `main()` returned: the result, or why it is none."""
    try:
        encoded = encode_result(value, nan)
    except NotJson as error:
        path = "result" + error.path
        message = f"{path} is {error.what}, which has no form in JSON"
        return error_frame({"code": "result_not_json", "message": message, "path": path, "hint": hint_of(error)})
    if len(encoded) > limit:
        message = f"the result is {len(encoded)} bytes of JSON, above the profile's limit of {limit}"
        return error_frame({"code": "result_too_large", "message": message})
    return frame(b"R", encoded)


def hint_of(refusal):
    """What to return in place of what was refused, if it is known."""
    if refusal.hint is not None or refusal.culprit == ():
        return refusal.hint
    from .hints import hint_for

    return hint_for(refusal.culprit[0], refusal.above)


def ahead_of_end(report):
    """The same verdict, told of a job that goes on: its end is still to come."""
    return report[:1].lower() + report[1:]


def tell_wait(text):
    """Say what the end waits for; nothing, when that is over."""
    send(frame(b"W", encodable(text[:1000]).encode()))


def done_frame(notes):
    """The end is over."""
    clean = [encodable(note if len(note) <= LONGEST_NOTE else note[: LONGEST_NOTE - 3] + "...") for note in notes[:MOST_NOTES]]
    return frame(b"D", dump(clean))


def error_frame(fields):
    return frame(b"E", encode_error(fields))


def encode_error(fields):
    clean = {
        key: encodable(value) if isinstance(value, str) else value
        for key, value in fields.items()
        if value is not None
    }
    return dump(clean)


def send(report):
    # A thread that the script has left may be in the middle of a call. One that never gets to its end has the job ended.
    view, got = memoryview(report), []
    try:
        got.extend(map(take_pipe_turn, (True,)))
        while view:
            view = view[os_write(RESULT_FD, view) :]
    except OSError:
        return
    finally:
        if got:
            pipe_turn.release()
