#!/usr/bin/env python3
"""Many cells in many sessions, with failures of each kind among them, and then nothing left behind.

Each session counts in a variable what its cells have done. A cell that costs the session its process is to have done nothing, any
other to have done what it says; so the count says whether one was lost or done twice. Exit status 1 if anything was otherwise.
"""

import argparse
import collections
import http.client
import json
import sys
import threading
import time
from pathlib import Path

from subjects import HERE, Cloister

sys.path.append(str(HERE.parent / "suite/leftovers"))

from test_leftovers import snapshot  # noqa: E402

PROFILE = """
[profile.soak]
extends = "default"
memory = "128MiB"
cpu_time = "2s"
processes = 32
sessions = { most = 200, interrupt_wait = "200ms" }
"""
BEGIN = "import ctypes, os, random, signal, sys, threading, time\nrandom.seed(1)\nx = 0\nlog = open('log', 'a')"

# More than there may be. They end with the cell: while so many stay, no copy can be put aside, which is told.
CHILDREN = """
x += 1
begun = []
try:
    while True:
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        begun.append(child)
finally:
    for child in begun:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""

# What a cell does, what it comes to, and whether it counts. One that is restored does not.
KINDS = {
    "exception": ("x += 1; 1 / 0", "exception", True),
    "no source": ("x += 1; (", "syntax_error", False),
    "sys.exit": ("x += 1; sys.exit(3)", "exit", True),
    # Of a session that was restored nobody tells how it ended.
    "os._exit": ("x += 1; os._exit(3)", ("exit", "killed"), False),
    "crash": ("x += 1; ctypes.string_at(0)", "killed", False),
    "killed": ("x += 1; os.kill(os.getpid(), signal.SIGKILL)", "killed", False),
    "memory": ("x += 1; held = bytearray(1 << 28)\nheld[:] = b'x' * len(held)", ("memory_limit", "exception"), None),
    "wall time": ("x += 1\nwhile True: time.sleep(1)", "timeout", False),
    "processor time": ("x += 1\nwhile True: pass", ("cpu_limit", "timeout"), False),
    "a thread that stays": ("x += 1; threading.Thread(target=time.sleep, args=(30,), daemon=True).start()", None, True),
    "a child that stays": ("x += 1\nif os.fork() == 0:\n    time.sleep(30)\n    os._exit(0)", None, True),
    "children": (CHILDREN, "process_limit", True),
    "output": ("x += 1; print('x' * 5_000_000)", None, True),
    "a file": ("x += 1; log.write('x' * 10_000); log.flush()", None, True),
    "interrupt": ("x += 1\nwhile True: time.sleep(1)", "interrupted", None),
    "an interrupt that is not heeded": ("x += 1\nwhile True:\n    try: time.sleep(1)\n    except KeyboardInterrupt: pass", "interrupted", None),
    "who sent it leaves": ("x += 1\ntime.sleep(0.3)", "left", None),
}
PLAIN = "x += 1"
SHORT = {"wall time": 100}


class Soaked:
    """A session that is sent cells, and what it should have counted by now."""

    def __init__(self, address, number):
        self.address, self.number, self.x = address, number, 0
        self.kept = http.client.HTTPConnection(address, timeout=120)
        self.path = "/sessions/" + self.ask("POST", "/sessions", {"profile": "soak"})[1]["session"]
        self.run(BEGIN)

    def ask(self, method, path, body=None):
        self.kept.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = self.kept.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def run(self, code, **fields):
        status, answer = self.ask("POST", f"{self.path}/execute", {"code": code, **fields})
        assert status in (200, 422), (status, answer)
        return answer

    def step(self, kind):
        """One cell, of this kind; and then whether what was done was done once."""
        code, expected, counts = KINDS.get(kind, (PLAIN, None, True))
        if expected == "interrupted":
            self.interrupted(code)
        elif expected == "left":
            self.left(code)
        else:
            answer = self.run(code, **({"timeout_ms": SHORT[kind]} if kind in SHORT else {}))
            got = answer.get("error", {}).get("code")
            wanted = expected if isinstance(expected, tuple) else (expected,)
            assert got in wanted, (kind, answer)
            assert answer.get("restored") in (None, True), (kind, answer)
            counts = counts if counts is not None else "restored" not in answer
        if counts is not None:
            self.x += counts
            return
        # It may have been counted or not; what it is now it stays.
        told = self.run("x")["result"]
        assert told - self.x in (0, 1), (kind, told, self.x)
        self.x = told

    def interrupted(self, code):
        cell = threading.Thread(target=self.answered, args=(code,))
        cell.start()
        self.wait_until_it_runs()
        while cell.is_alive():
            self.ask("POST", f"{self.path}/interrupt")
            cell.join(0.05)
        assert self.answer["error"]["code"] == "interrupted", self.answer

    def sent(self, code):
        """A connection of its own that a cell was sent over."""
        own = http.client.HTTPConnection(self.address, timeout=120)
        own.request("POST", f"{self.path}/execute", json.dumps({"code": code}), {"Content-Type": "application/json"})
        return own

    def answered(self, code):
        own = self.sent(code)
        self.answer = json.loads(own.getresponse().read())
        own.close()

    def wait_until_it_runs(self):
        while self.ask("GET", self.path)[1]["state"] != "running":
            time.sleep(0.001)

    def left(self, code):
        own = self.sent(code)
        self.wait_until_it_runs()
        own.close()

    def check(self):
        assert self.run("x")["result"] == self.x, (self.number, self.x)

    def close(self):
        status, answer = self.ask("DELETE", self.path)
        assert status in (204, 410), answer
        self.kept.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--fails", type=int, default=20, help="one cell of so many is one that fails")
    arguments = parser.parse_args()
    cloister = Cloister("soak", warm=True, policy=PROFILE)
    try:
        cloister.start()
        sys.exit(0 if soak(cloister.service, arguments) else 1)
    finally:
        cloister.stop()


def soak(service, arguments):
    warm_up = Soaked(service.address, -1)
    warm_up.close()
    before, memory = at_rest(service), resident(service.supervisor.pid)
    sessions = [Soaked(service.address, number) for number in range(arguments.sessions)]
    each, began, wrong, counted = arguments.cells // arguments.sessions, time.monotonic(), [], collections.Counter()
    turns = iter([(session, turn) for turn in range(each // arguments.fails) for session in sessions])
    taking, busy = threading.Lock(), {session: threading.Lock() for session in sessions}

    def client():
        while not wrong:
            with taking:
                session, turn = next(turns, (None, None))
            if session is None:
                return
            kind = [*KINDS][(turn + session.number) % len(KINDS)]
            try:
                with busy[session]:
                    for _ in range(arguments.fails - 1):
                        session.step("plain")
                    session.step(kind)
                    session.check()
                counted[kind] += 1
            except Exception as error:
                wrong.append(f"{kind}: session {session.number}, turn {turn}: {type(error).__name__}: {error}")

    clients = [threading.Thread(target=client) for _ in range(arguments.clients)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    seconds = time.monotonic() - began
    held = resident(service.supervisor.pid)
    cells = sum(session.ask("GET", session.path)[1]["cells"] for session in sessions) if not wrong else 0
    for what in wrong[:5]:
        print("wrong:", what)
    if wrong:
        print(service.log("supervisor"))
    for session in sessions:
        session.close()
    after = at_rest(service, before)
    print(f"{cells:,} cells in {len(sessions)} sessions in {seconds:.0f} s; of each kind of failure {min(counted.values(), default=0)} to {max(counted.values(), default=0)}")
    print(f"the supervisor's memory: {memory / 1024:.1f} MiB before, {held / 1024:.1f} with all sessions open, {resident(service.supervisor.pid) / 1024:.1f} behind it")
    left = left_behind(before, after)
    print("left behind:", left or "nothing")
    return not wrong and not left


def left_behind(before, after):
    return {key: more for key in before if (more := difference(before[key], after[key]))}


def difference(before, after):
    """What there is more of, and of how much."""
    if isinstance(before, int):
        return max(after - before, 0)
    return dict(collections.Counter(after) - collections.Counter(before))


def at_rest(service, as_before=None, within=90):
    """What is seen twice in a row once no session is left; or, when it has come to that, no more than before. Mounts of the machine are others' too."""
    deadline, seen = time.monotonic() + within, None
    while True:
        last, seen = seen, {**snapshot(service), "mounts": 0}
        settled = not left_behind(as_before, seen) if as_before else seen == last
        settled = settled and not service.job_processes()
        if settled or time.monotonic() > deadline:
            return seen
        time.sleep(0.5)


def resident(pid):
    """KiB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


if __name__ == "__main__":
    main()
