"""The whole life of a script: compiled, its top level run, its `main()` called, its result or failure put into words."""

from .captured import os_exit, os_getpid, os_write, sys_modules
from .compiled import compile_script, no_main, unfenced
from .describe import describe, describe_exit
from .main_module import become_main, file_name
from .receive import put_files
from .report import Stop, error_frame, result_frame
from .streams import flush_streams
from .watch import TopLevel


def run(request):
    """Run what a request asks for; always returns a frame."""
    owner = os_getpid()
    try:
        value = value_of(request)
        if os_getpid() != owner:
            end_child(None)
        told = result_frame(value, request["result_bytes"], request.get("nan"))
    except Stop as stop:
        told = error_frame(stop.error)
    except BaseException as error:
        if os_getpid() != owner:
            end_child(error)
        told = error_frame(describe(error))
    flush_streams()
    return told


def value_of(request):
    """What the first call of the script's `main` gives: its own call, or else one of ours."""
    script, files = unfenced(request["script"].removeprefix("\ufeff")), request.get("files", ())
    name = file_name(files)
    code = compile_script(script, name)
    put_files(files)
    module = become_main(script, name)
    top_level = TopLevel(code, script)
    try:
        top_level.run(module.__dict__)
    except BaseException:
        if not top_level.returned:
            raise
    if top_level.called:
        return top_level.result()
    main = module.__dict__.get("main")
    if not callable(main):
        raise Stop("no_main", no_main(main, "main" in module.__dict__))
    value = main(*request.get("args", ()), **request.get("kwargs", {}))
    return wait_for(value) if hasattr(type(value), "__await__") else value


def end_child(error):
    """End a process that the script forked as its interpreter would: the report is its parent's to give."""
    code = 0
    if isinstance(error, SystemExit):
        code = describe_exit(error.code)["exit_code"]
    elif error is not None:
        code = 1
        os_write(2, (describe(error).get("traceback", "") + "\n").encode("utf-8", "backslashreplace"))
    flush_streams()
    os_exit(code)


def wait_for(value):
    import asyncio

    async def wait():
        return await value

    return asyncio.run(wait())
