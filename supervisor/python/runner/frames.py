"""What to return in place of a frame, a series or another table, with what it holds in mind; by the names that hints.py has."""

from .encode import NotJson, dump, plain
from .texts import name_of, type_name

MOST_LOOKED_AT = 100_000
NESTED = (list, tuple, dict, set, frozenset)
SCALARS = (str, int, float, bool, type(None))
AS_RECORDS = 'df.to_dict("records")'
AS_LIST = "return list(value)"
WITHOUT_NUMBERS = 'df = df.replace([float("inf"), float("-inf")], float("nan")); '

# What is text in JSON as its own str() has it.
TEXTS = frozenset("date datetime time Timestamp Timedelta timedelta Period Interval Decimal Fraction UUID PosixPath PurePosixPath".split())


def is_plain(value):
    """Whether a value has a form in JSON as it is."""
    try:
        dump(plain(value, "", 0, []))
    except (NotJson, TypeError, ValueError, RecursionError, OverflowError):
        return False
    return True


def by_json(text):
    """What gives lists and dicts with texts in place of what has no form at any depth, and None in place of NaN."""
    number = 'item.tolist() if getattr(getattr(item, "dtype", None), "kind", "M") not in "mM"'
    item = f'list(item) if hasattr(item, "__iter__") else {number} else {{"NaT": None, "<NA>": None}}.get(str(item), str(item))'
    return f"import json; return json.loads(json.dumps({text}, default=lambda item: {item}), parse_constant=lambda name: None)"


def split(df):
    if df.size < MOST_LOOKED_AT and is_plain(df.to_dict("split")):
        return 'return df.to_dict("split")'
    return by_json('df.astype(object).where(df.notna(), None).to_dict("split")')


def for_frame(df):
    hint = for_flat_frame(df)
    cells = [item for _, column in df.items() if column.dtype == object for item in column.head(MOST_LOOKED_AT)]
    nested = [item for item in cells if isinstance(item, NESTED) or name_of(item) == "ndarray"]
    if "json.loads" in hint or "split" in hint or is_plain(nested):
        return hint
    before, _, last = hint.rpartition("return ")
    return before + by_json(last)


def for_flat_frame(df):
    labels = [*df.columns]
    if not df.columns.is_unique or df.columns.nlevels > 1 or not all(isinstance(label, str) for label in labels):
        return split(df)
    before = ""
    if name_of(df.index) != "RangeIndex":
        if not {*df.index.names}.isdisjoint(labels) or {"index", "level_0"} & {*labels}:
            return split(df)
        before, df = "df = df.reset_index(); ", df.reset_index()
    texts = [label for label in df.columns if is_text_in_json(df[label])]
    if texts:
        before += f"df = df.astype({dict.fromkeys(texts, 'str')!r}); "
    if any(is_endless(df[label]) for label in df.columns):
        before += WITHOUT_NUMBERS
        missing = True
    else:
        missing = bool(df.isna().to_numpy().any())
    if missing:
        return before + "return df.astype(object).where(df.notna(), None)" + AS_RECORDS[2:]
    return f"{before}return {AS_RECORDS}"


def is_text_in_json(column):
    """Whether the values of a column, or of an index, are times and their like, which are text in JSON."""
    if getattr(column.dtype, "kind", "O") in "mM":
        return True
    if name_of(column.dtype) == "CategoricalDtype":
        return is_text_in_json(column.dtype.categories)
    kinds = {type(item) for item in column.head(MOST_LOOKED_AT)} if column.dtype == object and hasattr(column, "head") else set()
    plain_kinds = {kind for kind in kinds if issubclass(kind, (*SCALARS, list, dict))}
    texts = {type_name(kind) for kind in kinds - plain_kinds} - {"NAType", "NaTType"}
    return name_of(column.dtype) in ("PeriodDtype", "IntervalDtype") or bool(texts) and texts <= TEXTS


def is_endless(column):
    return getattr(column.dtype, "kind", "O") == "f" and bool(column.isin([float("inf"), float("-inf")]).any())


def for_series(series):
    before = 'series = series.astype("str"); ' if is_text_in_json(series) else ""
    if is_endless(series):
        before += WITHOUT_NUMBERS.replace("df", "series")
    if before or series.isna().any():
        before += "series = series.astype(object).where(series.notna(), None); "
    if name_of(series.index) == "RangeIndex":
        return before + "return series.to_list()"
    if not series.index.is_unique:
        return before + "return [[str(key), item] for key, item in series.items()]"
    if all(isinstance(key, SCALARS) for key in series.index):
        return before + "return series.to_dict()"
    return before + "return {str(key): item for key, item in series.items()}"


def for_index(index):
    before = "index = index.astype(str); " if is_text_in_json(index) else ""
    if name_of(index) != "MultiIndex" and index.isna().any():
        before += "index = index.astype(object).where(index.notna(), None); "
    return before + "return index.to_list()"


def for_pandas_array(value):
    item = "str(item)" if is_text_in_json(value) else "item"
    if value.isna().any():
        return f"return [None if missing else {item} for item, missing in zip(value, value.isna())]"
    return AS_LIST if item == "item" else "return [str(item) for item in value]"


def for_groups(value):
    name = "series" if name_of(value.obj) == "Series" else "df"
    last = ".to_list()" if name == "series" else AS_RECORDS[2:]
    small = value.obj.size < MOST_LOOKED_AT
    if small and is_plain([group.to_list() if name == "series" else group.to_dict("records") for _, group in value]):
        given = f"return {{str(name): {name}{last} for name, {name} in value}}"
    else:
        whole = f"{name}.astype(object).where({name}.notna(), None){last}"
        given = by_json(f"{{str(name): {whole} for name, {name} in value}}")
    return f"{given}  # or what comes of each group, such as value.sum()"


def for_polars(df):
    plain_kinds = ("Int", "UInt", "Float", "String", "Utf8", "Boolean")
    numbers = [column for column in df.get_columns() if str(column.dtype).startswith("Float")]
    if all(str(kind).startswith(plain_kinds) for kind in df.dtypes) and all(column.is_finite().all() for column in numbers):
        return "return df.to_dicts()"
    return "import json; return json.loads(df.write_json())"


def for_polars_series(series):
    if series.len() < MOST_LOOKED_AT and is_plain(series.to_list()):
        return "return series.to_list()"
    return "import json; return [item for row in json.loads(series.to_frame().write_json()) for item in row.values()]"


def for_arrow(value):
    """Arrow's own: as lists, unless there is more in it than JSON knows."""
    rows = "value.as_py()" if hasattr(value, "as_py") else "value.to_pylist()"
    size = 0 if hasattr(value, "as_py") else len(value)
    if size < MOST_LOOKED_AT and is_plain(value.as_py() if hasattr(value, "as_py") else value.to_pylist()):
        return f"return {rows}"
    hint = by_json(rows)
    if "binary" not in str(getattr(value, "schema", None) or value.type):
        return hint
    known = "base64.b64encode(item).decode() if isinstance(item, bytes) else "
    return "import base64; " + hint.replace("lambda item: ", f"lambda item: {known}")
