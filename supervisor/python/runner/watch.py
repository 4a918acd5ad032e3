"""Whether a script calls its own `main` while its top level runs, and what the first call came to: that call is the run.

Nothing may look different for it. So what is watched is the code of the function alone: while the top level runs, the
function has another code in its place, of the same name, signature, kind, documentation and line, which calls the
original. Once it is called the function is as it was again, so that what happens inside `main` sees no trace of it but
one more frame of the first call on the stack. Tracebacks have none.

A function that is defined is watched from the moment of its definition: the constant in the code of the top level is
exchanged. Any other `main` (one that is imported, decorated, or no function) is watched once the statement that binds
it is done, for which the top level is run in pieces. A top level that can call nothing is run as it is.
"""

import sys
import types
from _thread import _count as thread_count

from .captured import sys_exc_info, sys_getframe
from .compiled import may_call_main
from .exit_handlers import count_exit_handlers
from .binding import definitions, is_main, pieces
from .elsewhere import Elsewhere

GENERATOR, COROUTINE, ASYNC_GENERATOR, HAS_DOCSTRING = 0x20, 0x80, 0x200, 0x4000000
VARARGS, VARKEYWORDS = 0x4, 0x8
# All that an asynchronous generator gives and is sent, handed on.
PASSED_ON = """\
  __inner = {0}
  __item = await __inner.asend(None)
  while True:
   try:
    __sent = yield __item
   except GeneratorExit:
    await __inner.aclose()
    raise
   except BaseException as __thrown:
    __item = await __inner.athrow(__thrown)
   else:
    __item = await __inner.asend(__sent)
 except StopAsyncIteration:
  {1} .leave(None)
"""
# A watch where there is none of this.
STAND_IN = """type("Watch", (), {
    "enter": lambda self: type(lambda: 0)(code, __import__("sys")._getframe(1).f_globals),
    "leave": lambda self, value: value,
    "failed": lambda self: None,
})()"""
# The constant in whose place its watch comes into a code that stands in for another.
PLACE = 0x10000


class Watch:
    """What became of the calls of one function."""

    def __init__(self, code, elsewhere):
        self.code, self.function, self.elsewhere = code, None, elsewhere
        self.entered = self.left = 0
        self.returned, self.value = False, None
        self.hooked = hooked(self)

    def enter(self):
        self.entered += 1
        self.elsewhere.tell()
        namespace = sys_getframe(1).f_globals
        function = self.function or self.found(namespace)
        if function is None:
            return types.FunctionType(self.code, namespace, self.code.co_name, None, None)
        function.__code__ = self.code
        return function

    def found(self, namespace):
        """The function that the top level made of the exchanged code, if `main` leads to it."""
        hooked = self.hooked
        function = callee(namespace.get("main"), lambda value: hooked is not None and value.__code__ is hooked)
        self.function = function
        return function

    def close(self, namespace):
        """Leave everything as it was. Nothing here may hold the other code, which no collector looks into."""
        function = self.function or self.found(namespace)
        if function is not None:
            function.__code__ = self.code
        self.hooked = self.function = self.value = None

    def __reduce__(self):
        """Sent to another process, as cloudpickle sends functions with all that their code is made of: the call is there."""
        self.elsewhere.given = True
        return eval, (STAND_IN, {"code": self.code})

    def leave(self, value):
        self.left += 1
        if not self.returned and self.left == self.entered:
            self.returned, self.value = True, value
        return value

    def failed(self):
        self.left += 1
        if self.function is not None and not self.returned and self.hooked is not None:
            self.function.__code__ = self.hooked
        error = sys_exc_info()[1]
        error.__traceback__ = error.__traceback__.tb_next


def hooked(watch):
    """The code that stands in for a function's."""
    code = watch.code
    head, call = signature(code)
    kind, called = "def", f"{PLACE} .enter()({call})"
    if code.co_flags & COROUTINE:
        kind, called = "async def", "await " + called
    elif code.co_flags & GENERATOR:
        called = f"(yield from {called})"
    elif code.co_flags & ASYNC_GENERATOR:
        kind = "async def"
    body = PASSED_ON.format(called, PLACE) if code.co_flags & ASYNC_GENERATOR else f"  return {PLACE} .leave({called})\n"
    text = f"{kind} f({head}):\n {documentation(code)!r}\n try:\n{body} except:\n  {PLACE} .failed()\n  raise\n"
    [made] = [const for const in compile(text, "", "exec", dont_inherit=True).co_consts if isinstance(const, types.CodeType)]
    fields = {"co_qualname": code.co_qualname} if hasattr(code, "co_qualname") else {}
    if sys.version_info >= (3, 11):
        # Each instruction is of the line of the definition: Objects/locations.md of CPython's source.
        fields["co_linetable"] = bytes((0x80 | 13 << 3 | 7, 0)) * (len(made.co_code) // 16 + 1)
    consts = tuple(watch if type(const) is int else const for const in made.co_consts)
    return made.replace(
        co_name=code.co_name, co_filename=code.co_filename, co_firstlineno=code.co_firstlineno,
        co_freevars=code.co_freevars, co_consts=consts, **fields,
    )


def signature(code):
    """Parameters as they stand in a definition, without defaults, and the arguments that pass them on."""
    names, positional, named = code.co_varnames, code.co_argcount, code.co_kwonlyargcount
    head, call = list(names[:positional]), list(names[:positional])
    if code.co_posonlyargcount:
        head.insert(code.co_posonlyargcount, "/")
    rest = iter(names[positional + named :])
    if code.co_flags & VARARGS:
        star = "*" + next(rest)
        head.append(star)
        call.append(star)
    elif named:
        head.append("*")
    head += names[positional : positional + named]
    call += [f"{name}={name}" for name in names[positional : positional + named]]
    if code.co_flags & VARKEYWORDS:
        stars = "**" + next(rest)
        head.append(stars)
        call.append(stars)
    return ", ".join(head), ", ".join(call)


def documentation(code):
    if sys.version_info >= (3, 13) and not code.co_flags & HAS_DOCSTRING:
        return None
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) else None


def callee(value, fits, depth=8):
    """The function of Python's that a call of a value ends in, if it can be told."""
    while value is not None and depth:
        depth -= 1
        if isinstance(value, types.FunctionType):
            if fits(value):
                return value
            value = getattr(value, "__wrapped__", None)
        elif isinstance(value, types.MethodType):
            value = value.__func__
        elif isinstance(value, type):
            made = value.__dict__.get("__new__") or value.__dict__.get("__init__")
            value = getattr(made, "__func__", made)
        elif type(value).__name__ == "partial":
            value = value.func
        else:
            value = getattr(value, "__wrapped__", None) or getattr(type(value), "__call__", None)
    return None


class TopLevel:
    """The top level of a script, with its calls of `main`."""

    def __init__(self, code, script, last=None):
        self.code, self.script, self.last, self.watches = code, script, last, []
        self.in_pieces, self.namespace = False, None
        self.elsewhere = Elsewhere(self.is_watched, self.calls_watched)
        if not may_call_main(code):
            return
        import opcode

        places, self.in_pieces = definitions(code, opcode.opmap)
        if not self.in_pieces:
            self.code = self.exchanged(code, places)

    def exchanged(self, code, places):
        """The code of a top level whose functions at these places among its constants are watched."""
        consts = list(code.co_consts)
        for place in places:
            self.watches.append(Watch(consts[place], self.elsewhere))
            consts[place] = self.watches[-1].hooked
        return code.replace(co_consts=tuple(consts)) if places else code

    def run(self, namespace):
        self.namespace = namespace
        try:
            cut = list(pieces(self.script, self.code, self.last)) if self.in_pieces else []
        except (RecursionError, MemoryError):
            cut = []  # more than can be taken apart
        if not cut:
            exec(self.code, namespace)
        for code, binds in cut:
            places = [place for place, const in enumerate(code.co_consts) if is_main(const)] if binds else []
            exec(self.exchanged(code, places), namespace)
            if binds:
                self.watch(namespace.get("main"))

    def watch(self, value):
        """Watch whatever `main` is by now."""
        codes = [watch.hooked for watch in self.watches]
        function = callee(value, lambda found: True)
        if function is None or function.__code__ in codes:
            return
        watch = Watch(function.__code__, self.elsewhere)
        watch.function = function
        function.__code__ = watch.hooked
        # In front of what it may be wrapped around: what the call gave is what counts.
        self.watches.insert(0, watch)

    @property
    def called(self):
        return any(watch.entered for watch in self.watches) or self.elsewhere.called

    @property
    def returned(self):
        return any(watch.returned for watch in self.watches)

    def is_watched(self, value):
        codes = [code for watch in self.watches for code in (watch.code, watch.hooked)]
        return callee(value, lambda function: function.__code__ in codes) is not None

    def calls_watched(self, value):
        """Whether a call of a value is one of `main`, or of a function of the script's that has a call of `main` in it."""
        from .to_come import calls_main

        return self.is_watched(value) or calls_main(callee(value, lambda found: True), self.namespace)

    def wait(self):
        """Have what the top level has arranged for come about, where `main` is called in that."""
        if self.watches and not self.returned and (thread_count() or count_exit_handlers()):
            from .to_come import wait_for_calls

            wait_for_calls(self.calls_watched, lambda: self.called)

    def close(self, namespace):
        self.elsewhere.close()
        for watch in self.watches:
            watch.close(namespace)

    def result(self):
        """What the first call came to that returned."""
        return next((watch.value for watch in self.watches if watch.returned), None)
