"""A script as the interpreter's compiler sees it, and what is said where it will not do."""

from .captured import FILE_NAME
from .report import Stop
from .texts import a

# Names by which a script could bind `main` unseen; one of them, and only running it can tell.
DYNAMIC = frozenset(
    "exec eval compile globals locals vars setattr __import__ importlib sys builtins inspect "
    "__dict__ __main__ types runpy ctypes gc".split()
)


def compile_script(script, name=FILE_NAME):
    """The script's code, which binds `main` as far as its source shows."""
    code = compile_source(script, name)
    if "main" not in code.co_names and not may_bind_main(script):
        raise Stop("no_main", no_main(None, False), hint=how_to_have_one(script))
    return code


def compile_source(script, name=FILE_NAME, flags=0):
    try:
        return compile(script, name, "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        at = f" (line {error.lineno})" if error.lineno else ""
        raise Stop("syntax_error", f"{error.msg}{at}", **refused(error, script)) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        why = str(error) if isinstance(error, ValueError) else "it is nested too deeply for the compiler"
        fields = refused(SyntaxError(why), script) if isinstance(error, ValueError) else {}
        raise Stop("syntax_error", f"the script does not compile: {why}", **{**fields, "exception": type(error).__name__}) from None


def refused(error, script):
    from .syntax import refused_source

    return refused_source(error, script)


def how_to_have_one(script):
    from .syntax import way_to_main

    return way_to_main(script)


def unfenced(script):
    """The script without a fence of Markdown that is around the whole of it, and its lines where they were."""
    begin = script.lstrip()
    if begin[:3] not in ("```", "~~~"):
        return script
    fence = begin[: len(begin) - len(begin.lstrip(begin[0]))]
    lines = script.rstrip().split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[-1].strip() != fence or len(lines) - 1 == first:
        return script
    inside, indent = lines[first + 1 : -1], lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    if indent and all(line.startswith(indent) or not line.strip() for line in inside):
        inside = [line[len(indent) :] for line in inside]
    return "\n".join([*lines[:first], "", *inside, ""])


def may_bind_main(script):
    """Whether a script whose top level never names `main` could still bind it while it runs."""
    import ast

    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Global) and "main" in node.names:
            return True
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return True
        names = [getattr(node, "id", None), getattr(node, "attr", None)]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += [part for alias in node.names for part in (alias.name.split(".")[0], alias.asname)]
        if not DYNAMIC.isdisjoint(name for name in names if name):
            return True
    return False


def no_main(value, bound):
    if bound:
        return f"main is {a(type(value).__name__)}, which cannot be called; the script must define main() at its top level"
    return "the script must define main() at its top level"


# A top level that calls nothing of the script's own, and what one may consist of that does not.
HARMLESS = """'What it is.'
import a, b.c as d
from e import f, g as h
i = 1
j = None
k = (1, 2), [3, 4, 5], {6: 7}
def main(l=1, m='', *, n=2) -> 'o':
    return l
"""
CALLS_NOTHING = frozenset(compile(HARMLESS, "", "exec").co_code[::2])


def may_call_main(code):
    """Whether a top level could call a `main` that it binds."""
    return "main" in code.co_names and not CALLS_NOTHING.issuperset(code.co_code[::2])
