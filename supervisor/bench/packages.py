"""What people have packages for: a picture drawn, a model fitted, a workbook written, each returned.

Warm and cold, beside a bare fork of the same interpreter with the same imports, and beside an interpreter started for it. Each with
one thread for numeric libraries, one client, one request after another and with pauses.
"""

import http.client
import json
import sys
import time

from subjects import Cloister, Root, Sample  # which has the suite's modules found

import scientific

# What is imported ahead, and a script with the length that its answer has at least.
JOBS = {
    "matplotlib, a PNG": (["matplotlib.pyplot"], """
import base64, io
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

def main():
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [3, 1, 2], label="a line")
    axes.set_title("a plot")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return base64.b64encode(file.getvalue()).decode()
""", 10_000),
    "scikit-learn, a fit": (["numpy", "sklearn.linear_model"], """
import numpy
from sklearn.linear_model import LogisticRegression

def main():
    random = numpy.random.default_rng(0)
    samples = random.random((500, 10))
    model = LogisticRegression().fit(samples, samples[:, 0] > 0.5)
    return repr(model.coef_.tolist())
""", 100),
    "openpyxl, a workbook": (["openpyxl"], """
import base64, io
import openpyxl

def main():
    book = openpyxl.Workbook()
    for row in range(100):
        book.active.append([row, row / 2, f"row {row}"])
    file = io.BytesIO()
    book.save(file)
    return base64.b64encode(file.getvalue()).decode()
""", 3_000),
}
PAUSES = (0, 10)


def measure(rounds, seconds):
    """For each job and pause, the percentiles of each way of doing it."""
    if why := scientific.unfit():
        sys.exit(f"bench: {why}")
    subjects = [Profiles(), Ways("bare fork", "floor.py", ahead=True), Ways("bare interpreter", "bare.py", ahead=False)]
    figures, started = {}, []
    try:
        for subject in subjects:
            started.append(subject)
            subject.start()
        for job, (_, script, least) in JOBS.items():
            for pause in PAUSES:
                samples = {}
                for _ in range(rounds):
                    for subject in subjects:
                        for way, sample in subject.load(job, script, least, seconds, pause):
                            samples.setdefault(way, []).append(sample)
                figures.setdefault(job, {})[pause] = {way: median_of(of).percentiles for way, of in samples.items()}
    finally:
        for subject in started:
            subject.stop()
    return figures


def median_of(samples):
    """The round whose median is the median of all rounds."""
    return sorted(samples, key=lambda sample: sample.p50)[len(samples) // 2]


class Profiles:
    """Cloister, with a profile that has each job's imports ahead and one that has none."""

    def __init__(self):
        policy = ""
        for number, (imports, _, _) in enumerate(JOBS.values()):
            policy += scientific.profile(f"warm{number}", cpus="1.0", warm=f"{{ imports = {json.dumps(imports)}, parked = 4 }}")
        self.cloister = Cloister("packages", warm=True, policy=policy + scientific.profile("cold", cpus="1.0"))
        self.connection = http.client.HTTPConnection(self.cloister.service.address)

    def start(self):
        self.cloister.start()

    def load(self, job, script, least, seconds, pause):
        for way, profile in (("warm", f"warm{list(JOBS).index(job)}"), ("cold", "cold")):
            body = json.dumps({"script": script, "profile": profile})
            begun, times = time.perf_counter(), []
            while time.perf_counter() - begun < seconds or len(times) < 5:
                time.sleep(pause / 1000)
                start = time.perf_counter()
                self.connection.request("POST", "/execute", body, {"Content-Type": "application/json"})
                answer = self.connection.getresponse().read()
                times.append((time.perf_counter() - start) * 1000)
                assert len(json.loads(answer).get("result") or "") >= least, answer[:500]
            yield way, Sample.of(times, time.perf_counter() - begun)

    def stop(self):
        self.connection.close()
        self.cloister.stop()


class Ways:
    """An interpreter in a root of its own that does a job in this way, one for each job: it has that one's imports."""

    def __init__(self, name, program, ahead):
        self.name, self.program, self.ahead, self.processes = name, program, ahead, {}

    def start(self):
        self.root = Root(packages=scientific.PACKAGES)
        self.processes = {job: self.root.begin(self.program, *(imports if self.ahead else ())) for job, (imports, _, _) in JOBS.items()}

    def load(self, job, script, least, seconds, pause):
        process = self.processes[job]
        process.stdin.write(json.dumps({"script": script, "seconds": seconds, "pause_ms": pause}) + "\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        yield self.name, Sample.of(said["times_ms"], said["seconds"])

    def stop(self):
        for process in self.processes.values():
            process.stdin.close()
            process.wait()
        self.root.remove()


def goals(figures):
    """What is wanted of a warm job: so many times a bare fork that does the same, at most."""
    for job, pauses in figures.items():
        for pause, ways in pauses.items():
            how = f"{pause} ms between requests" if pause else "one request after another"
            yield f"p50 of {job}, {how}, warm to a bare fork", ways["warm"][50] / ways["bare fork"][50], 1.3


def rows(figures):
    yield "packages", "pause ms", "warm p50 ms", "p99", "bare fork p50", "p99", "cold p50", "bare interpreter p50", "warm to fork"
    for job, pauses in figures.items():
        for pause, ways in pauses.items():
            cells = [ways["warm"][50], ways["warm"][99], ways["bare fork"][50], ways["bare fork"][99], ways["cold"][50], ways["bare interpreter"][50]]
            yield job, str(pause), *(f"{cell:.1f}" for cell in cells), f"{ways['warm'][50] / ways['bare fork'][50]:.2f}"
