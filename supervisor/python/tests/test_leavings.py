"""What a script leaves: nobody can tell whether it was let go of, or the end is gone through."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import FOLDER, LIBRARY

LOOK = """
import gc, sys
sys.path.insert(0, sys.argv[2])
from runner.leavings import Start, made_what_is_inert
import array, contextvars, functools, io, mmap, os, weakref
kept = {"list": [], "dict": {}}
compile("first", "", "exec")
gc.collect()
start = Start()
namespace = {"__name__": "__main__", "kept": kept}
exec(compile(sys.argv[1], "script.py", "exec"), namespace)
print(made_what_is_inert())
"""

INERT = {
    "a function": "def main(): return 2 + 2",
    "defaults": "def main(a=1, *, b='x', c=(3,)): return a",
    "data": "a = [1, 'x', 2.5, None]\nb = {'k': [1, {2: 3}]}\nc = {1, 2}",
    "a module": "import sys, os\nfrom os import path, getcwd",
    "a closure": "def outer():\n    n = 1\n    def inner(): return n\n    return inner\nmain = outer()",
    "a circle": "a = []\na.append(a)",
}
NOT_INERT = {
    "a class": "class A: pass",
    "a class without a dictionary": "class A:\n    __slots__ = ()\n    def __del__(self): print('gone')\na = A()",
    "a file": "f = open('/dev/null')",
    "a file in a circle": "a = [open('/dev/null')]\na.append(a)",
    "a file that another's object holds": "kept['list'].append(open('/dev/null'))",
    "a generator": "def g(): yield\nit = g()\nnext(it)",
    "a coroutine": "async def f(): pass\nc = f()",
    "a weak reference that calls": "import weakref\ndef f(): pass\nr = weakref.ref(f, print)",
    "what no collector knows": "import mmap\nm = mmap.mmap(-1, 4096)",
    "that in what no collector knows": "import mmap\nm = {'m': mmap.mmap(-1, 4096)}",
    "that in a pair": "import mmap\nm = (1, mmap.mmap(-1, 4096))",
    "more than is looked at": "a = [[n] for n in range(300)]",
    "a long list": "a = [*range(1000)]",
    "a partial": "import functools\np = functools.partial(print)",
    "a context": "import contextvars\nv = contextvars.ContextVar('v')\nv.set([])",
}


@pytest.mark.parametrize(("script", "inert"), [pytest.param(script, inert, id=name) for cases, inert in ((INERT, True), (NOT_INERT, False)) for name, script in cases.items()])
def test_what_goes_without_a_sound_is_told_from_what_does_not(script, inert):
    done = subprocess.run([sys.executable, "-I", "-c", LOOK, script, str(FOLDER)], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[0] == str(inert), done


@pytest.mark.skipif(not Path(LIBRARY).exists(), reason="needs the native library that CLOISTER_BIN has")
@pytest.mark.parametrize(("meanwhile", "files"), [
    pytest.param("", 0, id="it is the pipe"), pytest.param("os.close(4)", 0, id="the script has closed it"),
    pytest.param("os.close(4); f = os.open('/dev/null', 0); assert f == 4", 1, id="the script has a file there"),
    pytest.param("f = os.dup(4)", 1, id="the script has a second one of it"),
])
def test_the_way_that_calls_return_is_no_file_of_the_scripts_where_it_is_still_that(meanwhile, files):
    text = f"""
import os, sys
sys.path.insert(0, sys.argv[1])
from runner.leavings import keep_returns
from runner.streams import call_native, load_native
load_native(os.open(sys.argv[2], os.O_RDONLY))
pipe = os.pipe()
os.dup2(pipe[0], 4)
os.closerange(5, 100)
before = call_native("open_files")
keep_returns()
assert not os.get_inheritable(4)
{meanwhile}
print(before, call_native("open_files"))
"""
    done = subprocess.run([sys.executable, "-I", "-c", text, str(FOLDER), LIBRARY], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == [f"1 {files}"], done
