"""A session: one interpreter that is sent cells, and rests between them.

At rest a copy of the process is put aside; then the next order is waited for. Whatever a cell does to Python, its verdict is said: what
is needed for that was captured before the first.
"""

import builtins
import os
import sys
import types

from .awaiting import prepare_loop, renew_loop, renew_wake_up
from .branches import NotCopied, let_go, put_in_place, take_ends
from .bundles import begin_to_show, bundle_bytes, bundle_of, display, show_bundle
from .captured import CELL_NAME, load_all_late, os_exit, os_getcwd, os_getpid, sys_modules
from .cell import Cell
from .cell_line import CellLine
from .census import forget_threads
from .checkpoint import WOKEN, Checkpoint
from .describe import describe
from .drawings import figures_are_shown, show_open_figures
from .encode import NotJson, dump, encode_result
from .ends import be_counted, end, flush_c
from .inbox import Inbox
from .interrupts import Handlers, heed_interrupts
from .leavings import Start, keep_returns
from .main_module import MAIN_NAMES
from .receive import put_files
from .cell_rehearsal import rehearse_cell
from .report import Stop, encode_error
from .script import python_excepthook, told_by_python
from .session_files import SessionFiles
from .streams import flush_streams
from .telling import speaker, speaks, tell

# From where on descriptors are that a session does not see by chance.
ASIDE = 64
TRIES = 100
FEWEST_CALLS = 1000


def keep_session(request):
    """Be a session from its request on, to the end of the process."""
    put_files(request.get("files", ()))
    load_all_late()  # an interrupt in the middle of that would leave half of one
    session = Session(become_session_main())
    bundle_bytes[0] = request["result_bytes"]
    del request
    session.rest()
    while True:
        order = session.inbox.next_order()
        if "cell" in order:
            session.run(order)
            session.rest()
        elif "branch" in order:
            session.fork(order["branch"])
        else:
            session.files.carry_out(order)


def become_session_main():
    """A `__main__` as where code is typed in: without a file. The directory is the last on the path, as that of scripts is."""
    module = types.ModuleType("__main__")
    module.__builtins__ = builtins
    module.__annotations__ = {}
    for name in MAIN_NAMES:
        if name == "__main__" or name in sys_modules:
            sys_modules[name] = module
    sys.path.append(os_getcwd())
    sys.argv = [""]
    sys.orig_argv[:] = sys.orig_argv[:1]
    builtins.display = display
    return module


def move_wake_pipe():
    """Away from where the standard input is, which has nothing in it."""
    import fcntl

    try:
        wake = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, ASIDE)
    except OSError:  # so few may be open
        wake = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 5)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    return wake


class Session:
    def __init__(self, module):
        self.module, self.namespace = module, module.__dict__
        keep_returns()
        self.inbox, self.handlers, self.flags = Inbox(), Handlers(), 0
        self.line = CellLine(self.inbox.parts)
        # What has made the session what it is: the sources of its cells.
        self.sources = []
        self.files = SessionFiles(os_getcwd(), self.inbox, self.sources)
        self.checkpoint = Checkpoint(move_wake_pipe())
        speaker[:] = [os_getpid()]
        heed_interrupts()
        figures_are_shown()
        self.hooks, self.start = Hooks(), Start()
        self.handlers.silence()

    def rest(self):
        """Put a copy aside and say so. A copy that is woken does the same in its turn."""
        said = self.checkpoint.make()
        while said is WOKEN:
            self.be_woken()
            said = self.checkpoint.make()
        self.handlers.forget_interrupt()
        tell(b"K", dump(said))
        rehearse_cell(self.flags)

    def fork(self, branch):
        """Put a copy aside that is to go on as a session of its own, and say so: it says so itself when it is woken."""
        ends = ()
        try:
            ends = take_ends()
            own = self.files.copy_for(branch)
            said = self.checkpoint.make_for(ends[0])
            if said is WOKEN:
                put_in_place(ends, self.checkpoint.wake)
                ends = ()
                self.be_branch(own)
                return
            tag, told = b"R", dump(said)
        except Exception as error:
            if not speaks():
                os_exit(1)
            why = "files of the session are not copied" if isinstance(error, NotCopied) else type(error).__name__
            tag, told = b"E", encode_error({"code": "exception", "message": f"the session is not forked: {why}: {error}"})
        # Before that is said, for behind it all is stopped.
        let_go(ends)
        tell(tag, told)

    def be_branch(self, own):
        """In a copy, which reads and writes what it was given: go on as a session of its own, with its files."""
        self.be_woken()
        renew_wake_up()
        self.files.be_of_branch(own)
        self.rest()

    def be_woken(self):
        """In a copy of the process: what was another's is not its own."""
        speaker[:] = [os_getpid()]
        forget_threads()
        self.line.renew()
        renew_loop()

    def run(self, order):
        """Run a cell to its verdict, and say that."""
        begin_to_show(order["result_bytes"])
        verdict = []
        for _ in range(TRIES):
            try:
                if not verdict:
                    verdict.append(self.verdict_of(order))
                self.handlers.silence()
                self.hooks.take_off()
                break
            except BaseException as error:  # of a handler of the cell's, between any two steps
                if not verdict:
                    verdict.append((b"E", encode_error({"code": "exception", "message": f"the cell broke the runner: {type(error).__name__}"})))
        self.line.close()
        be_counted()
        tell(*verdict[0])

    def verdict_of(self, order):
        """What a cell comes to. All that may run code of the session's is in here."""
        try:
            try:
                prepare_loop()
                self.hooks.put_on()
                self.handlers.give_back()
                if order.get("tools"):
                    self.line.open_for(*order["tools"])
                cell = Cell(order["cell"], order["code"], self.flags)
                self.flags = cell.flags
                self.sources.append(cell.source)
                value = cell.run(self.namespace)
                if not speaks():
                    self.end_of_other(None)
                return self.shown(value, order["result_bytes"])
            except BaseException as error:
                if not speaks():
                    self.end_of_other(error)
                return self.failed(error, f"{CELL_NAME}{order['cell']}>")
            finally:
                self.show_rest()
        except KeyboardInterrupt:
            return b"E", encode_error({"code": "interrupted", "message": INTERRUPTED})

    def shown(self, value, limit):
        """Show the value of the last expression, and tell it as JSON if it has a form there."""
        if value is None:
            return b"R", b"null"
        show_bundle(b"T", bundle_of(value))
        try:
            encoded = encode_result(value)
        except NotJson:
            return b"N", b""
        if len(encoded) > limit:
            raise Stop("result_too_large", f"the value is {len(encoded)} bytes of JSON, above the profile's limit of {limit}")
        return b"R", encoded

    def show_rest(self):
        for step in show_open_figures, flush_streams, flush_c:
            try:
                step()
            except Exception:  # of a figure that cannot be shown
                pass

    def failed(self, error, name):
        if issubclass(type(error), Stop):
            return b"E", encode_error(error.error)
        described = describe(error)
        if issubclass(type(error), SystemExit):
            code = described["exit_code"]
            described["message"] = f"the cell exited with code {code}; the session goes on"
        elif issubclass(type(error), KeyboardInterrupt):
            described["code"], described["message"] = "interrupted", INTERRUPTED
        elif sys.excepthook is not python_excepthook:
            told_by_python(error)
        described["line"] = line_in(error, name)
        if described.get("reason") == "arguments":  # of a call of `main()`, which cells have none of
            described["reason"] = described["hint"] = None
        return b"E", encode_error(described)

    def end_of_other(self, error):
        """The end of a process that a cell has forked and that has come to the cell's end: as that of any interpreter."""
        code = 0
        try:
            code = told_by_python(error) if error is not None else 0
            self.handlers.silence()
            end(self.start)
        finally:
            os_exit(code)


INTERRUPTED = "the cell was interrupted (KeyboardInterrupt)"


def line_in(error, name):
    """The last line of a cell that an exception has come through."""
    line, trace = None, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == name else line
        trace = trace.tb_next
    return line


class Hooks:
    """What a session has had Python call at each step: only its cells have those."""

    def __init__(self):
        self.trace = self.profile = None
        self.calls = sys.getrecursionlimit()

    def take_off(self):
        self.trace, self.profile, self.calls = get_trace(), get_profile(), get_recursion_limit()
        set_trace(None)
        set_profile(None)
        if self.calls < FEWEST_CALLS:
            set_recursion_limit(FEWEST_CALLS)

    def put_on(self):
        if self.calls < FEWEST_CALLS:
            set_recursion_limit(self.calls)
        if self.profile is not None:
            set_profile(self.profile)
        if self.trace is not None:
            set_trace(self.trace)


get_trace, set_trace, get_profile, set_profile = sys.gettrace, sys.settrace, sys.getprofile, sys.setprofile
get_recursion_limit, set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit
