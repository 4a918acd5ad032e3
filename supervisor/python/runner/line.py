"""The way from a script to whoever sent it and back: calls go out on the result pipe, and what they came to is read from descriptor
4, by whichever thread waits and for all of them: no thread is started for it. In an event loop the loop reads.
"""

import _thread
import select

from .captured import RESULT_FD, RETURNS_FD, json_scan, os_getpid, os_read, os_write
from .encode import NotJson, dump, encode_result
from .report import frame, pipe_turn, take_pipe_turn

# As much as a pipe holds.
AS_A_PIPE_HOLDS = 1 << 16

ELSEWHERE = "tools are called by the process that the script was started in: have that one call, and hand on what comes back"


MEANWHILE = "a tool cannot be called by what runs in the middle of another call of the same thread, such as a handler of signals"


class ToolError(Exception):
    """A call of a tool has failed: what its caller says of it, or why nothing came back."""

    reason = "tool"


class ToolTimeout(ToolError, TimeoutError):
    """Nobody has returned to a call of a tool in time."""

    reason = "timeout"


class Waiting:
    """A thread that waits for what its call came to."""

    loop = None

    def __init__(self):
        self.reply, self.gate = None, _thread.allocate_lock()
        self.gate.acquire()

    def wake(self):
        try:
            self.gate.release()
        except RuntimeError:
            pass  # it has been woken


class Awaiting:
    """A coroutine that does."""

    def __init__(self, loop):
        self.reply, self.loop, self.future = None, loop, loop.create_future()

    def wake(self):
        self.soon(lambda: self.future.done() or self.future.set_result(None))

    def soon(self, call, *args):
        try:
            self.loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            pass  # the loop is closed, and nobody waits in it


class Line:
    """The way to the caller and back.

    A handler of signals may raise between any two steps of Python's. So what is read and what is written is noted in the call of C
    that does it, `extend` of a `map`; and what is done with it can be done again.
    """

    def __init__(self):
        self.number, self.waiting, self.parts, self.needed, self.over = 0, {}, [], 0, False
        # How many calls there were before those that are counted.
        self.before = 0
        self.reading, self.busy = _thread.allocate_lock(), set()
        self.listening, self.poll = None, select.poll()
        self.poll.register(RETURNS_FD, select.POLLIN)

    def begin(self, most, most_calls, owner):
        """From now on this process may ask, so often and with arguments of so many bytes."""
        self.most, self.most_calls, self.owner = most, most_calls, owner

    def ask(self, name, args, kwargs, waiting):
        """Send a call. What can be said against it is said before anything leaves."""
        if os_getpid() != self.owner:
            raise RuntimeError(ELSEWHERE)
        given = as_json(name, [*args]), as_json(name, kwargs)
        if sum(map(len, given)) > self.most:
            raise ValueError(f"tools.{name}(): the arguments are {sum(map(len, given))} bytes of JSON, above the profile's tools.bytes of {self.most}")
        got = []
        try:
            got.extend(map(take_pipe_turn, (True,)))
            if self.number - self.before >= self.most_calls:
                raise ToolError(f"a job may call tools {self.most_calls} times, which is the profile's tools.most")
            self.number += 1
            number = self.number
            self.waiting[number] = waiting
            self.write(frame(b"C", b'{"call":%d,"tool":%s,"args":%s,"kwargs":%s}' % (number, dump(name), *given)))
        finally:
            if got:
                pipe_turn.release()

    def write(self, call):
        """Write all of it, whatever is raised meanwhile: half a call would be the end of the job."""
        view, written, raised, whole = memoryview(call), [], None, False
        while not whole:
            try:
                while sum(written) < len(view):
                    written.extend(map(os_write, (RESULT_FD,), (view[sum(written) :],)))
                whole = True
            except BaseException as error:
                raised = error
                # A pipe without a reader; what the handlers of a script raise goes by any name, and is not the pipe's.
                whole = isinstance(error, BrokenPipeError) and not written
        if raised is not None:
            raise raised

    def call(self, name, args, kwargs):
        waiting, me = Waiting(), self.alone()
        try:
            self.busy.add(me)
            self.ask(name, args, kwargs, waiting)
            self.wait(waiting)
        finally:
            self.busy.discard(me)
            self.forget(waiting)
        return came_to(waiting.reply)

    def alone(self):
        """This thread, which is in no call."""
        me = _thread.get_ident()
        if me in self.busy:
            raise RuntimeError(MEANWHILE)
        return me

    def forget(self, waiting):
        """Wait for it no more; if it was its turn to read, it is another's."""
        for number in [number for number, other in [*self.waiting.items()] if other is waiting]:
            self.waiting.pop(number, None)
        self.pass_on()

    def wait(self, waiting):
        while waiting.reply is None:
            got = []
            try:
                got.extend(map(self.reading.acquire, (False,)))
                while got[0] and waiting.reply is None:
                    self.hand_out()
                    if waiting.reply is None:
                        self.read_some()
            finally:
                if got and got[0]:
                    self.reading.release()
            if waiting.reply is None:
                waiting.gate.acquire()  # until it is there, or it is this thread's turn to read

    async def call_soon(self, name, args, kwargs):
        from asyncio import get_running_loop

        waiting, me = Awaiting(get_running_loop()), self.alone()
        try:
            self.busy.add(me)
            self.ask(name, args, kwargs, waiting)
            self.busy.discard(me)
            self.listen(waiting.loop)
            await waiting.future
        finally:
            self.busy.discard(me)
            self.forget(waiting)
        return came_to(waiting.reply)

    def read_some(self):
        """Read what comes. Whoever holds `reading` alone; what was read before is handed out before more is read."""
        self.parts.extend(map(os_read, (RETURNS_FD,), (AS_A_PIPE_HOLDS,)))
        self.over = self.over or self.parts[-1:] == [b""]
        self.hand_out()

    def hand_out(self):
        """Give each what is its, as it came, for it to read. What is handed out may be so again: it is left where it is until all of it was."""
        if sum(map(len, self.parts)) >= self.needed:
            read, begin = b"".join(self.parts), 0
            while len(read) - begin >= 8:
                end = begin + 8 + int.from_bytes(read[begin : begin + 8], "big")
                if len(read) < end:
                    break
                self.give(read[begin + 8 : end])
                begin = end
            self.needed = end - begin if len(read) - begin >= 8 else 0
            self.parts[:] = [read[begin:]]
        if self.over:
            for number in [*self.waiting]:
                self.give(b'{"call":%d,"error":{"message":"nobody returns to calls any more"}}' % number)

    def give(self, reply):
        # Each begins with its number: {"call":12,
        waiting = self.waiting.get(int(reply[8 : reply.index(b",")]))
        if waiting is not None:
            waiting.reply = waiting.reply or reply
            waiting.wake()

    def pass_on(self):
        """Have another read who waits, if one does: a thread before a loop."""
        others = [waiting for waiting in [*self.waiting.values()] if waiting.reply is None]
        for waiting in others:
            if waiting.loop is None:
                waiting.wake()
                return
        for loop in {waiting.loop for waiting in others}:
            try:
                loop.call_soon_threadsafe(self.listen, loop)
            except RuntimeError:
                pass  # it is closed

    def listen(self, loop):
        """Have a loop read for as long as one of its coroutines waits."""
        if self.listening is not loop and self.awaited_in(loop):
            loop.add_reader(RETURNS_FD, self.readable, loop)
            self.listening = loop

    def awaited_in(self, loop):
        return any(waiting.loop is loop and waiting.reply is None for waiting in [*self.waiting.values()])

    def readable(self, loop):
        got = []
        try:
            got.extend(map(self.reading.acquire, (False,)))
            if not got[0]:
                # A thread reads for all, and passes it on when it has what it waits for.
                self.listening = None
                loop.remove_reader(RETURNS_FD)
                if not self.reading.locked():
                    self.listen(loop)
                return
            self.hand_out()
            if self.poll.poll(0):  # which a thread may have read meanwhile
                self.read_some()
        finally:
            if got and got[0]:
                self.reading.release()
        if not self.awaited_in(loop):
            self.listening = None
            loop.remove_reader(RETURNS_FD)
        self.pass_on()


def as_json(name, given):
    try:
        return encode_result(given)
    except NotJson as error:
        argument = f"argument {error.path}" if error.path else "an argument"
        raise TypeError(f"tools.{name}(): {argument} is {error.what}, which has no form in JSON") from None


def came_to(reply):
    reply = json_scan(reply.decode(), 0)[0]
    if "error" not in reply:
        return reply["value"]
    raise (ToolTimeout if reply.get("reason") == ToolTimeout.reason else ToolError)(reply["error"]["message"])
