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
from _thread import _count as thread_count, get_ident

from .captured import sys_exc_info, sys_getframe
from .compiled import may_call_main
from .exit_handlers import count_exit_handlers
from .binding import definitions, is_main, pieces
from .elsewhere import Elsewhere
from .ends import before_finalize
from .first_call import NOT_PLAIN, POOLS
from .stand_in import STAND_IN, Spent, hooked


class Watch:
    """What became of the calls of one function."""

    def __init__(self, code, elsewhere):
        self.code, self.function, self.elsewhere = code, None, elsewhere
        self.entered = self.left = 0
        self.returned, self.value = False, None
        self.hooked = hooked(self)

    def enter(self):
        self.entered += 1
        frame, first = sys_getframe(1), self.elsewhere.first
        namespace, caller = frame.f_globals, frame.f_back
        # A call of a plain function by a pool. Of others it cannot be told here who calls.
        handed_over = not self.code.co_flags & NOT_PLAIN and caller is not None and caller.f_globals.get("__name__") in POOLS
        given = None if first.is_the_scripts(handed_over) else first.given(self.code)
        if given is not None:
            return given
        function = self.function or self.found(namespace)
        if function is None or first.is_ours():
            closure = None if function is None else function.__closure__
            return types.FunctionType(self.code, namespace, self.code.co_name, None, closure)
        self.elsewhere.callers.add(get_ident())
        function.__code__ = self.code
        return function

    def found(self, namespace):
        """The function that the top level made of the exchanged code, if `main` leads to it."""
        hooked = self.hooked
        function = callee(namespace.get("main"), lambda value: hooked is not None and value.__code__ is hooked)
        self.function = function
        return function

    def put(self, code, namespace):
        """Give the function another code."""
        function = self.function or self.found(namespace)
        if function is not None:
            function.__code__ = code

    def close(self, code, namespace):
        """Leave it with this code. Nothing here may hold the one that stood in for it, which no collector looks into."""
        self.put(code, namespace)
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

            wait_for_calls(self)

    def run_of_ours(self):
        """The call of `main` that is left to us, if something is left that could call it too; nothing where it just has."""
        from .to_come import may_come

        if not self.watches or not callable(self.namespace.get("main")) or not may_come(self.namespace, self.elsewhere.first):
            return False
        run = self.elsewhere.first.take()
        if run is not None:
            before_finalize.append(lambda: self.spend(run))
        return run

    def make(self, run, call):
        """Our run. Where nothing but what it begins itself could call `main` meanwhile, the function is as it was meanwhile."""
        alone = not run.threads and not run.unknown and self.elsewhere.first.pipe is None
        for watch in self.watches if alone else ():
            watch.put(watch.code, self.namespace)
        try:
            return run.call(call)
        finally:
            for watch in self.watches if alone else ():
                watch.put(watch.hooked, self.namespace)

    def spend(self, run):
        """The run is over, and so is the script: from now on a call gives nothing."""
        run.forget()
        self.elsewhere.close()
        for watch in self.watches:
            watch.close(hooked(Spent(watch.code)), self.namespace)

    def close(self, namespace):
        """Leave everything as it was."""
        self.elsewhere.close()
        for watch in self.watches:
            watch.close(watch.code, namespace)

    def result(self):
        """What the first call came to that returned."""
        return next((watch.value for watch in self.watches if watch.returned), None)
