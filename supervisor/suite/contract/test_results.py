"""Results: what has a form in JSON, what is given one, and what is refused with its path."""

import pytest


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("None", None),
        ("'é\\u0000\\U0001f600\\\\\"'", "é\0\U0001f600\\\""),
        ("(1, 2)", [1, 2]),
        ("{1: 2, None: 3, True: 4, 1.5: 5}", {"1": 4, "null": 3, "1.5": 5}),
        ("2 ** 3000", 2**3000),
        ("-0.0", -0.0),
        ("1e300", 1e300),
        ("[[[[]]]]", [[[[]]]]),
    ],
)
def test_plain_values(execute, value, expected):
    assert execute(f"def main(): return {value}").result == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("np.int64(3)", 3),
        ("np.float32(0.5)", 0.5),
        ("np.bool_(True)", True),
        ("np.str_('x')", "x"),
        ("np.arange(6).reshape(2, 3)", [[0, 1, 2], [3, 4, 5]]),
        ("{'a': [np.uint8(1), np.array(2.5)]}", {"a": [1, 2.5]}),
        ("{np.int64(1): 2}", {"1": 2}),
        ("np.array(['a', 'b'])", ["a", "b"]),
        ("[np.array([], dtype=float)]", [[]]),
    ],
)
def test_numpy_is_converted(execute, value, expected):
    assert execute(f"import numpy as np\ndef main(): return {value}").result == expected


@pytest.mark.parametrize(
    ("value", "path", "what", "hint"),
    [
        ("{'a': [1, 2, {3}]}", 'result["a"][2]', "a set", "sorted"),
        ("b'x'", "result", "a bytes", "decode"),
        ("{'a': {(1, 2): 3}}", 'result["a"]', "a tuple as key", "str(key)"),
        ("[float('nan')]", "result[0]", "NaN", "None"),
        ("float('inf')", "result", "infinite", "None"),
        ("'x\\ud800'", "result", "lone surrogate", "replace"),
        ("{'d': __import__('datetime').date(2020, 1, 1)}", 'result["d"]', "a date", "isoformat"),
        ("__import__('decimal').Decimal(1)", "result", "a Decimal", "float"),
        ("1j", "result", "a complex", "real"),
        ("(x for x in [1])", "result", "a generator", "list"),
        ("main", "result", "a function", "call"),
        ("__import__('pandas').DataFrame({'a': [1]})", "result", "a DataFrame", 'df.to_dict("records")'),
        ("[__import__('pandas').Series([1])]", "result[0]", "a Series", "to_list"),
        ("__import__('numpy').array([1.0, float('nan')])", "result[1]", "NaN", "None"),
        ("__import__('numpy').float64('nan')", "result", "NaN", "None"),
    ],
)
def test_what_is_not_json_is_named_with_its_path_and_a_hint(execute, value, path, what, hint):
    answer = execute(f"def main(): return {value}")
    assert (answer.status, answer.code) == (422, "result_not_json"), answer
    assert answer.error["path"] == path and hint in answer.error["hint"]
    assert answer.error["message"].startswith(path + " is ") and what in answer.error["message"]


def test_depth_and_circles_are_refused(execute):
    nested = "def main():\n    x = []\n    for _ in range({}): x = [x]\n    return x"
    assert execute(nested.format(100)).status == 200
    for depth in (200, 10_000):
        assert execute(nested.format(depth)).code == "result_not_json"
    assert "circular" in execute("def main():\n    x = {}\n    x['x'] = x\n    return x").error["message"]


def test_a_result_of_50_mb_is_too_large(execute):
    answer = execute("def main(): return 'x' * 50_000_000")
    assert answer.code == "result_too_large"
    assert "50000002 bytes" in answer.error["message"] and "8388608" in answer.error["message"]
    assert execute("def main(): return 'x' * 8_000_000").result == "x" * 8_000_000


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


def test_usage_is_the_kernels(execute):
    busy = execute("import time\ndef main():\n    while time.process_time() < 0.5: pass").body["usage"]
    assert 450 <= busy["cpu_ms"] <= 1500 and busy["wall_ms"] >= 450
    idle = execute("import time\ndef main(): time.sleep(0.5)").body["usage"]
    assert idle["cpu_ms"] < 250 and idle["wall_ms"] >= 500
    held = execute("def main():\n    x = b'x' * 100_000_000\n    return len(x)").body["usage"]
    assert 100_000_000 <= held["memory_peak_bytes"] < 160_000_000
    assert execute("def main(): pass").body["usage"]["memory_peak_bytes"] < 50_000_000
