"""The part `streams`, over pipes in the place of the descriptors 0, 1 and 2."""

import builtins
import os
import sys

import pytest

from conftest import LIBRARY
from runner import streams
from runner.streams import Unbuffered, flush_streams, load_native, open_streams, with_descriptors


@pytest.fixture(params=["native", "without"])
def piped(monkeypatch, request):
    """Call a function with streams of the runner's; what it printed on each, and what it returned."""
    monkeypatch.setattr(builtins, "print", print)
    monkeypatch.setattr(streams, "native", None)
    if request.param == "native":
        if not os.path.exists(LIBRARY):
            pytest.skip("needs CLOISTER_BIN")
        load_native(os.open(LIBRARY, os.O_RDONLY))
        assert streams.native
    names = ("stdin", "stdout", "stderr")
    kept = {name: (getattr(sys, name), getattr(sys, "__" + name + "__")) for name in names}

    def run(do, given=b""):
        pipes = [os.pipe() for _ in names]
        os.write(pipes[0][1], given)
        os.close(pipes[0][1])
        returned = []

        def within():
            open_streams()
            try:
                returned.append(do())
            finally:
                for name, (stream, original) in kept.items():
                    setattr(sys, name, stream)
                    setattr(sys, "__" + name + "__", original)

        with_descriptors((pipes[0][0], pipes[1][1], pipes[2][1]), within)
        for end in (pipes[0][0], pipes[1][1], pipes[2][1]):
            os.close(end)
        printed = [os.read(end, 1 << 16) for end in (pipes[1][0], pipes[2][0])]
        for end in (pipes[1][0], pipes[2][0]):
            os.close(end)
        return *printed, returned[0]

    return run


def test_what_is_printed_is_out_at_once(piped):
    def do():
        print("a", end="")
        sys.stderr.write("b")
        os.write(1, b"c")

    assert piped(do)[:2] == (b"ac", b"b"), "nothing was kept back for later"


def test_what_has_no_form_in_utf_8_is_written_out(piped):
    assert piped(lambda: print("ä\ud800"))[0] == "ä\\ud800\n".encode()


def test_lines_end_as_they_are_written(piped):
    assert piped(lambda: sys.stdout.write("a\r\nb\n"))[0] == b"a\r\nb\n"


def test_input_of_any_bytes_is_read(piped):
    assert piped(lambda: sys.stdin.read(), "ä".encode() + b"\xff")[2] == "ä\udcff"
    assert piped(lambda: sys.stdin.buffer.read(), b"\xff\0")[2] == b"\xff\0"
    assert piped(lambda: sys.stdin.readline(), b"")[2] == ""


def test_the_streams_are_the_original_ones_too(piped):
    assert piped(lambda: all(getattr(sys, name) is getattr(sys, f"__{name}__") for name in ("stdin", "stdout", "stderr")))[2]
    assert piped(lambda: (sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.mode))[2] == (0, 1, 2, "w")


def test_a_print_is_in_one_piece_by_the_native_half(piped):
    def do():
        print("a", 1, [2], sep="-", end="!")
        return print

    original = print
    printed, _, own = piped(do)
    assert printed == b"a-1-[2]!"
    assert (own is not original) == bool(streams.native), "the runner's own, and only while it is there"


def test_a_library_that_is_none_is_closed_and_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "native", None)
    (tmp_path / "f").write_text("no library")
    file = os.open(tmp_path / "f", os.O_RDONLY)
    os.dup2(file, 900)  # the loader knows what it has loaded by the path
    os.close(file)
    for number in (900, 901):
        load_native(number)
        with pytest.raises(OSError):
            os.fstat(number)
    assert streams.native is None


def test_closing_a_stream_leaves_its_descriptor(piped):
    def do():
        sys.stdout.close()
        return os.write(1, b"still")

    assert piped(do)[0] == b"still"


def test_more_than_a_pipe_takes_at_once_is_written_whole(tmp_path):
    class Slow(Unbuffered):
        pass

    with Slow(str(tmp_path / "f"), "w") as file:
        assert file.write(memoryview(b"x" * 200_000)) == 200_000
        assert file.write(b"") == 0
    assert (tmp_path / "f").stat().st_size == 200_000


def test_streams_that_a_script_has_broken_are_passed_over(monkeypatch):
    class Odd:
        def flush(self):
            raise SystemExit

    flushed = []

    class Even:
        def flush(self):
            flushed.append(True)

    monkeypatch.setattr(sys, "stdout", Odd())
    monkeypatch.setattr(sys, "stderr", Even())
    flush_streams()
    assert flushed == [True]
    monkeypatch.delattr(sys, "stdout")
    flush_streams()
    assert flushed == [True, True]


def test_descriptors_are_put_back():
    before = [os.fstat(number).st_ino for number in range(3)]
    nowhere = os.open(os.devnull, os.O_RDWR)
    seen = []
    with_descriptors((nowhere,) * 3, lambda: seen.extend(os.fstat(number).st_ino for number in range(3)))
    os.close(nowhere)
    assert len(set(seen)) == 1 and [os.fstat(number).st_ino for number in range(3)] == before
