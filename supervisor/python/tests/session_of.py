"""A session's runner, started as the launcher does it but without a sandbox, and spoken to as the supervisor speaks."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

LIMIT = 1 << 20


class Gone(Exception):
    """The interpreter says nothing more."""


class Session:
    def __init__(self, texts, directory, files=(), interpreter=sys.executable, library=None, result_bytes=LIMIT, environment=()):
        self.directory, self.cells, self.interrupted = directory, 0, False
        wake, self.wake = os.pipe()
        self.said, result = os.pipe()
        returns, self.returns = os.pipe()
        (self.stdout, stdout), (self.stderr, stderr) = os.pipe(), os.pipe()
        given = [wake, stdout, stderr, result, returns]
        library = os.open(library, os.O_RDONLY) if library else os.open(os.devnull, os.O_RDONLY)
        # The numbers are the launcher's: who starts it moves them there, in a process of its own.
        # So are the signals: whoever runs the tests may have some ignored.
        start = "import os, signal, sys\nfor number in (1, 2, 3, 13, 15): signal.signal(number, signal.SIG_DFL)\nfds = [int(fd) for fd in sys.argv[1:7]]\n" \
                "for number, fd in enumerate([os.dup(fd) for fd in fds]): os.set_inheritable(fd, False); os.dup2(fd, number)\n" \
                "os.closerange(6, 64)\nos.execv(sys.argv[7], sys.argv[7:])"
        command = [sys.executable, "-I", "-c", start, *map(str, [*given, library]), interpreter, "-I", "-X", "utf8", "-B", "-c", texts[0]]
        self.process = subprocess.Popen(command, cwd=directory, pass_fds=[*given, library], stdin=subprocess.DEVNULL,
                                        env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", **dict(environment)}, start_new_session=True)
        for fd in [*given, library]:
            os.close(fd)
        self.pid = self.process.pid
        assert self.read(1) == b"P"
        body = json.dumps({"script": "", "entry": "session", "parts": texts[1], "result_bytes": result_bytes,
                           "files": [[f"{directory}/{path}", len(content)] for path, content in files]}).encode()
        os.write(self.wake, len(body).to_bytes(8, "big") + body + b"".join(content for _, content in files))
        self.at_rest()

    def read(self, count):
        parts = []
        while count:
            # Copies have the pipe, too: its end does not come when an interpreter is gone.
            ready = self.ready(60)
            part = os.read(self.said, count) if self.said in ready else b""
            if not part:
                raise Gone(ready)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def ready(self, seconds):
        """What can be read, or the end of the interpreter. One that was interrupted is nudged meanwhile, as the supervisor nudges."""
        until, ready = time.monotonic() + seconds, []
        while not ready and time.monotonic() < until:
            ready, _, _ = select.select([self.said, self.pidfd()], [], [], 0.02 if self.interrupted else seconds)
            if self.interrupted and not ready:
                signal.pidfd_send_signal(self.pidfd(), signal.SIGURG)
        return ready

    def pidfd(self):
        if getattr(self, "watched", (None,))[0] != self.pid:
            self.watched = self.pid, os.pidfd_open(self.pid)
        return self.watched[1]

    def frame(self):
        tag, size = self.read(1), int.from_bytes(self.read(8), "big")
        return tag.decode(), self.read(size)

    def at_rest(self):
        tag, content = self.frame()
        while tag in "CM":
            tag, content = self.frame()
        assert tag == "K", (tag, content)
        self.interrupted = False
        before, self.rest = getattr(self, "rest", {}).get("pid"), json.loads(content)
        # As the supervisor does, which has heard of the new one by now.
        if before not in (None, self.pid, self.rest.get("pid")):
            end(before)
        return self.rest

    def write(self, value, content=b""):
        body = json.dumps(value).encode()
        os.write(self.returns, len(body).to_bytes(8, "big") + body + content)

    def begin(self, code, **fields):
        self.cells += 1
        code = textwrap.dedent(code)
        self.write({"cell": self.cells, "code": code, "result_bytes": LIMIT, **fields})

    def heard(self, call=None):
        """What a cell says to its verdict."""
        told = SimpleNamespace(shown=[], value=None, calls=[])
        while True:
            tag, content = self.frame()
            if tag == "C":
                told.calls.append(json.loads(content))
                if call:
                    call(told.calls[-1])
            elif tag == "M":
                told.shown.append(json.loads(content))
            elif tag == "T":
                told.value = json.loads(content)
            else:
                told.tag, told.content = tag, content
                told.result = json.loads(content) if tag == "R" else None
                told.error = json.loads(content) if tag == "E" else None
                told.text = (told.value or {}).get("text/plain")
                return told

    def run(self, code, call=None, **fields):
        self.begin(code, **fields)
        told = self.heard(call)
        self.at_rest()
        told.stdout, told.stderr = map(printed, (self.stdout, self.stderr))
        return told

    def interrupt(self):
        os.kill(self.pid, signal.SIGINT)
        self.interrupted = True

    def order(self, order, content=b""):
        self.write(order, content)
        return self.frame()

    def dies(self, code):
        """Run a cell that costs the interpreter its life, and have the copy go on, as the supervisor does."""
        self.begin(code)
        try:
            raise AssertionError(self.heard())
        except Gone:
            pass
        return self.restore()

    def restore(self):
        for pid in self.processes():
            if pid != self.rest["pid"]:
                end(pid)
        while select.select([self.said], [], [], 0)[0]:
            os.read(self.said, 1 << 16)
        self.pid = self.rest["pid"]
        os.write(self.wake, b"\1")
        return self.at_rest()

    def processes(self):
        """Those that have the session's result pipe."""
        pipe, found = os.fstat(self.said).st_ino, []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}/fd/3").st_ino == pipe:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def close(self):
        for pid in self.processes():
            end(pid)
        self.process.wait()
        for fd in (self.wake, self.said, self.returns, self.stdout, self.stderr):
            os.close(fd)


def end(pid):
    """Ends a process, and waits until it has."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    select.select([process], [], [])
    os.close(process)


def printed(pipe):
    text = b""
    while select.select([pipe], [], [], 0)[0]:
        text += os.read(pipe, 1 << 16)
    return text.decode()
