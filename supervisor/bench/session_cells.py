"""What a cell of a session costs its client, alone and among a hundred sessions, what comes of an interrupt, what a branch costs, and what
sessions hold at rest.

The client is as light as one can be: a connection that is kept, in a thread of its own for each session. Its share is what the
same client takes for `GET /livez`: the floor, in the same run.
"""

import http.client
import json
import re
import threading
import time
from pathlib import Path
from statistics import median

from subjects import Cloister, Sample

ONE, TAIL, INTERRUPT, HELD, BRANCH = 0.5, 5, 100, 12, 10
CELLS, PAUSE, BUSY, SECONDS, IDLE, INTERRUPTS = 400, 0.01, 100, 10, 200, 20
BRANCHES = 50
FRAME = "frame = pandas.DataFrame(numpy.random.rand(125000, 100))"
BEGIN = "import numpy, pandas\nown = bytearray(range(256)) * 20480\nx = 0"
PROFILE = """
[profile.cells]
extends = "default"
sessions = { most = 300 }
"""


class Session:
    """A session of a service's, over a connection of its own."""

    def __init__(self, address):
        self.address, self.kept = address, http.client.HTTPConnection(address)
        self.path = "/sessions/" + self.ask("POST", "/sessions", {"profile": "cells"}, 201)["session"]
        self.run(BEGIN)

    def ask(self, method, path, body=None, status=200):
        self.kept.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = self.kept.getresponse()
        text = answer.read()
        assert answer.status == status, text
        return json.loads(text) if text else None

    def run(self, code, status=200):
        """Seconds until a cell is answered."""
        begun = time.perf_counter()
        self.ask("POST", self.path + "/execute", {"code": code}, status)
        return time.perf_counter() - begun

    def close(self):
        self.ask("DELETE", self.path, status=204)
        self.kept.close()


def measure(rounds):
    """Milliseconds of `x += 1`, back to back and with pauses; of an interrupt; and MiB of sessions at rest."""
    cloister = Cloister("cells", warm=True, policy=PROFILE)
    try:
        cloister.start()
        address = cloister.service.address
        return {"alone": alone(address, rounds), "among": among(address), "interrupt": interrupts(address), "branches": branches(address, rounds), "held": at_rest(cloister.service)}
    finally:
        cloister.stop()


def alone(address, rounds):
    session, figures = Session(address), {"cells in a row": [], "10 ms between cells": [], "floor": []}
    for _ in range(rounds):
        figures["cells in a row"] += [session.run("x += 1") for _ in range(CELLS)]
        for _ in range(CELLS):
            time.sleep(PAUSE)
            figures["10 ms between cells"].append(session.run("x += 1"))
        figures["floor"] += [asked(session) for _ in range(CELLS)]
    session.close()
    return {name: milliseconds(times) for name, times in figures.items()}


def asked(session):
    begun = time.perf_counter()
    session.kept.request("GET", "/livez")
    session.kept.getresponse().read()
    return time.perf_counter() - begun


def milliseconds(times):
    sample = Sample.of([1000 * one for one in times], sum(times))
    return {"p50": sample.percentiles[50], "p99": sample.percentiles[99]}


def among(address):
    """As many sessions, each with a cell a second."""
    sessions, times, failed = [Session(address) for _ in range(BUSY)], [], []

    def go(session, first):
        try:
            for second in range(SECONDS):
                time.sleep(max(0, begun + first + second - time.perf_counter()))
                times.append(session.run("x += 1"))
        except BaseException as error:
            failed.append(error)

    begun = time.perf_counter() + 0.2
    threads = [threading.Thread(target=go, args=(session, number / BUSY)) for number, session in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
    for session in sessions:
        session.close()
    return milliseconds(times)


def interrupts(address):
    """From the request for an interrupt to the cell's answer."""
    session, other, times = Session(address), http.client.HTTPConnection(address), []
    for _ in range(INTERRUPTS):
        answered = []
        cell = threading.Thread(target=lambda: (session.run("while True: pass", 422), answered.append(time.perf_counter())))
        cell.start()
        while not is_running(other, session):
            time.sleep(0.005)
        begun = time.perf_counter()
        other.request("POST", session.path + "/interrupt")
        other.getresponse().read()
        cell.join()
        times.append(answered[0] - begun)
    other.close()
    session.close()
    return milliseconds(times)


def is_running(other, session):
    other.request("GET", session.path)
    return json.loads(other.getresponse().read())["state"] == "running"


def branches(address, rounds):
    """Milliseconds that each of so many branches takes, of a session with a frame of 100 MB, and MiB that each holds then and once it has written."""
    session, each, held, wrote = Session(address), [], [], []
    session.run(FRAME)
    for _ in range(rounds):
        begun = time.perf_counter()
        made = session.ask("POST", session.path + "/fork", {"count": BRANCHES}, 201)["branches"]
        each.append(1000 * (time.perf_counter() - begun) / BRANCHES)
        held += [branch["memory_bytes"] / 2**20 for branch in made]
        for path in [f"/sessions/{branch['session']}" for branch in made]:
            session.ask("POST", path + "/execute", {"code": "frame.iloc[0, 0] = 1; x += 1"})
            session.ask("POST", path + "/execute", {"code": "x"})
            wrote.append(session.ask("GET", path)["memory_bytes"] / 2**20)
            session.ask("DELETE", path, status=204)
    session.close()
    return {"each": median(each), "held": median(held), "wrote": median(wrote)}


def at_rest(service):
    """MiB that each of so many sessions has for itself, by what its group is charged with, and seconds of CPU time of all in a second."""
    sessions = [Session(service.address) for _ in range(IDLE)]
    before = used(service)
    time.sleep(1)
    spent = used(service) - before
    held = [session.ask("GET", session.path)["memory_bytes"] / 2**20 for session in sessions]
    for session in sessions:
        session.close()
    return {"median": median(held), "most": max(held), "cpu_s": spent}


def used(service):
    """CPU time of all slots that hold a session, in seconds."""
    files = [*service.slot_groups("cpuacct.usage"), *service.slot_groups("cpu.stat")]
    told = [(file, Path(file).read_text()) for file in files]
    v1 = sum(int(text) / 1e9 for file, text in told if file.name == "cpuacct.usage")
    v2 = sum(int(found[1]) / 1e6 for _, text in told if (found := re.search(r"usage_usec (\d+)", text)))
    return v1 or v2


def goals(figures):
    """What is wanted: what, the figure, its bound."""
    yield "p50 of a cell x += 1 beside pandas, in ms", figures["alone"]["10 ms between cells"]["p50"], ONE
    yield f"p99 of {BUSY} sessions with a cell a second, to that p50", figures["among"]["p99"] / figures["alone"]["10 ms between cells"]["p50"], TAIL
    yield "p99 from an interrupt to the cell's answer, in ms", figures["interrupt"]["p99"], INTERRUPT
    yield f"ms for each of {BRANCHES} branches of a session with 100 MB", figures["branches"]["each"], BRANCH
    yield f"MiB that each of {IDLE} sessions holds at rest, at most", figures["held"]["most"], HELD


def rows(figures):
    yield "a cell x += 1", "p50 ms", "p99 ms"
    for name, of in [*figures["alone"].items(), (f"{BUSY} sessions, a cell a second each", figures["among"]), ("from an interrupt to the answer", figures["interrupt"])]:
        yield name, f"{of['p50']:.3f}", f"{of['p99']:.3f}"


def held(figures):
    of = figures["held"]
    yield f"{IDLE} sessions at rest, with pandas and 5 MB", "MiB each, median", "most", "CPU s in a second"
    yield "", f"{of['median']:.2f}", f"{of['most']:.2f}", f"{of['cpu_s']:.4f}"


def forked(figures):
    of = figures["branches"]
    yield f"{BRANCHES} branches at once, of a session with a frame of 100 MB", "ms each", "MiB each", "after a cell that writes to it"
    yield "", f"{of['each']:.2f}", f"{of['held']:.2f}", f"{of['wrote']:.2f}"
