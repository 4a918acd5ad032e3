"""The tables that `make compat` prints, in Markdown."""

import compare


def modules(results):
    """One line for each module: what became of its tests in each place, and how many differ."""
    lines = ["| module | in the sandbox | outside | differ |", "|---|---|---|---|"]
    for name, pair in results.items():
        inside, outside = (compare.counts(side) for side in (pair["inside"], pair["outside"]))
        lines.append(f"| `{name}` | {inside} | {outside} | {len(pair['differ']) or ''} |")
    return "\n".join(lines)


def differences(results, known):
    """One line for each test that differs, and why; second, how many of them nobody can explain."""
    lines, unknown = ["| test | in the sandbox | outside | why |", "|---|---|---|---|"], 0
    for module, pair in results.items():
        for test, (inside, outside) in pair["differ"].items():
            why = compare.reason(module, test, inside, known)
            unknown += why is None
            lines.append(f"| `{module}: {test}` | {cell(inside)} | {cell(outside)} | {why or '**unknown**'} |")
    return "\n".join(lines), unknown


def cell(outcome):
    kind, why = outcome
    text = " ".join(why.split()).replace("|", "\\|")
    return f"{kind}: {text[:160]}" if text else kind
