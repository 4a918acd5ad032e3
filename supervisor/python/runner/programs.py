"""What is said of a program that cannot be started: there is Python, no shell, and in most profiles nothing else."""

import os
import sys

from .modules import NOT_AT_RUN_TIME, is_without_network
from .refusals import call_of, last_of
from .texts import clip

# Where in Python's own modules a program is started, and the calls by which a script does it itself.
STARTERS = frozenset("_execute_child _posix_spawn _execvpe execv execve execvp execvpe execl execle execlp execlpe spawnv_passfds".split())
START_CALLS = frozenset("execv execve posix_spawn posix_spawnp".split())
SHELLS = frozenset("sh bash zsh dash ash ksh fish csh".split())

# What Python has in the place of programs.
INSTEAD = {
    "ls": "os.listdir()", "dir": "os.listdir()", "cat": "open()", "head": "open()", "tail": "open()", "echo": "print()", "pwd": "os.getcwd()", "date": "datetime",
    "cal": "calendar", "mkdir": "os.makedirs()", "touch": "pathlib.Path.touch()", "rm": "shutil.rmtree()", "cp": "shutil.copy()", "mv": "shutil.move()",
    "find": "pathlib.Path.rglob()", "grep": "re", "sed": "re", "awk": "re", "sort": "sorted()", "wc": "len()", "diff": "difflib", "unzip": "zipfile", "zip": "zipfile",
    "tar": "tarfile", "gzip": "gzip", "which": "shutil.which()", "whoami": "getpass.getuser()", "id": "os.getuid()", "uname": "platform.uname()",
    "hostname": "platform.node()", "nproc": "os.cpu_count()", "df": "shutil.disk_usage()", "du": "os.scandir()", "sleep": "time.sleep()", "env": "os.environ",
    "sqlite3": "sqlite3", "md5sum": "hashlib", "sha256sum": "hashlib", "base64": "base64", "jq": "json", "python": "sys.executable", "python2": "sys.executable",
    "bc": "decimal", "dot": "graphlib", "file": "mimetypes",
}


def missing_program(error):
    """The reason and the words for an OSError of something that starts a program, or nothing."""
    if not starts_a_program(error):
        return None
    name = error.filename or last_frame(error).f_locals.get("file", "")
    path = clip(os.fsdecode(name)) if isinstance(name, (str, bytes)) else ""
    short = os.path.basename(path)
    if os.path.isdir(path):
        return "missing_program", "it is a folder and no program"
    if os.path.exists(path):
        return present_program(error, path)
    if short in SHELLS:
        return "no_shell", f"there is no shell here: os, shutil, pathlib and re do in Python what its commands do, and {others()}"
    if short.startswith("pip") or short in ("conda", "uv", "npm", "apt", "apt-get"):
        return "missing_program", f"there is no {short} here: {NOT_AT_RUN_TIME}"
    if short in ("curl", "wget", "ssh", "scp", "git", "ping", "dig", "nslookup"):
        reach = "a job reaches no host" if is_without_network() else "Python's own urllib.request and sockets are there"
        return "missing_program", f"there is no {short} here, and {others()}; {reach}"
    own = f"; Python's own {INSTEAD[short]} does it" if short in INSTEAD else ""
    called = f"program {short!r}" if short else "such program"
    return "missing_program", f"there is no {called} here, and no shell: {others()}{own}"


def others():
    return "the one program is Python: subprocess.run([sys.executable, ...])"


def present_program(error, path):
    if isinstance(error, PermissionError):
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            run = f"a script of Python runs as subprocess.run([sys.executable, {os.path.basename(path)!r}])"
            return "not_executable", f"files that a job writes cannot be executed (noexec), whatever their mode: {run}"
        return "not_executable", "its mode does not let it be executed"
    if isinstance(error, FileNotFoundError):
        return "missing_program", "the file is there, and the interpreter that its first line or its format asks for is not"
    return "not_executable", "it is no program that Linux can start: does its first line begin with #! ?"


def starts_a_program(error):
    frame = last_frame(error)
    if frame is None:
        return False
    if frame.f_code.co_name in STARTERS and frame.f_globals.get("__name__") in ("os", "subprocess", "_posixsubprocess"):
        # Or it was the folder to start it in that is not there: then nothing was started yet.
        return not frame.f_locals.get("child_exec_never_called")
    try:
        return call_of(error.__traceback__).get("call") in START_CALLS
    except (IndexError, SyntaxError, ValueError):  # of executed text there is no source to look at
        return False


def last_frame(error):
    """Where an exception was raised."""
    trace = last_of(error.__traceback__)
    return trace and trace.tb_frame


def failed_install(error):
    """The reason and the words for a process that was to install something, or nothing."""
    import subprocess

    if not isinstance(error, subprocess.CalledProcessError):
        return None
    command = error.cmd if isinstance(error.cmd, (list, tuple)) else str(error.cmd).split()
    words = [os.path.basename(os.fsdecode(word)) for word in command[:4] if isinstance(word, (str, bytes, os.PathLike))]
    if "pip" in words[:3] or "ensurepip" in words[:3]:
        return "missing_module", NOT_AT_RUN_TIME
    return None
