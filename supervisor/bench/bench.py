#!/usr/bin/env python3
"""Measure Cloister beside what it is compared with, in one run, and say where it must get to.

Every figure is a median of several rounds in which the subjects take turns, so that a machine that
becomes slower does so for all of them. Only ratios are worth quoting.

Writes bench.json and latency.svg to the directory that --out names, and a table to standard output.
"""

import argparse
import json
import platform
import shutil
import sys
from pathlib import Path
from statistics import median

import calls
import density
import neighbours
import packages
import prints
import processors
import report
import session_cells
import tool_calls
import used
from subjects import Cloister, Floor, Nsjail, Predecessor, Service
from workloads import WORKLOADS

CLIENTS = (1, 2, 8, 64)

# Milliseconds between an answer and the client's next request, where it does not ask at once.
PAUSE = 10


def main():
    arguments = parse()
    if arguments.only_used:
        return print(report.used(used.measure(arguments.used)))
    if arguments.only_neighbours:
        return print(report.neighbours(noise(arguments)))
    if arguments.only_packages:
        return print(report.packages(packages.measure(arguments.rounds, arguments.seconds)))
    if arguments.only_tools:
        return print(report.tools(tool_calls.measure(arguments.rounds)))
    if arguments.only_processors:
        return print(report.processors(processors.measure(arguments.rounds, arguments.seconds)))
    if arguments.only_sessions:
        return print(report.sessions(session_cells.measure(arguments.rounds)))
    subjects = [Cloister("warm", warm=True), Cloister("cold", warm=False), Floor(), Predecessor()]
    if arguments.beside:
        subjects += [Cloister("warm, before", warm=True, built=arguments.beside), Cloister("cold, before", warm=False, built=arguments.beside)]
    if shutil.which("nsjail"):
        subjects.append(Nsjail())
    started = []
    try:
        for subject in subjects:
            started.append(subject)
            subject.start()
        check(subjects)
        allowed = calls.measure(subjects[0], arguments.rounds)
        printed = prints.measure(subjects[:2], arguments.rounds)
        latencies, spread = sequential(subjects, arguments)
        paused, spread_paused = sequential(subjects, arguments, PAUSE)
        rates = throughput([subject for subject in subjects if subject.name != "nsjail"], latencies, arguments)
    finally:
        for subject in started:
            subject.stop()
    figures = {
        "machine": f"{platform.processor() or platform.machine()}, {platform.release()}, Python {platform.python_version()}",
        "sequential": percentiles(latencies),
        "pause_ms": PAUSE,
        "floor_spread": max(spread, spread_paused),
        "with pauses": percentiles(paused),
        "throughput": rates,
        "allowed calls": allowed,
        "prints": printed,
        "density": {} if arguments.without_density else density.measure(arguments.jobs),
        "neighbours": {} if arguments.without_neighbours else noise(arguments),
        "tools": {} if arguments.without_tools else tool_calls.measure(arguments.rounds),
        "processors": {} if arguments.without_processors else processors.measure(arguments.rounds, arguments.seconds),
        "sessions": {} if arguments.without_sessions else session_cells.measure(arguments.rounds),
        "used": {} if arguments.without_used else used.measure(arguments.used),
    }
    figures["goals"] = report.goals(figures)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "bench.json").write_text(json.dumps(figures, indent=1) + "\n")
    (arguments.out / "latency.svg").write_text(report.picture(figures["sequential"]))
    print(report.table(figures))
    print(f"\nwritten: {arguments.out}/bench.json, {arguments.out}/latency.svg")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("target/bench"), help="where the files go")
    parser.add_argument("--rounds", type=int, default=3, help="how often the subjects take turns (median of these)")
    parser.add_argument("--seconds", type=int, default=2, help="how long each measurement takes")
    parser.add_argument("--jobs", type=int, default=10_000, help="how many jobs in a row the last part runs")
    parser.add_argument("--without-density", action="store_true", help="leave out the part about many jobs at once and in a row")
    parser.add_argument("--beside", type=Path, metavar="DIR", help="measure these programs too, built of an earlier commit, as \"before\"")
    parser.add_argument("--without-neighbours", action="store_true", help="leave out the part about jobs beside those of another client")
    parser.add_argument("--neighbour", action="append", choices=list(neighbours.KINDS), metavar="KIND",
                        help=f"only these neighbours: {', '.join(neighbours.KINDS)}")
    parser.add_argument("--neighbours", type=int, default=neighbours.JOBS, help="how many jobs at once the other client has")
    parser.add_argument("--neighbour-seconds", type=float, default=4, help="how long each kind of neighbour is measured")
    parser.add_argument("--only-packages", action="store_true", help="pictures, models and workbooks, and nothing else")
    parser.add_argument("--without-tools", action="store_true", help="leave out the part about calls of tools")
    parser.add_argument("--only-tools", action="store_true", help="nothing but that part")
    parser.add_argument("--without-sessions", action="store_true", help="leave out the part about cells of sessions")
    parser.add_argument("--only-sessions", action="store_true", help="nothing but that part")
    parser.add_argument("--without-processors", action="store_true", help="leave out the part about what a job takes of the processors")
    parser.add_argument("--only-processors", action="store_true", help="nothing but that part")
    parser.add_argument("--only-neighbours", action="store_true", help="nothing but that part")
    parser.add_argument("--used", type=int, default=200, help="how many requests the part about a mix of import sets has")
    parser.add_argument("--without-used", action="store_true", help="leave that part out")
    parser.add_argument("--only-used", action="store_true", help="nothing but that part")
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="measure these only")
    return parser.parse_args()


def noise(arguments):
    """What one client waits beside another's jobs, for the programs measured and, if there are any, those from before."""
    ways = {"now": None, **({"before": arguments.beside} if arguments.beside else {})}
    figures = {}
    for when, built in ways.items():
        # As it is shipped: who is turned away is part of it.
        service = Service(warm=True, built=built)
        try:
            service.start()
            service.settle()
            figures[when] = neighbours.measure(service, arguments.neighbour or neighbours.KINDS, arguments.neighbours, arguments.neighbour_seconds)
        finally:
            service.stop()
    return figures


def check(subjects):
    """Nothing is measured that does not answer right."""
    for subject in subjects:
        for name, (script, expected) in WORKLOADS.items():
            answer = subject.ask(script)
            if answer is not None and answer != expected:
                sys.exit(f"bench: {subject.name} answers {name!r} with {str(answer)[:200]}")


def chosen(arguments):
    return {name: script for name, (script, _) in WORKLOADS.items() if not arguments.workload or name in arguments.workload}


def sequential(subjects, arguments, pause=0):
    """For each workload and subject the round whose median is the median of all rounds, with one client; and how much the floor's
    own differed from round to round, the slowest to the quickest, where that was most."""
    measured, spread = {}, 1.0
    for name, script in chosen(arguments).items():
        rounds = {subject.name: [] for subject in subjects}
        for _ in range(arguments.rounds):
            for subject in subjects:
                rounds[subject.name].append(faultless(subject, subject.load(script, 1, arguments.seconds, pause)))
        floor = [sample.p50 for sample in rounds["floor"]]
        spread = max(spread, max(floor) / min(floor))
        measured[name] = {subject: sorted(samples, key=lambda sample: sample.p50)[len(samples) // 2] for subject, samples in rounds.items()}
        say(name + (f", {pause} ms between requests" if pause else ""), {subject: f"{sample.p50:.2f} ms" for subject, sample in measured[name].items()})
    return measured, spread


def percentiles(measured):
    return {load: {name: sample.percentiles for name, sample in of.items()} for load, of in measured.items()}


def throughput(subjects, latencies, arguments):
    """Answers a second for each workload, subject and number of clients, as medians."""
    measured = {}
    for name, script in chosen(arguments).items():
        measured[name] = {subject.name: {} for subject in subjects}
        for clients in CLIENTS:
            rounds = {subject.name: [] for subject in subjects}
            for number in range(arguments.rounds):
                for subject in subjects:
                    seconds = long_enough(latencies[name][subject.name].p50, clients, arguments.seconds)
                    # What takes long says enough the first time.
                    if number == 0 or seconds == arguments.seconds:
                        rounds[subject.name].append(faultless(subject, subject.load(script, clients, seconds)).rate)
            for subject, rates in rounds.items():
                measured[name][subject][clients] = median(rates)
        say(f"{name}, answers a second", {subject: [round(rate, 1) for rate in of.values()] for subject, of in measured[name].items()})
    return measured


def long_enough(p50, clients, seconds):
    """Seconds in which each client is answered several times, for what is still under way at the end is not counted."""
    return min(40, max(seconds, round(4 * p50 / 1000 * clients / 2)))


def faultless(subject, sample):
    """Cloister answers every request, or there is nothing to measure. Others, an earlier one too, may give up under load, and this says so."""
    if sample.failed:
        told = f"bench: {sample.failed} of {sample.requests} requests to {subject.name} failed"
        if isinstance(subject, Cloister) and subject.service.built is None:
            sys.exit(told)
        print(told, file=sys.stderr, flush=True)
    return sample


def say(what, figures):
    print(f"{what}: " + ", ".join(f"{name} {figure}" for name, figure in figures.items()), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
