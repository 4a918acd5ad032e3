"""What a call of a tool costs, as the script sees it, and what a job pays that could call and does not.

The client of the calls is as light as one can be, `answerer.py`. Its own share, and that of the kernel's two ways between two
processes, is what the same client takes with nothing between: the floor, in the same rounds.
"""

import http.client
import json
import subprocess
import sys
from statistics import median

from answerer import ByEvents, ByWebSocket
from subjects import HERE, Cloister, Sample, timed

CALLS = 1000
SCRIPT = """
import time
from cloister import tools

def main(calls):
    call, times, first = tools.echo, [], time.perf_counter()
    for number in range(calls):
        begun = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - begun)
    return {"all": time.perf_counter() - first, "times": times}
"""
PROFILE = f"""
[profile.calls]
extends = "default"
tools = {{ most = {CALLS + 10} }}
"""
NOTHING = 'def main():\n    return {"sum": 2 + 2}'
TOOLS = [{"name": "echo", "description": "Says what it is told.", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}]

# What is wanted, in milliseconds, and as a ratio.
ONE, ALL, COULD = 0.3, 400, 1.02

# How many jobs of each kind take turns at once, how often in each round, and the milliseconds between them; each turn is a ratio.
TURN, TURNS, PAUSES = 20, 12, (0, 10)


def measure(rounds):
    """Milliseconds of a call by each way, of all of them in a row, and of jobs that could call and that could not."""
    cloister = Cloister("calls", warm=True, policy=PROFILE)
    try:
        cloister.start()
        address = cloister.service.address
        ways = {
            "websocket": lambda: by(ByWebSocket, address),
            "events and returns": lambda: by(ByEvents, address),
            "floor": by_floor,
        }
        taken = {way: [] for way in ways}
        for way in ways.values():
            way()
        for _ in range(rounds):
            for way, ask in ways.items():
                taken[way].append(ask())
        jobs = {pause: could(address, rounds, pause) for pause in PAUSES}
        return {"calls": {way: middle(of) for way, of in taken.items()}, "could": jobs}
    finally:
        cloister.stop()


def by(client, address):
    client = client(address)
    try:
        return client.run(script=SCRIPT, args=[CALLS], tools=TOOLS, profile="calls")["result"]
    finally:
        client.close()


def by_floor():
    process = subprocess.Popen([sys.executable, HERE / "bare_calls.py", str(CALLS)], stdout=subprocess.PIPE, text=True)
    try:
        return by(ByWebSocket, f"127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.wait(60)


def middle(rounds):
    """Of several rounds the median of each figure."""
    samples = [Sample.of([1000 * one for one in each["times"]], each["all"]) for each in rounds]
    of = lambda percentile: median(sample.percentiles[percentile] for sample in samples)
    return {"p50": of(50), "p99": of(99), "all": median(1000 * sample.seconds for sample in samples)}


def could(address, rounds, pause):
    """Of jobs that do nothing, those that could call beside those that could not: medians of each, and of the turns' ratios."""
    kept = http.client.HTTPConnection(address)
    bodies = {"cannot": json.dumps({"script": NOTHING}), "could": json.dumps({"script": NOTHING, "tools": TOOLS})}
    times, used, ratios = {kind: [] for kind in bodies}, {kind: [] for kind in bodies}, []
    for turn in range(TURNS * rounds):
        of = {}
        # Who is first takes turns too.
        for kind in sorted(bodies, reverse=turn % 2 == 0):
            asked = [ask(kept, bodies[kind], pause) for _ in range(TURN)]
            of[kind] = median(taken for taken, _ in asked)
            times[kind] += [taken for taken, _ in asked]
            used[kind] += [cpu for _, cpu in asked]
        ratios.append(of["could"] / of["cannot"])
    kept.close()
    return {**{kind: {"p50": median(times[kind]), "cpu": median(used[kind])} for kind in bodies}, "ratio": median(ratios)}


def ask(kept, body, pause):
    """Milliseconds until a job is answered, and of processors' time that it has used itself."""
    taken, _, text = timed(kept, body, pause)
    return taken, json.loads(text)["usage"]["cpu_ms"]


def goals(figures):
    """What is wanted: what, the figure, its bound."""
    yield "p50 of a call over a WebSocket, in ms", figures["calls"]["websocket"]["p50"], ONE
    yield f"{CALLS:,} calls over a WebSocket in a row, in ms", figures["calls"]["websocket"]["all"], ALL
    for pause, of in figures["could"].items():
        yield f"a job that could call and does not, to one that cannot, {pause} ms between requests", of["ratio"], COULD


def rows(figures):
    yield "a call of a tool", "p50 ms", "p99 ms", f"{CALLS:,} in a row, ms", "p50 to the floor"
    for way, of in figures["calls"].items():
        yield way, f"{of['p50']:.3f}", f"{of['p99']:.3f}", f"{of['all']:.0f}", f"{of['p50'] / figures['calls']['floor']['p50']:.2f}"


def jobs(figures):
    yield "2 + 2, warm", "cannot call, p50 ms", "could, p50 ms", "ratio", "cannot, CPU ms", "could, CPU ms"
    for pause, of in figures["could"].items():
        cells = of["cannot"]["p50"], of["could"]["p50"], of["ratio"], of["cannot"]["cpu"], of["could"]["cpu"]
        yield f"{pause} ms between requests", *(f"{cell:.3f}" for cell in cells)
