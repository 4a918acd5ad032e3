"""The part `refusals`: what is claimed of the kernel."""

import errno
import os
import socket

import pytest

from runner import refusals as part
from runner.refusals import MOST_REFUSALS, refusal_of, refusals


def raised(call, *arguments):
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EMFILE, errno.EFBIG, errno.EROFS, errno.ENOSYS, errno.ENOTSUP])
def test_errors_of_a_policy_are_claimed_by_name(number):
    error = raised(lambda: exec(f"raise OSError({number}, 'x')"))
    assert refusal_of(error)["errno"] == errno.errorcode[number].replace("EOPNOTSUPP", "ENOTSUP")


@pytest.mark.parametrize("error", [FileNotFoundError(2, "x", "f"), TimeoutError(), ValueError(1), OSError("without a number")])
def test_others_are_not(error):
    assert refusal_of(error) is None


@pytest.mark.parametrize(("names", "path"), [
    (("/a/../b",), "/b"), ((b"/x\xff",), "/x\\udcff"), (("/a", None, "/to"), "/to"), (("/\ud800",), "/\\ud800"),
])
def test_the_path_is_absolute_and_plain_text(names, path):
    assert refusal_of(OSError(errno.EROFS, "x", *names))["path"] == path


def test_what_is_no_path_is_none():
    assert "path" not in refusal_of(OSError(errno.EROFS, "x", 5))


def test_a_relative_path_is_that_of_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert refusal_of(OSError(errno.EROFS, "x", "f"))["path"] == f"{tmp_path}/f"


def test_a_call_is_named_as_the_script_wrote_it():
    error = raised(lambda: os.mkdir("/proc/x"))
    assert part.call_of(error.__traceback__) == {"call": "mkdir"}


def test_names_that_are_not_their_call_s_are_told_as_it():
    assert part.call_of(raised(lambda: os.mkfifo("/proc/x")).__traceback__) == {"call": "mknodat"}


def test_calls_that_are_judged_by_their_arguments_have_them():
    family, kind = socket.AF_INET, 77
    told = part.call_of(raised(lambda: socket.socket(family, kind, 0)).__traceback__)
    # The class of Python's calls that of C's, by names of its own for what it was given.
    assert told == {"call": "socket", "arguments": [socket.AF_INET, kind, 0]}


def test_an_argument_that_is_no_plain_number_is_unknown():
    error = raised(lambda: socket.socketpair("no" and socket.AF_INET, 77))
    told = part.call_of(error.__traceback__)
    assert told["call"] == "socketpair" and all(value is None or isinstance(value, int) for value in told["arguments"])


def test_what_was_raised_without_a_call_names_none():
    def fail():
        raise PermissionError(errno.EPERM, "x")

    assert part.call_of(raised(fail).__traceback__) == {}


def test_a_name_that_is_not_found_is_a_socket_that_was_not_made():
    assert refusal_of(socket.gaierror(-3, "x")) == {"errno": "EPERM", "call": "socket", "arguments": [2, 2, 0]}


def chain(length):
    error = None
    for number in range(length):
        outer = OSError(errno.EROFS, "x", f"/p{number}")
        outer.__cause__ = error
        error = outer
    return error


def test_causes_contexts_and_groups_are_gone_through():
    error = ValueError()
    error.__context__ = ExceptionGroup("g", [chain(2), OSError(errno.EROFS, "x", "/q")])
    assert [told["path"] for told in refusals(error)] == ["/p1", "/q", "/p0"]


def test_so_many_and_no_more_and_each_once():
    assert len(refusals(chain(100))) == MOST_REFUSALS
    same = ExceptionGroup("g", [OSError(errno.EROFS, "x", "/same") for _ in range(5)])
    assert refusals(same) == [{"errno": "EROFS", "path": "/same"}]


def test_a_circle_of_causes_ends():
    one, other = ValueError(), OSError(errno.EROFS, "x", "/p")
    one.__cause__, other.__cause__ = other, one
    assert refusals(one) == [{"errno": "EROFS", "path": "/p"}]


@pytest.mark.parametrize(("free", "expected"), [
    ({"/tmp": (0, 5), "/dev/shm": (1, 1)}, "tmp_bytes"), ({"/tmp": (0, 0), "/dev/shm": (1, 1)}, "tmp_inodes"),
    ({"/tmp": (1, 1), "/dev/shm": (0, 5)}, "shm_bytes"), ({"/tmp": (1, 1), "/dev/shm": (5, 0)}, "shm_inodes"),
    ({"/tmp": (1, 1), "/dev/shm": (1, 1)}, None),
])
def test_what_of_a_file_system_is_full(monkeypatch, free, expected):
    class Now:
        def __init__(self, path):
            self.f_bfree, self.f_ffree = free[path]

    monkeypatch.setattr(part.os, "statvfs", Now)
    assert part.what_is_full() == expected
    assert refusal_of(OSError(errno.ENOSPC, "x"))["full"] == expected
