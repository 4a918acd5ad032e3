"""The part `encode`: results at their edges."""

import dataclasses
import datetime
import decimal
import pathlib
import types
import uuid
from enum import Enum, IntEnum

import pytest

from runner import encode
from runner.encode import DEEPEST, NotJson, dump, encode_result
from runner.report import hint_of


def refused(value):
    with pytest.raises(NotJson) as raised:
        encode_result(value)
    raised.value.hint = hint_of(raised.value)
    return raised.value


@pytest.mark.parametrize(("value", "expected"), [
    (None, b"null"), (True, b"true"), (0, b"0"), (-0.0, b"-0.0"), (1e22, b"1e+22"), (5e-324, b"5e-324"), (0.1, b"0.1"),
    ("", b'""'), ("\u2028\x7f\0\"\\/", "\"\u2028\x7f\\u0000\\\"\\\\/\"".encode()), ("\U0001f600", "\"\U0001f600\"".encode()),
    ([], b"[]"), ((), b"[]"), ({}, b"{}"), ([[], {}], b"[[],{}]"),
])
def test_plain_values(value, expected):
    assert encode_result(value) == expected


def test_a_number_of_many_digits():
    assert encode_result([2**400, -(2**64)]) == f"[{2**400},-18446744073709551616]".encode()


def test_subclasses_are_what_they_are_kinds_of():
    class Colour(IntEnum):
        RED = 3

    class Name(str):
        pass

    assert encode_result([Colour.RED, Name("n"), {Name("k"): Colour.RED}]) == b'[3,"n",{"k":3}]'


@pytest.mark.parametrize(("key", "expected"), [
    (1, b'{"1":0}'), (1.5, b'{"1.5":0}'), (True, b'{"true":0}'), (None, b'{"null":0}'), ("ä", '{"ä":0}'.encode()),
])
def test_keys_as_json_has_them(key, expected):
    assert encode_result({key: 0}) == expected


@pytest.mark.parametrize(("key", "what"), [
    ((1, 2), "a dict with a tuple as key"), (b"k", "a dict with a bytes as key"), (frozenset(), "a dict with a frozenset as key"),
])
def test_keys_that_it_has_not(key, what):
    error = refused([{key: 1}])
    assert (error.path, error.what) == ("[0]", what) and ("key.decode(" if key == b"k" else "str(key)") in error.hint


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "NaN"), (float("inf"), "infinite"), (float("-inf"), "infinite")])
def test_numbers_that_are_none(value, what):
    error = refused({"a": [0, value]})
    assert (error.path, error.what) == ('["a"][1]', what) and '"nan": "null"' in error.hint


def test_a_key_that_is_not_a_number_is_named_as_one():
    assert refused({"a": {float("nan"): 1}}).path == '["a"].keys()'


@pytest.mark.parametrize(("value", "path"), [("\ud800", ""), (["x\udfff"], "[0]"), ({"k": "\udc00"}, '["k"]'), ({"\ud800": 1}, ".keys()")])
def test_lone_surrogates(value, path):
    error = refused(value)
    assert (error.path, error.what) == (path, "text with a lone surrogate") and '"replace"' in error.hint


def nested(levels, inner=1):
    for _ in range(levels):
        inner = [inner]
    return inner


def test_the_slow_way_takes_the_deepest_and_nothing_deeper():
    assert encode.plain(nested(DEEPEST), "", 0, []) == nested(DEEPEST)
    error = refused(nested(DEEPEST + 1, inner={1}))
    assert error.what == f"nested deeper than {DEEPEST} levels" and error.hint == "flatten it" and len(error.path) <= 200


def test_what_is_far_too_deep_is_told_and_does_not_end_the_interpreter():
    assert refused(nested(50_000)).what == f"nested deeper than {DEEPEST} levels"


def test_circles_are_named_and_what_is_there_twice_is_none():
    circle = {"a": []}
    circle["a"].append(circle)
    error = refused(circle)
    assert (error.path, error.what) == ('["a"][0]', "a reference to what it is inside of (circular)")
    shared = [1]
    assert encode_result([shared, shared]) == b"[[1],[1]]"


def test_a_failure_leaves_nothing_behind_for_the_next():
    value = [{1}]
    refused(value)
    value[0] = 2
    assert encode_result(value) == b"[2]"


@dataclasses.dataclass
class Point:
    x: int = 1


class Bare:
    __slots__ = ()


def generator():
    yield 1


@pytest.mark.parametrize(("value", "what", "hint"), [
    ({1}, "a set", "sorted(value)"), (b"x", "a bytes", "value.decode()"), (b"\xff", "a bytes", "base64.b64encode(value)"), (1j, "a complex", "value.real"), (range(3), "a range", "list(value)"),
    (decimal.Decimal(1), "a Decimal", "str(value)"), (datetime.date(2024, 1, 1), "a date", "isoformat"),
    (datetime.timedelta(1), "a timedelta", "total_seconds"), (uuid.UUID(int=1), "an UUID", "str(value)"), (pathlib.PosixPath("/"), "a PosixPath", "str(value)"),
    ({}.items(), "a dict_items", "for key, item in value}"), (generator(), "a generator", "list(value)"), (iter([]), "a list_iterator", "list(value)"),
    (len, "a builtin_function_or_method", "call it"), (generator, "a function", "call it"), (Point(), "a Point", "dataclasses.asdict"),
    (types.SimpleNamespace(a=1), "a SimpleNamespace", "vars(value)"), (Bare(), "a Bare", "what main() is to tell of it"),
])
def test_what_could_be_done_about_a_value_that_is_no_json(value, what, hint):
    error = refused(value)
    assert error.what == what and hint in error.hint


def test_long_keys_are_shortened_in_paths():
    assert len(refused({"k" * 500: {1}}).path) == 82
    assert refused({1: {2}}).path == "[1]" and refused({'"': {2}}).path == '["\\""]'


def test_numpy_s_own_are_python_s():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.arange(3), "b": numpy.float64(1.5), "c": numpy.bool_(True), numpy.int64(7): numpy.array([["x"]])}
    assert encode_result(value) == b'{"a":[0,1,2],"b":1.5,"c":true,"7":[["x"]]}'
    assert refused(numpy.array([1.0, float("nan")])).path == "[1]"


def test_a_stand_in_for_numpy_is_asked_only_where_there_is_one(monkeypatch):
    class Generic:
        def tolist(self):
            return [1, (2,)]

    monkeypatch.setitem(encode.sys_modules, "numpy", types.SimpleNamespace(generic=Generic, ndarray=Generic))
    assert encode_result([Generic()]) == b"[[1,[2]]]"
    monkeypatch.setitem(encode.sys_modules, "numpy", None)
    assert refused([Generic()]).what == "a Generic"


def test_a_container_that_lies_is_told_of_and_never_believed():
    class Odd(dict):
        def items(self):
            return 5

    assert "pretends to be what it is not (TypeError)" in refused(Odd(a=1)).what


def test_floats_are_written_by_python_and_not_by_the_value():
    class Liar(float):
        def __repr__(self):
            return "}{"

    assert dump([Liar(4)]) == b"[4.0]"


@pytest.mark.parametrize(("value", "expected"), [
    (float("nan"), b"null"), ([1.5, float("inf"), {"a": (float("-inf"),)}], b'[1.5,null,{"a":[null]}]'), ({"nan": "nan"}, b'{"nan":"nan"}'),
])
def test_with_nan_as_null_numbers_that_are_none_are_null_at_every_depth(value, expected):
    assert encode_result(value, "null") == expected
    assert encode_result([1], "null") == b"[1]"


def test_with_nan_as_null_what_is_missing_is_null_and_all_else_is_refused_as_ever():
    numpy = pytest.importorskip("numpy")
    value = [numpy.array([[1.0, numpy.nan]]), numpy.datetime64("NaT"), numpy.float32("inf")]
    assert encode_result(value, "null") == b"[[[1.0,null]],null,null]"
    for other in ({1}, {float("nan"): 1}, ..., numpy.datetime64("2024-01-01")):
        with pytest.raises(NotJson):
            encode_result([other], "null")


def test_pandas_words_for_what_is_missing_are_null(monkeypatch):
    missing = types.SimpleNamespace(NA=object(), NaT=object())
    monkeypatch.setitem(encode.sys_modules, "pandas", missing)
    assert encode_result([missing.NA, {"t": missing.NaT}], "null") == b'[null,{"t":null}]'
    assert refused([missing.NA]).path == "[0]"


class Shade(Enum):
    DARK = "dark"
    BOTH = (1, 2)


def test_values_of_enumerations_and_views_of_dicts_are_what_they_hold():
    assert encode_result({Shade.DARK: [Shade.DARK, Shade.BOTH], "view": types.MappingProxyType({"a": Shade.DARK})}) == b'{"dark":["dark",[1,2]],"view":{"a":"dark"}}'
    assert refused(vars(Shade)).what == "a mappingproxy"


@pytest.mark.parametrize("attributes", [
    {"__class__": property(lambda self: 1 / 0)}, {"__getattribute__": lambda self, name: 1 / 0}, {"__repr__": lambda self: 1 / 0},
    {"__getattr__": lambda self, name: self}, {"__dict__": property(lambda self: 1 / 0)}, {"__module__": 5}, {"__slots__": "odd"},
])
def test_a_hostile_value_is_named(attributes):
    error = refused([type("Odd", (), attributes)()])
    assert error.what == "an Odd" and error.hint


def test_a_hostile_metaclass_hides_nothing_but_its_own_words():
    class Meta(type):
        __name__ = __module__ = __mro__ = property(lambda self: 1 / 0)

        def __instancecheck__(self, other):
            raise SystemExit

        __subclasscheck__ = __instancecheck__

    assert refused(Meta("Odd", (), {})()).what == "an Odd"
