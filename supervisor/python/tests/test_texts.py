"""The part `texts`."""

import pytest

from runner.texts import LONGEST_TEXT, a, clip, encodable, text_of


@pytest.mark.parametrize(("noun", "expected"), [("int", "an int"), ("set", "a set"), ("Index", "an Index")])
def test_articles(noun, expected):
    assert a(noun) == expected


def test_the_text_of_what_has_none():
    class Silent:
        def __str__(self):
            raise SystemExit

    assert text_of(5) == "5"
    assert text_of(Silent()) == "(a Silent whose text cannot be had)"


def test_a_text_of_the_longest_length_is_whole():
    text = "x" * LONGEST_TEXT
    assert clip(text) is text


def test_of_a_longer_one_both_ends_are_left_and_what_is_missing_is_counted():
    half = LONGEST_TEXT // 2
    clipped = clip("a" * half + "b" * 7 + "c" * half)
    assert clipped == "a" * half + "\n... 7 characters left out ...\n" + "c" * half


def test_what_has_no_form_in_utf_8_is_written_out():
    assert encodable("ä\ud800\udcff") == "ä\\ud800\\udcff"
