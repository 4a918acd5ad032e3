"""subprocess: the interpreter itself, with pipes, a time limit, and each way in which a process ends."""

import subprocess
import sys


def python(source, **options):
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, **options)


def main():
    try:
        slow = python("import time; time.sleep(60)", timeout=0.5)
    except subprocess.TimeoutExpired as expired:
        slow = type(expired).__name__
    killed = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode
    session = python("import os; print(os.getsid(0) == os.getpid())", start_new_session=True).stdout
    module = subprocess.check_output([sys.executable, "-m", "json.tool", "--compact"], input='{"a": [1]}', text=True)
    return [python("print(input()[::-1])", input="abc").stdout, python("raise SystemExit(3)").returncode,
            slow, killed, session, module]
