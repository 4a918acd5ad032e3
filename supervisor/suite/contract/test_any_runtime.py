"""What a job comes to is the kernel's and the supervisor's to say, whatever runs in it."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import eventually
from tongue import ABORT, COPY, HOLD, LINGER, RUN, SPIN, SPIN_WITH_CHILD, ending, filling, flooding, leaving, printing, served, showing

pytestmark = pytest.mark.neutral


def test_a_request_is_answered_with_its_result_and_what_it_used(execute):
    answer = execute(RUN)
    assert (answer.status, answer.result, answer.stdout, answer.stderr, answer.body["truncated"]) == (200, "served", "", "", [])
    usage = answer.body["usage"]
    assert usage["wall_ms"] > 0 and usage["cpu_ms"] > 0 and usage["memory_peak_bytes"] > 0


@pytest.mark.parametrize("text", ["é\u20ac\U0001f600", "a\u2028b", 'a "quote" and a \\', "x" * 30_000])
def test_results_of_any_text(execute, text):
    assert execute(served(text)).result == text


def test_what_is_printed_is_told_by_its_stream(execute):
    answer = execute(printing("out é", "err €"))
    assert (answer.status, answer.stdout, answer.stderr) == (200, "out é", "err €")


def test_standard_input_is_the_request_s(execute):
    assert execute(COPY, stdin="one\ntwo é\n").stdout == "one\ntwo é\n"
    assert execute(COPY).stdout == ""
    assert execute(COPY, stdin="x" * 1_000_000).stdout == "x" * 1_000_000


def test_output_past_the_limit_is_dropped_and_named(execute):
    answer = execute(flooding((1 << 20) + 1))
    assert (answer.status, answer.body["truncated"], len(answer.stdout)) == (200, ["stdout"], 1 << 20)
    assert execute(flooding(1 << 20)).body["truncated"] == []


@pytest.mark.parametrize("script", [SPIN, SPIN_WITH_CHILD, HOLD], ids=["spins", "with a child", "sleeps"])
def test_a_deadline_ends_it_with_all_that_it_has_started(service, execute, script):
    answer = execute(script, args=[600] if script == HOLD else [], timeout_ms=300)
    assert (answer.status, answer.code) == (422, "timeout") and "0.3 s" in answer.error["message"]
    assert not service.job_processes()


def test_what_was_printed_before_the_deadline_is_told(execute):
    answer = execute(LINGER, timeout_ms=1200)
    assert (answer.code, answer.stdout) == ("timeout", "begun")


def test_cpu_time_ends_it(service, execute):
    answer = execute(SPIN, profile="tiny")
    assert answer.code == "cpu_limit" and "0.5 s" in answer.error["message"]
    assert not service.job_processes()


def test_memory_ends_it_and_the_profile_s_limit_is_named(execute):
    answer = execute(filling(200 << 20), profile="tiny")
    assert answer.code == "memory_limit"
    assert execute(filling(1 << 20), profile="tiny").status == 200


@pytest.mark.parametrize("code", [0, 3, 255])
def test_a_process_that_ends_without_a_result_is_told_with_its_code(execute, code):
    answer = execute(ending(code))
    assert (answer.code, answer.error["exit_code"]) == ("exit", code)
    assert answer.error["message"].startswith(f"the script ended its process with exit code {code} before ")


def test_a_signal_is_told_by_its_name(execute):
    answer = execute(ABORT)
    assert (answer.code, answer.error["signal"]) == ("killed", "SIGABRT")


def test_a_result_above_the_limit_is_refused(execute):
    assert execute(served("x" * 3000), profile="brief").code == "result_too_large"
    assert execute(served("x" * 1000), profile="brief").status == 200


def test_files_are_there_before_the_script(execute):
    content = bytes(range(32, 127)) * 1000
    answer = execute(showing("a/b.txt"), files=[{"path": "a/b.txt", "content_base64": base64.b64encode(content).decode()}, {"path": "empty", "content": ""}])
    assert answer.stdout == content.decode()


def test_files_that_it_leaves_are_returned(execute):
    [file] = execute(leaving("made.txt")).files
    assert (file["name"], base64.b64decode(file["content_base64"])) == ("made.txt", b"made.txt")


def test_nothing_of_a_job_is_the_next_one_s(execute):
    assert execute(leaving("made.txt")).files
    assert execute(RUN).files == []
    assert execute(showing("/tmp/out/made.txt")).status == 422


def test_many_at_once_have_their_own_answers(execute):
    with ThreadPoolExecutor(16) as pool:
        assert [answer.result for answer in pool.map(lambda number: execute(served(f"of {number}")), range(64))] == [f"of {number}" for number in range(64)]


def test_a_job_that_holds_is_seen_and_then_gone(service, execute):
    if not hasattr(service, "holding"):
        pytest.skip("an installed service's jobs are others' too")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(execute, HOLD, args=[1])
        eventually(lambda: service.holding())
        assert held.result().result == "held"
    # Answered when nothing of it runs any more, and gone when the kernel has taken it away.
    eventually(lambda: not service.job_processes())


def test_the_layers_in_force_are_told(execute):
    told = dict(pair.split("=") for pair in execute(RUN, headers={"X-Cloister-Explain": "1"}).headers["x-cloister-explain"].split("; "))
    assert int(told["landlock"]) >= 2 and int(told["filter"]) > 100 and re.fullmatch("[0-9a-f]{12}", told["policy"])
