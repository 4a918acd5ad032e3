#!/usr/bin/env python3
"""Run Python's tests, numpy's tests and real programs in the default profile and outside of it, and tabulate what differs.

Exit status 1 when a difference has no reason in differences.toml. Writes compat.json and compat.md to --out.
"""

import argparse
import json
import platform
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "suite"))
import compare
import modules
import table
from places import Inside, Outside
from store import Store


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("compat: stopped"))
    # A shell's background command is told to ignore it, and so would all tests be.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seconds = arguments.module_seconds
    places = {"inside": Inside(arguments.tree, seconds, arguments.network), "outside": Outside(arguments.tree, seconds)}
    run = Run(places, Store(arguments.out, arguments.tree, arguments.network, arguments.fresh), arguments)
    started = []
    try:
        for place in places.values():
            started.append(place)
            place.start()
        run.all(wanted(arguments))
    finally:
        for place in started:
            place.stop()
    return tell(run.results, run.left_out, arguments)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="what tree.py made")
    parser.add_argument("--out", type=Path, default=Path("target/compat"), help="where the tables go, and what was measured")
    parser.add_argument("--only", nargs="*", default=["programs", "cpython", "numpy"], metavar="SUITE|MODULE")
    parser.add_argument("--except", nargs="*", default=[], dest="excepted", metavar="SUITE|MODULE")
    parser.add_argument("--network", choices=["none", "loopback"], default="none", help="the sandbox's; the default profile's is none")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured with this policy and tree")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further module after this")
    parser.add_argument("--module-seconds", type=int, default=300, help="how long one module may take")
    parser.add_argument("--jobs", type=int, default=1, help="how many modules at once")
    return parser.parse_args()


def wanted(arguments):
    """(suite, module) of all that is to be run."""
    def named(names, task):
        return any(part in names for part in task)

    return [task for task in modules.tasks(arguments.tree) if named(arguments.only, task) and not named(arguments.excepted, task)]


class Run:
    """Modules in both places, and what became of them."""

    def __init__(self, places, store, arguments):
        self.places, self.store, self.arguments = places, store, arguments
        self.results, self.left_out = {}, []
        self.deadline = time.monotonic() + arguments.minutes * 60
        self.known = compare.reasons()

    def all(self, tasks):
        """Measures what the store does not have, then once more what differs for no known reason."""
        with ThreadPoolExecutor(self.arguments.jobs) as pool, ThreadPoolExecutor(2 * self.arguments.jobs) as self.sides:
            for _ in pool.map(self.one, *zip(*tasks)):
                pass
            for _ in pool.map(self.again, *zip(*tasks)):
                pass

    def one(self, suite, name):
        result = self.store.get(name)
        if result is None and time.monotonic() > self.deadline:
            self.left_out.append(name)
            return
        if result is None:
            result = self.both(suite, name)
            # What took too long outside says nothing of the sandbox: a run with more --module-seconds is to try again.
            if not compare.overdue(result["outside"]):
                self.store.put(name, result)
            print(f"{name}: {compare.counts(result['inside'])}; outside: {compare.counts(result['outside'])}; "
                  f"{len(compare.left(result))} differ; {result['seconds']} s", flush=True)
        self.results[name] = result

    def again(self, suite, name):
        """What differs by chance (a machine that is slow, a test that depends on the time) does not do so twice."""
        result = self.results.get(name)
        if result is None or "again" in result or not self.unexplained(name, result) or time.monotonic() > self.deadline:
            return
        print(f"once more: {name}", flush=True)
        again = self.both(suite, name)
        result["again"] = compare.differences(again["inside"], again["outside"])
        self.store.put(name, result)

    def unexplained(self, name, result):
        return any(compare.reason(name, test, inside, self.known) is None for test, (inside, _) in compare.left(result).items())

    def both(self, suite, name):
        """Runs a module in both places at once."""
        began = time.monotonic()
        if suite == "programs":
            script, given = modules.programs()[name], ()
        else:
            ignored = modules.endless(suite, name) if self.arguments.network == "none" else []
            script, given = (HERE / "inside.py").read_text(), (suite, name, self.arguments.module_seconds, ignored)
        both = {side: self.sides.submit(place.run, script, *given) for side, place in self.places.items()}
        pair = {side: future.result() for side, future in both.items()}
        return {"suite": suite, **pair, "seconds": round(time.monotonic() - began)}


def tell(results, left_out, arguments):
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "compat.json").write_text(json.dumps({"results": results, "left out": left_out}, indent=1) + "\n")
    known = compare.reasons()
    differing, unknown = table.differences(results, known)
    machine = f"Linux {platform.release()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    parts = (machine, table.summary(results), table.reasons(results, known), table.modules(results), differing)
    text = "\n\n".join(parts) + "\n"
    if left_out:
        text += f"\nNot run, for want of time: {', '.join(left_out)}\n"
    (arguments.out / "compat.md").write_text(text)
    print(f"\n{text}\n{unknown} differences without a known reason", flush=True)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
