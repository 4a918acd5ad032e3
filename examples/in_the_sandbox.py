"""What runs in the sandbox for a snippet of a model's code. snippets.py sends it; nothing of it runs outside.

The snippet finds tools as functions, and what earlier snippets defined. What it defines goes out as `state`, which nobody reads
but the next sandbox: the source of functions and classes, pickles of values.
"""

import ast
import base64
import copyreg
import importlib
import linecache
import pickle
import sys
import traceback
import types


class FinalAnswer(BaseException):
    """Ends a snippet, as `exit` does."""


def main(code, state, tools, ending):
    snippet = types.ModuleType("__main__")
    given = {**vars(snippet), **functions_of(tools), **({ending: end_with} if ending else {})}
    own, sys.modules["__main__"] = sys.modules["__main__"], snippet  # pickle looks for its classes there
    try:
        restore(vars(snippet), state)  # without tools: what is executed again calls none again
        vars(snippet).update(given)
        came = run(code, vars(snippet))
        return {**came, "state": kept(vars(snippet), given, state, code)}
    finally:
        sys.modules["__main__"] = own


def functions_of(names):
    if not names:
        return {}
    from cloister import tools  # there is no such module for a request without tools

    return {name: tools[name] for name in names}


def end_with(answer=None):
    """The answer to the task; the snippet ends here."""
    raise FinalAnswer(answer)


def run(code, names):
    """What a snippet came to: the value of its last expression, an error, or the final answer."""
    name = "snippet"
    linecache.cache[name] = len(code), None, code.splitlines(keepends=True), name  # for tracebacks
    try:
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), names)
        value = eval(compile(ast.Expression(last.value), name, "eval"), names) if last else None
        return {"value": None if value is None else str(value)}
    except FinalAnswer as final:
        return {"answer": final.args[0]}
    except (Exception, SystemExit) as error:
        inner = error.__traceback__.tb_next  # without this file's frame
        return {"error": "".join(traceback.format_exception(type(error), error, inner))}


def restore(names, state):
    """Values may need definitions, and definitions values."""
    copyreg.pickle(types.ModuleType, lambda module: (importlib.import_module, (module.__name__,)))
    definitions, values = [*state["definitions"].values()], {**state["values"]}
    for _ in range(2):
        for name in [*values]:
            try:
                names[name] = pickle.loads(base64.b64decode(values[name]))
                del values[name]
            except Exception:
                pass  # it needs a class of those that follow
        for source in definitions:
            try:
                exec(source, names)
            except Exception:
                pass  # what it needs was not kept: who uses it is told that there is no such name
        definitions = []


def kept(names, given, state, code):
    definitions = {**state["definitions"], **definitions_of(code)}
    values = {}
    for name, value in names.items():
        is_defined = name in definitions and callable(value)
        if value is not given.get(name) and name != "__builtins__" and not is_defined:
            try:
                values[name] = base64.b64encode(pickle.dumps(value)).decode()
            except Exception:
                pass  # an open file, a generator: it ends with this sandbox
    return {"definitions": {name: source for name, source in definitions.items() if name not in values}, "values": values}


def definitions_of(code):
    """The source of its functions and classes, which pickle does not take along."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return {}
    return {each.name: ast.unparse(each) for each in body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
