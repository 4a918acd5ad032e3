"""A script that tells everything that modules remember: each plain value that is found from a module's globals, by its path.

`main(names)` imports these modules first. Values that are unlike each time for good reasons, such as addresses, are told all
the same; who compares judges. The report is a file, for it is large.
"""

import base64
import json
import re
import zlib

SCRIPT = r'''
import importlib, json, os, pathlib, re, sys, types, zlib

PLAIN = (str, bytes, int, float, pathlib.PurePath)
MOST, DEEPEST = 2_000_000, 6

def main(names):
    for name in names:
        importlib.import_module(name)
    report, seen, count = {}, set(), 0
    todo = [(name, module, 0) for name, module in sorted(sys.modules.items()) if name not in ("__main__", "__mp_main__") and module is not None]
    while todo and count < MOST:
        path, thing, depth = todo.pop()
        if isinstance(thing, PLAIN) and not isinstance(thing, bool):
            report[path] = told(repr(thing))
            count += 1
            continue
        if id(thing) in seen or depth > DEEPEST:
            continue
        seen.add(id(thing))
        if isinstance(thing, types.ModuleType):
            if depth == 0:
                todo += [(f"{path}.{name}", value, 1) for name, value in list(vars(thing).items()) if name not in ("__builtins__", "__doc__")]
        elif isinstance(thing, dict):
            todo += [(f"{path}[{key!r:.80}]", value, depth + 1) for key, value in list(dict.items(thing))[:3000]]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            items = sorted(thing, key=repr) if isinstance(thing, (set, frozenset)) else thing
            todo += [(f"{path}[{at}]", value, depth + 1) for at, value in enumerate(list(items)[:3000])]
        elif isinstance(thing, types.FunctionType):
            todo += [(f"{path}()[{at}]", cell.cell_contents, depth + 1) for at, cell in enumerate(thing.__closure__ or ()) if filled(cell)]
            todo += [(f"{path}.__dict__", thing.__dict__, depth + 1), (f"{path}.__defaults__", thing.__defaults__, depth + 1)]
        elif isinstance(thing, type):
            todo += [(f"{path}.{name}", value, depth + 1) for name, value in list(vars(thing).items()) if name not in ("__doc__", "__dict__", "__weakref__")]
        else:
            own = getattr(type(thing), "__dict__", {}).get("__dict__") is not None or hasattr(thing, "__dict__")
            try:
                values = object.__getattribute__(thing, "__dict__") if own else {}
            except AttributeError:
                values = {}
            if isinstance(values, dict):
                todo += [(f"{path}.{name}", value, depth + 1) for name, value in list(values.items())]
            for kind in type(thing).__mro__:
                slots = vars(kind).get("__slots__", ())
                for name in [slots] if isinstance(slots, str) else list(slots):
                    member = vars(kind).get(name)
                    if isinstance(member, types.MemberDescriptorType):
                        try:
                            todo.append((f"{path}.{name}", member.__get__(thing), depth + 1))
                        except AttributeError:
                            pass
    pathlib.Path("out").mkdir(exist_ok=True)
    pathlib.Path("out/facts").write_bytes(zlib.compress(json.dumps(report).encode(errors="backslashreplace")))
    return {"values": count, "pid": os.getpid(), "modules": len(sys.modules)}

def told(text):
    """The whole of it: where it is long, so that texts put together from sets are told alike."""
    if len(text) <= 300:
        return text
    letters = "".join(sorted(re.sub("0x[0-9a-f]{6,}", "", text)))
    return f"{len(letters)} letters, {zlib.crc32(letters.encode(errors='backslashreplace'))}: {text[:100]}"

def filled(cell):
    try:
        cell.cell_contents
        return True
    except ValueError:
        return False
'''


def facts(client, names, **fields):
    """What modules of these names, and all that they import, remember in a job."""
    answer = client.execute(SCRIPT, args=[names], **fields)
    assert answer.status == 200, answer
    [file] = [file for file in answer.files if file["name"] == "facts"]
    return json.loads(zlib.decompress(base64.b64decode(file["content_base64"])))


def compared(warm, cold):
    """Two reports of warm jobs and two of cold ones: what both of the first remember of one time, place or chance, which each
    of the others found for itself; and in what the first differ from the others."""
    (one, other), (first, second) = map(grouped, warm), map(grouped, cold)
    common = set(one) & set(other) & set(first) & set(second)
    alike = [path for path in sorted(common) if one[path] == other[path]]
    remembered = {path: (one[path], first[path], second[path]) for path in alike if first[path] != second[path]}
    different = {path: (one[path], first[path]) for path in alike if first[path] == second[path] != one[path]}
    return remembered, different


# What follows the order of a set of functions, which is that of their addresses: a list, and the last that a loop has seen.
UNORDERED = re.compile(r"numpy\.testing\.overrides\._array_functions\b.*|scipy\.sparse\._data\.name")


def grouped(report):
    """Values by their paths, but for what is known to be a zygote's for good: addresses, and the order that hashes give to a set."""
    groups = {}
    for path, value in report.items():
        if not re.fullmatch(r"-?[0-9]{10,}", value) and not UNORDERED.fullmatch(path):
            # Of a long text its letters are counted, and how it begins says nothing more.
            known = re.sub(r"(?<=^)([0-9]+ letters, [0-9]+): .*", r"\1", value, flags=re.DOTALL)
            unordered = "".join(sorted(re.sub("0x[0-9a-f]{6,}", "", known)))
            groups.setdefault(re.sub(r"\[[0-9]+\]", "[]", path), []).append(unordered)
    return {path: sorted(values) for path, values in groups.items()}
