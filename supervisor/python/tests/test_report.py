"""The part `report`: frames, and what they say."""

import json
import os

import pytest

from runner import report
from runner.report import Stop, encode_error, error_frame, frame, result_frame, send


def read(told):
    tag, size, content = told[:1], int.from_bytes(told[1:9], "big"), told[9:]
    assert len(content) == size
    return tag, json.loads(content)


def test_a_frame_is_a_tag_a_length_and_the_payload():
    assert frame(b"R", b"") == b"R" + bytes(8)
    assert frame(b"E", b"x" * 258) == b"E" + bytes([0, 0, 0, 0, 0, 0, 1, 2]) + b"x" * 258


def test_a_result_at_the_limit_and_above():
    assert result_frame("xxx", 5) == frame(b"R", b'"xxx"')
    tag, error = read(result_frame("xxxx", 5))
    assert tag == b"E" and error == {"code": "result_too_large", "message": "the result is 6 bytes of JSON, above the profile's limit of 5"}


def test_a_value_without_a_form_is_told_with_its_path_and_a_hint_where_there_is_one():
    tag, error = read(result_frame([{1}], 100))
    assert tag == b"E" and error["code"] == "result_not_json" and error["path"] == "result[0]"
    assert error["message"] == "result[0] is a set, which has no form in JSON" and "sorted" in error["hint"]
    circle = []
    circle.append(circle)
    assert "such as an id" in read(result_frame(circle, 100))[1]["hint"]


def test_an_error_s_fields_are_told_as_far_as_there_are_any():
    assert read(error_frame({"code": "exit", "line": None, "column": 0, "exit_code": 3}))[1] == {"code": "exit", "column": 0, "exit_code": 3}


def test_an_error_has_a_form_whatever_its_texts_hold():
    assert json.loads(encode_error({"message": "a\ud800b"})) == {"message": "a\\ud800b"}


def test_a_stop_has_its_fields_beside_the_message():
    stop = Stop("no_main", "where?", line=3)
    assert stop.error == {"code": "no_main", "message": "where?", "line": 3} and str(stop) == "where?"


def test_a_long_report_is_sent_to_its_end(monkeypatch):
    sent = []
    monkeypatch.setattr(report, "os_write", lambda fd, view: sent.append((fd, bytes(view[:3]))) or min(3, len(view)))
    send(b"12345678")
    assert sent == [(3, b"123"), (3, b"456"), (3, b"78")]


@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
def test_a_pipe_that_nobody_reads_ends_the_report(monkeypatch, error):
    def broken(fd, view):
        raise error

    monkeypatch.setattr(report, "os_write", broken)
    assert send(b"12345678") is None


def test_the_result_pipe_is_a_number_that_nobody_can_patch(monkeypatch):
    monkeypatch.setattr(os, "write", None)
    assert callable(report.os_write) and report.RESULT_FD == 3
