"""The part `watch`: whether a top level calls its `main`, and that nothing looks different for being watched."""

import inspect
import types

import pytest

from runner.entry import LastValue
from runner.watch import TopLevel


def ran(script, last=None):
    code = last.code if last else compile(script, "script.py", "exec")
    top_level = TopLevel(code, script, last)
    module = types.ModuleType("__main__")
    try:
        top_level.run(module.__dict__)
        called = top_level.called
        value = top_level.result()
    finally:
        top_level.close(module.__dict__)
    return called, value, module


CALLED = "\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize("definition", [
    "def main():\n    return 4",
    "def main():\n    'says what it does'\n    return 4",
    "main = lambda: 4",
    "import functools\nmain = functools.partial(int, 4)\nmain = functools.partial(lambda x: x, 4)",
    "class Main:\n    def __call__(self): return 4\nmain = Main()",
    "class main:\n    def __new__(cls): return 4",
    "class A:\n    def run(self): return 4\nmain = A().run",
    "import functools\n@functools.lru_cache\ndef main(): return 4",
    "def made():\n    four = 4\n    def inner(): return four\n    return inner\nmain = made()",
    "def twice(f):\n    return lambda: 2 * f()\n@twice\ndef main(): return 2",
    "if True:\n    def main(): return 4\nelse:\n    def main(): return 5",
    "try:\n    from nowhere import main\nexcept ImportError:\n    def main(): return 4",
    "for main in [lambda: 4]: pass",
    "def main(): return 0\ndef main(): return 4",
    "def bind():\n    def main(): return 4\n    return main\nmain = bind()",
    "from __future__ import annotations\nimport functools\n@functools.lru_cache\ndef main(a: nowhere = 1): return 4",
])
@pytest.mark.parametrize("call", ["main()", "print(main())", "[main() for _ in range(3)]", "run = main; run()"])
def test_a_call_of_whatever_is_bound_is_seen(definition, call):
    assert ran(definition + CALLED + call)[:2] == (True, 4)


@pytest.mark.parametrize(("definition", "call", "value"), [
    ("async def main(): return 4", "import asyncio; asyncio.run(main())", 4),
    ("def main():\n    yield 1\n    return 4", "print(list(main()))", 4),
    ("def main(a, b=2, *c, d, e=5, **f): return [a, b, c, d, e, f]", "main(1, d=4)", [1, 2, (), 4, 5, {}]),
    ("def main(a, /, b, *, c=3): return [a, b, c]", "main(1, b=2)", [1, 2, 3]),
    ("def main(n=4): return n * main(n - 1) if n else 1", "main()", 24),
    ("seen = []\ndef main():\n    seen.append(1)\n    return len(seen)", "main(); main()", 1),
    ("seen = []\ndef main():\n    seen.append(1)\n    return 1 // (len(seen) // 3)",
     "\n    for _ in range(3):\n        try: main()\n        except ZeroDivisionError: pass", 1),
    ("def main(): return 4", "import threading; threading.Thread(target=main).start()", 4),
    ("def main(): return 4", "import concurrent.futures as f; f.ThreadPoolExecutor().submit(main).result()", 4),
    ("def main(): 1 / 0", "\n    try: main()\n    except ZeroDivisionError: pass", None),
])
def test_the_first_call_that_returns_counts(definition, call, value):
    assert ran(definition + CALLED + call)[:2] == (True, value)


@pytest.mark.parametrize("script", [
    "def main(): return 4", "import os\ndef main(): return 4", "def main(): return 4\nprint(main, main.__name__)",
    "class A:\n    main = print\ndef main(): return 4\nA.main()", "main = 5", "async def main(): return 4\nmain().close()",
])
def test_what_is_not_called_is_not_seen(script):
    assert ran(script)[:2] == (False, None)


def test_a_failure_of_the_call_has_no_trace_of_the_watch():
    with pytest.raises(ZeroDivisionError) as failure:
        ran("def main():\n    1 / 0\nmain()")
    frames = [(frame.f_code.co_name, number) for frame, number in walk(failure.value.__traceback__) if frame.f_code.co_filename == "script.py"]
    assert frames == [("<module>", 3), ("main", 2)]


def walk(trace):
    while trace:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


LOOK = """
import inspect
def main(a: int = 1, *b, c=2, **d) -> str:
    'says what it does'
    return seen(main)
def seen(f):
    code = f.__code__
    return [str(inspect.signature(f)), f.__doc__, f.__name__, f.__qualname__, f.__module__, f.__defaults__, f.__kwdefaults__,
            f.__annotations__, code.co_firstlineno, code.co_filename, code.co_name, code.co_flags & 0x2ac, inspect.isfunction(f)]
outside = seen(main)
inside = main()
"""


def test_nothing_looks_different():
    called, value, module = ran(LOOK)
    plain = {"__name__": "__main__"}
    exec(compile(LOOK, "script.py", "exec"), plain)
    assert called and value == module.inside == module.outside == plain["outside"] == plain["inside"]
    assert module.main.__code__ == plain["main"].__code__, "afterwards it is what it was"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_its_kind_is_kept(kind):
    seen = ran(f"import inspect\n{kind} main(): pass\nkind = inspect.iscoroutinefunction(main)")[2]
    assert seen.kind is (kind == "async def") and inspect.iscoroutinefunction(seen.main) is seen.kind


@pytest.mark.parametrize(("script", "value"), [
    ("x = 3\nx + 1", 4), ("x = 3", None), ("", None), ("'only this'", "only this"), ("x = [1]\nx.append(2)", None), ("3;4", 4),
    ("def f(): return 5\nf()", 5), ("import functools\n@functools.lru_cache\ndef main(): return 4\n'last'", "last"),
])
def test_the_last_expression_has_a_value(script, value):
    last = LastValue(script)
    assert ran(script, last)[0] is False and last.value == value
