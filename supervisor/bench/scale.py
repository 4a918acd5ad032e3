#!/usr/bin/env python3
"""Simulate 10, 100 and 1,000 nodes from what jobs were measured to cost, and print the tables of docs/scale.md.

`simulation.py` says what is simulated, `service_times.py` has measured what jobs cost. The same options print the same tables.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from simulation import POLICIES, Mix, Seen, Setting, Simulation

TIMES = Path(__file__).with_name("service-times.json")
LOADS = (0.6, 0.8)
DEAD = (0.01, 0.1)
# Of few nodes more runs, to so many nodes in all, so that there are requests enough for a percentile.
NODES_OF = 200
# What a headroom is for: 99 of 100 requests wait less than this, in seconds.
BEARABLE = 0.1
STEPS = [step / 100 for step in range(50, 96, 5)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1000], help="how many nodes, each a part of the tables")
    parser.add_argument("--headroom-nodes", type=int, default=100, help="how many nodes the table of headroom is for")
    parser.add_argument("--table", choices=list(TABLES), action="append", help="print these tables only")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(2) as pool:
        print("\n\n".join(TABLES[name](pool, arguments) for name in arguments.table or TABLES))


def measured():
    return Mix(json.loads(TIMES.read_text()))


def seeds(setting):
    return range(1, max(1, NODES_OF // setting.nodes) + 1)


def simulate(setting):
    """The three spans of a setting, of all its runs together."""
    mix, together = measured(), (Seen(), Seen(), Seen())
    for seed in seeds(setting):
        for all_of, one in zip(together, Simulation(Setting(**{**vars(setting), "seed": seed}), mix).run()):
            all_of.add(one)
    return together


def steady(pool, arguments):
    """All nodes live."""
    settings = [Setting(nodes, policy, load) for nodes in arguments.nodes for load in LOADS for policy in POLICIES]
    rows = []
    for setting, (before, _, _) in zip(settings, pool.map(simulate, settings)):
        waited = len(before.waits) / len(before.latencies)
        rows.append((setting.nodes, percent(setting.load), rate(setting), setting.policy, milliseconds(quantile(before.latencies, 0.5)),
                     milliseconds(quantile(before.latencies, 0.99)), f"{100 * waited:.2f} %", milliseconds(wait(before, 0.99)), before.refused))
    return table(("nodes", "load", "requests/s", "balancer", "median", "p99", "that wait", "wait, p99", "refused"), rows)


def dying(pool, arguments):
    """Some are gone."""
    # One of ten nodes is a tenth of them, and there is no less.
    shares = [(nodes, dead) for nodes in arguments.nodes for dead in DEAD if dead * nodes >= 1]
    settings = [Setting(nodes, policy, LOADS[0], dead) for nodes, dead in shares for policy in POLICIES]
    rows = []
    for setting, (before, during, later) in zip(settings, pool.map(simulate, settings)):
        runs = len(seeds(setting))
        late = sum(latency >= setting.connect for latency in during.latencies)
        rows.append((setting.nodes, percent(setting.dead), setting.policy, f"{(before.lost + during.lost) / runs:.0f}", f"{late / runs:.0f}",
                     *(milliseconds(quantile(span.latencies, 0.99)) for span in (before, during, later)), during.refused + later.refused))
    return table(("nodes", "die", "balancer", "lost", "late", "p99 before", "p99 meanwhile", "p99 later", "refused"), rows)


def headroom(pool, arguments):
    """The largest load at which waits stay bearable when some have died."""
    rows = []
    for dead in (0.0, *DEAD):
        settings = {policy: [Setting(arguments.headroom_nodes, policy, load, dead) for load in STEPS] for policy in POLICIES}
        spans = {policy: pool.map(simulate, each) for policy, each in settings.items()}
        rows.append((arguments.headroom_nodes, percent(dead), *(borne(spans[policy]) for policy in POLICIES)))
    return table(("nodes", "die", *POLICIES), rows)


def borne(spans):
    """The last step before the first that is not borne."""
    best = None
    for load, (_, _, later) in zip(STEPS, spans):
        if later.refused or wait(later, 0.99) >= BEARABLE:
            break
        best = load
    return percent(best) if best else f"less than {percent(STEPS[0])}"


TABLES = {"steady": steady, "dying": dying, "headroom": headroom}


def rate(setting):
    return f"{setting.load * setting.nodes * setting.processors / measured().mean:,.0f}"


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def wait(seen, share):
    """Of all requests, most of which do not wait at all."""
    at = int(len(seen.latencies) * share) - (len(seen.latencies) - len(seen.waits))
    return sorted(seen.waits)[min(len(seen.waits) - 1, at)] if at >= 0 and seen.waits else 0.0


def milliseconds(seconds):
    return f"{seconds * 1000:,.0f} ms"


def percent(share):
    return f"{share * 100:.0f} %"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    main()
