"""The scripts that are measured, each with what its answer must hold."""

WORKLOADS = {
    "2 + 2": ('def main():\n    return {"sum": 2 + 2}', {"sum": 4}),
    "pandas": (
        """import pandas as pd
import numpy as np

def main():
    print("building a frame")
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})
    array = np.array([1, 2, 3, 4, 5])
    return {"sum": int(frame["a"].sum()), "mean": float(array.mean())}
""",
        {"sum": 6, "mean": 3.0},
    ),
    "200 ms of CPU": (
        """import time

def main():
    until = time.process_time() + 0.2
    turns = 0
    while time.process_time() < until:
        turns += 1
    return turns > 0
""",
        True,
    ),
    "1 MB of stdout": ("def main():\n    print('x' * 1_000_000)\n    return len('x' * 1_000_000)", 1_000_000),
    "1 MB result": ("def main():\n    return 'x' * 1_000_000", "x" * 1_000_000),
}

# A script of middle size: of a collection of scripts as people send them, one whose CPU time is the median's.
MIDDLE = """import inspect

def foo(a):
    # a comment
    return a

def main():
    return inspect.getsource(foo)
"""

# What a job costs is counted for these: two of the above, and one that is neither small nor heavy.
COUNTED = {
    "2 + 2": WORKLOADS["2 + 2"][0],
    "pandas": WORKLOADS["pandas"][0],
    "middle": MIDDLE,
}
