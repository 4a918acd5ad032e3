"""The part `receive`: the request and its files."""

import io
import os

import pytest

from runner import receive as part
from runner.receive import put_files, read_exactly, receive
from runner.report import Stop


def message(body):
    return len(body).to_bytes(8, "big") + body


class Ended(Exception):
    pass


@pytest.fixture
def ends(monkeypatch):
    def end(code):
        raise Ended(code)

    monkeypatch.setattr(part, "os_exit", end)


def test_a_request_is_read_as_it_is_and_not_a_byte_more():
    stream = io.BytesIO(message(b'{"script":"x","args":[1,2.50,null]}') + b"input")
    assert receive(stream.read) == {"script": "x", "args": [1, 2.5, None]}
    assert stream.read() == b"input"


def test_it_may_come_in_pieces():
    stream = io.BytesIO(message('{"script":"ä"}'.encode()))
    assert receive(lambda count: stream.read(1)) == {"script": "ä"}


def test_no_more_is_asked_for_than_a_pipe_gives():
    asked = []

    def read(count):
        asked.append(count)
        return bytes(count)

    assert len(read_exactly(read, 3 << 20)) == 3 << 20 and max(asked) == 1 << 20
    assert read_exactly(read, 0) == b""


@pytest.mark.parametrize("sent", [b"", b"\0\0", message(b'{"script"')[:-2]])
def test_one_that_breaks_off_ends_the_interpreter(ends, sent):
    with pytest.raises(Ended, match="1"):
        receive(io.BytesIO(sent).read)


@pytest.fixture
def standard_input(monkeypatch):
    def give(content):
        stream = io.BytesIO(content)
        monkeypatch.setattr(part, "read_standard_input", lambda count: stream.read(count))
        return stream

    return give


def test_files_are_put_where_they_belong_with_their_directories(standard_input, tmp_path):
    left = standard_input(b"one" + bytes(70_000) + b"input")
    put_files([[f"{tmp_path}/a/b/one", 3], [f"{tmp_path}/a/two", 70_000], [f"{tmp_path}/none", 0]])
    assert (tmp_path / "a/b/one").read_bytes() == b"one" and (tmp_path / "a/two").read_bytes() == bytes(70_000)
    assert (tmp_path / "none").read_bytes() == b"" and left.read() == b"input"


def test_what_a_file_system_takes_in_pieces_is_written_whole(monkeypatch, standard_input, tmp_path):
    standard_input(b"123456789")
    write = part.os_write
    monkeypatch.setattr(part, "os_write", lambda file, data: write(file, data[:2]))
    put_files([[f"{tmp_path}/f", 9]])
    assert (tmp_path / "f").read_bytes() == b"123456789"


def test_nothing_that_is_there_is_written_over(standard_input, tmp_path):
    (tmp_path / "f").write_text("before")
    standard_input(b"x")
    with pytest.raises(Stop) as stop:
        put_files([[f"{tmp_path}/f", 1]])
    assert stop.value.error["message"].startswith("a file of the request could not be put there: FileExistsError")
    assert stop.value.error["code"] == "exception" and (tmp_path / "f").read_text() == "before"


def test_a_full_file_system_is_claimed_as_a_refusal(monkeypatch, standard_input, tmp_path):
    def full(file, data):
        raise OSError(28, "No space left on device")

    standard_input(b"x")
    monkeypatch.setattr(part, "os_write", full)
    with pytest.raises(Stop) as stop:
        put_files([[f"{tmp_path}/f", 1]])
    assert stop.value.error["refusals"][0]["errno"] == "ENOSPC"


def test_files_that_break_off_end_the_interpreter(ends, standard_input, tmp_path):
    standard_input(b"12")
    with pytest.raises(Ended):
        put_files([[f"{tmp_path}/f", 3]])


def test_files_are_nobody_s_but_their_owner_s_to_change(standard_input, tmp_path):
    standard_input(b"")
    mask = os.umask(0o022)
    try:
        put_files([[f"{tmp_path}/f", 0]])
    finally:
        os.umask(mask)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644
