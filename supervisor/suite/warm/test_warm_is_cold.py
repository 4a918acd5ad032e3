"""A job of a warm interpreter, forked or started ahead, is confined as one that is started cold: what differs is written here."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import eventually, script_of
from prelude import attack
from service import HOLD, is_ending

PROFILES = """
[profile.cold]
extends = "default"
warm = false

[profile.warm]
extends = "default"
warm = { imports = ["json"], parked = 2 }

[profile.started]
extends = "default"
warm = { imports = ["json"], parked = 2, children = "started" }
"""

KINDS = ("cold", "warm", "started")
NAMESPACES = ("pid", "mnt", "ipc", "uts", "cgroup", "net", "user")

# Lines of /proc/self/status that tell of one process's work and memory and not of its confinement.
WORK = re.compile(r"^(Pid|Tgid|Ngid|NS[a-z]*|FDSize|Vm\w+|Rss\w+|Hugetlb\w+|Threads|x86_\w+|\w*voluntary_ctxt_switches)$")


@pytest.fixture(scope="module")
def both(start_for_module):
    """A service with a profile of each kind that differ in nothing else."""
    return start_for_module(policy=PROFILES)


def each(service, script, **fields):
    """What a script returns in a cold job, in a forked and in a started warm one."""
    return [service.client.execute(script, profile=kind, **fields).result for kind in KINDS]


def test_status_limits_and_mounts(both):
    def script():
        def main():
            return {name: open("/proc/self/" + name).read() for name in ("status", "limits", "mountinfo", "cgroup", "uid_map", "gid_map", "setgroups", "oom_score_adj")}

    cold, *others = map(comparable, each(both, script))
    for warm in others:
        for what in cold:
            assert cold[what] == warm[what], what
    assert "Seccomp:\t2" in cold["status"] and "NoNewPrivs:\t1" in cold["status"]


def comparable(told):
    told = dict(told)
    status = [line for line in told["status"].splitlines() if not WORK.match(line.split(":")[0])]
    # How many signals are queued is followed by how many may be.
    told["status"] = "\n".join(re.sub(r"^SigQ:\t\d+", "SigQ:", line) for line in status)
    # Of mounts, of ids, and of the slot whose devices are shown.
    numbers = re.sub(r"(?m)^\d+ \d+ \d+:\d+|(?<=[ug]id=)\d+|(?<=/)\d+(?= /dev )", "N", told["mountinfo"])
    told["mountinfo"] = sorted(numbers.splitlines())
    told["uid_map"], told["gid_map"] = (re.sub(r"(\d+) +\d+ +(\d+)", r"\1 SLOT \2", told[name]) for name in ("uid_map", "gid_map"))
    return told


def test_what_a_process_can_ask_about_itself(both):
    def script():
        import ctypes
        import os
        import sys

        def main():
            prctl = ctypes.CDLL(None).prctl
            signal = ctypes.c_int()
            prctl(2, ctypes.byref(signal), 0, 0, 0)
            stack = os.get_inheritable(0), os.get_inheritable(3)
            return {
                "dumpable": prctl(3, 0, 0, 0, 0), "securebits": prctl(27, 0, 0, 0, 0), "no new privileges": prctl(39, 0, 0, 0, 0), "slack": prctl(30, 0, 0, 0, 0),
                "death signal": signal.value, "nice": os.getpriority(os.PRIO_PROCESS, 0), "scheduler": os.sched_getscheduler(0), "cpus": len(os.sched_getaffinity(0)),
                "umask": os.umask(0), "leader": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()], "parent": os.getppid(), "pid": os.getpid(),
                "directory": os.getcwd(), "environment": dict(os.environ), "machine": list(os.uname()), "processes": sorted(n for n in os.listdir("/proc") if n.isdigit()),
                "flags": str(sys.flags), "path": sys.path, "argv": sys.argv, "name": open("/proc/self/comm").read(), "inheritable": stack,
                "groups": os.getgroups(), "ids": os.getresuid() + os.getresgid(), "hooks": sys.excepthook is sys.__excepthook__,
            }

    cold, *others = each(both, script)
    assert others == [cold, cold]


PROBE = """
import mmap
# They do not return, or twice; what becomes of them is seen elsewhere.
SKIPPED = {15: "rt_sigreturn", 34: "pause", 57: "fork", 58: "vfork", 60: "exit", 231: "exit_group"}
BAD = (-1,) * 6
def calls():
    # Every call with arguments that the kernel refuses, and those whose arguments the filter looks at.
    yield from ((number, BAD) for number in range(471) if number not in SKIPPED)
    yield from ((41, (family, 99, 99)) for family in range(48))
    yield from ((53, (family, 99, 99, 0)) for family in range(48))
    yield from ((157, (option, -1, -1, -1, -1)) for option in range(1, 80) if option not in (1, 15))
    yield from ((16, (-1, request, 0)) for request in [*range(0x5400, 0x5470), 0x8914, 0x89A2, 0x4C00, 0x5310, 0xC0045877])
    yield from ((72, (-1, command, 0)) for command in [*range(40), *range(1024, 1045)])
    yield from ((54, (-1, level, option, 0, 0)) for level in (0, 1, 6) for option in range(80))
    # CLONE_THREAD without CLONE_SIGHAND is refused by the kernel, if it comes to see it.
    yield from ((56, (1 << bit | 0x10000, 0, 0, 0, 0)) for bit in range(8, 33) if bit not in (11,))
    yield from ((9, (0, 0, 0, 1 << bit, -1, 0)) for bit in range(33))
    yield from ((319, (0, 1 << bit)) for bit in range(32))
    yield from ((221, (-1, 0, 0, advice)) for advice in range(8))
    yield from ((call, (-1, 0, 0, 1 << bit, 0, 0)) for call in (44, 45, 299, 307) for bit in range(32))
    yield from ((call, (-1, 0, 1 << bit)) for call in (46, 47) for bit in range(32))
def main():
    todo = list(calls())
    # Page 0: how far the prober has come. Then a number for each call: its errno, or 200 when it was carried out.
    shared = mmap.mmap(-1, 4 * (len(todo) + 1))
    said = (ctypes.c_int * (len(todo) + 1)).from_buffer(shared)
    said[0] = 1
    died = 0
    while said[0] <= len(todo):
        child = os.fork()
        if child == 0:
            while said[0] <= len(todo):
                at = said[0]
                said[0] += 1
                said[at] = 255
                number, arguments = todo[at - 1]
                ctypes.set_errno(0)
                value = _libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
                said[at] = ctypes.get_errno() if value == -1 else 200
            os._exit(0)
        os.waitpid(child, 0)
    return [[number, list(arguments), said[at + 1]] for at, (number, arguments) in enumerate(todo)]
"""


def test_the_filter_says_the_same_to_every_call(both):
    cold, *others = each(both, attack(PROBE))
    for warm in others:
        different = [(one, other) for one, other in zip(cold, warm, strict=True) if one != other]
        assert not different
    verdicts = [verdict for _, _, verdict in cold]
    assert verdicts.count(1) > 200 and len(set(verdicts)) > 5, "the probe tells calls apart"


def test_the_same_is_out_of_reach(both):
    script = attack("""
    def main():
        paths = ["/", "/etc", "/usr", "/proc", "/proc/1", "/proc/sys", "/dev", "/dev/shm", "/tmp", "/sys", "/root", "/proc/self/fd", "/proc/self/task"]
        files = ["/proc/self/environ", "/proc/self/mem", "/proc/self/maps", "/proc/kcore", "/proc/meminfo", "/dev/null", "/dev/mem", os.__file__, "/usr/bin/python3"]
        return [[attempt(os.listdir, p)[:1].isalpha() and attempt(os.listdir, p) for p in paths], [attempt(os.stat, p)[:2] for p in paths + files],
                [attempt(lambda p: len(open(p, "rb").read(1)), p) for p in files], [attempt(lambda p: open(p, "ab"), p)[:6] for p in files + ["/x", "/usr/x", "/dev/x", "/proc/x"]],
                [attempt(os.kill, p, 0) for p in (1, -1, 3, 4)], attempt(os.pidfd_open, 3)]
    """)
    cold, *others = each(both, script)
    assert others == [cold, cold]


def links(pid):
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}


def descriptors(pid):
    """The descriptors of a process: what each is, and how it was opened."""
    def flags(fd):
        return re.search(r"flags:\t(\d+)", Path(f"/proc/{pid}/fdinfo/{fd}").read_text())[1]

    return {int(fd): (os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0], flags(fd)) for fd in os.listdir(f"/proc/{pid}/fd")}


def groups(pid):
    return sorted(re.sub(r"slot-\d+", "slot-N", line) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if "slot-" in line)


def test_jobs_of_all_kinds_at_once_share_no_namespace_and_no_id(both):
    many = 3 * len(KINDS)
    with ThreadPoolExecutor(many) as pool:
        running = [pool.submit(both.client.execute, HOLD, args=[8], profile=kind) for kind in KINDS * 3]
        jobs = eventually(lambda: len(both.holding()) == many and both.holding())
        every = [links(pid) for pid in jobs]
        ids = [both.id_of(pid) for pid in jobs]
        fds = [descriptors(pid) for pid in jobs]
        entered = [groups(pid) for pid in jobs]
        above = [links(pid) for pid in (os.getpid(), both.launcher(), *both.zygotes())]
        # Children that wait, of this service's default profile too, share nothing with them either.
        waiting = [links(pid) for pid in both.parked()]
        assert [future.result().status for future in running] == [200] * many
    assert len(set(ids)) == many
    for name in NAMESPACES:
        assert len({job[name] for job in every + waiting}) == many + len(waiting), name
        assert not {job[name] for job in every} & {process[name] for process in above}, name
    assert all(fd == fds[0] for fd in fds), fds
    assert set(fds[0]) == {0, 1, 2, 3} and {kind for kind, _ in fds[0].values()} == {"pipe"}
    assert all(group == entered[0] for group in entered) and len(entered[0]) >= 1


def test_a_parked_child_is_confined_before_a_request_comes(both):
    reference = dict(line.split(":\t", 1) for line in each(both, script_of("def main(): return open('/proc/self/status').read()"))[0].splitlines() if ":\t" in line)
    # After that: a child that has just served, and is killed and not yet gone, is none of those that wait. Nor is one yet that has the name
    # of those and is being confined.
    waiting = lambda: sum(profile["parked"] for profile in both.stats()["profiles"].values())
    children = eventually(lambda: (named := both.parked()) and len(named) == waiting() and named)
    same = ("Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn", "SigCgt", "Umask")
    seen = 0
    for pid in children:
        try:
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
            entered, held = groups(pid), descriptors(pid)
            ending = is_ending(pid)
        except OSError:
            continue  # it served a request or was replaced meanwhile
        if ending:
            continue  # it does so now: it may have no umask and no groups of version 1 any more
        assert {name: status[name] for name in same} == {name: reference[name] for name in same}
        # At 4 it would read what calls of tools return; where a request names none it closes that first of all.
        assert set(held) == {0, 1, 2, 3, 4} and entered
        seen += 1
    assert seen
