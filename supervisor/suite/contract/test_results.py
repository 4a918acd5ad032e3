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
        ("float('inf')", "result", "infinite", "math.isfinite"),
        ("'x\\ud800'", "result", "lone surrogate", "replace"),
        ("{'d': __import__('datetime').date(2020, 1, 1)}", 'result["d"]', "a date", "isoformat"),
        ("__import__('decimal').Decimal(1)", "result", "a Decimal", "return str(value)"),
        ("1j", "result", "a complex", "real"),
        ("(x for x in [1])", "result", "a generator", "list"),
        ("main", "result", "a function", "call"),
        ("__import__('pandas').DataFrame({'a': [1]})", "result", "a DataFrame", 'df.to_dict("records")'),
        ("[__import__('pandas').Series([1])]", "result[0]", "a Series", "to_list"),
        ("__import__('numpy').array([1.0, float('nan')])", "result[1]", "NaN", "None"),
        ("__import__('numpy').float64('nan')", "result", "NaN", "None"),
        ("__import__('numpy').array([[1, 2]], dtype='datetime64[ns]')", "result[0][0]", "a datetime64", "array.astype(str)"),
    ],
)
def test_what_is_not_json_is_named_with_its_path_and_a_hint(execute, value, path, what, hint):
    answer = execute(f"def main(): return {value}")
    assert (answer.status, answer.code) == (422, "result_not_json"), answer
    assert answer.error["path"] == path and hint in answer.error["hint"]
    assert answer.error["message"].startswith(path + " is ") and what in answer.error["message"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("float('nan')", None),
        ("{'a': [1.5, float('inf'), (float('-inf'),)], 'nan': 'nan'}", {"a": [1.5, None, [None]], "nan": "nan"}),
        ("np.array([[1.0, np.nan]])", [[1.0, None]]),
        ("[pd.NA, pd.NaT, np.datetime64('NaT'), np.float32('nan')]", [None] * 4),
        ("pd.DataFrame({'a': [1.0, np.nan], 't': [pd.NaT, pd.NaT]}).to_dict('records')", [{"a": 1.0, "t": None}, {"a": None, "t": None}]),
        ("[1, 'x']", [1, "x"]),
    ],
)
def test_with_nan_as_null_there_is_null_in_place_of_numbers_that_are_none(execute, value, expected):
    """README.md: "with `"nan": "null"` in the request they are null at every depth"."""
    assert execute(f"import numpy as np, pandas as pd\ndef main(): return {value}", nan="null").result == expected


@pytest.mark.parametrize("value", ["{1}", "{float('nan'): 1}", "[...]", "object()"])
def test_with_nan_as_null_all_else_is_refused_as_ever(execute, value):
    assert execute(f"def main(): return {value}", nan="null").code == "result_not_json"


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


def test_results_up_to_the_limit_and_one_past_it(execute):
    # Two of the bytes are the quotes.
    script = "def main(size): return 'x' * size"
    assert len(execute(script, args=[(64 << 10) - 2], profile="tiny").result) == (64 << 10) - 2
    answer = execute(script, args=[(64 << 10) - 1], profile="tiny")
    assert answer.code == "result_too_large" and "65537 bytes" in answer.error["message"]


def test_the_deepest_result(execute):
    script = "def main(depth):\n    x = 0\n    for _ in range(depth): x = [x]\n    return x"
    answer = execute(script, args=[128])
    assert answer.status == 200 and str(answer.result).count("[") == 128
    assert execute(script, args=[129]).code == "result_not_json"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("__import__('collections').OrderedDict(b=1, a=2)", {"b": 1, "a": 2}),
        ("__import__('collections').defaultdict(list, a=[1])", {"a": [1]}),
        ("__import__('collections').Counter('aab')", {"a": 2, "b": 1}),
        ("__import__('collections').namedtuple('P', 'x y')(1, 2)", [1, 2]),
        ("__import__('enum').IntEnum('E', 'A B').B", 2),
        ("type('S', (str,), {'__str__': lambda s: 'other', '__repr__': lambda s: 'other'})('own')", "own"),
        ("type('I', (int,), {'__repr__': lambda s: 'junk', '__str__': lambda s: 'junk'})(5)", 5),
        ("type('F', (float,), {'__repr__': lambda s: 'junk', '__str__': lambda s: 'junk'})(0.5)", 0.5),
        ("type('L', (list,), {'__len__': lambda s: 99})([1])", [1]),
    ],
)
def test_subclasses_are_what_they_derive_from(execute, value, expected):
    assert execute(f"def main(): return {value}").result == expected


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("{'a b': [{'c\"d': {1}}]}", 'result["a b"][0]["c\\"d"]'),
        ("{1: {2.5: {True: {None: b''}}}}", "result[1][2.5][True][None]"),
        ("[0] * 100 + [{'k': object()}]", 'result[100]["k"]'),
        ("__import__('numpy').array(['2020-01-01'], dtype='datetime64[D]')", "result[0]"),
        ("__import__('numpy').array([1j])", "result[0]"),
        ("__import__('numpy').array([{1}], dtype=object)", "result[0]"),
        ("__import__('numpy').longdouble(1)", "result"),
        ("__import__('pandas').NA", "result"),
        ("__import__('pandas').NaT", "result"),
        ("{'t': __import__('pandas').Timestamp(0)}", 'result["t"]'),
        ("{'t': (1, 2, 3, float('-inf'))}", 'result["t"][3]'),
        ("{float('nan'): 1}", "result"),
        ("{'\\ud800': 1}", "result"),
        ("range(3)", "result"),
        ("Ellipsis", "result"),
        ("NotImplemented", "result"),
        ("type('Evil', (), {'__repr__': lambda s: 1 / 0, '__class__': int})()", "result"),
        ("(lambda: (yield))()", "result"),
    ],
)
def test_the_path_leads_to_what_is_not_json(execute, value, path):
    answer = execute(f"def main(): return {value}")
    assert answer.code == "result_not_json", answer
    assert answer.error["path"].startswith(path), answer


def test_a_dict_that_changes_while_it_is_read(execute):
    def script():
        class Shifting(dict):
            def items(self):
                return iter([("a", 1), ("b", {2})])

        def main():
            return Shifting(a=1)

    # Python's own encoder asks items() too; what matters is that there is an answer.
    assert execute(script).status in (200, 422)


def test_usage_is_the_kernels(execute):
    busy = execute("import time\ndef main():\n    began = time.process_time()\n    while time.process_time() < began + 0.5: pass").body["usage"]
    assert 450 <= busy["cpu_ms"] <= 1500 and busy["wall_ms"] >= 450
    idle = execute("import time\ndef main(): time.sleep(0.5)").body["usage"]
    assert idle["cpu_ms"] < 250 and idle["wall_ms"] >= 500
    held = execute("def main():\n    x = b'x' * 100_000_000\n    return len(x)").body["usage"]
    assert 100_000_000 <= held["memory_peak_bytes"] < 160_000_000
    assert execute("def main(): pass").body["usage"]["memory_peak_bytes"] < 50_000_000


def test_readers_see_one_meaning_and_every_digit(execute):
    """docs/security.md: refused is "what readers behind us would take for different things"; numbers pass with all their digits."""
    twice = execute("def main(): return [{1: 'a', '1': 'b'}]")
    assert (twice.status, twice.code) == (422, "result_not_json") and 'duplicate key "1"' in twice.error["message"], twice
    write = "import os\ndef main():\n    said = b'[1e999999999]'\n    os.write(3, b'R' + len(said).to_bytes(8, 'big') + said)\n    os._exit(0)"
    assert execute(write).result == [float("inf")]
