"""How much a job may cost: the bounds that the tests hold each part to, for `2 + 2`. They stand in docs/specification.md too.

Counts only, which a busy machine does not change by much; each is what was counted when it was last moved, and about a
fifth more, or more where the part has timers of its own or waits for others. `spec.py --bounds` prints the table for the
document.
"""

COLUMNS = ("processes", "system_calls", "voluntary", "minor_faults")

# None is not bounded: it depends on who else wants the processors.
BOUNDS = {
    "warm": {
        "gateway": (0, 40, 12, 10),
        "supervisor": (0, 160, 20, 20),
        "launcher": (0, 56, 5, 16),
        "zygote": (0, 30, 4, 14),
        "init": (1, 105, 5, 55),
        "job": (1, 205, 8, 920),
    },
    "cold": {
        "gateway": (0, 40, 12, 10),
        "supervisor": (0, 160, 20, 20),
        "launcher": (0, 84, 8, 30),
        "zygote": (0, 0, 0, 0),
        "init": (1, 105, 5, 55),
        "job": (1, 950, None, 3000),
    },
    "started": {
        "gateway": (0, 40, 12, 10),
        "supervisor": (0, 160, 20, 20),
        "launcher": (0, 84, 8, 30),
        "zygote": (0, 0, 0, 0),
        "init": (1, 105, 5, 55),
        "job": (2, 10_000, None, 15_500),
    },
}

# KiB that a process has for itself alone: a child that is parked, and a job whose work is done.
MEMORY = {
    "warm": {"parked child": 3_600, "running job": 4_100},
    "cold": {"running job": 11_200},
    "started": {"parked child": 54_000, "running job": 54_000},
}

HEAD = "| way | part | processes | system calls | voluntary switches | minor page faults |\n|---|---|---|---|---|---|"


def table():
    """As docs/specification.md has it."""
    counts = [f"| {way} | {part} | " + " | ".join("" if bound is None else str(bound) for bound in bounds) + " |"
              for way, parts in BOUNDS.items() for part, bounds in parts.items()]
    memory = [f"| {way} | {what} | {kib} KiB |" for way, of in MEMORY.items() for what, kib in of.items()]
    return "\n".join([HEAD, *counts, "", "| way | private memory of | at most |\n|---|---|---|", *memory])
