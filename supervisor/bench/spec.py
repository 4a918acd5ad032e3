#!/usr/bin/env python3
"""Count what one job costs, part by part, for each way to start it: docs/specification.md says how and what is promised.

Prints a table for people, or with --json everything, each system call's number too.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "suite"))

import bounds  # noqa: E402
import ends  # noqa: E402
from cost import COUNTS, PARTS, WAYS, Counted, Kernel  # noqa: E402
from counting import Uncountable  # noqa: E402
from workloads import COUNTED  # noqa: E402


def main():
    arguments = parse()
    if arguments.bounds:
        return print(bounds.table())
    figures = {}
    try:
        with Counted() as counted:
            for load in arguments.workload or COUNTED:
                figures[load] = {way: figure(counted, COUNTED[load], way, arguments.jobs) for way in WAYS}
                if not arguments.json:
                    print(table(load, figures[load]), flush=True)
            price = None if arguments.without_ends else ends.measure(counted.service.client, "warm")
    except Uncountable as error:
        sys.exit(f"spec: {error}")
    if arguments.json:
        json.dump({"kernel": os.uname().release, "jobs": arguments.jobs, "workloads": figures, "ends": price}, sys.stdout, indent=1)
        print()
    elif price:
        print(ends.table(price))


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10, help="how many jobs of each kind are counted (the figures are medians, CPU times means)")
    parser.add_argument("--workload", action="append", choices=list(COUNTED), help="count these only")
    parser.add_argument("--without-ends", action="store_true", help="leave out what the ends of jobs cost")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--bounds", action="store_true", help="only print the table of bounds, as docs/specification.md has it")
    return parser.parse_args()


def figure(counted, script, way, jobs):
    """What a job costs: by part, and its memory and the kernel's own threads beside them."""
    counted.ask(script, way)
    counted.rest()
    rest, kernel = counted.resting_kernel(), Kernel()
    costs = counted.costs(script, way, jobs)
    used, lasted = kernel.since()
    calls = counted.calls(script, way, jobs)
    parts = {part: summary(part, costs, calls) for part in PARTS}
    children = counted.parked(way) if way != "cold" else []
    return {
        "parts": parts,
        "kernel_threads_cpu_us": max(0, used - rest * lasted) / jobs / 1000,
        "memory_kib": {"parked child": median(children) if children else None, "running job": counted.running(script, way)},
    }


def summary(part, costs, calls):
    rows = [cost[part] for cost in costs]
    by_number = {number: median(row[part][number] for row in calls) for number in {number for row in calls for number in row[part]}}
    return {
        "cpu_us": mean(row["cpu_ns"] for row in rows) / 1000,
        **{name: median(row[name] for row in rows) for name in COUNTS if name != "system_calls"},
        "system_calls": median(sum(row[part].values()) for row in calls),
        "by_number": {number: count for number, count in sorted(by_number.items()) if count},
    }


HEAD = ("", "processes", "system calls", "switches: vol.", "invol.", "faults: minor", "major", "CPU µs")
COLUMNS = ("processes", "system_calls", "voluntary", "involuntary", "minor_faults", "major_faults", "cpu_us")


def table(load, ways):
    parts = []
    for way, of in ways.items():
        rows = [(part, *(of["parts"][part][column] for column in COLUMNS)) for part in PARTS]
        kernel = of["kernel_threads_cpu_us"]
        rows.append(("all", *(sum(row[column] for row in rows) for column in range(1, len(HEAD)))))
        cells = [HEAD, *((name, *(f"{number:.0f}" for number in numbers)) for name, *numbers in rows)]
        cells.append(("kernel's threads", *[""] * (len(HEAD) - 2), f"{kernel:.0f}"))
        memory = ", ".join(f"{what} {kib:.0f} KiB" for what, kib in of["memory_kib"].items() if kib is not None)
        parts.append(f"{load}, {way}: a job costs\n{aligned(cells)}\n  private memory: {memory}\n")
    return "\n".join(parts)


def aligned(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  " + "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip() for row in rows)


if __name__ == "__main__":
    main()
