"""What a call that is allowed costs in a job, under its filter, and in an interpreter without one.

Denials are explained from what a failed job tells, so that they add nothing to a call that is allowed; this is
where it would show. Two calls: one that the kernel knows to be allowed whatever its arguments are, and one whose
arguments the filter looks at each time.
"""

import json
import subprocess
from statistics import median

from subjects import Root

SCRIPT = """
import fcntl, os, time

def main():
    def nanoseconds(call, *arguments, times=50_000):
        best = []
        for _ in range(5):
            begun = time.perf_counter_ns()
            for _ in range(times):
                call(*arguments)
            best.append((time.perf_counter_ns() - begun) / times)
        return min(best)

    return {"getppid": nanoseconds(os.getppid), "fcntl F_GETFD": nanoseconds(fcntl.fcntl, 0, fcntl.F_GETFD)}
"""


def measure(cloister, rounds):
    """Nanoseconds a call, the loop around it included, as medians of rounds in which both take turns; and their ratio."""
    root = Root()
    (root.path / "app/calls.py").write_text(f"{SCRIPT}\nimport json\nprint(json.dumps(main()))\n")
    try:
        turns = [(cloister.ask(SCRIPT), unfiltered(root)) for _ in range(rounds)]
    finally:
        root.remove()
    figures = {}
    for call in turns[0][1]:
        job, bare = (median(turn[which][call] for turn in turns) for which in (0, 1))
        figures[call] = {"job_ns": job, "unfiltered_ns": bare, "ratio": job / bare}
    return figures


def unfiltered(root):
    process = root.python("calls.py", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    printed, _ = process.communicate(timeout=120)
    return json.loads(printed)
