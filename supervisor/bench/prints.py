"""What a job's prints cost beside the same prints into a file, in the same job."""

from statistics import median

PRINTS = 100_000
SCRIPT = f"""
import time

def main():
    def milliseconds(**where):
        begun = time.perf_counter()
        for number in range({PRINTS}):
            print(number, **where)
        return (time.perf_counter() - begun) * 1000

    with open("numbers", "w") as file:
        to_file = milliseconds(file=file)
    return {{"file": to_file, "stdout": milliseconds()}}
"""


def measure(subjects, rounds):
    """Milliseconds of each for each of the subjects, and the ratio of the two, as medians of rounds in which they take turns."""
    turns = [{subject.name: subject.ask(SCRIPT) for subject in subjects} for _ in range(rounds)]
    figures = {}
    for name in turns[0]:
        of = [turn[name] for turn in turns]
        figures[name] = {where: median(turn[where] for turn in of) for where in ("file", "stdout")}
        figures[name]["ratio"] = median(turn["stdout"] / turn["file"] for turn in of)
    return figures
