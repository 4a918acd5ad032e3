"""The words for an exception that nobody caught, with its traceback but for the runner's frames."""

from .captured import CELL_NAME, FILE_NAME, OURS, os_write
from .refusals import refusals
from .texts import clip, name_of, text_of, type_module, type_name


def describe(error):
    """The `error` object for an exception that nobody caught."""
    described = describe_exit(error.code) if issubclass(type(error), SystemExit) else describe_exception(error)
    try:
        refused = refusals(error)
    except BaseException:  # a hostile exception; what it hides is its own loss
        refused = []
    if refused:
        described["refusals"] = refused
    try:
        described.update(why(error))
    except BaseException:  # likewise
        pass
    return described


def why(error):
    from .reasons import reason_of

    return reason_of(error)


def describe_exception(error):
    name = full_name(type(error))
    message = clip(text_of(error))
    described = {"code": "exception", "message": f"{name}: {message}" if message else name, "exception": name}
    if issubclass(type(error), MemoryError):
        described["code"] = "memory_limit"
        described["message"] = "the script asked for more memory than there is (MemoryError)" + (f": {message}" if message else "")
    if number_of_os(error) == 11 or "can't start new thread" in message:
        described["errno_hint"] = "EAGAIN"
    try:
        described["traceback"], line = traceback_of(error)
        if line is not None:
            described["line"] = line
        suggested = suggestion(error)
        described["message"] += suggested
        if not described["traceback"].endswith(suggested):
            described["traceback"] += suggested
    except BaseException as broken:  # a hostile __str__ or a patched traceback module
        described["traceback"] = f"(no traceback: {name_of(broken)})"
    return described


def number_of_os(error):
    """The `errno` that C has set, whatever a class of the script's says of it."""
    return OSError.errno.__get__(error) if issubclass(type(error), OSError) else None


def full_name(kind):
    """A type's name as tracebacks have it; of one whose metaclass hides it, what there is."""
    try:
        module, name = str(type_module(kind)), str(kind.__qualname__)
    except BaseException:
        return type_name(kind)
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


def suggestion(error):
    """What Python would add to the last line, such as `. Did you mean: 'result'?`"""
    if type(error) not in (NameError, AttributeError, ImportError, UnboundLocalError):
        return ""
    from .suggest import suggested

    return suggested(error)


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
    """Text as Python prints it, without the runner's own frames, and the last line of the script."""
    import traceback

    report = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    seen, todo, line = set(), [(report, error)], None
    while todo:
        current, raised = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.stack = without_ours(current.stack, raised.__traceback__)
        todo += [(current.__cause__, raised.__cause__), (current.__context__, raised.__context__)]
        todo += zip(getattr(current, "exceptions", None) or (), getattr(raised, "exceptions", ()))
    for frame in report.stack:
        line = frame.lineno if is_script(frame) else line
    return clip("".join(report.format()).rstrip("\n")), line


def is_script(frame):
    return frame.filename.lstrip("_") == FILE_NAME or frame.filename.startswith(CELL_NAME)  # see `file_name`


def without_ours(stack, trace):
    """A stack without the runner's frames, and without those by which it came to the script, such as the event loop's."""
    kept, left = [], list(stack)
    while trace is not None and left:
        summary = left.pop(0)
        if trace.tb_frame.f_globals is OURS:
            while kept and not is_script(kept[-1]):
                kept.pop()
        else:
            kept.append(summary)
        trace = trace.tb_next
    stack[:] = kept + left
    return stack
