"""The words for an exception that nobody caught, with the script's own part of its traceback."""

from .captured import FILE_NAME, os_write
from .refusals import refusals
from .texts import clip, text_of


def describe(error):
    """The `error` object for an exception that nobody caught."""
    described = describe_exit(error.code) if isinstance(error, SystemExit) else describe_exception(error)
    try:
        refused = refusals(error)
    except BaseException:  # a hostile exception; what it hides is its own loss
        refused = []
    if refused:
        described["refusals"] = refused
    return described


def describe_exception(error):
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    message = clip(text_of(error))
    described = {"code": "exception", "message": f"{name}: {message}" if message else name, "exception": name}
    if isinstance(error, MemoryError):
        described["code"] = "memory_limit"
        described["message"] = "the script asked for more memory than there is (MemoryError)" + (f": {message}" if message else "")
    if getattr(error, "errno", None) == 11 or "can't start new thread" in message:
        described["errno_hint"] = "EAGAIN"
    try:
        described["traceback"], line = traceback_of(error)
        if line is not None:
            described["line"] = line
    except BaseException as broken:  # a hostile __str__ or a patched traceback module
        described["traceback"] = f"(no traceback: {type(broken).__name__})"
    return described


def describe_exit(code):
    if code is None:
        code = 0
    elif not isinstance(code, int):
        os_write(2, (clip(text_of(code)) + "\n").encode("utf-8", "backslashreplace"))
        code = 1
    code &= 0xFF
    message = f"the script exited with code {code} before main() returned; return a value from main() instead"
    return {"code": "exit", "message": message, "exit_code": code}


def traceback_of(error):
    """Text as Python prints it, with the script's own frames only, and the last line of the script."""
    import traceback

    report = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    seen, todo = [], [report]
    while todo:
        current = todo.pop()
        if current is None or any(current is earlier for earlier in seen):
            continue
        seen.append(current)
        current.stack = traceback.StackSummary.from_list([f for f in current.stack if f.filename == FILE_NAME])
        todo += [current.__cause__, current.__context__, *(getattr(current, "exceptions", None) or ())]
    stack = report.stack
    return clip("".join(report.format()).rstrip("\n")), stack[-1].lineno if stack else None
