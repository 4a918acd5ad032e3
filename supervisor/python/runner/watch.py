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

from .captured import sys_exc_info, sys_getframe, sys_modules
from .compiled import may_call_main
from .elsewhere import Elsewhere

GENERATOR, COROUTINE, ASYNC_GENERATOR, HAS_DOCSTRING = 0x20, 0x80, 0x200, 0x4000000
VARARGS, VARKEYWORDS, OPTIMIZED = 0x4, 0x8, 0x1
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
    text = f"{kind} f({head}):\n {documentation(code)!r}\n try:\n  return {PLACE} .leave({called})\n except:\n  {PLACE} .failed()\n  raise\n"
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
        self.in_pieces = False
        self.elsewhere = Elsewhere(self.is_watched)
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
            if not consts[place].co_flags & ASYNC_GENERATOR:
                self.watches.append(Watch(consts[place], self.elsewhere))
                consts[place] = self.watches[-1].hooked
        return code.replace(co_consts=tuple(consts)) if places else code

    def run(self, namespace):
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
        if function is None or function.__code__ in codes or function.__code__.co_flags & ASYNC_GENERATOR:
            return
        watch = Watch(function.__code__, self.elsewhere)
        watch.function = function
        function.__code__ = watch.hooked
        # In front of what it may be wrapped around: what the call gave is what counts.
        self.watches.insert(0, watch)

    @property
    def called(self):
        return any(watch.entered for watch in self.watches) or self.elsewhere.called or bool(self.about_to_call())

    @property
    def returned(self):
        return any(watch.returned for watch in self.watches)

    def about_to_call(self):
        """The threads that the top level has started to call `main` in."""
        threading = sys_modules.get("threading")
        if threading is None or not self.watches or not thread_count():
            return []
        return [thread for thread in threading.enumerate() if self.is_watched(getattr(thread, "_target", None))]

    def is_watched(self, target):
        codes = [code for watch in self.watches for code in (watch.code, watch.hooked)]
        return callee(target, lambda function: function.__code__ in codes) is not None

    def close(self, namespace):
        self.elsewhere.close()
        for watch in self.watches:
            watch.close(namespace)

    def result(self):
        """What the first call came to that returned; threads that are at it are waited for."""
        for thread in self.about_to_call():
            thread.join()
        return next((watch.value for watch in self.watches if watch.returned), None)


def is_main(const):
    return isinstance(const, types.CodeType) and const.co_name == "main" and const.co_flags & OPTIMIZED


def definitions(code, numbers):
    """The constants that `main` is made of where it is plainly defined, and whether it is bound in other ways too."""
    operations, index = code.co_code, code.co_names.index("main")
    if index > 255:
        return [], True
    bound, places, others = bytes((numbers["STORE_NAME"], index)), [], False
    at = operations.find(bound)
    while at >= 0:
        before = at - 2
        while before > 0 and operations[before] == numbers.get("SET_FUNCTION_ATTRIBUTE"):
            before -= 2
        made = before >= 2 and operations[before] == numbers["MAKE_FUNCTION"] and operations[before - 2] == numbers["LOAD_CONST"]
        place = operations[before - 1] if made else None
        wide = before >= 4 and operations[before - 4] == numbers["EXTENDED_ARG"]
        if at % 2:
            pass
        elif place is None or wide or not isinstance(code.co_consts[place], types.CodeType):
            others = True
        elif place not in places:
            places.append(place)
        at = operations.find(bound, at + 1)
    return places, others or not places


def pieces(script, whole, last):
    """The code of a top level, cut behind each statement that binds `main`, with whether it ends in one."""
    import __future__
    import ast

    flags = whole.co_flags & sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
    piece, first = [], True
    tree = last.tree if last else ast.parse(script, whole.co_filename)
    for statement in [*tree.body, None]:
        binds = statement is not None and binds_main(ast, statement)
        if statement is not None:
            piece.append(statement)
        if piece and (binds or statement is None):
            if not first:
                piece.insert(0, ast.copy_location(ast.Pass(), piece[0]))  # what follows documents nothing
            code = compile(ast.Module(piece, []), whole.co_filename, "exec", flags, dont_inherit=True)
            yield last.with_keeper(code) if last else code, binds
            piece, first = [], False


def binds_main(ast, statement):
    for node in ast.walk(statement):
        if isinstance(node, ast.alias):
            if "main" in (node.asname or node.name.split(".")[0], "main" if node.name == "*" else None):
                return True
        elif getattr(node, "name", None) == "main" or isinstance(node, ast.Name) and node.id == "main" and isinstance(node.ctx, ast.Store):
            return True
    return False
