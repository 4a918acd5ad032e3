"""The part `first_call`: whose call of `main` is the run, and what they get who come later."""

import os
import threading

import pytest

from runner.first_call import FirstCall


def code_of(definition):
    names = {}
    exec(definition, names)
    return names["main"].__code__


PLAIN = code_of("def main(a, *, b=1): return a")


def joined(first, code=PLAIN):
    """What a thread gets that was there before our run, and asks while it goes on."""
    come, go, got = threading.Event(), threading.Event(), []

    def late():
        go.wait()
        assert not first.is_the_scripts()
        come.set()
        got.append(first.given(code))

    thread = threading.Thread(target=late)
    thread.start()
    return thread, go, come, got


def test_a_call_of_the_scripts_is_the_run_and_then_there_is_none_of_ours():
    first = FirstCall()
    assert first.is_the_scripts() and first.is_the_scripts()
    assert first.take() is None and not first.is_ours()


def test_who_comes_later_waits_for_our_run_and_gets_what_it_gave():
    first = FirstCall()
    thread, go, come, got = joined(first)
    run = first.take()

    def main():
        go.set()
        come.wait()
        assert first.is_the_scripts(), "what the run itself calls is part of it"
        return 7

    assert run.call(main) == 7
    thread.join()
    assert got[0](1, b=2) == 7
    assert not first.is_the_scripts(), "nor is what comes when it is over another run"
    run.forget()


def test_what_our_run_raised_is_raised_there_too():
    first = FirstCall()
    run = first.take()
    with pytest.raises(ZeroDivisionError):
        run.call(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        first.given(PLAIN)()
    run.forget()


@pytest.mark.parametrize("begun_by_the_run", [True, False])
def test_threads_are_part_of_who_began_them(begun_by_the_run):
    first, said, go = FirstCall(), [], threading.Event()

    def begin():
        go.wait()
        thread = threading.Thread(target=lambda: said.append(first.is_the_scripts()))
        thread.start()
        thread.join()

    outside = threading.Thread(target=begin)
    outside.start()
    run = first.take()

    def main():
        go.set()
        (begin if begun_by_the_run else outside.join)()

    run.call(main)
    outside.join()
    assert sorted(said) == ([False, True] if begun_by_the_run else [False])
    run.forget()


def test_of_two_processes_one_is_first():
    first = FirstCall()
    first.share()
    child = os.fork()
    if not child:
        os._exit(0 if first.is_the_scripts() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert first.was_elsewhere() and first.take() is None
    first.close()


def test_a_forked_process_gets_what_can_be_sent():
    first = FirstCall()
    first.share()
    ends, begins = os.pipe()
    child = os.fork()
    if not child:
        os.read(ends, 1)
        os._exit(0 if not first.is_the_scripts() and first.given(PLAIN)() == {"a": [1]} else 1)
    run = first.take()
    run.call(lambda: os.write(begins, b"x") and {"a": [1]})
    assert os.waitpid(child, 0)[1] == 0
    run.forget()
    first.close()
