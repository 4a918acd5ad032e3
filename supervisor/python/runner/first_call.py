"""Whose call of `main` is the run: the script's own, or ours. Among the threads of a process a dictionary decides, among
processes a pipe with one byte in it, which who calls takes out and puts back.

Ours is made where the top level has come to its end without a call. What it has begun may call `main` no less, some time:
a thread, a callback at exit, a process of its own. That is no second run: who comes later waits for ours, and is given what
it came to. What our run itself calls and begins is part of it.
"""

import os
import select
import sys
from _thread import allocate_lock, get_ident

from .captured import os_close, os_getpid, os_read, os_write, sys_modules

# What is in the pipe; nothing is while our run goes on.
NOBODYS, SCRIPTS, ENDED = b"?", b"s", b"e"
GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200
NOT_PLAIN = GENERATOR | COROUTINE | ASYNC_GENERATOR
# Whose calls are of who has handed them over, in threads and processes that were there before.
POOLS = ("multiprocessing.pool", "concurrent.futures.thread", "concurrent.futures.process", "joblib.parallel")
# Put in front of what multiprocessing sends to a process that is no fork: there `main` comes into being anew.
SPAWNED = """
import functools, inspect, os, pickle, select, sys
def settle(process, pools, *files):
    take, put, outcome = [file.detach() for file in files]
    names = vars(sys.modules["__main__"])
    main = names.get("main")
    if not callable(main):
        return process
    def ended(by=None):
        handed_over = by is not None and by.f_globals.get("__name__") in pools
        if handed_over and not select.select([take], [], [], 0)[0]:
            return False
        state = os.read(take, 1)
        os.write(put, b"s" if state == b"?" else state)
        return state == b"e"
    def given():
        error, value = pickle.loads(os.pread(outcome, os.fstat(outcome).st_size, 0))
        if error is not None:
            raise error
        return value
    if inspect.iscoroutinefunction(main):
        async def called(*a, **k):
            return given() if ended() else await main(*a, **k)
    else:
        def called(*a, **k):
            return given() if ended(sys._getframe(1)) else main(*a, **k)
    functools.update_wrapper(called, main)
    made = [value for kind in names.values() for value in (kind, *(vars(kind).values() if isinstance(kind, type) else ()))]
    for space in [names, *(getattr(value, "__globals__", {}) for value in made)]:
        if space.get("__name__") == "__mp_main__":
            space["main"] = called
    return process
"""


class FirstCall:
    def __init__(self):
        # "run": our run, or None where the script was first; nothing while there was no call.
        self.owner, self.taken, self.pipe, self.outcome = os_getpid(), {}, None, None

    def share(self):
        """Ahead of a process that begins. One that our run begins is part of it, and needs no word."""
        if self.pipe is not None or self.is_inside_ours():
            return
        self.pipe, self.outcome = os.pipe2(os.O_CLOEXEC), os.memfd_create("main")
        run = self.taken.get("run")
        if run is None:
            os_write(self.pipe[1], SCRIPTS if "run" in self.taken else NOBODYS)
        elif run.ended:
            self.publish(run)

    def state(self, of_nobodys=NOBODYS):
        """What is in the pipe, once something is; with what is put there where nobody was first."""
        state = os_read(self.pipe[0], 1)
        os_write(self.pipe[1], of_nobodys if state == NOBODYS else state)
        return state

    def is_the_scripts(self, handed_over=False):
        """Asked by each call of `main`: whether it is to be made. One that was handed over to a pool of processes or threads while our
        run goes on is our run's, which waits for it."""
        run = self.taken.setdefault("run", None)
        if run is not None:
            return run.is_inside() or handed_over and not run.ended
        if self.pipe is None:
            return True
        if handed_over and not holds_something(self.pipe[0]):
            return True
        return self.state(SCRIPTS) != ENDED

    def was_elsewhere(self):
        """Whether `main` was called in another process."""
        return self.pipe is not None and not self.is_ours() and self.state() == SCRIPTS

    def is_ours(self):
        return self.taken.get("run") is not None

    def is_inside_ours(self):
        return self.is_ours() and self.taken["run"].is_inside()

    def take(self):
        """Our run, or nothing where a call of the script's has come first."""
        run = OurRun(self)
        if self.taken.setdefault("run", run) is not run:
            return None
        if self.pipe is not None:
            state = os_read(self.pipe[0], 1)
            if state != NOBODYS:
                os_write(self.pipe[1], state)
                self.taken["run"] = None
                run.leave(void=True)
                return None
        run.follow()
        return run

    def publish(self, run):
        import pickle

        for told in ((run.error, run.value), (None, None)):
            try:
                sent = pickle.dumps(told)
                os.ftruncate(self.outcome, 0)
                if os.pwrite(self.outcome, sent, 0) == len(sent):
                    break
            except BaseException:  # what cannot be sent, or is more than a file may be, stays here
                pass
        os_write(self.pipe[1], ENDED)

    def given(self, code):
        """A function of a code's kind that gives what our run came to, once it has."""
        run = self.taken.get("run")
        if run is not None and os_getpid() == self.owner:
            run.lock.acquire()
            run.lock.release()
            if run.void:
                return None
            error, value = run.error, run.value
        else:
            import pickle

            self.state()
            error, value = pickle.loads(os.pread(self.outcome, os.fstat(self.outcome).st_size, 0))

        def give():
            if error is not None:
                raise error
            return value

        return of_kind(code, give)

    def carried(self, process):
        """A process that is about to be sent where it begins, with what its `main` has to know."""
        from multiprocessing.reduction import DupFd

        self.share()
        return Carried(process, *map(DupFd, (*self.pipe, self.outcome)))

    def close(self):
        for file in (*(self.pipe or ()), self.outcome):
            if file is not None:
                try:
                    os_close(file)
                except OSError:
                    pass
        self.pipe = self.outcome = None


def holds_something(pipe):
    asked = select.poll()
    asked.register(pipe, select.POLLIN)
    return bool(asked.poll(0))


def of_kind(code, give):
    """A function of a code's kind that does what one without arguments does; what would be generated is nothing."""
    async def give_awaited(*_, **__):
        return give()

    def generate(*_, **__):
        yield from ()

    async def generate_awaited(*_, **__):
        return
        yield

    kinds = (GENERATOR, generate), (ASYNC_GENERATOR, generate_awaited), (COROUTINE, give_awaited)
    return next((kind for flag, kind in kinds if code.co_flags & flag), lambda *_, **__: give())


def nothing_more(code):
    return of_kind(code, lambda: None)


class Carried:
    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return eval, ("(exec(text, names := {}), names['settle'](*parts))[1]", {"text": SPAWNED, "parts": (self.parts[0], POOLS, *self.parts[1:])})


class OurRun:
    """The call of `main` that is ours, and who is no part of it: what the top level had begun, and what that begins."""

    def __init__(self, first):
        self.first, self.thread, self.ended, self.void = first, get_ident(), False, False
        self.error = self.value = None
        self.lock = allocate_lock()
        self.lock.acquire()
        self.threading = sys_modules.get("threading")
        known = getattr(self.threading, "_active", {})
        self.threads = [thread for thread in known.values() if thread.ident != self.thread]
        self.unknown = {*sys._current_frames()} - {*known, self.thread}

    def follow(self):
        """Know who begins a thread from now on."""
        if not self.threading:
            return
        name = "_start_joinable_thread" if hasattr(self.threading, "_start_joinable_thread") else "_start_new_thread"
        start = getattr(self.threading, name)

        def start_and_follow(function, *rest, **named):
            if not self.is_inside():
                self.threads.append(getattr(function, "__self__", None))
            return start(function, *rest, **named)

        setattr(self.threading, name, start_and_follow)
        self.unfollow = lambda: setattr(self.threading, name, start)

    unfollow = staticmethod(lambda: None)

    def is_inside(self):
        if get_ident() == self.thread:
            return self.void or not self.ended
        known = getattr(self.threading, "_active", {}).get(get_ident())
        outside = get_ident() in self.unknown if known is None else any(known is thread for thread in self.threads)
        return self.void or not outside

    def call(self, call):
        try:
            self.value = call()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.leave()
        return self.value

    def leave(self, void=False):
        if os_getpid() != self.first.owner:
            return  # forked by the run itself: the end is not its to tell
        self.ended, self.void = True, void
        if self.first.pipe is not None and not void:
            self.first.publish(self)
        self.lock.release()

    def forget(self):
        """Hold nothing any more: what is given later is nothing."""
        self.unfollow()
        self.error = self.value = None
        self.threads = []
