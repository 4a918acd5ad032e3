"""What `main()` returned, as JSON: fast where it is plain, and otherwise slowly, with the place that has no form named."""

from .captured import json_encoder, json_string, sys_modules
from .texts import a

DEEPEST = 128


class NotJson(Exception):
    """A value without a JSON form, at a path inside the result."""

    def __init__(self, path, what, hint=None):
        super().__init__(what)
        self.path, self.what, self.hint = path, what, hint


def encode_result(value):
    try:
        return dump(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        # Slowly: convert what can be converted, name what cannot.
        try:
            return dump(plain(value, "", 0, []))
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            raise NotJson("", f"something that pretends to be what it is not ({type(error).__name__})") from None


def dump(value):
    # A new encoder each time: a failed run leaves its marks against circular references behind.
    encode = json_encoder({}, default, json_string, None, ":", ",", False, False, False)
    return "".join(encode(value, 0)).encode("utf-8")


def default(value):
    converted = from_numpy(value)
    if converted is value:
        raise TypeError
    return converted


def from_numpy(value):
    """NumPy's scalars and arrays as Python's own; anything else as it is."""
    numpy = sys_modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
        return value.tolist()
    return value


def plain(value, path, depth, above):
    converted = from_numpy(value)
    if converted is not value and type(converted) is not type(value):
        value = converted
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return plain_float(value, path)
    if isinstance(value, str):
        return plain_text(value, path)
    if not isinstance(value, (dict, list, tuple)):
        raise NotJson(path, a(type(value).__name__), hint_for(value))
    if depth >= DEEPEST:
        raise NotJson(path[:200], f"nested deeper than {DEEPEST} levels", "flatten it")
    if any(value is outer for outer in above):
        raise NotJson(path, "a reference to what it is inside of (circular)")
    above.append(value)
    try:
        if isinstance(value, dict):
            return {plain_key(key, path): plain(item, f"{path}[{show_key(key)}]", depth + 1, above) for key, item in value.items()}
        return [plain(item, f"{path}[{index}]", depth + 1, above) for index, item in enumerate(value)]
    finally:
        above.pop()


def plain_float(value, path):
    if value != value or value in (float("inf"), float("-inf")):
        hint = "use None for missing values, e.g. df.where(df.notna(), None)"
        raise NotJson(path, "NaN" if value != value else "infinite", hint)
    return value


def plain_text(value, path):
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        hint = 'value.encode("utf-8", "replace").decode()'
        raise NotJson(path, "text with a lone surrogate", hint) from None
    return value


def plain_key(key, path):
    key = from_numpy(key)
    if key is not None and not isinstance(key, (str, int, float, bool)):
        raise NotJson(path, f"a dict with {a(type(key).__name__)} as key", "use str(key)")
    return plain(key, path + ".keys()", 0, [])


def show_key(key):
    text = repr(key) if not isinstance(key, str) else json_string(key)
    return text if len(text) <= 80 else text[:77] + "..."


HINTS = {
    "DataFrame": 'return df.to_dict("records")',
    "Series": "return series.to_list() or series.to_dict()",
    "Index": "return index.to_list()",
    "Timestamp": "return value.isoformat()",
    "Timedelta": "return value.total_seconds()",
    "datetime": "return value.isoformat()",
    "date": "return value.isoformat()",
    "time": "return value.isoformat()",
    "timedelta": "return value.total_seconds()",
    "set": "return sorted(value) or list(value)",
    "frozenset": "return sorted(value) or list(value)",
    "bytes": "return value.decode() or base64.b64encode(value).decode()",
    "bytearray": "return value.decode() or base64.b64encode(value).decode()",
    "Decimal": "return str(value) or float(value)",
    "Fraction": "return str(value) or float(value)",
    "complex": "return [value.real, value.imag]",
    "UUID": "return str(value)",
    "PosixPath": "return str(value)",
    "generator": "return list(value)",
    "range": "return list(value)",
    "map": "return list(value)",
    "filter": "return list(value)",
    "zip": "return list(value)",
    "deque": "return list(value)",
    "dict_keys": "return list(value)",
    "dict_values": "return list(value)",
    "dict_items": "return dict(value)",
    "function": "did you mean to call it?",
    "method": "did you mean to call it?",
    "builtin_function_or_method": "did you mean to call it?",
    "async_generator": "return [item async for item in value]",
}


def hint_for(value):
    kind = type(value)
    if kind.__name__ in HINTS:
        return HINTS[kind.__name__]
    if hasattr(kind, "__dataclass_fields__"):
        return "return dataclasses.asdict(value)"
    if hasattr(kind, "__next__"):
        return "return list(value)"
    return "return vars(value)" if hasattr(value, "__dict__") else "return str(value)"
