"""The code that stands in for that of a function which is watched: of the same name, signature, kind, documentation and line."""

import sys
import types

from .first_call import ASYNC_GENERATOR, COROUTINE, GENERATOR, nothing_more

HAS_DOCSTRING = 0x4000000
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


class Spent:
    """In a watch's place, and holds nothing."""

    def __init__(self, code):
        self.code = code

    def enter(self):
        return nothing_more(self.code)

    def leave(self, value):
        return value

    def failed(self):
        pass


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
