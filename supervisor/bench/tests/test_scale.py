"""docs/scale.md: its tables are what the command prints, and the simulation agrees with what is known by heart."""

import math
import random
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1]
REPOSITORY = BENCH.parents[1]
sys.path.insert(0, str(BENCH))

import simulation  # noqa: E402
from simulation import POLICIES, Mix, Setting, Simulation  # noqa: E402

PAGE = (REPOSITORY / "docs/scale.md").read_text()


def test_the_page_has_what_the_command_prints():
    command = [sys.executable, "-B", BENCH / "scale.py", "--nodes", "10", "--table", "dying"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = printed.splitlines()
    assert len(rows) == 2 + len(POLICIES) and all(f"{row}\n" in PAGE for row in rows), printed


def test_the_page_says_what_a_job_costs():
    import scale

    mean = scale.measured().mean
    assert f"{mean * 1000:.1f} ms on the mean" in PAGE and f"at most {2 / mean:.0f} such jobs" in PAGE


class Exponential:
    """Jobs of a queue that has a formula."""

    mean = 0.02

    def draw(self, chance):
        return chance.expovariate(1 / self.mean)


def test_one_node_waits_as_erlang_says(monkeypatch):
    """With as many processors as slots it is the queue M/M/c: the share that waits is Erlang's C, and the mean wait follows."""
    monkeypatch.setattr(simulation, "BEFORE", 1500.0)
    servers, load = 2, 0.7
    setting = Setting(1, "random", load, processors=servers, slots=servers, queue=10**6, queue_wait=1e6)
    before, _, _ = Simulation(setting, Exponential()).run()
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    waits = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    assert len(before.waits) / len(before.latencies) == pytest.approx(waits, rel=0.03)
    assert sum(before.waits) / len(before.latencies) == pytest.approx(waits * Exponential.mean / (servers * (1 - load)), rel=0.05)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_request_is_answered_lost_or_refused(policy):
    run = Simulation(Setting(5, policy, 1.3, dead=0.2, queue=20, queue_wait=0.2), Exponential())
    spans = (*run.run(), run.warming)
    ended = sum(len(span.latencies) + span.lost + span.refused for span in spans)
    assert ended == run.sent and any(span.refused for span in spans) and any(span.lost for span in spans)
    assert all(node.there == 0 for node in run.nodes)


def test_what_is_drawn_is_what_was_measured():
    mix = Mix({"workloads": {"a": {"share": 0.75, "cpu_ms": [10, 20]}, "b": {"share": 0.25, "cpu_ms": [100, 100, 300]}}})
    chance = random.Random(1)
    drawn = [mix.draw(chance) for _ in range(20000)]
    assert mix.mean == pytest.approx(0.75 * 0.015 + 0.25 * 0.150) == pytest.approx(sum(drawn) / len(drawn), rel=0.03)
