"""docs/specification.md: "What a job costs each part is bounded, and the bounds are held."

Counts, not times: the median of a few jobs, each counted alone. What is above its bound is named, with both figures.
"""

import sys
from pathlib import Path
from statistics import median

import pytest

from service import INSTALLED, running, tasks

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "supervisor/bench"))

import bounds  # noqa: E402
from client import eventually  # noqa: E402
from cost import WAYS, Counted  # noqa: E402
from counting import Uncountable  # noqa: E402
from workloads import COUNTED  # noqa: E402

JOBS = 5
SCRIPT = COUNTED["2 + 2"]


@pytest.fixture(scope="module")
def counted(names):
    if INSTALLED:
        pytest.skip("needs a service of its own")
    counted = Counted()
    names += [counted.service.cgroup, counted.service.directory.name]
    running.append(counted.service)
    try:
        with counted:
            for way in WAYS:
                counted.ask(SCRIPT, way)
            yield counted
    finally:
        running.remove(counted.service)


def above(figures, column, way):
    """Those of a column's figures that are above their bounds, told for a person."""
    place = bounds.COLUMNS.index(column)
    allowed = {part: of[place] for part, of in bounds.BOUNDS[way].items()}
    return [f"{way}: {column} of the {part}: {figure:g} a job, bound {allowed[part]}"
            for part, figure in figures.items() if allowed[part] is not None and figure > allowed[part]]


@pytest.mark.parametrize("way", WAYS)
def test_processes_switches_and_page_faults(counted, way):
    rows = told_or_skipped(lambda: counted.costs(SCRIPT, way, JOBS))
    over = [line for column in ("processes", "voluntary", "minor_faults")
            for line in above({part: median(row[part][column] for row in rows) for part in bounds.BOUNDS[way]}, column, way)]
    assert not over, "\n".join(over)
    assert all(row["job"]["processes"] for row in rows), "a job was not seen to end"


@pytest.mark.parametrize("way", WAYS)
def test_system_calls(counted, way):
    rows = told_or_skipped(lambda: counted.calls(SCRIPT, way, JOBS))
    figures = {part: median(sum(row[part].values()) for row in rows) for part in bounds.BOUNDS[way]}
    over = above(figures, "system_calls", way)
    assert not over, "\n".join(over)
    assert figures["job"] > 50 and figures["init"] > 10, f"they were not seen: {figures}"


def test_threads_are_counted_with_their_process(counted):
    threads = lambda: {*tasks(counted.service.supervisor.pid)}

    def parts():
        """Of those that were there before and after."""
        counted.ask("def main():\n    return 'x' * 300_000", "warm")  # read by a thread, which the supervisor keeps for a while
        before, part_of = threads(), counted.tasks()
        there = before & threads()
        return {part_of.get(thread) for thread in there} if len(there) > 1 else None

    assert eventually(parts) == {"supervisor"}


@pytest.mark.parametrize("way", WAYS)
def test_private_memory(counted, way):
    counted.rest()
    figures = {"running job": counted.running(SCRIPT, way)}
    if way != "cold":
        figures["parked child"] = median(counted.parked(way))
    over = [f"{way}: private memory of a {what}: {kib} KiB, bound {bounds.MEMORY[way][what]} KiB"
            for what, kib in figures.items() if kib > bounds.MEMORY[way][what]]
    assert not over, "\n".join(over)
    counted.rest()


def test_the_document_has_the_bounds():
    assert bounds.table() in (REPOSITORY / "docs/specification.md").read_text(), "put in what `spec.py --bounds` prints"


def told_or_skipped(count):
    try:
        return count()
    except Uncountable as error:
        pytest.skip(f"NOT COUNTED: {error}")
