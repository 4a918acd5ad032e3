"""What one job costs each part of the service: counts of its system calls, switches, page faults, processes and CPU time.

A job is counted from rest to rest, alone, so that what it costs before its request (a cell, a parked child and its
preparation) and after its answer (teardown) is in it: each job is replaced by the next. The client is left out.
"""

import threading
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import counting
from client import eventually
from service import JOBS, Service, children, tasks

# The three ways to start a job, each a profile of the same service.
PROFILES = """
[profile.warm]
extends = "default"
warm = { imports = ["numpy", "pandas"], parked = 2 }

[profile.started]
extends = "default"
warm = { imports = ["numpy", "pandas"], parked = 2, children = "started" }

[profile.cold]
extends = "default"
warm = false
"""
WAYS = ("warm", "cold", "started")

PARTS = ("gateway", "supervisor", "launcher", "zygote", "init", "job")
COUNTS = ("processes", "system_calls", "voluntary", "involuntary", "minor_faults", "major_faults")

# Seconds for which nothing may have used a processor before the service is taken to be at rest: more than a parked child
# waits between the steps of its preparation.
REST = 0.06

# Put behind a script: it stays where it is once its work is done, and its memory can be looked at.
STAY = """

def main(work=main):
    import time
    kept = work()
    time.sleep(1.5)
    return kept
"""


class Counted:
    """A service whose jobs are counted one by one."""

    def __init__(self, service=None):
        self.service = service or Service(PROFILES, warm=False)

    def __enter__(self):
        self.service.start()
        try:
            self.settled = 0
            self.settle()
        except BaseException:
            self.service.stop()
            raise
        return self

    def __exit__(self, *_):
        self.service.stop()

    def settle(self):
        """Wait until all children are parked, and note how many processes there are then."""
        eventually(lambda: len(self.service.parked()) == 4, within=60)
        self.rest()
        self.settled = len(self.service.processes())

    def parts(self):
        """The processes that go on from job to job, by part; the launcher's parent is counted with it."""
        monitor = self.service.monitor()
        guards = [child for child in children(self.service.supervisor.pid) if child != monitor]
        launchers = [child for guard in guards for child in children(guard)]
        zygotes = [child for launcher in launchers for child in children(launcher) if child in self.service.zygotes()]
        return {"gateway": [self.service.gateway.pid], "supervisor": [self.service.supervisor.pid, monitor], "launcher": guards + launchers, "zygote": zygotes}

    def everyone(self):
        return [self.service.gateway.pid, self.service.supervisor.pid, *children(self.service.supervisor.pid), *self.service.processes()]

    def tasks(self):
        """The part that each task of the service belongs to, by its number: of processes, and of threads that they have still."""
        part_of = {process: part for part, processes in self.parts().items() for process in processes}
        part_of |= {process: "init" if self.service.id_of(process) == self.service.uid_base else "job"
                    for process in self.everyone() if process not in part_of}
        return {task: part for process, part in part_of.items() for task in tasks(process)}

    def rest(self):
        """Wait until no job is left, all children are parked again, and nobody uses a processor."""
        seen, since = None, time.monotonic()

        def resting():
            nonlocal seen, since
            everyone = self.everyone()
            now = {process: clock(process) for process in everyone}
            if now != seen or (self.settled and len(self.service.processes()) != self.settled):
                seen, since = now, time.monotonic()
            return time.monotonic() - since > REST

        eventually(resting, within=60)

    def ask(self, script, way):
        answer = self.service.client.execute(script, profile=way)
        assert answer.status == 200, answer
        return answer

    def costs(self, script, way, jobs):
        """For each job and part what `counting` tells of it, but for its system calls."""
        parts, rows = self.parts(), []
        with closing(counting.Ends()) as ends:
            self.rest()
            for _ in range(jobs):
                ends.new()
                before = self.living(ends, parts)
                self.ask(script, way)
                self.rest()
                row = {part: changed(before[part], now) for part, now in self.living(ends, parts).items()}
                row |= {part: Counter() for part in ("init", "job")}
                for user, cost in ends.new():
                    if self.service.uid_base <= user < self.service.uid_base + JOBS:
                        row["init" if user == self.service.uid_base else "job"].update({**cost, "processes": 1})
                rows.append(row)
        return rows

    def living(self, ends, parts):
        """What the parts have cost until now, each the sum of its processes."""
        return {part: sum((Counter(counting.living(ends, process)) for process in processes), Counter()) for part, processes in parts.items()}

    def calls(self, script, way, jobs):
        """For each job and part how often it made each system call, by number."""
        self.rest()
        part_of, rows = self.tasks(), []
        with closing(counting.Calls(part_of)) as calls:
            for _ in range(jobs):
                self.ask(script, way)
                self.rest()
                made = defaultdict(Counter)
                for what, task, other in calls.new():
                    if what == "call":
                        made[task][other] += 1
                    elif what == "fork":
                        part_of[other] = {"launcher": "init", "zygote": "job"}.get(part_of[task], part_of[task])
                    elif part_of[task] == "init":
                        part_of[task] = "job"  # a launcher's child that becomes an interpreter
                row = {part: Counter() for part in PARTS}
                for task, numbers in made.items():
                    row[part_of[task]].update(numbers)
                rows.append(row)
        return rows

    @staticmethod
    def resting_kernel():
        """The share of a processor that the kernel's own threads take when the service does nothing."""
        kernel = Kernel()
        time.sleep(0.5)
        used, lasted = kernel.since()
        return used / lasted

    def parked(self, way):
        """KiB that each parked child of a profile has for itself."""
        zygotes = set(self.parts()["zygote"])
        forked = {process for zygote in zygotes for process in children(zygote)}
        return [private_kib(process) for process in self.service.parked() if (process in forked) == (way == "warm")]

    def running(self, script, way):
        """KiB that a job has for itself, all its processes together, when its work is done."""
        before = set(self.service.job_processes())
        asking = threading.Thread(target=self.ask, args=(script + STAY, way))
        asking.start()
        asleep = lambda: [process for process in set(self.service.job_processes()) - before if call_of(process) in SLEEPS]
        eventually(asleep)
        private = sum(private_kib(process) for process in asleep())
        asking.join()
        return private


# nanosleep and clock_nanosleep.
SLEEPS = {"35", "230"}


def call_of(process):
    """The number of the system call that a process is in: proc_pid_syscall(5)."""
    try:
        return Path(f"/proc/{process}/syscall").read_text().split()[0]
    except OSError:
        return None


def clock(process):
    try:
        return counting.cpu_ns(process)
    except OSError:
        return None


def private_kib(process):
    rows = [line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]]
    return sum(int(row[1]) for row in rows if row[0] in ("Private_Clean:", "Private_Dirty:"))


def changed(before, now):
    return Counter({name: now[name] - before[name] for name in now.keys() | before.keys()})


class Kernel:
    """The CPU time of the kernel's own threads, which work for everybody on the host: proc_pid_schedstat."""

    def __init__(self):
        self.begun, self.before = time.monotonic(), self.now()

    @staticmethod
    def now():
        return {thread: int(Path(f"/proc/{thread}/schedstat").read_text().split()[0]) for thread in children(2)}

    def since(self):
        """Nanoseconds, and in how many."""
        now = self.now()
        return sum(used - self.before.get(thread, 0) for thread, used in now.items()), (time.monotonic() - self.begun) * 1e9
