"""The copy of a session's process that is put aside behind each cell, and goes on in its place if the next one costs it its life.

It is a child of nobody's but of the sandbox's init, so that a session that waits for its children does not find it. It waits for a
byte on the pipe that wakes it, or for the end of that.
"""

import os
from _signal import SIG_SETMASK, pthread_sigmask, sigtimedwait

from .captured import os_exit, os_getpid, os_read, sys_modules
from .census import children, native_threads, python_threads
from .interrupts import SIGNALS
from .native_pools import do_without, let_pools_go
from .report import pipe_turn
from .streams import call_native

# Captured, for a cell may patch them.
fork_process, wait_for_process, new_session, pipe_for_number = os.fork, os.waitpid, os.setsid, os.pipe
close_end, write_number = os.close, os.write

# In the place of what is said of a copy: this is the copy, and it goes on.
WOKEN = object()


class Checkpoint:
    def __init__(self, wake):
        self.wake = wake

    def make(self):
        """Put a copy of the process as it is now aside: what is said of it, or `WOKEN`.

        The one before stays until the supervisor has heard of this one, and ends it: until then it may be what goes on.
        """
        return self.make_for(self.wake)

    def make_for(self, wake):
        """The same, of a copy that waits on another pipe."""
        names, count = python_threads()
        said = {"checkpoint": False, "threads": names, "count": count}
        left, library = let_pools_go() if native_threads(count) else ([], None)
        if library is not None:
            said["why"] = f"{library} has threads that a copy of the process would not have and would wait for"
        else:
            copy = self.fork(wake)
            if copy == 0:
                do_without(left)
                return WOKEN
            if copy > 0:
                said["pid"] = copy
                said["checkpoint"] = True
            else:
                said["why"] = f"the process could not be copied: {os.strerror(-copy)}"
        said["native"], said["children"] = native_threads(count), children()
        return said

    def fork(self, wake):
        """The number of the copy, 0 in the copy once it is woken, or the negative number of the error."""
        state = state_of_random()
        pipe_turn.acquire()
        try:
            copy = self.fork_aside(wake)
        except OSError as error:
            copy = -(error.errno or 11)
        pipe_turn.release()
        if copy == 0:
            restore_random(state)
        return copy

    def fork_aside(self, wake):
        """As `fork()`, and nobody's child: it returns in the copy once that is woken."""
        copy = call_native("fork_aside", wake)
        if copy is NotImplemented:
            copy = fork_twice()
            if copy == 0:
                self.wait_until_woken(wake)
        return copy

    def wait_until_woken(self, wake):
        """Deaf to all signals that can be blocked, and in a group of processes that is another's."""
        mask = pthread_sigmask(SIG_SETMASK, SIGNALS)
        if not os_read(wake, 1):
            os_exit(0)
        while sigtimedwait(SIGNALS, 0) is not None:
            pass
        pthread_sigmask(SIG_SETMASK, mask)


def fork_twice():
    """The same where there is no native half: it takes twice as long."""
    read, write = pipe_for_number()
    try:
        between = fork_process()
        if between == 0:
            new_session()
            try:
                copy = fork_process()
                if copy == 0:
                    return 0
            except OSError as error:
                copy = -(error.errno or 11)
            write_number(write, b"%d" % copy)
            os_exit(0)
        try:
            wait_for_process(between, 0)
        except ChildProcessError:
            pass  # nobody waits for children where SIGCHLD is ignored
        write_number(write, b" ")
        return int(os_read(read, 32).strip() or -11)
    finally:
        close_end(read)
        close_end(write)


def state_of_random():
    """That of the generator behind the functions of `random`, which seeds itself anew where a process is forked."""
    try:
        generator = sys_modules["random"]._inst
        return generator, generator.getstate()
    except Exception:
        return None


def restore_random(state):
    if state is not None:
        try:
            state[0].setstate(state[1])
        except Exception:
            pass
