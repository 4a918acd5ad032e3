"""What differs between the two places, and the reasons that are known for it."""

import fnmatch
import re
import tomllib
from pathlib import Path

# How Python's test runner ends when a module skips itself, and when it needs a resource (a network) that is not given.
SKIPPED = (0, 4)
REASONS = Path(__file__).resolve().parent / "differences.toml"


def differences(inside, outside):
    """Pairs of outcomes that are not the same, by test. A run that did not end well is told as `(the run)`."""
    if "failed" in inside or "failed" in outside:
        told = [[("failed", str(side["failed"].get("message"))[:300]) if "failed" in side else ("ok", "")] for side in (inside, outside)]
        return {"(the run)": (told[0][0], told[1][0])} if told[0] != told[1] else {}
    if "tests" not in inside:
        return {} if inside == outside else {"(the program)": (("failure", str(inside)[:300]), ("ok", str(outside)[:300]))}
    found = {}
    if not inside["tests"] and not outside["tests"] and inside["end"] == outside["end"] in SKIPPED:
        return {}
    if not inside["tests"] or not outside["tests"]:
        # Also where it is neither here nor there: what was not measured is not the same.
        return {"(the run)": (whole(inside), whole(outside))}
    absent = ("absent", "")
    for test in sorted(inside["tests"].keys() | outside["tests"].keys()):
        pair = tuple(tuple(side["tests"].get(test, absent)) for side in (inside, outside))
        if pair[0][0] != pair[1][0]:
            found[test] = pair
    return found


def whole(side):
    """What is said of a run without tests: how it ended and what it printed last, or why all of it was skipped."""
    skipped = re.search(r"^\w+ skipped -- (.*)|^setUpModule .* skipped ['\"](.*)['\"]$", side["tail"], re.MULTILINE)
    if side["end"] in SKIPPED and skipped and not side["tests"]:
        return "skipped", skipped[1] or skipped[2]
    return f"end {side['end']}", side["tail"][-300:] if not side["tests"] else counts(side)


def overdue(side):
    """Whether a run took longer than it may, and left no report."""
    late = isinstance(side, dict) and "timeout" in (side.get("end"), side.get("failed", {}).get("code"))
    return late and not side.get("tests")


def left(result):
    """What differs each time that a module was run."""
    found = differences(result["inside"], result["outside"])
    return {test: pair for test, pair in found.items() if test in result.get("again", found)}


def counts(side):
    """How many tests passed, failed and were skipped, as text."""
    if "failed" in side:
        return f"did not run: {side['failed'].get('code')}"
    if "tests" not in side:
        return "ok"
    if not side["tests"]:
        return "skipped as a whole" if side["end"] in SKIPPED else f"no report, end: {side['end']}"
    return total([side])


def total(sides):
    """How many tests passed, failed and were skipped in these runs together, as text."""
    outcomes = [outcome for side in sides for outcome, _ in side.get("tests", {}).values()]
    failed = sum(outcome in ("error", "failure") for outcome in outcomes)
    return f"{outcomes.count('ok')} passed, {failed} failed, {outcomes.count('skipped')} skipped"


def ran(side):
    """Whether there was anything in a run that was not skipped."""
    return "tests" not in side or any(outcome != "skipped" for outcome, _ in side["tests"].values())


def reasons():
    """The known differences: patterns of `module: test` and of outcomes in the sandbox, each with why it is so."""
    with open(REASONS, "rb") as file:
        return tomllib.load(file).get("difference", [])


def reason(module, test, inside, known):
    """Why this test differs, or None where nobody knows."""
    name, what = f"{module}: {test}", ": ".join(inside)
    for entry in known:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in entry.get("tests", ["*"])):
            if any(fnmatch.fnmatchcase(what, pattern) for pattern in entry.get("outcomes", ["*"])):
                return entry["reason"]
    return None
