"""The whole life of a script: compiled, its top level run, its `main()` called, its result or failure put into words."""

import sys
import types

from .captured import FILE_NAME, os_exit, os_getpid, os_write, sys_modules
from .compiled import compile_script, no_main, unfenced
from .describe import describe, describe_exit
from .receive import put_files
from .report import Stop, error_frame, result_frame
from .streams import flush_streams


class Source:
    """Lets tracebacks and `inspect` find the script's lines: a loader as PEP 302 has it."""

    def __init__(self, script):
        self.script = script

    def get_source(self, name):
        return self.script


def run(request):
    """Run what a request asks for; always returns a frame."""
    script = unfenced(request["script"].removeprefix("\ufeff"))
    owner = os_getpid()
    try:
        code = compile_script(script)
        put_files(request.get("files", ()))
        module = types.ModuleType("script")
        module.__file__ = FILE_NAME
        module.__loader__ = Source(script)
        sys_modules["script"] = module
        sys.argv = [FILE_NAME]
        exec(code, module.__dict__)
        main = module.__dict__.get("main")
        if not callable(main):
            raise Stop("no_main", no_main(main, "main" in module.__dict__))
        value = main(*request.get("args", ()), **request.get("kwargs", {}))
        if hasattr(type(value), "__await__"):
            value = wait_for(value)
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
