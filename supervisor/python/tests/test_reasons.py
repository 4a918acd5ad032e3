"""The late parts `reasons`, `modules` and `programs`: why an exception came, and the way out."""

import linecache
import os
import subprocess
import sys

import pytest

from runner import reasons as part
from runner.reasons import reason_of


def raised(source, **names):
    linecache.cache["script.py"] = (len(source), None, source.splitlines(keepends=True), "script.py")
    with pytest.raises(BaseException) as caught:
        exec(compile(source, "script.py", "exec"), {"os": os, "sys": sys, "subprocess": subprocess, **names})
    return caught.value


@pytest.mark.parametrize(("source", "reason", "words"), [
    ("import nothing_like_it", "missing_module", "packages cannot be installed while a job runs"),
    ("import jsn", "missing_module", "near it: json"),
    ("import json.nothing", "missing_module", "json is there, and has no module json.nothing"),
    ("from json import lods", "missing_module", "near it: loads"),
    ("import urllib2", "missing_module", "Python's own urllib.request is there"),
    ("raise ImportError('`Import tabulate` failed.  Use pip')", "missing_module", "the operator adds them"),
    ("raise ImportError('libGL.so.1: cannot open shared object file')", "missing_library", "runtime"),
    ("try:\n    import nothing_like_it\nexcept ImportError:\n    sys.exit('no')", "missing_module", "the operator adds them"),
    ("try:\n    import nothing_like_it\nexcept ImportError:\n    raise RuntimeError('no') from None", "missing_module", "the operator adds them"),
    ("raise subprocess.CalledProcessError(1, [sys.executable, '-m', 'pip', 'install', 'x'])", "missing_module", "cannot be installed"),
    ("raise subprocess.CalledProcessError(1, 'pip install x')", "missing_module", "cannot be installed"),
    ("subprocess.run(['/no/such/program'])", "missing_program", "no program 'program'"),
    ("subprocess.run(['nothing-like-ls'])", "missing_program", "sys.executable"),
    ("subprocess.run('x', shell=True, executable='/no/bash')", "no_shell", "there is no shell"),
    ("os.execv('/no/ls', ['ls'])", "missing_program", "there is no such program"),
    ("subprocess.run(['/no/ls'])", "missing_program", "os.listdir()"),
    ("os.execvp('no-such-ls', ['ls'])", "missing_program", "'no-such-ls'"),
    ("os.posix_spawn('/no/wget', ['wget'], {})", "missing_program", "there is no wget here"),
    ("subprocess.run([sys.executable], cwd='/no/folder')", "missing_path", "there is no /no/folder here"),
    ("subprocess.run(['/'])", "missing_program", "folder"),
    ("open('/mnt/data/x.csv')", "missing_path", "files of the request are in the working directory"),
    ("open('no-such-folder/x.csv', 'w')", "missing_path", "os.makedirs()"),
    ("open('no-such.csv')", "missing_path", "it is empty"),
    ("open('/proc/nothing')", "missing_path", "its own processes"),
    ("os.environ['NOTHING_LIKE_IT']", "missing_variable", "kwargs"),
    ("raise EOFError('EOF when reading a line')", "stdin_at_end", "stdin"),
    ("def f(): f()\nf()", "recursion", "sys.setrecursionlimit()"),
    ("raise RecursionError('nested too deeply for me')", "recursion", "says by itself"),
    ("raise RecursionError('Stack overflow (used 8100 kB) while calling a Python object')", "recursion", "rlimits.stack"),
    ("import locale\nlocale.setlocale(locale.LC_ALL, 'xx_XX')", "missing_locale", "C.UTF-8"),
    ("import sqlite3\nsqlite3.connect('/no/x.db')", "missing_path", "/tmp"),
    ("raise OSError('Cannot save file into a non-existent directory: x')", "missing_path", "os.makedirs()"),
    ("raise OSError(25, 'Inappropriate ioctl for device')", "no_terminal", "stdin"),
    ("import ctypes\nctypes.CDLL('nothing-like-it.so')", "missing_library", "runtime"),
    ("raise ExceptionGroup('all', [ValueError(), EOFError('EOF when reading a line')])", "stdin_at_end", "stdin"),
    ("def main(a): pass\nmain()", "arguments", '"kwargs" (an object)'),
])
def test_a_reason_and_the_way_out(monkeypatch, tmp_path, source, reason, words):
    monkeypatch.chdir(tmp_path)
    told = reason_of(raised(source))
    assert (told.get("reason"), words in told.get("hint", "")) == (reason, True), told


NATIVE = "nested = []\nfor _ in range(100_000): nested = [nested]\nrepr(nested)"


@pytest.mark.parametrize(("source", "version", "words"), [
    ("def f(): f()\nf()", (3, 11), "rlimits.stack"),
    ("def f(): f()\nf()", (3, 12), "memory"),
    (NATIVE, (3, 11), "deeper than"),
    (NATIVE, (3, 12), "sys.setrecursionlimit() does not change"),
])
def test_the_limit_that_calls_ran_into_is_the_one_that_is_told(monkeypatch, source, version, words):
    error = raised(source)
    monkeypatch.setattr(sys, "version_info", version)
    assert words in reason_of(error)["hint"]


def test_a_file_that_cannot_be_executed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.sh").write_text("#!/no/such/interpreter\n")
    assert reason_of(raised("subprocess.run(['./run.sh'])"))["reason"] == "not_executable"
    (tmp_path / "run.sh").chmod(0o755)
    assert "first line" in reason_of(raised("subprocess.run(['./run.sh'])"))["hint"]


def test_a_file_of_that_name_in_the_working_directory_is_told_of(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_text("a")
    assert "open('sales.csv') finds this one" in reason_of(raised("open('/mnt/data/sales.csv')"))["hint"]
    assert "it has sales.csv" in reason_of(raised("open('sale.csv')"))["hint"]


@pytest.mark.parametrize("source", [
    "raise ValueError('v')", "{}['k']", "raise EOFError('Ran out of input')", "1 / 0", "len(5, 6)", "raise PermissionError(1, 'x')", "raise OSError('odd')",
    "raise subprocess.CalledProcessError(1, ['git'])",
])
def test_what_is_the_script_s_own_has_none(source):
    assert reason_of(raised(source)) == {}


def test_arguments_that_the_runner_gave(monkeypatch):
    monkeypatch.setattr(part, "OURS", globals())

    def main(a):
        pass

    with pytest.raises(TypeError) as caught:
        main()
    assert reason_of(caught.value)["reason"] == "arguments"
