"""README.md: "`hint` what to return instead". Each is followed to the letter in a second job, and what comes of it is right."""

import pytest

SETUP = """
import array as arrays, collections, dataclasses, datetime, decimal, enum, fractions, functools, io, ipaddress, itertools, math, pathlib, re, sqlite3, types, uuid
import numpy as np, pandas as pd
nan, inf = float("nan"), float("inf")

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Point:
    x: int = 1

class Slots:
    __slots__ = ("x",)
    def __init__(self): self.x = 1

class Bare:
    def __init__(self): self.x = 1

class Shown:
    def __str__(self): return "shown"

async def soon(): return 1

async def each():
    yield 1
"""

# What main() returns; what of it the hint speaks of; what has to come of it.
VALUES = [
    ("{'x': nan}", "whole", {"x": None}),
    ("nan", "whole", None),
    ("np.float64('inf')", "whole", None),
    ("[1.0, nan, -inf, 'a']", "whole", [1.0, None, None, "a"]),
    ("{'a': {'b': [1, nan]}}", "whole['a']['b']", [1, None]),
    ("np.array([1.0, nan, inf])", "whole", [1.0, None, None]),
    ("{'a': np.array([[1.0, nan], [1, 2]])}", "whole['a']", [[1.0, None], [1.0, 2.0]]),
    ("np.array([1.0, nan, None], dtype=object)", "whole", [1.0, None, None]),
    ("pd.DataFrame({'a': [1.0, nan, inf]}).to_dict('records')", "whole", [{"a": 1.0}, {"a": None}, {"a": None}]),
    ("pd.DataFrame({'s': ['a', None]}).s.tolist()", "whole", ["a", None]),
    ("{nan: 1}", "whole", {"nan": 1}),
    ("pd.NA", "whole", None),
    ("[1, pd.NaT]", "whole[1]", None),
    ("np.datetime64('NaT')", "whole", None),
    ("np.datetime64('2024-01-01')", "whole", "2024-01-01"),
    ("np.array(['2024-01-01'], dtype='datetime64[D]')", "whole", ["2024-01-01"]),
    ("np.array(['2024-01-01', 'NaT'], dtype='datetime64[ns]')", "whole", ["2024-01-01T00:00:00.000000000", None]),
    ("np.array([1, 2], dtype='timedelta64[D]')", "whole", [86400.0, 172800.0]),
    ("np.timedelta64(3, 'h')", "whole", 10800.0),
    ("np.array([1 + 2j])", "whole[0]", [1.0, 2.0]),
    ("np.longdouble(1) / 4", "whole", 0.25),
    ("pd.Timestamp('2024-01-01T00:00:00Z')", "whole", "2024-01-01T00:00:00+00:00"),
    ("pd.Timedelta('1 day')", "whole", 86400.0),
    ("pd.Period('2024-01')", "whole", "2024-01"),
    ("pd.Interval(0, 1)", "whole", "(0, 1]"),
    ("pd.Categorical(['a', None])", "whole", ["a", None]),
    ("pd.array([1, None])", "whole", [1, None]),
    ("pd.DataFrame({'a': [1, 2]})", "whole", [{"a": 1}, {"a": 2}]),
    ("pd.DataFrame({'a': [1.0, nan, inf], 's': ['x', None, 'y']})", "whole", [{"a": 1.0, "s": "x"}, {"a": None, "s": None}, {"a": None, "s": "y"}]),
    ("pd.DataFrame({'t': pd.to_datetime(['2024-01-01', None]), 'v': [1, 2]})", "whole", [{"t": "2024-01-01", "v": 1}, {"t": None, "v": 2}]),
    ("pd.DataFrame({'v': [1]}, index=['r'])", "whole", [{"index": "r", "v": 1}]),
    ("pd.DataFrame({'g': ['a', 'b'], 'v': [1, 2]}).groupby('g').agg(['sum', 'max'])", "whole",
     {"index": ["a", "b"], "columns": [["v", "sum"], ["v", "max"]], "data": [[1, 1], [2, 2]]}),
    ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "whole", {"index": [0], "columns": ["a", "a"], "data": [[1, 2]]}),
    ("pd.DataFrame({'d': [decimal.Decimal('1.1'), None]})", "whole", [{"d": "1.1"}, {"d": None}]),
    ("pd.Series([1.0, nan, inf])", "whole", [1.0, None, None]),
    ("pd.Series([1, 2], index=['a', 'b'])", "whole", {"a": 1, "b": 2}),
    ("pd.Series([1, 2], index=['a', 'a'])", "whole", [["a", 1], ["a", 2]]),
    ("pd.Series(pd.to_datetime(['2024-01-01', None]))", "whole", ["2024-01-01", None]),
    ("pd.Series([1], index=pd.period_range('2024', periods=1, freq='Y'))", "whole", {"2024": 1}),
    ("pd.DataFrame({'a': ['x', 'x'], 'b': ['p', 'q'], 'v': [1, 2]}).groupby(['a', 'b'])['v'].sum().to_dict()", "whole", {"('x', 'p')": 1, "('x', 'q')": 2}),
    ("pd.to_datetime(['2024-01-01', None])", "whole", ["2024-01-01", None]),
    ("pd.MultiIndex.from_tuples([('a', 1)])", "whole", [["a", 1]]),
    ("pd.DataFrame({'g': ['a', 'b'], 'v': [1, 2]}).groupby('g')", "whole", {"a": [{"g": "a", "v": 1}], "b": [{"g": "b", "v": 2}]}),
    ("pd.DataFrame({'g': ['a', 'b'], 'v': [1, 2]}).groupby('g')['v']", "whole", {"a": [1], "b": [2]}),
    ("Colour", "whole", ["red"]),
    ("vars(Colour)", "whole", {"RED": "red"}),
    ("dict", "whole", "dict"),
    ("math", "whole", "math"),
    ("decimal.Decimal('1.10')", "whole", "1.10"),
    ("fractions.Fraction(1, 3)", "whole", "1/3"),
    ("b'text'", "whole", "text"),
    ("b'\\xff'", "whole", "/w=="),
    ("bytearray(b'\\xff')", "whole", "/w=="),
    ("memoryview(b'ab')", "whole", [97, 98]),
    ("{b'a': 1}", "whole", {"a": 1}),
    ("{(1, 2): 3}", "whole", {"(1, 2)": 3}),
    ("{datetime.date(2024, 1, 1): 3}", "whole", {"2024-01-01": 3}),
    ("{3, 1, 2}", "whole", [1, 2, 3]),
    ("frozenset('ba')", "whole", ["a", "b"]),
    ("{(1,)}", "whole", [[1]]),
    ("ValueError('v')", "whole", "ValueError('v')"),
    ("{'x': soon()}", "whole['x']", 1),
    ("each()", "whole", [1]),
    ("re.match('(a)(b)?', 'a')", "whole", ["a", "a", None]),
    ("re.match('a', 'a')", "whole", "a"),
    ("re.match('(?P<n>a)', 'a')", "whole", {"n": "a"}),
    ("re.compile('a+')", "whole", "a+"),
    ("(n for n in range(3))", "whole", [0, 1, 2]),
    ("map(str, range(2))", "whole", ["0", "1"]),
    ("itertools.chain([1], [2])", "whole", [1, 2]),
    ("itertools.count()", "whole", [*range(100)]),
    ("collections.deque([1, 2])", "whole", [1, 2]),
    ("range(3)", "whole", [0, 1, 2]),
    ("{'a': 1}.keys()", "whole", ["a"]),
    ("{1: 2}.items()", "whole", {"1": 2}),
    ("collections.UserDict(a=1)", "whole", {"a": 1}),
    ("collections.ChainMap({'a': 1})", "whole", {"a": 1}),
    ("arrays.array('i', [1])", "whole", [1]),
    ("sqlite3.connect(':memory:').execute('select 1')", "whole", [[1]]),
    ("io.StringIO('x')", "whole", "x"),
    ("io.BytesIO(b'x')", "whole", "x"),
    ("Point()", "whole", {"x": 1}),
    ("Slots()", "whole", {"x": 1}),
    ("[Bare()]", "whole[0]", {"x": 1}),
    ("types.SimpleNamespace(a=1)", "whole", {"a": 1}),
    ("Shown()", "whole", "shown"),
    ("uuid.UUID(int=5)", "whole", "00000000-0000-0000-0000-000000000005"),
    ("pathlib.Path('a') / 'b'", "whole", "a/b"),
    ("ipaddress.ip_address('192.0.2.1')", "whole", "192.0.2.1"),
    ("1 + 2j", "whole", [1.0, 2.0]),
    ("datetime.date(2024, 1, 2)", "whole", "2024-01-02"),
    ("datetime.datetime(2024, 1, 2, 3)", "whole", "2024-01-02T03:00:00"),
    ("datetime.time(1, 2)", "whole", "01:02:00"),
    ("datetime.timedelta(1)", "whole", 86400.0),
    ("datetime.timezone.utc", "whole", "UTC"),
    ("'x\\ud800'", "whole", "x?"),
    ("slice(1, 2)", "whole", "slice(1, 2, None)"),
]


def hint_of(execute, value, profile):
    answer = execute(f"{SETUP}\ndef main():\n    return {value}", profile=profile)
    assert (answer.status, answer.code) == (422, "result_not_json"), answer
    return answer.error["hint"]


@pytest.mark.parametrize(("value", "place", "expected"), VALUES)
def test_a_hint_gives_what_it_promises(execute, value, place, expected):
    hint = hint_of(execute, value, "default")
    script = f"{SETUP}\ndef made():\n    return {value}\n\nasync def main():\n    whole = made()\n    value = df = series = index = array = {place}\n    {hint}"
    answer = execute(script)
    assert (answer.status, answer.body.get("result")) == (200, expected), (hint, answer)


@pytest.mark.parametrize(("value", "words"), [
    ("object()", "what main() is to tell of it"), ("main", "did you mean to call it?"), ("functools.partial(len, [])", "did you mean to call it?"),
    ("__import__('threading').Lock()", "what main() is to tell of it"), ("pd.Series([1]).rolling(2)", "such as value.mean()"),
    ("[[]] + [type('Odd', (), {'__init__': lambda self: vars(self).update(a={1})})()]", "value.a"),
])
def test_what_has_no_form_of_its_own_is_told_in_words(execute, value, words):
    hint = hint_of(execute, value, "default")
    assert words in hint and "vars(" not in hint


def test_what_main_makes_where_it_is_a_class(execute):
    assert "main is a class" in execute("class main:\n    pass").error["hint"]


@pytest.mark.parametrize(("value", "expected"), [
    ("{'status': Colour.RED, Colour.RED: [Colour.RED]}", {"status": "red", "red": ["red"]}),
    ("enum.Flag('F', 'A B')(3)", 3),
    ("types.MappingProxyType({'a': types.MappingProxyType({})})", {"a": {}}),
    ("np.array([Colour.RED], dtype=object)", ["red"]),
])
def test_values_of_enumerations_and_views_of_dicts_are_what_they_hold(execute, value, expected):
    assert execute(f"{SETUP}\ndef main():\n    return {value}").result == expected


HOSTILE = [
    "type('Odd', (), {'__class__': property(lambda self: 1 / 0)})()",
    "type('Odd', (), {'__getattribute__': lambda self, name: 1 / 0})()",
    "type('Odd', (), {'__getattr__': lambda self, name: self, '__iter__': lambda self: 1 / 0})()",
    "type('Odd', (), {'__str__': lambda self: 1 / 0, '__repr__': lambda self: 1 / 0})()",
    "type('Meta', (type,), {'__name__': property(lambda self: 1 / 0), '__module__': property(lambda self: 1 / 0), '__mro__': property(lambda self: 1 / 0)})('Odd', (), {})()",
    "type('Meta', (type,), {'__instancecheck__': lambda self, other: 1 / 0, '__subclasscheck__': lambda self, other: 1 / 0, 'mro': lambda self: [self, object]})('Odd', (), {})()",
    "type('Odd', (), {'__dataclass_fields__': property(lambda self: 1 / 0)})()",
    "type('x' * 100_000, (), {})()",
    "type('Odd', (set,), {'__iter__': lambda self: iter(int, 1)})([1])",
    "type('Odd', (enum.Enum,), {}) if False else type('Odd', (), {'value': property(lambda self: self)})()",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_named_and_nothing_more(execute, value):
    answer = execute(f"{SETUP}\ndef main():\n    return [{value}]", timeout_ms=5000)
    assert answer.status == 422 and answer.code in ("result_not_json", "timeout"), answer
    assert "broke the runner" not in answer.error["message"]
