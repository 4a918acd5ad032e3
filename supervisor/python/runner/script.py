"""The whole life of a script: compiled, its top level run, its `main()` called, its result or failure put into words."""

import sys

from .captured import OURS, os_exit, os_getpid, os_write
from .compiled import compile_script, compile_source, may_call_main, no_main, unfenced
from .ends import end
from .exit_handlers import judge_exit_handlers
from .finder import stand_first
from .main_module import become_main, file_name
from .receive import put_files
from .report import Stop, error_frame, frame, result_frame
from .streams import flush_streams

# The tag of what a program that asks for no `main` comes to: its exit code.
EXITED = b"X"

python_excepthook = sys.excepthook


def take_for_granted():
    """What was imported ahead of a request is nothing that a script has done."""
    global python_excepthook
    python_excepthook = sys.excepthook
    stand_first()
    judge_exit_handlers()


def run(request, start, notes):
    """Run what a request asks for; always returns a frame, and adds to the notes what there is to say beside it."""
    owner, program, code = os_getpid(), request.get("entry") == "program", None
    try:
        if program:
            run_program(request)
            code = 0
        else:
            value = value_of(request, notes)
            told = result_frame(value, request["result_bytes"], request.get("nan")) if os_getpid() == owner else None
            del value
    except Stop as stop:
        told = error_frame(stop.error)
    except BaseException as error:
        if program or os_getpid() != owner:
            code = told_by_python(error)
        else:
            told = error_frame(described(error))
            if sys.excepthook is not python_excepthook and not issubclass(type(error), SystemExit):
                told_by_python(error)
    if os_getpid() != owner:
        # What the script forked ends as its interpreter would: the report is its parent's to give.
        end(start)
        os_exit(code or 0)
    flush_streams()
    return told if code is None else frame(EXITED, b"%d" % code)


def source_of(request):
    """The script as it is compiled, the name of its file, and the files that come with it."""
    files = request.get("files", ())
    return unfenced(request["script"].removeprefix("\ufeff")), file_name(files), files


def run_program(request):
    """Exactly what `python3 script.py ARGV` does."""
    script, name, files = source_of(request)
    put_files(files)
    module = become_main(script, name, request.get("argv", ()))
    try:
        code = compile_source(script, name)
    except Stop as stop:
        raise stop.__context__ or SyntaxError(stop.error["message"]) from None
    exec(code, module.__dict__)


def value_of(request, notes):
    """What the first call of the script's `main` gives: its own call, or else one of ours."""
    script, name, files = source_of(request)
    last = last_value(script, name) if request.get("entry") == "auto" else None
    code = last.code if last else compile_script(script, name)
    put_files(files)
    module = become_main(script, name)
    given = request.get("args", ()), request.get("kwargs", {})
    if not may_call_main(code):
        exec(code, module.__dict__)
    else:
        called, value = watched((code, script, last), module, given, notes)
        if called:
            return value
    main = module.__dict__.get("main")
    if last and not callable(main):
        from .entry import plain_result

        return plain_result(wait_for(last.value), notes, request.get("nan"))
    return call_main(main, given, module)


def call_main(main, given, module):
    if not callable(main):
        raise Stop("no_main", no_main(main, "main" in module.__dict__))
    return wait_for(main(*given[0], **given[1]))


def last_value(script, name):
    from .entry import LastValue

    return LastValue(script, name)


def watched(source, module, given, notes):
    """Runs a top level that may call `main`: whether `main` was called in it or, since it may be later on, here; and what that gave."""
    from .watch import TopLevel

    top_level, run = TopLevel(*source), None
    try:
        called, value = run_top_level(top_level, module, given, notes)
        if called:
            return True, value
        run = top_level.run_of_ours()
        if run is None:  # it has just been called
            return True, called_itself(top_level, given, notes)
        return bool(run), run and top_level.make(run, lambda: call_main(module.__dict__["main"], given, module))
    finally:
        if not run:
            top_level.close(module.__dict__)


def described(error):
    from .describe import describe

    return describe(error)


def run_top_level(top_level, module, given, notes):
    """Whether the top level called `main` itself, and what that gave."""
    owner = os_getpid()
    try:
        top_level.run(module.__dict__)
        if os_getpid() != owner:
            return True, None  # forked by the script: `main` is its parent's to call
        top_level.wait()
    except BaseException as error:
        if os_getpid() != owner:
            raise
        top_level.wait()
        if not top_level.returned:
            raise
        failed_afterwards(error, top_level.result(), notes)
    called = top_level.called
    return called, called_itself(top_level, given, notes) if called else None


def called_itself(top_level, given, notes):
    """What a call of the script's gave, and what there is to say of it."""
    top_level.wait()
    value = top_level.result()
    if given[0] or given[1]:
        notes.append("the script called main() itself, so the args and kwargs of the request were not passed to it")
    if not top_level.returned and top_level.elsewhere.called:
        notes.append("the script called main() in a process of its own, and what that returned stays there; the result is null")
    elif not top_level.returned:
        notes.append("the script called main() itself, and no call of it returned; the result is null")
    return value


def failed_afterwards(error, result, notes):
    """Tell of what ended the top level once its `main` had returned, as Python does, and beside the result."""
    code = told_by_python(error)
    if not issubclass(type(error), SystemExit):
        told = described(error)
        line = f" (line {told['line']})" if told.get("line") else ""
        notes.append(f"after main() had returned the script failed{line}: {told['message']}")
    elif code and error.code is not result:
        notes.append(f"after main() had returned the script exited with code {code}")


def told_by_python(error):
    """Write to standard error what Python writes of what nobody caught; the exit code that it has then."""
    flush_streams()
    if issubclass(type(error), SystemExit):
        from .describe import describe_exit

        return describe_exit(error.code)["exit_code"]
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is OURS:
        trace = trace.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except BaseException:
        os_write(2, (described(error).get("traceback", "") + "\n").encode("utf-8", "backslashreplace"))
    return 1


def wait_for(value):
    """The value itself, or what it comes to if it is to be awaited."""
    if not hasattr(type(value), "__await__"):
        return value
    import asyncio

    async def wait():
        return await value

    return asyncio.run(wait())
