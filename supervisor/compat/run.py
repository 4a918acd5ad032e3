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


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("compat: stopped"))
    places = {"inside": Inside(arguments.tree, arguments.module_seconds), "outside": Outside(arguments.tree, arguments.module_seconds)}
    started = []
    results, left_out = {}, []
    try:
        for place in places.values():
            started.append(place)
            place.start()
        results, left_out = run_all(wanted(arguments), places, arguments)
    finally:
        for place in started:
            place.stop()
    return tell(results, left_out, arguments)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="what tree.py made")
    parser.add_argument("--out", type=Path, default=Path("target/compat"), help="where the tables go")
    parser.add_argument("--only", nargs="*", default=["programs", "cpython", "numpy"], metavar="SUITE|MODULE")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further module after this")
    parser.add_argument("--module-seconds", type=int, default=300, help="how long one module may take")
    return parser.parse_args()


def wanted(arguments):
    """(suite, module) of all that is to be run."""
    known = [("programs", name) for name in modules.programs()]
    numpy = [("numpy", name) for name in modules.numpy_modules(arguments.tree, modules.listed("numpy"))]
    cpython = [("cpython", name) for name in modules.listed("cpython") if exists(arguments.tree, name)]
    # Both suites are begun early, so that a run that is cut short has seen some of each.
    known += [task for pair in zip(cpython, numpy) for task in pair]
    known += cpython[len(numpy):] + numpy[len(cpython):]
    return [(suite, name) for suite, name in known if suite in arguments.only or name in arguments.only]


def exists(tree, name):
    path = name.replace(".", "/")
    return any(Path(tree).glob(f"usr/lib/python3*/test/{path}.py")) or any(Path(tree).glob(f"usr/lib/python3*/test/{path}/__init__.py"))


def run_all(tasks, places, arguments):
    """Both places at once for each module, and one module after another."""
    deadline = time.monotonic() + arguments.minutes * 60
    results, left_out = {}, []
    with ThreadPoolExecutor(2) as pool:
        for number, (suite, name) in enumerate(tasks, 1):
            if time.monotonic() > deadline:
                left_out.append(name)
                continue
            results[name] = run_both(pool, suite, name, places, arguments)
            print(f"[{number}/{len(tasks)}] {name}: {compare.counts(results[name]['inside'])}; outside: "
                  f"{compare.counts(results[name]['outside'])}; {len(results[name]['differ'])} differ", flush=True)
            keep(results, left_out, arguments)
        for suite, name in tasks:
            if name in results and time.monotonic() < deadline:
                run_again(pool, suite, name, results[name], places, arguments)
    return results, left_out


def run_again(pool, suite, name, pair, places, arguments):
    """What differs by chance (a machine that is slow, a test that depends on the time) does not do so twice."""
    known = compare.reasons()
    if all(compare.reason(name, test, inside, known) for test, (inside, _) in pair["differ"].items()):
        return
    print(f"once more: {name}", flush=True)
    again = run_both(pool, suite, name, places, arguments)["differ"]
    pair["differ"] = {test: outcomes for test, outcomes in again.items() if test in pair["differ"]}


def run_both(pool, suite, name, places, arguments):
    if suite == "programs":
        script, given = modules.programs()[name], ()
    else:
        script, given = (HERE / "inside.py").read_text(), (suite, name, arguments.module_seconds)
    both = {side: pool.submit(place.run, script, *given) for side, place in places.items()}
    pair = {side: future.result() for side, future in both.items()}
    return {**pair, "differ": compare.differences(pair["inside"], pair["outside"])}


def keep(results, left_out, arguments):
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "compat.json").write_text(json.dumps({"results": results, "left out": left_out}, indent=1) + "\n")


def tell(results, left_out, arguments):
    keep(results, left_out, arguments)
    differing, unknown = table.differences(results, compare.reasons())
    machine = f"Linux {platform.release()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    text = f"{machine}\n\n{table.modules(results)}\n\n{differing}\n"
    if left_out:
        text += f"\nNot run, for want of time: {', '.join(left_out)}\n"
    (arguments.out / "compat.md").write_text(text)
    print(f"\n{text}\n{unknown} differences without a known reason", flush=True)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
