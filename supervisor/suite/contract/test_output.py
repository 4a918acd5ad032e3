"""Output: what was printed comes back, whatever became of the script and of its streams."""

import pytest


def test_stdout_that_is_closed_or_replaced(execute):
    assert execute("import sys\ndef main():\n    print('a')\n    sys.stdout.close()\n    return 1").body["stdout"] == "a\n"
    assert execute("import sys\ndef main():\n    sys.stdout = None\n    print('lost')\n    return 1").result == 1
    assert execute("import os\ndef main():\n    os.close(1)\n    return 1").result == 1
    replaced = "import io, sys\ndef main():\n    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, 'w')))\n    print('kept')\n    return 1"
    assert execute(replaced).body["stdout"] == "kept\n"


def test_output_is_text_whatever_was_written(execute):
    answer = execute("import sys\ndef main():\n    sys.stdout.buffer.write(b'\\xff\\x00a\\xc3')\n    print('\\ud800', file=sys.stderr)")
    assert answer.body["stdout"] == "\ufffd\0a\ufffd" and answer.body["stderr"] == "\\ud800\n"


def test_output_of_subprocesses_is_kept(execute):
    script = "import subprocess, sys\ndef main():\n    return subprocess.run([sys.executable, '-c', 'print(6 * 7)']).returncode"
    answer = execute(script)
    assert (answer.result, answer.body["stdout"]) == (0, "42\n")


def test_output_past_the_limit_is_dropped_and_named(execute):
    answer = execute("def main():\n    for _ in range(100): print('x' * 999_999)\n    return 'ok'")
    assert answer.result == "ok" and answer.body["truncated"] == ["stdout"]
    assert len(answer.body["stdout"]) == 1 << 20
    answer = execute("import sys\ndef main():\n    sys.stderr.write('y' * 3_000_000)\n    print('z', end='')")
    assert answer.body["truncated"] == ["stderr"] and answer.body["stdout"] == "z"


def test_both_streams_past_their_limits(execute):
    def main():
        import sys

        for _ in range(100):
            sys.stdout.write("o" * 100_000)
            sys.stderr.write("e" * 100_000)

    answer = execute(main)
    assert sorted(answer.body["truncated"]) == ["stderr", "stdout"]
    assert answer.stdout == "o" * (1 << 20) and answer.stderr == "e" * (1 << 20)


def test_output_that_fills_its_limit_exactly_is_whole(execute):
    answer = execute("import sys\ndef main(): sys.stdout.write('x' * (1 << 20))")
    assert answer.body["truncated"] == [] and len(answer.stdout) == 1 << 20


def test_a_cut_inside_a_character_is_still_text(execute):
    answer = execute("import sys\ndef main():\n    sys.stdout.write('x' + '\u20ac' * 400_000)")
    assert answer.body["truncated"] == ["stdout"]
    assert set(answer.stdout[1:].rstrip("\ufffd")) == {"\u20ac"} and len(answer.stdout.encode()) <= (1 << 20) + 3


def test_order_within_a_stream_is_kept(execute):
    def main():
        import os
        import subprocess
        import sys

        print("one")
        os.write(1, b"two\n")
        subprocess.run([sys.executable, "-c", "print('three')"])
        print("four", end="")

    assert execute(main).stdout == "one\ntwo\nthree\nfour"


def test_line_ends_and_control_characters_are_kept(execute):
    text = "a\r\nb\rc\n\0\x1b[31m\x7f\u2028"
    assert execute("import sys\ndef main(t): sys.stdout.write(t)", args=[text]).stdout == text


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("return 'x' * 9_000_000", "result_too_large"),
        ("sys.exit(2)", "exit"),
        ("import ctypes; ctypes.string_at(0)", "killed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed"),
        ("bytearray(1 << 45)", "memory_limit"),
        ("import os; os.closerange(3, 256); os._exit(0)", "exit"),
        ("import time; time.sleep(600)", "timeout"),
        ("sys.stdout = None; sys.stderr = None; 1 / 0", "exception"),
        ("import threading, os; threading.Thread(target=os._exit, args=(5,)).start(); threading.Event().wait()", "exit"),
    ],
)
def test_what_was_printed_before_the_end_is_returned(execute, ending, code):
    limit = {"timeout_ms": 3000} if code == "timeout" else {}
    answer = execute(f"import sys\ndef main():\n    print('out', end='')\n    print('err', end='', file=sys.stderr)\n    {ending}", **limit)
    assert (answer.code, answer.stdout, answer.stderr) == (code, "out", "err"), answer


def test_what_the_body_printed_is_returned_when_there_is_no_main(execute):
    answer = execute("print('ran')\nglobals()['mian'] = 1")
    assert (answer.code, answer.stdout) == ("no_main", "ran\n")


def test_output_written_right_before_the_result_is_whole(execute):
    # A pipe's worth in one go, and the result at its heels.
    for _ in range(20):
        answer = execute("import sys\ndef main():\n    sys.stdout.write('x' * 65536)\n    sys.stderr.write('y' * 65536)\n    return 1")
        assert (len(answer.stdout), len(answer.stderr), answer.result) == (65536, 65536, 1)
