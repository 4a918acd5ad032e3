"""The whole runner over its pipes, as the launcher starts it but without a sandbox: what goes in, what comes out."""

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import INTERPRETERS

LIMIT = 1 << 20


@pytest.fixture(params=INTERPRETERS, ids=["at hand", "of the sandboxes"][: len(INTERPRETERS)])
def run(request, tmp_path, runner_text):
    """Run a script and read what it leaves: the frames, the output, the exit code."""

    def started(script, *arguments, content=b"", stdin=b"", result_bytes=LIMIT, raw=None, **fields):
        read, write = os.pipe()
        # The result pipe is number 3, which subprocess cannot say itself; the shell can. Nobody returns to calls, at 4.
        command = ["bash", "-c", f'exec "$@" 3>&{write} {write}>&- 4</dev/null', "bash", request.param, "-I", "-X", "utf8", "-B", "-c", runner_text, *arguments]
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   pass_fds=[write], env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"})
        os.close(write)
        body = json.dumps({"script": textwrap.dedent(script), "result_bytes": result_bytes, **fields}).encode() if raw is None else raw
        with os.fdopen(read, "rb") as pipe, ThreadPoolExecutor() as reader:
            report = reader.submit(pipe.read)
            out, err = process.communicate(len(body).to_bytes(8, "big") + body + content + stdin, timeout=30)
            told = report.result()
        return SimpleNamespace(told=told, stdout=out.decode(), stderr=err.decode(), code=process.returncode, **verdict(told))

    return started


def verdict(told):
    """Taken apart as what a runner sends: one byte when it is ready, then a report, what its end waits for, and that it is over."""
    if told[:1] == b"I":
        return {"result": None, "error": None}
    assert told[:1] == b"P", told
    frames, left = [], told[1:]
    while left:
        size = int.from_bytes(left[1:9], "big")
        frames.append((left[:1], left[9 : 9 + size]))
        assert len(frames[-1][1]) == size, "whole frames"
        left = left[9 + size :]
    if not frames:
        return {"result": None, "error": None}
    (tag, content), *waits = frames
    assert tag in (b"r", b"e", b"X"), frames
    if tag == b"X":
        assert not waits
        return {"result": None, "error": None, "exit_code": int(content)}
    over = waits.pop()
    assert over[0] == b"D" and all(kind == b"W" for kind, _ in waits)
    value = json.loads(content, parse_int=lambda digits: int(digits) if len(digits) < 100 else digits)
    told = {"result": value if tag == b"r" else None, "error": value if tag == b"e" else None, "text": content}
    return {**told, "notes": json.loads(over[1]), "waits": [text.decode() for _, text in waits]}


@pytest.mark.parametrize(("expression", "expected"), [
    ("None", b"null"),
    ("{'a': [1, 2.5, True, None, 'ä\\n']}", '{"a":[1,2.5,true,null,"ä\\n"]}'.encode()),
    ("(1, (2,))", b"[1,[2]]"),
    ("{1: 'a', None: 'b', 2.5: 'c', True: 'd'}", b'{"1":"d","null":"b","2.5":"c"}'),
    ("10 ** 5000", b"1" + b"0" * 5000),
    ("-0.0", b"-0.0"),
    ("1e308", b"1e+308"),
    ("''", b'""'),
])
def test_a_result_is_one_frame_of_json(run, expression, expected):
    done = run(f"def main():\n    return {expression}\n")
    assert (done.text, done.code, done.told[1:2], done.stderr) == (expected, 0, b"r", "")


def test_arguments_are_passed_and_numbers_of_any_size(run):
    script = r"def main(*a, **k):\n    return [a, k]\n"
    given = '[1,1' + "0" * 5000 + ',"ä",null]'
    done = run("", raw=f'{{"script":"{script}","result_bytes":10000,"args":{given},"kwargs":{{"b":{{"c":[]}}}}}}'.encode())
    assert done.text == b"[[1,1" + b"0" * 5000 + ',"ä",null],{"b":{"c":[]}}]'.encode()


def test_coroutines_are_awaited(run):
    assert run("import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 4\n").result == 4


@pytest.mark.parametrize(("expression", "path", "what"), [
    ("float('nan')", "result", "NaN"),
    ("{'a': [1, float('inf')]}", 'result["a"][1]', "infinite"),
    ("{1}", "result", "a set"),
    ("[b'x']", "result[0]", "a bytes"),
    ("{(1,): 2}", "result", "a dict with a tuple as key"),
    ("'\\ud800'", "result", "text with a lone surrogate"),
    ("main", "result", "a function"),
    ("loop()", "result[0]", "a reference to what it is inside of (circular)"),
])
def test_what_is_no_json_is_named_by_its_path(run, expression, path, what):
    done = run(f"def loop():\n    a = []\n    a.append(a)\n    return a\ndef main():\n    return {expression}\n")
    assert (done.error["code"], done.error["path"]) == ("result_not_json", path)
    assert done.error["message"] == f"{path} is {what}, which has no form in JSON"


def test_what_is_nested_too_deeply_is_named(run):
    done = run("def main():\n    a = []\n    for _ in range(100_000):\n        a = [a]\n    return a\n")
    assert done.error["code"] == "result_not_json" and "nested deeper than 128 levels" in done.error["message"]


def test_a_result_may_be_as_long_as_the_limit_and_no_longer(run):
    assert run("def main():\n    return 'x' * 98\n", result_bytes=100).result == "x" * 98
    done = run("def main():\n    return 'x' * 99\n", result_bytes=100)
    assert done.error["code"] == "result_too_large" and "101 bytes" in done.error["message"] and "100" in done.error["message"]


@pytest.mark.parametrize(("script", "message", "line"), [
    ("def main(:\n    pass\n", "invalid syntax", 1),
    ("def main():\n    pass\n  x = 1\n", "unindent", 3),
    ("def main():\n    return 'abc\n", "unterminated", 2),
])
def test_the_compiler_s_own_words(run, script, message, line):
    done = run(script)
    assert done.error["code"] == "syntax_error" and message in done.error["message"] and done.error["line"] == line
    assert done.error["exception"] in ("SyntaxError", "IndentationError") and done.error["column"] > 0


@pytest.mark.parametrize("script", ["def main():\n    return 1\n\0", "def main(): return " + "(" * 5000 + ")" * 5000, "def main(): return " + "-" * 200_000 + "1"])
def test_what_the_compiler_gives_up_on(run, script):
    assert run(script).error["code"] == "syntax_error"


@pytest.mark.parametrize(("script", "message"), [
    ("x = 1\n", "the script must define main() at its top level"),
    ("class A:\n    def main(self):\n        pass\n", "the script must define main() at its top level"),
    ("main = 5\n", "main is an int, which cannot be called"),
])
def test_no_main(run, script, message):
    done = run("print('ran')\n" + script)
    assert done.error["code"] == "no_main" and message in done.error["message"]
    assert done.stdout == ("ran\n" if "main = 5" in script else ""), "nothing runs where the text tells that there is none"


@pytest.mark.parametrize("script", ["globals()['ma' + 'in'] = lambda: 4", "exec('def main(): return 4')", "import functools as main\nmain = lambda: 4"])
def test_a_main_that_only_running_shows(run, script):
    assert run(script).result == 4


@pytest.mark.parametrize(("statement", "code"), [("raise SystemExit", 0), ("sys.exit(3)", 3), ("sys.exit(-1)", 255), ("sys.exit('why')", 1), ("exit(4)", 4)])
@pytest.mark.parametrize("where", ["main", "body"])
def test_an_exit_is_told_with_its_code(run, statement, code, where):
    script = f"import sys\ndef main():\n    {statement}\n" if where == "main" else f"import sys\n{statement}\ndef main():\n    pass\n"
    if statement.startswith("exit("):
        script = "from sys import exit\n" + script
    done = run(script)
    assert (done.error["code"], done.error["exit_code"]) == ("exit", code)
    assert done.stderr == ("why\n" if "why" in statement else "")


def test_an_end_without_a_word_leaves_no_report(run):
    done = run("import os\ndef main():\n    os._exit(7)\n")
    assert (done.told, done.code) == (b"P", 7)


def test_an_exception_with_what_is_the_script_s_of_its_traceback(run):
    done = run("def f():\n    raise ValueError('bad')\n\ndef main():\n    try:\n        f()\n    except ValueError as error:\n        raise KeyError('k') from error\n")
    assert (done.error["code"], done.error["exception"], done.error["line"]) == ("exception", "KeyError", 8)
    assert done.error["message"] == "KeyError: 'k'"
    trace = done.error["traceback"]
    assert "ValueError: bad" in trace and 'File "script.py", line 2, in f' in trace and "    f()" in trace
    assert "runner" not in trace and "<string>" not in trace


def test_long_texts_are_clipped_in_the_middle(run):
    done = run("def main():\n    raise ValueError('a' * 200_000)\n")
    assert len(done.error["message"]) < 70_000 and "characters left out" in done.error["message"]


@pytest.mark.parametrize(("statement", "code", "hint"), [
    ("raise MemoryError", "memory_limit", None),
    ("raise BlockingIOError(11, 'x')", "exception", "EAGAIN"),
    ("raise RuntimeError(\"can't start new thread\")", "exception", "EAGAIN"),
])
def test_hints_for_limits(run, statement, code, hint):
    done = run(f"def main():\n    {statement}\n")
    assert (done.error["code"], done.error.get("errno_hint")) == (code, hint)


# What is claimed of the kernel's refusals; whether it is so is the supervisor's to judge.


@pytest.mark.parametrize(("statement", "claim"), [
    ("raise PermissionError(errno.EPERM, 'x', '/a/../b')", {"errno": "EPERM", "path": "/b"}),
    ("raise OSError(errno.EROFS, 'x', 'f', None, 'g')", {"errno": "EROFS", "path": "@/g"}),
    ("os.setsid(); os.setsid()", {"errno": "EPERM", "call": "setsid"}),
    # Under another's name: by the arguments of `socket` its refusal is judged.
    ("socket = os.mkdir; mode = 5; socket('/sys/x', mode)", {"errno": "EPERM", "path": "/sys/x", "call": "socket", "arguments": [None, 5]}),
    ("import socket; raise socket.gaierror(-3, 'x')", {"errno": "EPERM", "call": "socket", "arguments": [2, 2, 0]}),
    ("raise OSError(errno.ENOENT, 'x', 'f')", None),
    ("raise ValueError", None),
])
def test_refusals_are_claimed_with_what_they_are_judged_by(run, tmp_path, statement, claim):
    error = run(f"import os, errno\ndef main():\n    {statement}\n").error
    claimed = [{key: value.replace("@", str(tmp_path)) if isinstance(value, str) else value for key, value in claim.items()}] if claim else None
    assert error.get("refusals") == claimed


def test_refusals_on_the_way_are_claimed_and_bounded(run):
    done = run("""
        import errno
        def chain(n):
            try:
                if n: chain(n - 1)
                else: raise PermissionError(errno.EACCES, "no", "/p0")
            except PermissionError as error:
                raise PermissionError(errno.EACCES, "no", f"/p{n}x") from error
        def main():
            chain(100)
    """)
    assert len(done.error["refusals"]) == 16 and all(claim["errno"] == "EACCES" for claim in done.error["refusals"])


def test_files_are_put_and_standard_input_begins_behind_them(run, tmp_path):
    script = "import sys\ndef main():\n    return [open('a/b/c.bin', 'rb').read().hex(), open('empty').read(), sys.stdin.read()]\n"
    done = run(script, files=[[f"{tmp_path}/a/b/c.bin", 200_000], [f"{tmp_path}/empty", 0]], content=b"\xff" * 200_000, stdin="zeile ä".encode())
    assert done.result == ["ff" * 200_000, "", "zeile ä"]


def test_a_file_that_cannot_be_put_ends_it_before_the_script(run, tmp_path):
    (tmp_path / "a").write_text("")
    done = run("print('ran')\ndef main():\n    pass\n", files=[[f"{tmp_path}/a/b", 1]], content=b"x")
    assert done.error["code"] == "exception" and done.error["message"].startswith("a file of the request could not be put there: ")
    assert done.stdout == ""


def test_output_goes_out_as_it_is_written_and_whatever_it_holds(run):
    done = run("import os, sys\nprint('a')\nsys.stderr.write('b')\ndef main():\n    print('\\ud800', end='')\n    os._exit(0)\n")
    assert (done.stdout, done.stderr) == ("a\n\\ud800", "b")
    assert run("import sys\ndef main():\n    return ascii(sys.stdin.read())\n", stdin=b"\xff").result == "'\\udcff'"


def test_a_request_that_breaks_off_ends_it_without_a_word(run, tmp_path):
    request = json.dumps({"script": "def main(): pass", "result_bytes": 10, "files": [[f"{tmp_path}/f", 10]]})
    done = run("", raw=request.encode(), content=b"123")
    assert (done.told, done.code) == (b"P", 1)


@pytest.mark.parametrize("end", ["return 'of the child'", "raise ValueError('in the child')", "sys.exit(3)", "os._exit(3)"])
def test_a_child_that_the_script_forks_gives_no_report(run, end):
    done = run(f"""
        import os, sys
        def main():
            child = os.fork()
            if not child:
                print("from the child")
                {end}
            return ["parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
    """)
    code = 0 if end.startswith("return") else 1 if end.startswith("raise") else 3
    assert done.result == ["parent", code] and done.stdout == "from the child\n"
    assert ("in the child" in done.stderr) == end.startswith("raise")


@pytest.mark.parametrize("patch", [
    "import builtins\nput = setattr\nfor name in list(vars(builtins)):\n    if name not in ('__build_class__', '__import__', 'ValueError', 'BaseException'): put(builtins, name, None)",
    "import json\njson.dumps = json.loads = json.JSONEncoder = None\nimport json.encoder\njson.encoder.c_make_encoder = json.encoder.encode_basestring = None",
    "import os\nos.write = os.read = os._exit = os.getpid = None",
    "import sys\nsys.stdout = sys.stderr = None",
    "import sys\nsys.modules.clear()",
    "import __main__\n__main__.__dict__.clear()",
    "import sys\nclass Odd:\n    def flush(self): raise SystemExit\nsys.stdout = Odd()",
    "import signal\nfor number in range(1, 32):\n    if number not in (9, 17, 19): signal.signal(number, signal.SIG_IGN)",
], ids=["builtins", "json", "os", "no streams", "modules", "the runner's module", "a stream that raises", "signals"])
def test_what_a_script_patches_does_not_cost_it_its_answer(run, patch):
    done = run(patch + "\ndef main():\n    return {'a': [1, 'x', 2.5]}\n")
    if "__main__" in patch:
        # It took the runner apart: then there is a report of a failure or none, and never a wrong one.
        assert done.result == {"a": [1, "x", 2.5]} or done.result is None
    else:
        assert done.result == {"a": [1, "x", 2.5]}, done


@pytest.mark.parametrize("hostile", [
    "class E(Exception):\n    def __str__(self): raise SystemExit(9)",
    "class E(Exception):\n    def __str__(self): return 5",
    "class E(Exception):\n    __cause__ = property(lambda self: 1 / 0)",
    "class E(OSError):\n    errno = property(lambda self: 1 / 0)",
    "class E(Exception):\n    __class__ = property(lambda self: 1 / 0)",
    "import traceback\ntraceback.TracebackException = None\nE = ValueError",
    "E = type('\\ud800', (Exception,), {})",
    "E = type('E', (BaseException,), {'__module__': None})",
])
def test_hostile_exceptions_are_still_told_of(run, hostile):
    done = run(hostile + "\ndef main():\n    raise E()\n")
    assert done.error is not None and done.error["code"] == "exception", done
    assert done.error["message"] and done.code == 0


@pytest.mark.parametrize("hostile", [
    "class L(list):\n    def __iter__(self): raise SystemExit(9)\n    def __len__(self): return 5\nvalue = L([1])",
    "class D(dict):\n    def items(self): return 5\nvalue = D(a=1)",
    "class I(int):\n    def __repr__(self): return 'evil'\nvalue = I(4)",
    "class F(float):\n    def __repr__(self): return '}{'\nvalue = F(4)",
    "class S(str):\n    def __str__(self): return '\"'\nvalue = S('x')",
])
def test_a_result_that_pretends_is_json_or_an_error(run, hostile):
    done = run(hostile + "\ndef main():\n    return value\n")
    assert done.error is not None or done.result in ([1], [], {"a": 1}, 4, 4.0, "x"), done


def test_one_that_is_started_ahead_has_imported_when_its_script_begins(run):
    done = run("import sys\nahead = 'decimal' in sys.modules\ndef main():\n    return ahead\n", "ahead", "5", "decimal")
    assert done.result is True


def test_an_import_that_fails_ahead_is_told_of(run):
    done = run("def main(): pass\n", "ahead", "5", "no_such_module")
    assert done.told[:1] == b"I" and b"ModuleNotFoundError: No module named 'no_such_module'" in done.told and done.code == 1
