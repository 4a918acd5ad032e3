"""What `main()` returned, as JSON: fast where it is plain, and otherwise slowly, with the place that has no form named.

What has a form: JSON's own types and what derives from them, NumPy's scalars and arrays but those of times, the values of
enumerations, and read-only views of dicts. With `nan` in the request, NaN, infinities and pandas' words for what is missing
are null. All else is refused.
"""

from enum import Enum

from .captured import json_encoder, json_string, sys_modules
from .texts import a, name_of

DEEPEST = 128
INFINITY = float("inf")
DictView = type(type.__dict__)


class NotJson(Exception):
    """A value without a JSON form, at a path inside the result: the `culprit`, of the containers `above`."""

    def __init__(self, path, what, hint=None, culprit=(), above=()):
        super().__init__(what)
        self.path, self.what, self.hint = path, what, hint
        self.culprit, self.above = culprit, above


def encode_result(value, nan=None):
    try:
        return dump(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        pass
    # Slowly: convert what can be converted, name what cannot.
    try:
        return dump(plain(value, "", 0, [], nan == "null"))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise NotJson("", f"something that pretends to be what it is not ({name_of(error)})") from None


def dump(value):
    # A new encoder each time: a failed run leaves its marks against circular references behind.
    encode = json_encoder({}, default, json_string, None, ":", ",", False, False, False)
    return "".join(encode(value, 0)).encode("utf-8")


def default(value):
    converted = as_python(value)
    if converted is value:
        raise TypeError
    return converted


def as_python(value):
    """Python's own in place of what says the same in another type; anything else as it is."""
    kind, numpy = type(value), sys_modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.generic, numpy.ndarray)):
        return value if of_times(getattr(value, "dtype", None)) else value.tolist()
    if issubclass(kind, Enum):
        return value.value
    if kind is DictView and "__module__" not in value:  # those of a class are no data
        return dict(value)
    return value


def of_times(dtype):
    """Whether NumPy would give bare numbers for times: which, it depends on their unit."""
    kinds = [dtype, *(field[0].base for field in (getattr(dtype, "fields", None) or {}).values())]
    return any(getattr(kind, "kind", "V") in "mM" for kind in kinds)


def is_missing(value):
    """Whether a value is pandas' or NumPy's word for one that is not there."""
    pandas, numpy = sys_modules.get("pandas"), sys_modules.get("numpy")
    if value is getattr(pandas, "NA", ...) or value is getattr(pandas, "NaT", ...):
        return value is not ...
    return type(value) in (getattr(numpy, "datetime64", ...), getattr(numpy, "timedelta64", ...)) and numpy.isnat(value)


def plain(value, path, depth, above, null=False):
    converted = as_python(value)
    while type(converted) is not type(value):
        if type(converted) is list:
            above = [*above, value]  # the array itself, for what is said of its numbers
        value, converted = converted, as_python(converted)
    kind = type(value)
    if value is None or issubclass(kind, (bool, int)):
        return value
    if issubclass(kind, float):
        return plain_float(value, path, above, null)
    if issubclass(kind, str):
        return plain_text(value, path)
    if not issubclass(kind, (dict, list, tuple)):
        return None if null and is_missing(value) else refuse(value, path, above)
    if depth >= DEEPEST:
        raise NotJson(path[:200], f"nested deeper than {DEEPEST} levels", "flatten it")
    if any(value is outer for outer in above):
        raise NotJson(path, "a reference to what it is inside of (circular)", "leave it out, or put what names it there, such as an id")
    above.append(value)
    try:
        if issubclass(kind, dict):
            return {plain_key(key, path): plain(item, f"{path}[{show_key(key)}]", depth + 1, above, null) for key, item in value.items()}
        return [plain(item, f"{path}[{index}]", depth + 1, above, null) for index, item in enumerate(value)]
    finally:
        above.pop()


def refuse(value, path, above):
    dimensions = getattr(value, "ndim", 0) if type(value) is getattr(sys_modules.get("numpy"), "ndarray", ...) else 0
    if dimensions and value.dtype.kind in "mM":
        raise NotJson(path + "[0]" * dimensions, a(type(value.flat[0] if value.size else value.dtype).__name__), None, (value,))
    raise NotJson(path, a(name_of(value)), None, (value,), (*above,))


def plain_float(value, path, above, null):
    if value != value or value in (INFINITY, -INFINITY):
        if null:
            return None
        raise NotJson(path, "NaN" if value != value else "infinite", None, (value,), (*above,))
    return value


def plain_text(value, path):
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        hint = 'return value.encode("utf-8", "replace").decode()'
        raise NotJson(path, "text with a lone surrogate", hint) from None
    return value


def plain_key(key, path):
    key = as_python(key)
    kind = type(key)
    text = 'key.decode("utf-8", "replace")' if issubclass(kind, bytes) else "str(key)"
    hint = f"return {{{text}: item for key, item in value.items()}}"
    if key is not None and not issubclass(kind, (str, int, float)):
        raise NotJson(path, f"a dict with {a(name_of(key))} as key", hint)
    if issubclass(kind, float) and (key != key or key in (INFINITY, -INFINITY)):
        raise NotJson(path + ".keys()", "NaN" if key != key else "infinite", hint)
    return plain(key, path + ".keys()", 0, [])


def show_key(key):
    text = repr(key) if not isinstance(key, str) else json_string(key)
    return text if len(text) <= 80 else text[:77] + "..."
