"""What it costs that a job ends as Python ends, beside the same job whose runner ends nothing.

No build and no switch is needed for the other: a job's process is its script's, and so is what serves it there. Each of
the scripts puts a function of its own in the place of two names; which, is all the difference.
"""

import http.client
import json
import random
import time
from math import sqrt
from statistics import fmean, median, stdev

SCRIPT = """import sys

def yes(*_):
    return True

def no(*_):
    return False

def main():
    runner = sys._getframe(1).f_globals
    assert callable(runner["leaves_nothing"]) and callable(runner["flush_c"])
    runner[{0!r}] = {1}
    runner[{2!r}] = {3}
    return {{"sum": 2 + 2}}
"""
# What is not looked up, what is; the last goes through all of the end though nothing needs it.
WITHOUT = "without"
WAYS = {
    WITHOUT: ("leaves_nothing", "yes", "flush_c", "yes"),
    "which leaves nothing": ("a name", "yes", "another", "yes"),
    "whose end is gone through": ("leaves_nothing", "no", "another", "no"),
}
PAIRS, REQUESTS = 30, 60
# Student's t for the middle 95% and so many pairs.
T = 2.045


def measure(client, profile):
    """For each way the p50 in milliseconds, and the ratio to that without, as the mean of the pairs' and its interval of 95%."""
    bodies = {way: json.dumps({"script": SCRIPT.format(*names), "profile": profile}) for way, names in WAYS.items()}
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"))
    for body in list(bodies.values()) * 10:
        ask(connection, body)
    medians = {way: [] for way in bodies}
    for _ in range(PAIRS):
        times = {way: [] for way in bodies}
        for _ in range(REQUESTS):
            for way in random.sample(list(bodies), len(bodies)):
                times[way].append(ask(connection, bodies[way]))
        for way, of in times.items():
            medians[way].append(median(of))
    connection.close()
    return {way: figure(of, medians[WITHOUT]) for way, of in medians.items()}


def ask(connection, body):
    begun = time.perf_counter()
    connection.request("POST", "/execute", body, {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    taken = (time.perf_counter() - begun) * 1000
    assert json.loads(answer).get("result") == {"sum": 4}, answer
    return taken


def figure(medians, without):
    ratios = [one / other for one, other in zip(medians, without, strict=True)]
    mean, error = fmean(ratios), stdev(ratios) / sqrt(len(ratios))
    return {"p50_ms": median(medians), "ratio": mean, "interval": [mean - T * error, mean + T * error]}


def table(figures):
    lines = [f"  {'without its end':<27} p50 {figures[WITHOUT]['p50_ms']:.2f} ms"]
    for way, of in figures.items():
        if way != WITHOUT:
            low, high = of["interval"]
            lines.append(f"  {way:<27} p50 {of['p50_ms']:.2f} ms, {of['ratio']:.3f} of that ({low:.3f} to {high:.3f})")
    return "2 + 2, warm: a job that ends as Python ends\n" + "\n".join(lines)
