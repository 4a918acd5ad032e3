"""What the runner says at its end: one frame on the result pipe. Nobody outside believes more of it than its form."""

from .captured import RESULT_FD, os_write
from .encode import NotJson, dump, encode_result
from .texts import encodable


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
        fields = {"path": path}
        if error.hint:
            fields["hint"] = error.hint
        message = f"{path} is {error.what}, which has no form in JSON"
        return error_frame({"code": "result_not_json", "message": message, **fields})
    if len(encoded) > limit:
        message = f"the result is {len(encoded)} bytes of JSON, above the profile's limit of {limit}"
        return error_frame({"code": "result_too_large", "message": message})
    return frame(b"R", encoded)


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
    view = memoryview(report)
    while view:
        try:
            view = view[os_write(RESULT_FD, view) :]
        except OSError:
            return
