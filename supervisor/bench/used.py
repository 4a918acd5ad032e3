"""Warmth that follows use, beside none and beside a zygote for each: a mix of import sets, of which few are asked for often.

The sets are of packages that the tests have (`make test-packages`), in a tree made for this. Requests come one after the other, and
which set each is for is drawn by Zipf's law, the same draws for each way.
"""

import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from subjects import HERE, Sample

sys.path.insert(0, str(HERE.parent / "suite"))
sys.path.insert(0, str(HERE.parent / "suite/warm"))

from client import eventually  # noqa: E402
import scientific  # noqa: E402
from scientific import PACKAGES  # noqa: E402
from service import Service  # noqa: E402
from tree import Tree  # noqa: E402

# Twenty sets of imports, each with something small to do.
SETS = [
    ("import matplotlib.pyplot as plt", "plt.figure() is not None"),
    ("from openpyxl import Workbook", "Workbook().active is not None"),
    ("from scipy import stats", "float(stats.norm.cdf(0)) == 0.5"),
    ("from PIL import Image", "Image.new('RGB', (2, 2)).size == (2, 2)"),
    ("from sklearn.linear_model import LinearRegression", "LinearRegression() is not None"),
    ("import jinja2", "jinja2.Template('{{ a }}').render(a=1) == '1'"),
    ("import flask", "flask.Flask('a') is not None"),
    ("from scipy import optimize", "optimize.brentq(lambda x: x - 1, 0, 3) > 0"),
    ("import pyarrow", "len(pyarrow.array([1])) == 1"),
    ("import matplotlib.pyplot as plt\nfrom scipy import stats", "plt.figure() is not None and stats is not None"),
    ("import joblib", "joblib.hash(1) is not None"),
    ("from sklearn.cluster import KMeans", "KMeans() is not None"),
    ("from sklearn import metrics", "metrics.accuracy_score([1], [1]) == 1"),
    ("from scipy import signal", "signal.windows.hann(3) is not None"),
    ("from scipy import sparse", "sparse.eye(2).shape == (2, 2)"),
    ("from openpyxl import Workbook\nfrom PIL import Image", "Workbook().active is not None and Image is not None"),
    ("import werkzeug.test", "werkzeug.test.Client is not None"),
    ("import matplotlib.pyplot as plt\nfrom PIL import Image", "plt.figure() is not None and Image is not None"),
    ("import fontTools.ttLib", "fontTools.ttLib.TTFont is not None"),
    ("import click", "click.Command('a') is not None"),
]
SCRIPTS = [f"{imports}\n\ndef main():\n    return bool({works})\n" for imports, works in SETS]

# The share of the nth set is 1 / n of the first's.
SHARES = [1 / (number + 1) for number in range(len(SCRIPTS))]

BASE = '["numpy", "pandas"]'


def packages_of(tree):
    """Put the packages of the tests into a tree, but for those that it has."""
    for package in PACKAGES.iterdir():
        if package.name not in ("stamp", "tag") and not (tree.site / package.name).exists():
            subprocess.run(["cp", "-al", package, tree.site], check=True)
    facts = json.loads((tree.path / "base.json").read_text())
    names = {entry.name for entry in tree.site.iterdir() if (entry / "__init__.py").exists()}
    facts["modules"] = sorted(names | {entry.stem for entry in tree.site.glob("*.py")})
    (tree.path / "base.json").write_text(json.dumps(facts))


def measure(requests, seed=15):
    """Percentiles of each way's latencies, what its processes take of memory, and CPU time a job, refill included."""
    if why := scientific.unfit():
        sys.exit(f"bench: {why}")
    tree = Tree({})
    try:
        packages_of(tree)
        ways = {
            "by use": tree.policy(imports=BASE, parked="2", idle='"1h"'),
            "no more than the policy's": tree.policy(imports=BASE, parked="2", memory='"0B"'),
            "one zygote each": tree.policy(imports=BASE, parked="2", memory='"0B"') + "".join(
                profile(number, imports_of(imports)) for number, (imports, _) in enumerate(SETS)),
            "cold": tree.policy(imports=BASE).replace(f"warm = {{ imports = {BASE}, parked = 2 }}", "warm = false"),
        }
        draws = random.Random(seed).choices(range(len(SCRIPTS)), SHARES, k=requests)
        return {way: of(way, policy, draws) for way, policy in ways.items()}
    finally:
        tree.remove()


def imports_of(text):
    """What a zygote of a set's own imports."""
    names = []
    for line in text.splitlines():
        words = line.split()
        module = words[1]
        if words[0] == "from" and "." not in module and words[3][0].islower() or module == "PIL":
            module = f"{module}.{words[3]}"
        names.append(module)
    return names


def profile(number, modules):
    imports = json.dumps(["numpy", "pandas", *modules])
    return f'\n[profile.own{number}]\nextends = "used"\nwarm = {{ imports = {imports}, parked = 2, memory = "0B" }}\n'


def of(way, policy, draws):
    service = Service(policy, {"wall_time": '"60s"', "cpu_time": '"60s"'}, warm=False)
    try:
        service.start()
        ask = lambda number: service.client.execute(SCRIPTS[number], profile=f"own{number}" if way == "one zygote each" else "used")
        if way == "by use":
            warm_up(service, ask)
        for number in range(len(SCRIPTS)):
            assert ask(number).result is True, SCRIPTS[number]
        before, jobs, times = cpu(service), 0, []
        begun = time.perf_counter()
        for number in draws:
            start = time.perf_counter()
            answer = ask(number)
            times.append((time.perf_counter() - start) * 1000)
            assert answer.result is True, answer
            jobs += answer.body["usage"]["cpu_ms"]
        sample = Sample.of(times, time.perf_counter() - begun)
        eventually(lambda: not service.job_processes())
        return {"p50": sample.percentiles[50], "p99": sample.percentiles[99], "memory_mib": memory(service) >> 20,
                "cpu_ms": (cpu(service) - before) / len(draws), "own_cpu_ms": jobs / len(draws)}
    finally:
        service.stop()


def warm_up(service, ask):
    """Ask until what is asked for is there, or cannot be."""
    for number in range(len(SCRIPTS)):
        for _ in range(11):
            ask(number)
    seen, since = -1, time.monotonic()

    def still():
        nonlocal seen, since
        if len(service.zygotes()) != seen:
            seen, since = len(service.zygotes()), time.monotonic()
        return time.monotonic() - since > 30

    eventually(still, within=900)


def memory(service):
    """What all processes take together, each page once: proc_pid_smaps_rollup(5), Pss."""
    total = 0
    for process in service.processes():
        try:
            total += int(next(line.split()[1] for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")))
        except (OSError, StopIteration):
            pass
    return total << 10


def cpu(service):
    """Milliseconds of CPU time that the daemons, launchers, zygotes and all jobs have used until now, by their control groups."""
    groups = [group for group in service.cgroup_directories() if group.name == service.cgroup]
    # A hierarchy of version 2 beside those of version 1 would tell of the same.
    told = [read(group) for read in (by_version_1, by_version_2) for group in groups]
    used = next(one for one in told if one is not None)
    return used + sum(own(daemon.pid) for daemon in (service.supervisor, service.gateway))


def by_version_1(group):
    file = group / "cpuacct.usage"
    return int(file.read_text()) / 1e6 if file.exists() else None


def by_version_2(group):
    file = group / "cpu.stat"
    found = re.search(r"usage_usec (\d+)", file.read_text()) if file.exists() else None
    return int(found[1]) / 1e3 if found else None


def own(process):
    return time.clock_gettime_ns((~process << 3) | 2) / 1e6
