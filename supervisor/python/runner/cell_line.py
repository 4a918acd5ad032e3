"""Calls of tools in cells: one line for a whole session, open for as long as a cell runs that names tools."""

import _thread
import os
import select

from .captured import RETURNS_FD, os_close, os_getpid, os_write
from .line import Line, ToolError
from .tools import TOOLS, given_to, put_tools, take_tools

OVER = "the cell that this was called in is over, and nobody returns to its calls"
NOT_HERE = "this cell names no tool {}: a tool can be called in cells whose request names it"

# Captured, for a cell may patch them.
make_pipe, make_poll = os.pipe, select.poll


class CellLine(Line):
    """At rest nothing is read by it: the session reads then. So whoever is at rest holds `reading`."""

    def __init__(self, parts):
        super().__init__()
        # What was read ahead of what a call returns may be what is written to the session next.
        self.parts, self.given, self.ends = parts, {}, ()
        self.reading.acquire()

    def open_for(self, given, most, most_calls):
        self.ends = make_pipe()
        self.poll = make_poll()
        for descriptor in RETURNS_FD, self.ends[0]:
            self.poll.register(descriptor, select.POLLIN)
        self.needed, self.listening, self.before = 0, None, self.number
        self.begin(most, most_calls, os_getpid())
        put_tools(given, self)
        self.given = given_to(TOOLS)[0]
        self.reading.release()

    def ask(self, name, args, kwargs, waiting):
        if os_getpid() == self.owner and name not in self.given:
            raise ToolError(NOT_HERE.format(name))
        super().ask(name, args, kwargs, waiting)
        if not self.given:  # the cell has ended meanwhile
            raise ToolError(OVER)

    def read_some(self):
        if any(descriptor == RETURNS_FD for descriptor, _ in self.poll.poll()):
            super().read_some()

    def close(self):
        """Nobody waits any more; when this returns nobody reads."""
        if not self.given:
            return
        self.given = {}
        take_tools()
        for waiting in [*self.waiting.values()]:
            waiting.reply = waiting.reply or b'{"call":0,"error":{"message":"%s"}}' % OVER.encode()
            if waiting.loop is not None:
                waiting.soon(waiting.loop.remove_reader, RETURNS_FD)
            waiting.wake()
        self.listening = None
        os_write(self.ends[1], b"x")
        self.reading.acquire()
        for descriptor in self.ends:
            os_close(descriptor)

    def renew(self):
        """In a copy of the process, where no other thread is: what was read and who waits was another's."""
        self.reading, self.waiting, self.busy = _thread.allocate_lock(), {}, set()
        self.reading.acquire()
        self.parts.clear()
