"""The part of Cloister that lives inside a job's interpreter: reads one request, runs it, reports.

It is the last trusted code before the script and shares its process, so nothing it says is trusted
outside; it is careful for the script's sake: a script that patches builtins, json or os must still
get the right answer. Hence the private builtins below and the names captured at the top. Modules that
only failures need are imported when they fail, for a cold start pays for each import.

Descriptors: 0 request, the content of its files, then the script's standard input; 1 and 2 output; 3 the result pipe.
Arguments: none, or where the interpreter is started ahead of its request "ahead", the limit on CPU time in seconds that
the job is to have, and the modules to import.
"""

import builtins
import io
import json
import os
import select
import sys
import types

# This module's own copy of the builtins: what a script assigns to `builtins.len` does not reach it.
__builtins__ = dict(vars(builtins))

_read, _write, _exit, _getpid, _times = os.read, os.write, os._exit, os.getpid, os.times
# What decodes without looking for white space and encodings: the supervisor's JSON has no such surprises.
_scan = json.JSONDecoder().scan_once
_c_make_encoder = json.encoder.c_make_encoder
_c_string = json.encoder.encode_basestring
_float_repr = float.__repr__
_modules = sys.modules

_waiting = select.poll()
_waiting.register(0, select.POLLIN)

RESULT_FD = 3

# Milliseconds after which an interpreter takes it that no request is waiting for it.
SHORTLY = 2

LONGEST_TEXT = 64 * 1024
DEEPEST = 128
FILE_NAME = "script.py"

# Errors by which the kernel refuses what a policy forbids.
REFUSALS = {1: "EPERM", 13: "EACCES", 24: "EMFILE", 27: "EFBIG", 28: "ENOSPC", 30: "EROFS", 38: "ENOSYS", 95: "ENOTSUP"}
MOST_REFUSALS = 16

# Functions of Python's that are not named after their system call, and by how many arguments calls are judged.
CALLS = {"mkfifo": "mknodat", "mknod": "mknodat", "initgroups": "setgroups", "nice": "setpriority"}
JUDGED = {"socket": 3, "socketpair": 3, "ioctl": 2}

# Names by which a script could bind `main` unseen; one of them, and only running it can tell.
DYNAMIC = frozenset(
    "exec eval compile globals locals vars setattr __import__ importlib sys builtins inspect "
    "__dict__ __main__ script types runpy ctypes gc".split()
)


class Stop(Exception):
    """A verdict that is known before the script could give one."""

    def __init__(self, code, message, **fields):
        super().__init__(message)
        self.error = {"code": code, "message": message, **fields}


class NotJson(Exception):
    """A value without a JSON form, at a path inside the result."""

    def __init__(self, path, what, hint=None):
        super().__init__(what)
        self.path, self.what, self.hint = path, what, hint


def serve(begun, meanwhile=()):
    """Say that the interpreter is ready, then serve one request and end the process.

    `begun` is called once the request has come and before the script can print anything. `meanwhile` is gone
    through step by step for as long as no request has come for the milliseconds that each step tells to wait:
    not where requests are waiting.
    """
    _write(RESULT_FD, b"P")
    report = b""
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # numbers of any size pass both ways
    try:
        for calm in meanwhile:
            if _waiting.poll(calm):
                break
        request = _receive(_read_standard_input)
        begun()
        report = _run(request)
    except BaseException as error:  # whatever the script did to us, something true is said
        report = _frame(b"E", _encode_error({"code": "exception", "message": "the script broke the runner: " + type(error).__name__}))
    finally:
        _be_counted()
        _send(report)
        _exit(0)


def rehearse():
    """Serve a small request that nobody has made, so that its first-use costs are paid before one comes."""
    script = "def main(*a, **k):\n    return {'sum': sum([1, 2]), 'text': str(1.5)}\n"
    body = _dump({"script": script, "args": [1, 2.5, "x", None], "result_bytes": 1 << 10})
    _run(_receive(io.BytesIO(len(body).to_bytes(8, "big") + body).read))
    del _modules["script"]


def rehearse_early():
    """What `meanwhile` is at least, for who is ahead of its request: see `serve`."""
    yield SHORTLY
    rehearse()


def _receive(read):
    length = int.from_bytes(_read_exactly(read, 8), "big")
    return _scan(_read_exactly(read, length).decode(), 0)[0]


def _read_exactly(read, count):
    parts = []
    while count:
        part = read(min(count, 1 << 20))
        if not part:
            _exit(1)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _read_standard_input(count):
    return _read(0, count)


class _Unbuffered(io.FileIO):
    """Writes all of it, at once: what was printed before a crash has been printed."""

    def write(self, data):
        view = memoryview(data).cast("B")
        total = len(view)
        while view:
            view = view[super().write(view) :]
        return total


def open_streams():
    """Make `sys.stdin`, `sys.stdout` and `sys.stderr` of the descriptors 0, 1 and 2, which must be pipes by now."""
    # Undecodable input and unencodable output must not cost a script its answer.
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(_Unbuffered(fd, "w", closefd=False), "utf-8", "backslashreplace", "\n", write_through=True)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, "__" + name + "__", stream)


def with_descriptors(others, do):
    """Call a function while others lie at the descriptors 0, 1 and 2."""
    kept = [os.dup(number) for number in range(3)]
    for number, other in enumerate(others):
        os.dup2(other, number)
    do()
    for number, original in enumerate(kept):
        os.dup2(original, number)
        os.close(original)


def _run(request):
    """The whole life of a script; always returns a frame."""
    script = request["script"].removeprefix("\ufeff")
    owner = _getpid()
    try:
        code = _compile(script)
        _put(request.get("files", ()))
        module = types.ModuleType("script")
        module.__file__ = FILE_NAME
        module.__loader__ = _Source(script)
        _modules["script"] = module
        sys.argv = [FILE_NAME]
        exec(code, module.__dict__)
        main = module.__dict__.get("main")
        if not callable(main):
            raise Stop("no_main", _no_main(main, "main" in module.__dict__))
        value = main(*request.get("args", ()), **request.get("kwargs", {}))
        if hasattr(type(value), "__await__"):
            value = _await(value)
        if _getpid() != owner:
            _end_child(None)
        frame = _result(value, request["result_bytes"])
    except Stop as stop:
        frame = _error(stop.error)
    except BaseException as error:
        if _getpid() != owner:
            _end_child(error)
        frame = _error(_describe(error))
    _flush()
    return frame


def _put(files):
    """Write the request's files, whose content follows it. Their paths were checked outside, and lead through nothing of a script's."""
    for path, size in files:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            while size:
                part = memoryview(_read_exactly(_read_standard_input, min(size, 1 << 16)))
                size -= len(part)
                while part:
                    part = part[_write(file, part) :]
            os.close(file)
        except OSError as error:
            described = _describe(error)
            described["message"] = "a file of the request could not be put there: " + described["message"]
            raise Stop(**described) from None


class _Source:
    """Lets tracebacks and `inspect` find the script's lines: a loader as PEP 302 has it."""

    def __init__(self, script):
        self.script = script

    def get_source(self, name):
        return self.script


def _end_child(error):
    """End a process that the script forked as its interpreter would: the report is its parent's to give."""
    code = 0
    if isinstance(error, SystemExit):
        code = _exit_error(error.code)["exit_code"]
    elif error is not None:
        code = 1
        _write(2, (_describe(error).get("traceback", "") + "\n").encode("utf-8", "backslashreplace"))
    _flush()
    _exit(code)


def _compile(script):
    try:
        code = compile(script, FILE_NAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise Stop(
            "syntax_error", f"{error.msg} (line {error.lineno})", exception=type(error).__name__,
            line=error.lineno, column=error.offset, text=(error.text or "").rstrip("\n"),
        ) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        why = str(error) if isinstance(error, ValueError) else "it is nested too deeply for the compiler"
        raise Stop("syntax_error", f"the script does not compile: {why}", exception=type(error).__name__) from None
    if "main" not in code.co_names and not _may_bind_main(script):
        raise Stop("no_main", _no_main(None, False))
    return code


def _may_bind_main(script):
    """Whether a script whose top level never names `main` could still bind it while it runs."""
    import ast

    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Global) and "main" in node.names:
            return True
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return True
        names = [getattr(node, "id", None), getattr(node, "attr", None)]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += [part for alias in node.names for part in (alias.name.split(".")[0], alias.asname)]
        if not DYNAMIC.isdisjoint(name for name in names if name):
            return True
    return False


def _no_main(value, bound):
    if bound:
        return f"main is {_a(type(value).__name__)}, which cannot be called; the script must define main() at its top level"
    return "the script must define main() at its top level"


def _await(value):
    import asyncio

    async def wait():
        return await value

    return asyncio.run(wait())


# --- results ---------------------------------------------------------------------------------------


def _result(value, limit):
    try:
        encoded = _encode_result(value)
    except NotJson as error:
        path = "result" + error.path
        fields = {"path": path}
        if error.hint:
            fields["hint"] = error.hint
        message = f"{path} is {error.what}, which has no form in JSON"
        return _error({"code": "result_not_json", "message": message, **fields})
    if len(encoded) > limit:
        message = f"the result is {len(encoded)} bytes of JSON, above the profile's limit of {limit}"
        return _error({"code": "result_too_large", "message": message})
    return _frame(b"R", encoded)


def _encode_result(value):
    try:
        return _dump(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        # Slowly: convert what can be converted, name what cannot.
        try:
            return _dump(_plain(value, "", 0, []))
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            raise NotJson("", f"something that pretends to be what it is not ({type(error).__name__})") from None


def _dump(value):
    # A new encoder each time: a failed run leaves its marks against circular references behind.
    encode = _c_make_encoder({}, _default, _c_string, None, ":", ",", False, False, False)
    return "".join(encode(value, 0)).encode("utf-8")


def _default(value):
    converted = _from_numpy(value)
    if converted is value:
        raise TypeError
    return converted


def _from_numpy(value):
    """NumPy's scalars and arrays as Python's own; anything else as it is."""
    numpy = _modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
        return value.tolist()
    return value


def _plain(value, path, depth, above):
    converted = _from_numpy(value)
    if converted is not value and type(converted) is not type(value):
        value = converted
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            hint = "use None for missing values, e.g. df.where(df.notna(), None)"
            raise NotJson(path, "NaN" if value != value else "infinite", hint)
        return value
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            hint = 'value.encode("utf-8", "replace").decode()'
            raise NotJson(path, "text with a lone surrogate", hint) from None
        return value
    if not isinstance(value, (dict, list, tuple)):
        raise NotJson(path, _a(type(value).__name__), _hint(value))
    if depth >= DEEPEST:
        raise NotJson(path[:200], f"nested deeper than {DEEPEST} levels", "flatten it")
    if any(value is outer for outer in above):
        raise NotJson(path, "a reference to what it is inside of (circular)")
    above.append(value)
    try:
        if isinstance(value, dict):
            return {_key(key, path): _plain(item, f"{path}[{_show(key)}]", depth + 1, above) for key, item in value.items()}
        return [_plain(item, f"{path}[{index}]", depth + 1, above) for index, item in enumerate(value)]
    finally:
        above.pop()


def _key(key, path):
    key = _from_numpy(key)
    if key is not None and not isinstance(key, (str, int, float, bool)):
        raise NotJson(path, f"a dict with {_a(type(key).__name__)} as key", "use str(key)")
    return _plain(key, path + ".keys()", 0, [])


def _show(key):
    text = repr(key) if not isinstance(key, str) else _c_string(key)
    return text if len(text) <= 80 else text[:77] + "..."


HINTS = {
    "DataFrame": 'return df.to_dict("records")',
    "Series": "return series.to_list() or series.to_dict()",
    "Index": "return index.to_list()",
    "Timestamp": "return value.isoformat()",
    "Timedelta": "return value.total_seconds()",
    "datetime": "return value.isoformat()",
    "date": "return value.isoformat()",
    "time": "return value.isoformat()",
    "timedelta": "return value.total_seconds()",
    "set": "return sorted(value) or list(value)",
    "frozenset": "return sorted(value) or list(value)",
    "bytes": "return value.decode() or base64.b64encode(value).decode()",
    "bytearray": "return value.decode() or base64.b64encode(value).decode()",
    "Decimal": "return str(value) or float(value)",
    "Fraction": "return str(value) or float(value)",
    "complex": "return [value.real, value.imag]",
    "UUID": "return str(value)",
    "PosixPath": "return str(value)",
    "generator": "return list(value)",
    "range": "return list(value)",
    "map": "return list(value)",
    "filter": "return list(value)",
    "zip": "return list(value)",
    "deque": "return list(value)",
    "dict_keys": "return list(value)",
    "dict_values": "return list(value)",
    "dict_items": "return dict(value)",
    "function": "did you mean to call it?",
    "method": "did you mean to call it?",
    "builtin_function_or_method": "did you mean to call it?",
    "async_generator": "return [item async for item in value]",
}


def _hint(value):
    kind = type(value)
    if kind.__name__ in HINTS:
        return HINTS[kind.__name__]
    if hasattr(kind, "__dataclass_fields__"):
        return "return dataclasses.asdict(value)"
    if hasattr(kind, "__next__"):
        return "return list(value)"
    return "return vars(value)" if hasattr(value, "__dict__") else "return str(value)"


def _a(noun):
    return ("an " if noun[:1].lower() in "aeiou" else "a ") + noun


# --- failures --------------------------------------------------------------------------------------


def _describe(error):
    """The `error` object for an exception that nobody caught."""
    described = _exit_error(error.code) if isinstance(error, SystemExit) else _describe_exception(error)
    try:
        refusals = _refusals(error)
    except BaseException:  # a hostile exception; what it hides is its own loss
        refusals = []
    if refusals:
        described["refusals"] = refusals
    return described


def _describe_exception(error):
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "script") else f"{kind.__module__}.{kind.__qualname__}"
    message = _clip(_text(error))
    described = {"code": "exception", "message": f"{name}: {message}" if message else name, "exception": name}
    if isinstance(error, MemoryError):
        described["code"] = "memory_limit"
        described["message"] = "the script asked for more memory than there is (MemoryError)" + (f": {message}" if message else "")
    if getattr(error, "errno", None) == 11 or "can't start new thread" in message:
        described["errno_hint"] = "EAGAIN"
    try:
        described["traceback"], line = _traceback(error)
        if line is not None:
            described["line"] = line
    except BaseException as broken:  # a hostile __str__ or a patched traceback module
        described["traceback"] = f"(no traceback: {type(broken).__name__})"
    return described


def _refusals(error):
    """What the kernel refused on the way to an exception, as far as it can be told. The supervisor checks it."""
    seen, todo, told = [], [error], []
    while todo and len(seen) < 64 and len(told) < MOST_REFUSALS:
        current = todo.pop(0)
        if not isinstance(current, BaseException) or any(current is earlier for earlier in seen):
            continue
        seen.append(current)
        refusal = _refusal(current)
        if refusal and refusal not in told:
            told.append(refusal)
        todo += [current.__cause__, current.__context__, *(getattr(current, "exceptions", None) or ())]
    return told


def _refusal(error):
    if not isinstance(error, OSError):
        return None
    if type(error).__name__ == "gaierror":  # the C library asks a name server, and hides why it could not
        return {"errno": "EPERM", "call": "socket", "arguments": [2, 2, 0]}
    refusal = {"errno": REFUSALS.get(error.errno)}
    if refusal["errno"] is None:
        return None
    path = error.filename2 or error.filename
    if isinstance(path, (str, bytes)):
        refusal["path"] = _clip(os.path.abspath(os.fsdecode(path)).encode("utf-8", "backslashreplace").decode())
    if refusal["errno"] == "ENOSPC":
        refusal["full"] = _full()
    elif refusal["errno"] in ("EPERM", "EACCES", "ENOSYS", "ENOTSUP"):
        refusal.update(_call(error.__traceback__))
    return refusal


def _full():
    """Which limit of a file system in memory is used up."""
    for name, path in (("tmp", "/tmp"), ("shm", "/dev/shm")):
        now = os.statvfs(path)
        if not now.f_bfree or not now.f_ffree:
            return name + ("_inodes" if not now.f_ffree else "_bytes")
    return None


def _call(trace):
    """The function of C's whose call raised an exception, and the arguments by which it is judged."""
    import ast
    import itertools
    import linecache
    import opcode

    while trace.tb_next is not None:
        trace = trace.tb_next
    frame, code = trace.tb_frame, trace.tb_frame.f_code
    if "CALL" not in opcode.opname[code.co_code[trace.tb_lasti]]:
        return {}
    first, last, start, stop = next(itertools.islice(code.co_positions(), trace.tb_lasti // 2, None))
    lines = [line.encode() for line in linecache.getlines(code.co_filename, frame.f_globals)[first - 1 : last]]
    lines[-1] = lines[-1][:stop]
    lines[0] = lines[0][start:]
    call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    function, given = call.func, call.args
    if getattr(function, "attr", None) == "__init__":
        function, given = function.value, given[1:]
    name = getattr(function, "attr", getattr(function, "id", ""))
    told = {"call": CALLS.get(name, name)}
    if name in JUDGED:
        told["arguments"] = [_number(node, frame) for node in given[: JUDGED[name]]]
    return told


def _number(node, frame):
    """The value of a plain argument of a call, if it is a number."""
    import ast

    if isinstance(node, (ast.Name, ast.Attribute, ast.Constant)):
        value = eval(compile(ast.Expression(node), "", "eval"), frame.f_globals, frame.f_locals)
        if isinstance(value, int):
            return int(value)
    return None


def _exit_error(code):
    if code is None:
        code = 0
    elif not isinstance(code, int):
        _write(2, (_clip(_text(code)) + "\n").encode("utf-8", "backslashreplace"))
        code = 1
    code &= 0xFF
    message = f"the script exited with code {code} before main() returned; return a value from main() instead"
    return {"code": "exit", "message": message, "exit_code": code}


def _traceback(error):
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
    return _clip("".join(report.format()).rstrip("\n")), stack[-1].lineno if stack else None


def _text(value):
    try:
        return str(value)
    except BaseException:
        return f"({_a(type(value).__name__)} whose text cannot be had)"


def _clip(text):
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


# --- the report ------------------------------------------------------------------------------------


def _error(fields):
    return _frame(b"E", _encode_error(fields))


def _encode_error(fields):
    clean = {
        key: value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
        for key, value in fields.items()
        if value is not None
    }
    return _dump(clean)


def _frame(tag, payload):
    return tag + len(payload).to_bytes(8, "big") + payload


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


def _be_counted():
    """Have the kernel count the CPU time until now: that of a process that runs is else counted now and then, times(2)."""
    try:
        _times()
    except OSError:
        pass


def _send(report):
    view = memoryview(report)
    while view:
        try:
            view = view[_write(RESULT_FD, view) :]
        except OSError:
            return


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
        for name in modules:
            try:
                importlib.import_module(name)
            except BaseException as error:
                _send(_frame(b"I", f"import {name}: {type(error).__name__}: {error}".encode("utf-8", "replace")))
                _exit(1)

    # Made before the imports, so that one which keeps a stream has the script's. What an import prints is nobody's.
    open_streams()
    nowhere = os.open(os.devnull, os.O_RDWR)
    with_descriptors((nowhere, nowhere, nowhere), do_imports)
    os.close(nowhere)
    # After the imports, for threads that one starts take the name over.
    set_name(15, b"parked", 0, 0, 0)

    def begun():
        set_name(15, b"python3", 0, 0, 0)
        limit = cpu_seconds + int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    serve(begun, rehearse_early())


if __name__ == "__main__":
    if sys.argv[1:2] == ["ahead"]:
        serve_ahead(int(sys.argv[2]), sys.argv[3:])
    serve(open_streams)
