"""The tables that `make compat` prints, in Markdown."""

from collections import Counter, defaultdict

import compare

SUITES = {"programs": "programs", "cpython": "Python's tests", "numpy": "numpy's tests"}


def summary(results):
    """One line for each suite: how many modules there are of each kind, and what became of their tests in each place."""
    lines = ["| | modules | the same | some tests differ | nothing to run | in the sandbox | outside |", "|---|---|---|---|---|---|---|"]
    for suite, title in SUITES.items():
        pairs = [pair for pair in results.values() if pair["suite"] == suite]
        kinds = Counter(map(kind, pairs))
        tests = [compare.total(pair[side] for pair in pairs) if suite != "programs" else "" for side in ("inside", "outside")]
        lines.append("| " + " | ".join(map(str, (title, len(pairs), kinds["same"], kinds["differ"], kinds["nothing"], *tests))) + " |")
    return "\n".join(lines)


def kind(pair):
    if compare.left(pair):
        return "differ"
    return "same" if compare.ran(pair["inside"]) or compare.ran(pair["outside"]) else "nothing"


def reasons(results, known):
    """One line for each reason: how many tests differ for it, and in which modules."""
    found = defaultdict(Counter)
    for module, pair in results.items():
        for test, (inside, _) in compare.left(pair).items():
            found[compare.reason(module, test, inside, known) or "**unknown**"][module] += 1
    lines = ["| differ | why | where |", "|---|---|---|"]
    for why, where in sorted(found.items(), key=lambda entry: -entry[1].total()):
        lines.append(f"| {where.total()} | {why} | {', '.join(f'`{module}` {number}' for module, number in where.items())} |")
    return "\n".join(lines)


def modules(results):
    """One line for each module: what became of its tests in each place, and how many differ."""
    lines = ["| module | in the sandbox | outside | differ |", "|---|---|---|---|"]
    for name, pair in results.items():
        inside, outside = (compare.counts(side) for side in (pair["inside"], pair["outside"]))
        lines.append(f"| `{name}` | {inside} | {outside} | {len(compare.left(pair)) or ''} |")
    return "\n".join(lines)


def differences(results, known):
    """One line for each test that differs, and why; second, how many of them nobody can explain."""
    lines, unknown = ["| test | in the sandbox | outside | why |", "|---|---|---|---|"], 0
    for module, pair in results.items():
        for test, (inside, outside) in compare.left(pair).items():
            why = compare.reason(module, test, inside, known)
            unknown += why is None
            lines.append(f"| `{module}: {test}` | {cell(inside)} | {cell(outside)} | {why or '**unknown**'} |")
    return "\n".join(lines), unknown


def cell(outcome):
    kind, why = outcome
    text = " ".join(why.split()).replace("|", "\\|")
    return f"{kind}: {text[:160]}" if text else kind
