"""What to return in place of a value without a JSON form: Python that is right for this very value, or else words.

`value` in it is what the path leads to, or what holds that where it is a number; frames are `df`, series `series`, indexes
`index` and arrays `array`, as people call them.
"""

import itertools

from .frames import AS_LIST, AS_RECORDS, MOST_LOOKED_AT, for_arrow, for_frame, for_groups, for_index, for_pandas_array, for_polars, for_polars_series, for_series, is_plain
from .texts import a, name_of, text_of, type_line, type_module, type_name

IN_THE_REQUEST = '  # or "nan": "null" in the request, which does it at every depth'
IN_MAIN = "  # in an async def main()"
CALL_IT = "did you mean to call it?"
AS_TEXT = "return str(value)"
OPAQUE = "return what main() is to tell of it, as dicts, lists, text, numbers, True, False and None"


def hint_for(value, above=()):
    """What is said of a value, inside of the containers `above`."""
    try:
        if isinstance(value, float):
            return for_number(value, above)
        return for_value(value)
    except BaseException:  # a hostile value; what it hides is its own loss
        return OPAQUE


def for_value(value):
    for kind in type_line(type(value)):
        hint = HINTS.get(f"{str(type_module(kind)).partition('.')[0]}.{type_name(kind)}")
        if hint is not None:
            return hint if isinstance(hint, str) else hint(value)
    for name, hint in BY_ATTRIBUTE:
        if has(value, name):
            return hint
    return for_object(value)


def has(value, name):
    """Whether a value's type has an attribute, without asking the value."""
    return any(name in vars(kind) for kind in type_line(type(value)))


def for_number(value, above):
    """What to do about NaN and infinities, by what holds them."""
    holder = above[-1] if above else None
    arrays = [outer for outer in above if name_of(outer) == "ndarray"]
    if arrays and arrays[-1].dtype.kind == "f":
        return "import numpy; return numpy.where(numpy.isfinite(array), array, None).tolist()" + IN_THE_REQUEST
    if holder is None:
        return "import math; return value if math.isfinite(value) else None" + IN_THE_REQUEST
    item = "None if isinstance(item, float) and not math.isfinite(item) else item"
    if isinstance(holder, dict):
        each = f"{{key: {item} for key, item in %s.items()}}"
        rows = len(above) > 1 and isinstance(above[-2], list)
        return "import math; return " + (f"[{each % 'row'} for row in value]" if rows else each % "value") + IN_THE_REQUEST
    return f"import math; return [{item} for item in value]" + IN_THE_REQUEST


def for_set(value):
    kinds = {type(item) for item in itertools.islice(value, MOST_LOOKED_AT)}
    return "return sorted(value)" if kinds <= {int, float} or kinds == {str} else AS_LIST


def for_bytes(value):
    try:
        value.decode()
        return "return value.decode()"
    except UnicodeDecodeError:
        return "import base64; return base64.b64encode(value).decode()"


def for_match(value):
    if value.re.groupindex:
        return "return value.groupdict()"
    return "return [value.group(), *value.groups()]" if value.re.groups else "return value.group()"


def for_type(value):
    return "return [member.value for member in value]" if has(value, "__members__") else "return value.__name__"


def for_file(value):
    return "return value.getvalue()" if has(value, "getvalue") else "return what was read from it: value.read()"


def for_buffer(value):
    return for_bytes(value.getvalue()).replace("value", "value.getvalue()")


def for_array(array):
    """Arrays and scalars of NumPy's that are not converted: of times, or of numbers that Python has not."""
    import numpy

    kind, whole = array.dtype.kind, bool(getattr(array, "ndim", 0))
    if kind == "V":
        return "return {name: array[name].astype(str).tolist() for name in array.dtype.names}"
    if kind not in "mM":
        return "return float(value)" if kind == "f" else AS_TEXT
    missing = numpy.isnat(array).any()
    if not whole:
        known = AS_TEXT if kind == "M" else 'import numpy; return (value / numpy.timedelta64(1, "s")).tolist()  # seconds'
        return MISSING if missing else known
    texts = "array.astype(str)" if kind == "M" else '(array / numpy.timedelta64(1, "s"))'
    if missing:
        texts = f"numpy.where(numpy.isnat(array), None, {texts})"
    return ("import numpy; " if "numpy." in texts else "") + f"return {texts}.tolist()" + ("  # seconds" if kind == "m" else "")


def for_view(value):
    """The attributes of a class, which are in no dict of their own."""
    if "_member_map_" in value:
        return 'return {name: member.value for name, member in value["_member_map_"].items()}'
    return 'return {name: item for name, item in value.items() if not name.startswith("_")}'


def for_object(value):
    if name_of(value) == "main":
        return "main is a class, so what came back is an object of it: make main a function that returns " + OPAQUE[len("return what main() is to tell of it, as "):]
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict and attributes and not any(key.startswith("_") for key in attributes):
        if is_plain(attributes):
            return "return vars(value)"
    names = vars(type(value)).get("__slots__", ())
    names = [name for name in ([names] if isinstance(names, str) else names) if hasattr(value, name) and name.isidentifier()]
    if names:
        return f"return {{{', '.join(f'{name!r}: value.{name}' for name in names)}}}"
    if any("__str__" in vars(kind) or "__repr__" in vars(kind) for kind in type_line(type(value))[:-1]):
        return OPAQUE if " at 0x" in text_of(value) else AS_TEXT
    told = ", ".join(f"value.{name}" for name in [*(attributes or ())][:8] if isinstance(name, str) and name.isidentifier())
    return OPAQUE + (f"; {a(name_of(value))} has {told}" if told else "")


MISSING = "return None" + IN_THE_REQUEST
SOON = "import itertools; return list(itertools.islice(value, 100))  # it has no end of its own"

# By the first name of a type's module and its own; those that it derives from after it.
HINTS = {
    "builtins.bytearray": for_bytes, "builtins.bytes": for_bytes, "builtins.memoryview": "return value.tolist()",
    "builtins.complex": "return [value.real, value.imag]", "builtins.dict_items": "return {str(key): item for key, item in value}",
    "builtins.mappingproxy": for_view, "builtins.set": for_set, "builtins.frozenset": for_set, "builtins.type": for_type, "builtins.module": "return value.__name__",
    "builtins.function": CALL_IT, "builtins.method": CALL_IT, "builtins.builtin_function_or_method": CALL_IT, "functools.partial": CALL_IT,
    "builtins.coroutine": "return await value" + IN_MAIN, "_asyncio.Task": "return await value" + IN_MAIN, "_asyncio.Future": "return await value" + IN_MAIN,
    "builtins.async_generator": "return [item async for item in value]" + IN_MAIN, "concurrent.Future": "return value.result()",
    "builtins.BaseException": "return repr(value)", "builtins.GenericAlias": AS_TEXT, "types.GenericAlias": AS_TEXT,
    "re.Match": for_match, "re.Pattern": "return value.pattern",
    "datetime.date": "return value.isoformat()", "datetime.time": "return value.isoformat()",
    "datetime.timedelta": "return value.total_seconds()", "datetime.tzinfo": AS_TEXT,
    "decimal.Decimal": "return str(value)  # or float(value), with fewer digits", "fractions.Fraction": "return str(value)  # or float(value)",
    "uuid.UUID": AS_TEXT, "pathlib.PurePath": AS_TEXT, "ipaddress._IPAddressBase": AS_TEXT,
    "itertools.count": SOON, "itertools.cycle": SOON, "itertools.repeat": SOON,
    "_io.StringIO": for_file, "_io.BytesIO": for_buffer, "_io._IOBase": for_file, "_csv.writer": OPAQUE,
    "collections.UserString": AS_TEXT, "collections.UserList": AS_LIST, "array.array": "return value.tolist()",
    "numpy.generic": for_array, "numpy.ndarray": for_array,
    "pandas.NaTType": MISSING, "pandas.NAType": MISSING, "pandas.Period": AS_TEXT, "pandas.Interval": AS_TEXT,
    "pandas.DataFrame": for_frame, "pandas.Series": for_series, "pandas.Index": for_index, "pandas.ExtensionArray": for_pandas_array,
    "pandas.BaseGroupBy": for_groups, "pandas.BaseWindow": "return what comes of the windows, such as value.mean(), as a list", "pandas.BaseOffset": "return value.freqstr", "pandas.Styler": "return value.data" + AS_RECORDS[2:],
    "polars.DataFrame": for_polars, "polars.LazyFrame": "import json; return json.loads(value.collect().write_json())", "polars.Series": for_polars_series,
    "pyarrow.Table": for_arrow, "pyarrow.RecordBatch": for_arrow, "pyarrow.Array": for_arrow, "pyarrow.ChunkedArray": for_arrow, "pyarrow.Scalar": for_arrow,
    "xml.Element": 'import xml.etree.ElementTree; return xml.etree.ElementTree.tostring(value, encoding="unicode")',
    "matplotlib.Figure": 'value.savefig("out/figure.png"); return "figure.png"  # which comes back in files',
    "matplotlib.Artist": 'value.figure.savefig("out/figure.png"); return "figure.png"  # which comes back in files',
    "PIL.Image": 'value.save("out/image.png"); return "image.png"  # which comes back in files',
}

# By what a type has, first that which says most.
BY_ATTRIBUTE = (
    ("model_dump", 'return value.model_dump(mode="json")'),
    ("__dataclass_fields__", "import dataclasses; return dataclasses.asdict(value)"),
    ("__attrs_attrs__", "import attr; return attr.asdict(value)"),
    ("__await__", "return await value" + IN_MAIN),
    ("__anext__", "return [item async for item in value]" + IN_MAIN),
    ("__next__", AS_LIST),
    ("toarray", "return value.toarray().tolist()"),
    ("tolist", "return value.tolist()"),
    ("to_pylist", "return value.to_pylist()"),
    ("keys", "return dict(value)"),
    ("__iter__", AS_LIST),
)
