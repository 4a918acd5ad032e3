"""The way to whoever answers calls, whatever is raised in the middle of it."""

import os
import threading

import pytest

from runner import line as part
from runner.line import Line, ToolError, Waiting
from runner.report import pipe_turn


class Caller:
    """The other end: what was written to it, and what it answers."""

    def __init__(self, monkeypatch):
        self.sent, (self.read, self.write) = bytearray(), os.pipe()
        monkeypatch.setattr(part, "RETURNS_FD", self.read)
        monkeypatch.setattr(part, "os_write", lambda fd, view: self.sent.extend(bytes(view[:10])) or min(len(view), 10))
        self.line = Line()
        self.line.begin(1 << 20, 100, os.getpid())

    def answer(self, text):
        body = text.encode()
        os.write(self.write, len(body).to_bytes(8, "big") + body)

    def calls(self):
        """What was sent, taken apart."""
        calls, left = [], bytes(self.sent)
        while left:
            assert left[:1] == b"C"
            size = int.from_bytes(left[1:9], "big")
            calls.append(left[9 : 9 + size].decode())
            left = left[9 + size :]
        return calls


@pytest.fixture
def caller(monkeypatch):
    caller = Caller(monkeypatch)
    yield caller
    os.close(caller.read)
    os.close(caller.write)


def test_a_call_is_written_whole_in_pieces_and_its_answer_read(caller):
    caller.answer('{"call":1,"value":[1.5]}')
    assert caller.line.call("search", ("a",), {"q": "é"}) == [1.5]
    assert caller.calls() == ['{"call":1,"tool":"search","args":["a"],"kwargs":{"q":"é"}}']
    caller.answer('{"call":2,"error":{"message":"away"}}')
    with pytest.raises(ToolError, match="away"):
        caller.line.call("search", (), {})
    caller.answer('{"call":3,"error":{"message":"late"},"reason":"timeout"}')
    with pytest.raises(TimeoutError, match="late"):
        caller.line.call("search", (), {})
    assert not caller.line.waiting and not caller.line.busy and not pipe_turn.locked() and not caller.line.reading.locked()


def test_what_is_raised_in_the_middle_of_writing_comes_when_the_call_is_whole(caller, monkeypatch):
    write, raised = part.os_write, []

    def interrupted(fd, view):
        if len(caller.sent) == 20 and not raised:
            raised.append(True)
            raise KeyboardInterrupt
        return write(fd, view)

    monkeypatch.setattr(part, "os_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        caller.line.call("a", (), {})
    assert len(caller.calls()) == 1 and not caller.line.waiting
    caller.answer('{"call":1,"value":"late"}')
    caller.answer('{"call":2,"value":"mine"}')
    assert caller.line.call("a", (), {}) == "mine"


def test_what_is_raised_while_values_are_handed_out_loses_none(caller):
    first, second = Waiting(), Waiting()
    caller.line.ask("a", (), {}, first)
    caller.line.ask("b", (), {}, second)
    caller.answer('{"call":1,"value":1}')
    caller.answer('{"call":2,"value":2}')
    woken = []

    def wake():
        if not woken:
            woken.append(True)
            raise KeyboardInterrupt
        Waiting.wake(first)

    first.wake = wake
    with pytest.raises(KeyboardInterrupt):
        caller.line.wait(first)
    # Nothing more comes: what was read is enough.
    caller.line.wait(second)
    assert (part.came_to(first.reply), part.came_to(second.reply)) == (1, 2)


def test_who_cannot_read_what_is_its_is_the_only_one_to_fail(caller):
    deep, other = Waiting(), Waiting()
    caller.line.ask("a", (), {}, deep)
    caller.line.ask("b", (), {}, other)
    caller.answer('{"call":1,"value":' + "[" * 5_000 + "]" * 5_000 + "}")
    caller.answer('{"call":2,"value":"b"}')
    caller.line.wait(other)
    assert part.came_to(other.reply) == "b"
    with pytest.raises(RecursionError):
        part.came_to(deep.reply)


def test_a_long_value_comes_in_many_pieces(caller):
    threading.Thread(target=caller.answer, args=['{"call":1,"value":"' + "x" * 900_000 + '"}']).start()
    assert caller.line.call("a", (), {}) == "x" * 900_000


def test_a_call_in_the_middle_of_another_of_the_same_thread_is_refused(caller):
    caller.line.busy.add(threading.get_ident())
    with pytest.raises(RuntimeError, match="in the middle of another call"):
        caller.line.call("a", (), {})
    caller.line.busy.clear()
    assert not caller.sent


def test_no_more_calls_than_may_be_and_none_that_are_too_large_are_sent(caller):
    caller.line.most_calls = 1
    caller.answer('{"call":1,"value":null}')
    assert caller.line.call("a", (), {}) is None
    with pytest.raises(ToolError, match="1 times"):
        caller.line.call("a", (), {})
    caller.line.most = 10
    with pytest.raises(ValueError, match="above the profile's tools.bytes of 10"):
        caller.line.call("a", ("x" * 10,), {})
    with pytest.raises(TypeError, match="argument \\[0\\] is a set"):
        caller.line.call("a", ({1},), {})
    assert len(caller.calls()) == 1


def test_an_end_of_the_way_back_is_told_to_all_who_wait(caller):
    os.close(caller.write)
    caller.write = os.dup(0)
    with pytest.raises(ToolError, match="nobody returns"):
        caller.line.call("a", (), {})
