"""The part `serve`: one request and the end, with the ends of the process in the test's hands."""

import io
import json
import sys

import pytest

from runner import ends
from runner import serve as part


class Ended(BaseException):
    pass


class Polled:
    """Tells that the request has come from the so-manieth look on."""

    def __init__(self, looks):
        self.looks, self.waited = looks, []

    def poll(self, calm):
        self.waited.append(calm)
        return len(self.waited) > self.looks


@pytest.fixture
def served(monkeypatch):
    """Serve a request; what was written to the result pipe, in order, with what was begun."""
    told = []

    def end(code):
        raise Ended(code)

    digits = sys.get_int_max_str_digits()
    monkeypatch.setattr(part, "os_write", lambda fd, data: told.append((fd, bytes(data))) or len(data))
    monkeypatch.setattr(part, "send", told.append)
    monkeypatch.setattr(part, "os_exit", end)
    monkeypatch.setattr(part, "os_close", lambda fd: told.append((fd, "closed")))
    monkeypatch.setattr(part, "end", lambda start, tell=None: told.append("ended"))

    def serve(request, run=None, **options):
        body = json.dumps(request).encode()
        monkeypatch.setattr(part, "read_standard_input", io.BytesIO(len(body).to_bytes(8, "big") + body).read)
        if run:
            monkeypatch.setattr(part, "run", run)
        with pytest.raises(Ended, match="0"):
            part.serve(lambda: told.append("begun"), **options)
        return told

    yield serve
    sys.set_int_max_str_digits(digits)


def test_it_is_ready_then_begins_then_reports(served):
    def run(request, start, notes):
        notes.append("a note")
        return b"Told " + request["script"].encode()

    ready, begun, closed, report, ended, over = served({"script": "x"}, run=run)
    assert (ready, begun, closed, report, ended) == ((3, b"P"), "begun", (4, "closed"), b"told x", "ended")
    assert over == b"D" + (10).to_bytes(8, "big") + b'["a note"]'


def test_what_a_program_exited_with_is_told_when_its_end_is_over(served):
    told = served({"script": "x"}, run=lambda request, start, notes: b"X...")
    assert told[-2:] == ["ended", b"X..."]


def test_an_end_that_breaks_is_over(served, monkeypatch):
    def broken(start, tell):
        raise RecursionError

    monkeypatch.setattr(part, "end", broken)
    assert served({"script": "x"}, run=lambda request, start, notes: b"R")[-1][:1] == b"D"


def test_what_breaks_the_runner_itself_is_told_as_a_failure(served):
    def broken(request, start, notes):
        raise RecursionError

    report = served({"script": "x"}, run=broken)[-1]
    assert json.loads(report[9:]) == {"code": "exception", "message": "the script broke the runner: RecursionError"}
    assert report[:1] == b"E"


def test_an_end_in_the_middle_is_still_an_answer(served):
    def ends(request, start, notes):
        raise KeyboardInterrupt

    assert b"KeyboardInterrupt" in served({"script": "x"}, run=ends)[-1]


def test_numbers_have_as_many_digits_as_they_like(served):
    seen = []
    served({"script": "x"}, run=lambda request, start, notes: seen.append(sys.get_int_max_str_digits()) or b"R")
    assert seen == [0]


def test_what_is_done_meanwhile_is_done_until_the_request_comes(served, monkeypatch):
    done = []

    def meanwhile():
        for calm in (2, 15, 15, 15):
            yield calm
            done.append(calm)

    waiting = Polled(looks=2)
    monkeypatch.setattr(part, "wait_for_request", waiting.poll)
    served({"script": "x"}, run=lambda request, start, notes: b"R", meanwhile=meanwhile())
    assert done == [2, 15] and waiting.waited == [2, 15, 15]


def test_a_rehearsal_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sys.modules["__main__"], sys.argv, sys.path[:]
    part.rehearse()
    assert (sys.modules["__main__"], sys.argv, sys.path) == before and not list(tmp_path.iterdir())


def test_ahead_of_a_request_one_is_rehearsed_after_a_moment(monkeypatch):
    rehearsed = []
    monkeypatch.setattr(part, "rehearse", lambda: rehearsed.append(True))
    steps = part.rehearse_early()
    assert next(steps) == part.SHORTLY and rehearsed == []
    assert list(steps) == [] and rehearsed == [True]


def test_cpu_time_that_cannot_be_counted_is_none(monkeypatch):
    def refused():
        raise OSError

    monkeypatch.setattr(ends, "os_times", refused)
    assert part.be_counted() is None
