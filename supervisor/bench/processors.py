"""What a job takes of the processors, all processes together, while eight clients ask at once; and where those that took longest waited.

By process it is what the kernel counts of each: of those that go on by their clocks, of those that end by taskstats. The sum
of all is what the machine says that it was busy for, less what it is at rest and what the load's own program took.
"""

import http.client
import json
import re
import resource
import time
from contextlib import closing
from pathlib import Path
from statistics import mean, median

import counting
from cost import Counted, Kernel, changed
from service import JOBS
from subjects import Cloister, timed
from workloads import COUNTED

CLIENTS = 8

# Milliseconds of the processors that a job may take.
BOUNDS = {"2 + 2": 2.0, "pandas": 3.2}

# The slowest that are looked at, of so many, with so many milliseconds between requests.
SLOWEST, OF, PAUSE = 100, 2000, 10
STAGES = ("queue", "setup", "run")

# Above this share of one processor that others take, or that the machine does not get, nothing is judged.
QUIET = 0.1

# Documentation/filesystems/proc.rst, /proc/stat: ticks of each kind, of all processors.
KINDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class Machine:
    """What all processors have done since, in seconds."""

    def __init__(self):
        self.begun, self.before = time.monotonic(), self.now()

    @staticmethod
    def now():
        ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        return {kind: int(count) / 100 for kind, count in zip(KINDS, ticks)}

    def since(self):
        """For how long they were busy, for how long they were kept from it, and how long that lasted."""
        of = changed(self.before, self.now())
        return sum(of[kind] for kind in KINDS if kind not in ("idle", "iowait", "steal")), of["steal"], time.monotonic() - self.begun


class Loaded(Counted):
    """The shipped policy, under load."""

    def __init__(self):
        self.cloister = Cloister("warm", warm=True)
        super().__init__(self.cloister.service)

    def round(self, script, seconds):
        """Of one measurement what each part took a job, in milliseconds, and how much the machine was another's."""
        at_rest = Machine()
        self.rest()
        time.sleep(1)
        busy, stolen, lasted = at_rest.since()
        share, kernel_share, parts = busy / lasted, self.resting_kernel(), self.parts()
        with closing(counting.Ends()) as ends:
            ends.new()
            before, kernel, machine, load = self.living(ends, parts), Kernel(), Machine(), resource.getrusage(resource.RUSAGE_CHILDREN)
            sample = self.cloister.load(script, CLIENTS, seconds)
            self.rest()
            busy, stolen_meanwhile, lasted = machine.since()
            spent, elapsed = kernel.since()
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            row = {part: changed(before[part], now)["cpu_ns"] / 1e6 for part, now in self.living(ends, parts).items()}
            row |= {"init": 0, "job": 0, "kernel's threads": max(0, spent - kernel_share * elapsed) / 1e6}
            for user, cost in ends.new():
                if self.service.uid_base <= user < self.service.uid_base + JOBS:
                    row["init" if user == self.service.uid_base else "job"] += cost["cpu_ns"] / 1e6
        jobs = sample.requests - sample.failed
        assert jobs and not sample.failed, f"{sample.failed} of {sample.requests} requests failed"
        mine = (used.ru_utime + used.ru_stime) - (load.ru_utime + load.ru_stime)
        row["all, as the machine counts"] = (busy - share * lasted - mine) * 1000
        others = max(share, stolen / lasted, stolen_meanwhile / lasted)
        return {part: taken / jobs for part, taken in row.items()} | {"jobs a second": sample.rate, "others": others}


def measure(rounds, seconds):
    """For each workload the medians of all rounds, and the stages of the slowest."""
    figures = {}
    with Loaded() as loaded:
        for load, script in COUNTED.items():
            rows = [loaded.round(script, seconds) for _ in range(rounds)]
            figures[load] = {what: median(row[what] for row in rows) for what in rows[0]} | {"slowest": slowest(loaded.service.address, script)}
    return figures


def slowest(address, script):
    """Milliseconds by stage: the median of all answers, and the mean of those that took longest."""
    kept, body = http.client.HTTPConnection(address), json.dumps({"script": script})
    with closing(kept):
        answers = sorted((asked(kept, body) for _ in range(OF)), key=lambda stages: stages["all"])
    return {"half": {stage: median(answer[stage] for answer in answers) for stage in answers[0]},
            "slowest": {stage: mean(answer[stage] for answer in answers[-SLOWEST:]) for stage in answers[0]}}


def asked(kept, body):
    taken, answer, _ = timed(kept, body, PAUSE)
    told = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.getheader("Server-Timing")))
    stages = {stage: float(told[stage]) for stage in STAGES}
    return {**stages, "outside": taken - sum(stages.values()), "all": taken}


def goals(figures):
    """What is wanted: what, the figure, its bound; nothing where the machine was another's too."""
    for load, bound in BOUNDS.items():
        if load in figures and figures[load]["others"] <= QUIET:
            yield f"processors' time of a job, {load}, in ms", figures[load]["all, as the machine counts"], bound


def rows(figures):
    loads = list(figures)
    yield (f"a job of {CLIENTS} clients takes of the processors, ms", *loads)
    for part in (part for part in figures[loads[0]] if part not in ("slowest", "others", "jobs a second")):
        yield (part, *(f"{figures[load][part]:.3f}" for load in loads))
    yield ("jobs a second", *(f"{figures[load]['jobs a second']:.0f}" for load in loads))
    judged = lambda share: f"{share:.2f}" + ("" if share <= QUIET else ", too much to judge")
    yield ("processors that were another's", *(judged(figures[load]["others"]) for load in loads))


def stages(figures):
    yield (f"ms by stage, {PAUSE} ms between requests", *STAGES, "outside", "all")
    for load, of in figures.items():
        for which, what in (("half", "median of each"), ("slowest", f"mean of the slowest {SLOWEST} of {OF}")):
            yield (f"{load}, {what}", *(f"{of['slowest'][which][stage]:.2f}" for stage in (*STAGES, "outside", "all")))
