#!/usr/bin/env python3
"""Measure what jobs of a mix cost a node, for the simulation of many nodes: processor time of all parts, job by job.

It is what the kernel counted (`cost.py`), from rest to rest, so that it is nearly the same on a machine that is busy otherwise, which the
time on a clock is not. Prints JSON.

Usage: service_times.py [--jobs 100] > service-times.json
"""

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "suite"))

from cost import Counted  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

# Of each thousand jobs: most are short, few compute, and these few are what others wait for.
MIX = {"2 + 2": 700, "pandas": 250, "200 ms of CPU": 50}
# So many points that a distribution can be drawn from them.
QUANTILES = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100, help="how many of each workload are counted")
    arguments = parser.parse_args()
    with Counted() as counted:
        found = {name: measure(counted, WORKLOADS[name][0], arguments.jobs) for name in MIX}
    json.dump({
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, load average {os.getloadavg()[0]:.0f}",
        "jobs": arguments.jobs,
        "workloads": {name: {"share": MIX[name] / 1000, "cpu_ms": quantiles(times)} for name, times in found.items()},
    }, sys.stdout, indent=1)
    print()


def measure(counted, script, jobs):
    """Milliseconds of processor time that each job has cost, of all parts together."""
    counted.ask(script, "warm")
    counted.rest()
    return [sum(part["cpu_ns"] for part in cost.values()) / 1e6 for cost in counted.costs(script, "warm", jobs)]


def quantiles(times):
    """The least, the largest, and between them what parts the rest evenly."""
    return [round(each, 2) for each in (min(times), *statistics.quantiles(times, n=QUANTILES, method="inclusive"), max(times))]


if __name__ == "__main__":
    main()
